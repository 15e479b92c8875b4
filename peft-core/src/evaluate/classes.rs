//! Evaluation where a row or a token has one class, or is a token of the vocabulary.

use burn::tensor::Tensor;

use super::{
    assessment::Assessment,
    constant::Pairs,
    outputs::{classifier, logits},
    positions::{Positions, after_prompt},
    predictor::Predictor,
};
use crate::{
    contract::{
        loss::{cross_entropy_sum, predictions},
        readback::{Readback, read},
        task::Task,
    },
    data::{Example, Labels},
    error::{Error, Result},
};

/// Maximum number of logits that an evaluation computes at once (a language model has V per token).
const LOGITS_AT_ONCE: usize = 1 << 24;

impl Predictor<'_> {
    /// The loss, and what is predicted of each class.
    pub(super) fn evaluate_classes(
        &self,
        examples: &[Example],
        labels: Option<&Labels>,
    ) -> Result<Assessment> {
        let mut loss = 0.0;
        let mut answers: Vec<Pairs> = vec![Vec::new(); examples.len()];
        let mut count = 0;
        let score = |states| logits(self.model, self.head.as_ref(), self.task, states);
        let counts_right = self.task != Task::CausalLm;
        self.each_batch(examples, |slices| {
            let (mut together, mut asked) = (Readback::default(), Vec::new());
            for slice in slices {
                let after_prompt = after_prompt(&self.virtual_tokens);
                let (positions, targets) =
                    Positions::labelled_rows(self.task, slice.examples, after_prompt);
                if positions.is_empty() {
                    continue;
                }
                count += targets.len();
                let mut chunks = Vec::new();
                for (chunk, targets) in self.chunks(self.states(&positions, slice)?, &targets)? {
                    let logits = score(chunk.clone())?;
                    if counts_right {
                        together.add(predictions(logits.clone()));
                    }
                    together.add(cross_entropy_sum(logits, targets)?);
                    chunks.push((chunk, targets.len()));
                }
                asked.push((slice, positions, targets, chunks));
            }
            let mut found = together.read()?;
            for (slice, positions, targets, chunks) in asked {
                let mut predicted: Vec<i64> = Vec::new();
                let mut rows = positions.rows();
                for (chunk, len) in chunks {
                    if counts_right {
                        predicted.extend(found.numbers::<i64>()?);
                    }
                    let of_chunk = found.numbers::<f64>()?.into_iter().sum::<f64>();
                    let rows: Vec<usize> = rows.by_ref().take(len).collect();
                    if !of_chunk.is_finite() {
                        // Computed again, so as not to be kept in memory beside what the loss makes of them.
                        let logits = score(chunk)?;
                        let width = logits.dims()[1];
                        let scores: Vec<f32> = read(logits)?.iter().collect();
                        rows.iter()
                            .zip(scores.chunks(width))
                            .try_for_each(|(row, scores)| slice.check_finite(*row, scores))?;
                    }
                    loss += of_chunk;
                }
                for ((row, class), target) in positions.rows().zip(predicted).zip(targets) {
                    answers[slice.indices[row]].push((class as usize, target));
                }
            }
            Ok(())
        })?;
        if count == 0 {
            return Err(Error::Mismatch("no row has a target to evaluate".into()));
        }
        Assessment::of_classes(self.task, labels, loss / count as f64, answers)
    }

    /// Splits states `[M, H]` and their targets so that the logits of each part fit in memory.
    fn chunks<'t>(
        &self,
        states: Tensor<2>,
        targets: &'t [usize],
    ) -> Result<Vec<(Tensor<2>, &'t [usize])>> {
        let width = match self.task {
            task if task.is_language_model() => self.model.spec().vocab_size,
            _ => classifier(self.model, self.head.as_ref(), self.task)?.num_classes(),
        };
        let size = (LOGITS_AT_ONCE / width.max(1)).max(1);
        Ok(states.split(size, 0).into_iter().zip(targets.chunks(size)).collect())
    }
}
