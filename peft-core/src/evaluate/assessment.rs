//! What an evaluation finds: scores, and what they do not tell.

use super::constant::{self, Constant, Pairs};
use crate::{
    contract::task::Task,
    data::Labels,
    error::Result,
    metrics::{
        ClassReport, EntityScores, Metrics, accuracy, classification_metrics, entity_scores,
        perplexity,
    },
};

/// What an evaluation finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// The scores.
    pub metrics: Metrics,
    /// What is predicted for all rows or tokens although their targets differ. `None` if predictions differ, and for tasks
    /// without classes or answers.
    pub constant: Option<Constant>,
    /// The scores class by class, where each row or token has one class.
    pub report: Option<Report>,
    /// What is predicted for each example with a target, by its index, in their order; of a question with several windows
    /// by that of one of them. None for language models, whose tokens are predicted one by one, and for answers by token
    /// ids.
    pub predictions: Vec<(usize, Predicted)>,
}

/// What is predicted for an example, beside what should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicted {
    /// A class for each of its targets: the predicted one, and the right one.
    Classes(Vec<(usize, usize)>),
    /// A number for each output of the head: the probabilities of classes, or the numbers of a regression.
    Values {
        /// What is predicted.
        found: Vec<f32>,
        /// What should be.
        expected: Vec<f32>,
    },
    /// The answer to a question, empty where it is said to have none.
    Answer {
        /// What is predicted.
        found: String,
        /// All right ones; none where the question has none.
        expected: Vec<String>,
        /// Whether it is one of them, as SQuAD's exact match says.
        is_right: bool,
    },
}

/// Scores class by class.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// Of classes, by their indices.
    Classes(ClassReport),
    /// Of whole entities, by their type.
    Entities(EntityScores),
}

impl Assessment {
    /// What the classes show that are predicted for each example; the mean loss is `loss`.
    pub(super) fn of_classes(
        task: Task,
        labels: Option<&Labels>,
        loss: f64,
        answers: Vec<Pairs>,
    ) -> Result<Self> {
        let mut metrics = Metrics::from_iter([("loss", loss)]);
        if task.is_language_model() {
            metrics.insert("perplexity", perplexity(loss));
        }
        let found = Self::of_choices(task, labels, answers)?;
        metrics.extend(found.metrics.iter());
        Ok(Self { metrics, ..found })
    }

    /// What classes show that were chosen in whatever way, such as by a vote, so that there is no loss: for each example
    /// the chosen and the correct class of each of its targets.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`](crate::Error::Mismatch) if there are none.
    pub fn of_choices(
        task: Task,
        labels: Option<&Labels>,
        answers: Vec<Vec<(usize, usize)>>,
    ) -> Result<Self> {
        let report = report(task, labels, &answers)?;
        let metrics = scores(task, &answers, report.as_ref())?;
        let constant = constant::of_classes(task, &answers);
        let has_classes = matches!(task, Task::SeqCls | Task::TokenCls);
        let has_target = |(_, pairs): &(usize, Pairs)| has_classes && !pairs.is_empty();
        let predictions = answers.into_iter().enumerate().filter(has_target);
        let predictions =
            predictions.map(|(example, pairs)| (example, Predicted::Classes(pairs))).collect();
        Ok(Self { metrics, constant, report, predictions })
    }
}

/// The scores of a task but its loss, from the [`Pairs`] of each example.
fn scores(task: Task, answers: &[Pairs], report: Option<&Report>) -> Result<Metrics> {
    let mut metrics = Metrics::new();
    let (classes, targets): (Vec<_>, Vec<_>) = answers.iter().flatten().copied().unzip();
    match task {
        Task::CausalLm => {}
        Task::Seq2SeqLm => metrics.insert("accuracy", accuracy(&classes, &targets)?),
        Task::SeqCls => metrics.extend(classification_metrics(&classes, &targets)?.iter()),
        Task::TokenCls | Task::QuestionAns => {
            let scores = classification_metrics(&classes, &targets)?;
            metrics.extend(scores.get("accuracy").map(|value| ("accuracy", value)));
            if let Some(Report::Entities(found)) = report {
                metrics.extend(found.metrics().iter());
            }
        }
    }
    Ok(metrics)
}

/// The scores class by class: of whole entities where the labels are their tags.
fn report(task: Task, labels: Option<&Labels>, answers: &[Pairs]) -> Result<Option<Report>> {
    if !matches!(task, Task::SeqCls | Task::TokenCls) {
        return Ok(None);
    }
    if let Some(labels) = labels.filter(|labels| task == Task::TokenCls && labels.are_tags()) {
        return Ok(Some(Report::Entities(entities(labels, answers)?)));
    }
    let (classes, targets): (Vec<_>, Vec<_>) = answers.iter().flatten().copied().unzip();
    let largest = classes.iter().chain(&targets).max().map_or(0, |largest| largest + 1);
    let count = labels.map_or(0, Labels::len).max(largest);
    ClassReport::of(&classes, &targets, count).map(Report::Classes).map(Some)
}

/// Precision, recall and F1 of the entities that predicted and correct tags mark.
fn entities(labels: &Labels, answers: &[Pairs]) -> Result<EntityScores> {
    let name = |class: usize| labels.name(class).map_or_else(|| class.to_string(), str::to_string);
    let tags = |class: fn(&(usize, usize)) -> usize| -> Vec<Vec<String>> {
        answers.iter().map(|pairs| pairs.iter().map(|pair| name(class(pair))).collect()).collect()
    };
    entity_scores(&tags(|pair| pair.0), &tags(|pair| pair.1))
}
