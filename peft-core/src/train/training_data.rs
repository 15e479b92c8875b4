//! The rows of a run.

use crate::data::Example;

/// The rows that a run learns, and those that select its best step.
#[derive(Clone, Copy, Debug)]
pub struct TrainingData<'a> {
    /// Rows to learn.
    pub train: &'a [Example],
    /// Rows used to select the best step; may be empty.
    pub valid: &'a [Example],
}
