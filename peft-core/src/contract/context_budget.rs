//! Whether rows fit a model's positions together with virtual tokens.

use super::{
    spec::{ModelSpec, Side},
    virtual_tokens::VirtualTokens,
};
use crate::error::{Error, Result};

/// The positions left for rows by virtual tokens, on each side of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextBudget {
    two_sides: bool,
    encoder: Limit,
    decoder: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    /// The number of positions, if limited.
    positions: Option<usize>,
    /// The number of positions taken by virtual tokens, in the fullest row.
    taken: usize,
}

impl Limit {
    fn new(spec: &ModelSpec, virtual_tokens: &VirtualTokens, side: Side) -> Self {
        let taken = virtual_tokens.positions_taken(side, spec.is_encoder_decoder());
        Self { positions: spec.positions(side), taken: taken.into_iter().max().unwrap_or_default() }
    }

    fn check(self, tokens: usize, new_tokens: usize) -> Result<()> {
        check_length(self.positions, self.taken, tokens, new_tokens)
    }

    fn most_new_tokens(self, tokens: usize) -> usize {
        let Some(positions) = self.positions else { return usize::MAX };
        // As in `check_length`, the last one needs no position.
        (positions + 1).saturating_sub(self.taken.saturating_add(tokens))
    }
}

/// Checks that virtual tokens, the tokens of a row and new tokens fit the positions of a side, if
/// these are limited.
pub(super) fn check_length(
    positions: Option<usize>,
    virtual_tokens: usize,
    tokens: usize,
    new_tokens: usize,
) -> Result<()> {
    // The last new token is never fed back, so it needs no position.
    let needed = virtual_tokens.saturating_add(tokens).saturating_add(new_tokens.saturating_sub(1));
    match positions {
        Some(limit) if needed > limit => {
            Err(Error::TooLong { virtual_tokens, tokens, new_tokens, limit })
        }
        _ => Ok(()),
    }
}

impl ContextBudget {
    /// Returns the positions that `virtual_tokens` leave in the model `spec`.
    pub fn new(spec: &ModelSpec, virtual_tokens: &VirtualTokens) -> Self {
        Self {
            two_sides: spec.is_encoder_decoder(),
            encoder: Limit::new(spec, virtual_tokens, Side::Encoder),
            decoder: Limit::new(spec, virtual_tokens, Side::Decoder),
        }
    }

    /// Checks a row of `tokens` input tokens and, on an encoder-decoder, `decoder_tokens` decoder
    /// tokens; `new_tokens` will be generated after the decoder tokens, or after the input if there
    /// is only one side.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] naming P, T and the limit of the side that is too short.
    pub fn check(&self, tokens: usize, decoder_tokens: usize, new_tokens: usize) -> Result<()> {
        if !self.two_sides {
            return self.encoder.check(tokens, new_tokens);
        }
        self.encoder.check(tokens, 0)?;
        self.decoder.check(decoder_tokens, new_tokens)
    }

    /// The most new tokens for which [`check`](Self::check) passes, for rows that pass it without any.
    pub fn most_new_tokens(&self, tokens: usize, decoder_tokens: usize) -> usize {
        if self.two_sides {
            return self.decoder.most_new_tokens(decoder_tokens);
        }
        self.encoder.most_new_tokens(tokens)
    }
}
