//! The score that determines the best step.

use serde::{Deserialize, Serialize};

use crate::{
    contract::{problem_type::ProblemType, task::Task},
    data::Labels,
    error::{Error, Result},
    metrics::Metrics,
};

/// The score that determines the best step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestMetric {
    /// The name of the score: `loss`, `accuracy`, `f1`, ...
    pub name: String,
    /// Whether higher is better.
    pub maximise: bool,
}

impl BestMetric {
    /// A score by its name: lower is better for `loss`, `perplexity` and `mse`, higher for all others. That of a task in a
    /// joint run is called after both: `ner.loss`.
    pub fn named(name: &str) -> Self {
        let score = name.rsplit('.').next().unwrap_or(name);
        Self { name: name.to_string(), maximise: !matches!(score, "loss" | "perplexity" | "mse") }
    }

    /// The score by which a task is judged: loss, accuracy, F1 of answers, or entity F1 if the
    /// labels of a tagger are entity tags ([`Labels::are_tags`]). Rows with several classes are
    /// judged by micro F1, a regression by its squared error.
    pub fn of_task(task: Task, problem_type: ProblemType, labels: Option<&Labels>) -> Self {
        Self::named(match task {
            Task::SeqCls if problem_type == ProblemType::MultiLabel => "f1_micro",
            Task::SeqCls if problem_type == ProblemType::Regression => "mse",
            Task::CausalLm | Task::Seq2SeqLm => "loss",
            Task::QuestionAns => "f1",
            Task::TokenCls if labels.is_some_and(Labels::are_tags) => "f1",
            Task::SeqCls | Task::TokenCls => "accuracy",
        })
    }

    /// Returns this score out of `metrics`.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] listing the available scores.
    pub fn read(&self, metrics: &Metrics) -> Result<f64> {
        metrics.get(&self.name).ok_or_else(|| {
            let known: Vec<&str> = metrics.iter().map(|(name, _)| name).collect();
            let message =
                format!("found `{}`, the evaluation gives {}", self.name, known.join(", "));
            Error::setting("best_metric", message)
        })
    }

    /// Whether `new` is better than `old`. Values that are not finite are never better.
    pub fn better(&self, new: f64, old: Option<f64>) -> bool {
        let beats = |old: f64| if self.maximise { new > old } else { new < old };
        new.is_finite() && old.is_none_or(beats)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_best_score_is_strictly_better() {
        let loss = BestMetric::named("loss");
        assert!(loss.better(1.0, None) && loss.better(0.9, Some(1.0)));
        assert!(!loss.better(1.0, Some(1.0)) && !loss.better(f64::NAN, None));
        assert!(
            BestMetric::of_task(Task::SeqCls, ProblemType::SingleLabel, None)
                .better(0.5, Some(0.4))
        );
        let scores = Metrics::from_iter([("loss", 1.0)]);
        let error = BestMetric::named("bleu").read(&scores).unwrap_err().to_string();
        assert_eq!(error, "best_metric: found `bleu`, the evaluation gives loss");
    }
}
