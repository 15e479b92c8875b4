//! Scores of rows that have a number for each output: several classes, or a regression.

use super::{
    assessment::{Assessment, Predicted},
    constant,
    outputs::{self, in_rows, logits, loss_of_values},
    positions::Positions,
    predictor::Predictor,
    rows::ReadBatch,
};
use crate::{
    contract::{problem_type::ProblemType, readback::Readback},
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
        let mut answers = vec![Vec::new(); examples.len()];
        let score = |positions: &Positions, slice: &ReadBatch<'_>| {
            let states = self.states(positions, slice)?;
            logits(self.model, self.head.as_ref(), self.task, states)
        };
        self.each_batch(examples, |slices| {
            let (mut together, mut asked) = (Readback::default(), Vec::new());
            for slice in slices {
                let (labelled, _) = Positions::labelled(self.task, slice.examples, false);
                let all = Positions::all_rows(slice.batch);
                let logits = score(&all, slice)?;
                asked.push((slice, logits.dims()[1], !labelled.is_empty()));
                if !labelled.is_empty() {
                    let own =
                        if labelled == all { logits.clone() } else { score(&labelled, slice)? };
                    let values = Positions::values(slice.examples);
                    together.add(loss_of_values(self.problem_type, own, &values)?);
                }
                together.add(outputs::answers(self.problem_type, logits));
            }
            let mut found = together.read()?;
            for (slice, width, has_loss) in asked {
                if has_loss {
                    loss += found.numbers::<f64>()?.into_iter().sum::<f64>();
                }
                let of_slice = in_rows(found.numbers()?, width);
                for (at, (row, answer)) in slice.indices.iter().zip(of_slice).enumerate() {
                    slice.check_finite(at, &answer)?;
                    answers[*row] = answer;
                }
            }
            Ok(())
        })?;
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
