//! What generation returns, and what follows it meanwhile.

use std::ops::ControlFlow;

/// A generated sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generated {
    /// The new tokens, the end token included.
    pub ids: Vec<u32>,
    /// From a beam search: the log-probability divided by the length to the power of the length penalty.
    pub score: Option<f32>,
}

/// Follows generation, and may end sequences.
pub trait Watcher {
    /// A new token of a sequence of a row, both counted from 0, as soon as it is known. Not called by a beam search,
    /// whose sequences are not known before it ends.
    fn token(&mut self, row: usize, sequence: usize, token: u32) {
        let _ = (row, sequence, token);
    }

    /// Whether these new tokens end a sequence, although the last one is not an end token. Called after each token, by
    /// a beam search for each candidate.
    fn ends(&mut self, row: usize, new_tokens: &[u32]) -> bool {
        let _ = (row, new_tokens);
        false
    }

    /// All sequences of a row are done.
    fn row_done(&mut self, row: usize) {
        let _ = row;
    }

    /// The sequences of a row that is done, once its batch is. A break ends generation: the rows that are left have no
    /// sequences.
    fn made(&mut self, row: usize, sequences: &[Generated]) -> ControlFlow<()> {
        let _ = (row, sequences);
        ControlFlow::Continue(())
    }
}

/// Follows nothing.
impl Watcher for () {}
