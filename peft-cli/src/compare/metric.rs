//! The score that runs are compared by, and which way is better.

use peft_core::{Error, Result, train::BestMetric};

use super::run::{Run, TRAIN_LOSS};

/// Scores of which less is better, beside those that choose the best step of a run.
const LESS_IS_BETTER: [&str; 3] = [TRAIN_LOSS, "token_error_rate", "ter"];

/// A score of runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Whether more is better.
    pub maximise: bool,
}

impl Metric {
    /// A score by its name.
    pub fn named(name: &str) -> Self {
        let maximise = BestMetric::named(name).maximise && !LESS_IS_BETTER.contains(&name);
        Self { name: name.to_string(), maximise }
    }

    /// The score that was asked for, else the one that chose the best step of all runs.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if no run has it, with those that there are, or if runs were chosen by different scores.
    pub fn of(asked: Option<&str>, runs: &[Run]) -> Result<Self> {
        if let Some(name) = asked {
            let mut known: Vec<&str> =
                runs.iter().flat_map(|run| run.scores.keys()).map(String::as_str).collect();
            known.sort_unstable();
            known.dedup();
            if !known.contains(&name) {
                let message = format!(
                    "found {name}, expected a score that the runs have: {}",
                    known.join(", ")
                );
                return Err(Error::setting("--metric", message));
            }
            return Ok(Self::named(name));
        }
        // Runs without validation rows have their loss only, and are said to lack the score of the others.
        let scored = || runs.iter().filter(|run| run.best_metric != TRAIN_LOSS);
        let Some(first) = scored().next().or(runs.first()) else { return Ok(Self::named("loss")) };
        if let Some(other) = scored().find(|run| run.best_metric != first.best_metric) {
            let message = format!(
                "is required: the best step of {} was chosen by {}, that of {} by {}",
                first.path.display(),
                first.best_metric,
                other.path.display(),
                other.best_metric
            );
            return Err(Error::setting("--metric", message));
        }
        Ok(Self::named(&first.best_metric))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_better_for_losses_and_errors() {
        let more = |name: &str| Metric::named(name).maximise;
        assert!(more("accuracy") && more("f1") && more("bleu"));
        assert!(
            ["loss", "perplexity", "mse", "mean.loss", TRAIN_LOSS, "token_error_rate"]
                .into_iter()
                .all(|name| !more(name))
        );
    }
}
