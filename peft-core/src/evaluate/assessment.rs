//! What an evaluation finds: scores, and what they do not tell.

use crate::{
    contract::task::Task,
    data::Labels,
    error::Result,
    metrics::{Metrics, accuracy, classification_metrics, entity_scores, perplexity},
};

/// What an evaluation finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// The scores.
    pub metrics: Metrics,
    /// The one class that is predicted for all rows or tokens although their targets differ. `None` if
    /// more than one is predicted, and for tasks without classes.
    pub only_class: Option<usize>,
}

impl Assessment {
    /// Scores alone.
    pub(super) fn of_scores(metrics: Metrics) -> Self {
        Self { metrics, only_class: None }
    }

    /// What the classes show that are predicted for each example; the mean loss is `loss`.
    pub(super) fn of_classes(
        task: Task,
        labels: Option<&Labels>,
        loss: f64,
        answers: &[Pairs],
    ) -> Result<Self> {
        let metrics = scores(task, labels, loss, answers)?;
        Ok(Self { metrics, only_class: only_class(answers).filter(|_| task.has_head()) })
    }
}

/// The predicted and the correct class of each target of an example.
pub(super) type Pairs = Vec<(usize, usize)>;

/// The scores of a task whose mean loss is `loss`, from the [`Pairs`] of each example.
fn scores(task: Task, labels: Option<&Labels>, loss: f64, answers: &[Pairs]) -> Result<Metrics> {
    let mut metrics = Metrics::from_iter([("loss", loss)]);
    if task.is_language_model() {
        metrics.insert("perplexity", perplexity(loss));
    }
    let (classes, targets): (Vec<_>, Vec<_>) = answers.iter().flatten().copied().unzip();
    match task {
        Task::CausalLm => {}
        Task::Seq2SeqLm => metrics.insert("accuracy", accuracy(&classes, &targets)?),
        Task::SeqCls => metrics.extend(classification_metrics(&classes, &targets)?.iter()),
        Task::TokenCls | Task::QuestionAns => {
            let scores = classification_metrics(&classes, &targets)?;
            metrics.extend(scores.get("accuracy").map(|value| ("accuracy", value)));
            if let Some(labels) = labels.filter(|labels| labels.are_tags()) {
                metrics.extend(entities(labels, answers)?.iter());
            }
        }
    }
    Ok(metrics)
}

/// Precision, recall and F1 of the entities that predicted and correct tags mark.
fn entities(labels: &Labels, answers: &[Pairs]) -> Result<Metrics> {
    let name = |class: usize| labels.name(class).map_or_else(|| class.to_string(), str::to_string);
    let tags = |class: fn(&(usize, usize)) -> usize| -> Vec<Vec<String>> {
        answers.iter().map(|pairs| pairs.iter().map(|pair| name(class(pair))).collect()).collect()
    };
    Ok(entity_scores(&tags(|pair| pair.0), &tags(|pair| pair.1))?.metrics())
}

/// The class that is predicted everywhere, where that of the targets differs.
fn only_class(answers: &[Pairs]) -> Option<usize> {
    let mut pairs = answers.iter().flatten();
    let (class, target) = *pairs.clone().next()?;
    let is_constant = pairs.clone().all(|pair| pair.0 == class);
    (is_constant && pairs.any(|pair| pair.1 != target)).then_some(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_class_for_all_is_told_where_targets_differ() {
        assert_eq!(only_class(&[vec![(1, 1), (1, 0)], vec![(1, 1)]]), Some(1));
        assert_eq!(only_class(&[vec![(1, 1)], vec![], vec![(1, 1)]]), None);
        assert_eq!(only_class(&[vec![(1, 1), (0, 1)]]), None);
        assert_eq!(only_class(&[]), None);
    }
}
