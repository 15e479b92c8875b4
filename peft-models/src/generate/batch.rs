//! One batch of a generation: what is read, and from what the next token is chosen.

use burn::tensor::Tensor;
use peft_core::{Error, FrozenModel, Result, VirtualTokens};

use super::{decoder::Decoder, scores::Context};

/// Rows that are continued together.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub model: &'a dyn FrozenModel,
    /// Their indices among all rows.
    pub indices: &'a [usize],
    /// The number of the first of all rows, where they are a part of others.
    pub first_row: usize,
    pub rows: Vec<&'a [u32]>,
    pub virtual_tokens: VirtualTokens,
    /// The token that the decoder of an encoder-decoder starts from.
    pub start: Option<u32>,
    /// The most new tokens of each row.
    pub longest: Vec<usize>,
}

impl Batch<'_> {
    /// Reads the rows; returns the model after them, and the logits `[B, V]` of their first new tokens.
    pub fn read(&self) -> Result<(Decoder<'_>, Tensor<2>)> {
        let longest = self.longest.iter().copied().max().unwrap_or_default();
        Decoder::start(self.model, &self.rows, &self.virtual_tokens, self.start, longest)
    }

    /// The tokens of a sequence of one of the rows.
    pub fn context<'b>(&'b self, row: usize, new: &'b [u32]) -> Context<'b> {
        let input = self.rows[row];
        let read = self.start.as_ref().map_or(input, std::slice::from_ref);
        Context { input, read, new, longest: self.longest[row] }
    }

    /// The number of one of the rows, which its draws depend on.
    pub fn number(&self, row: usize) -> usize {
        self.first_row + self.indices[row]
    }

    /// The error for a row whose scores allow no token.
    pub fn no_token(&self, row: usize) -> Error {
        let row = self.number(row);
        Error::Mismatch(format!(
            "row {row}: no token can follow, all scores of the model are NaN, minus infinity or ruled out by the \
             settings of generation"
        ))
    }
}
