//! Scores of rows that have a number for each output: several classes, or a regression.

use super::{
    assessment::{Assessment, Predicted},
    constant,
    outputs::{logits, loss_of_values},
    positions::Positions,
    predictor::Predictor,
};
use crate::{
    contract::problem_type::ProblemType,
    data::{Example, Target},
    error::{Error, Result},
    metrics::{Metrics, multi_label_metrics, regression_metrics},
};

/// A class belongs to a row if its probability is above this.
pub const THRESHOLD: f32 = 0.5;

impl Predictor<'_> {
    /// Scores examples with [`Target::Values`]. The loss is the mean over rows and outputs.
    pub(super) fn evaluate_values(&self, examples: &[Example]) -> Result<Assessment> {
        let mut loss = 0.0;
        self.each_batch(examples, |read| {
            let (positions, _) = Positions::labelled(self.task, read.examples, false);
            if positions.is_empty() {
                return Ok(());
            }
            let states = self.states(&positions, read)?;
            let logits = logits(self.model, self.head.as_ref(), self.task, states)?;
            let values = Positions::values(read.examples);
            loss += loss_of_values(self.problem_type, logits, &values)?.into_scalar::<f64>();
            Ok(())
        })?;
        let answers = self.classify(examples)?;
        let of_row = |(at, (example, found)): (usize, (&Example, Vec<f32>))| match &example.target {
            Target::Values(expected) => {
                Some((at, Predicted::Values { found, expected: expected.clone() }))
            }
            _ => None,
        };
        let predictions: Vec<(usize, Predicted)> =
            examples.iter().zip(answers).enumerate().filter_map(of_row).collect();
        let (found, expected): (Vec<_>, Vec<_>) = predictions
            .iter()
            .filter_map(|(_, of_row)| match of_row {
                Predicted::Values { found, expected } => Some((found.clone(), expected.clone())),
                _ => None,
            })
            .unzip();
        let count: usize = expected.iter().map(Vec::len).sum();
        if count == 0 {
            return Err(Error::Mismatch("no row has a target to evaluate".into()));
        }
        let mut metrics = Metrics::from_iter([("loss", loss / count as f64)]);
        let (scores, constant) = match self.problem_type {
            ProblemType::Regression => (regression_metrics(&found, &expected)?, None),
            _ => {
                let (found, expected) = (above(&found), above(&expected));
                let constant = constant::of_sets(&found, &expected);
                (multi_label_metrics(&found, &expected)?, constant)
            }
        };
        metrics.extend(scores.iter());
        Ok(Assessment { metrics, constant, report: None, predictions })
    }
}

/// Which classes each row has.
fn above(rows: &[Vec<f32>]) -> Vec<Vec<bool>> {
    rows.iter().map(|row| row.iter().map(|value| *value > THRESHOLD).collect()).collect()
}
