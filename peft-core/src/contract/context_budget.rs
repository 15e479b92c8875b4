//! Whether rows fit a model's positions together with virtual tokens.

use super::{
    spec::{ModelSpec, Side},
    virtual_tokens::{Content, VirtualTokens},
};
use crate::error::{Error, Result};

/// The positions left for rows by virtual tokens, on each side of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextBudget {
    two_sides: bool,
    encoder: Limit,
    decoder: Limit,
    /// Whether embeddings stand in front of the rows.
    has_prompt: bool,
    /// The token that takes no position.
    uncounted: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    /// The number of positions, if limited.
    positions: Option<usize>,
    /// The number of positions taken by virtual tokens, in the fullest row.
    taken: usize,
    /// Bytes for each pair of positions of a row.
    of_pair: u64,
}

/// The most that what attention keeps for each pair of positions of a row may take, in bytes.
const OF_PAIRS: u64 = 8 << 30;
/// A mask, on its way from the host to the device.
const MASK: u64 = 2;
/// A distance, with its bucket.
const DISTANCE: u64 = 24;
/// The bias of one head, with what it is made of.
const BIAS: u64 = 8;

impl Limit {
    fn new(spec: &ModelSpec, virtual_tokens: &VirtualTokens, side: Side) -> Self {
        let taken = virtual_tokens.positions_taken(side, spec.is_encoder_decoder());
        let taken = taken.into_iter().max().unwrap_or_default();
        let positions = spec.positions(side);
        // Without a limit of positions, a relative bias tells where they are.
        let heads = spec.sites.iter().map(|site| site.num_heads as u64).max().unwrap_or(1);
        let of_pair = match positions {
            Some(_) => MASK,
            None => DISTANCE.saturating_add(BIAS.saturating_mul(heads)),
        };
        Self { positions, taken, of_pair }
    }

    fn check(self, tokens: usize, new_tokens: usize) -> Result<()> {
        check_length(self.positions, self.taken, tokens, new_tokens)?;
        self.check_pairs(tokens)
    }

    fn check_pairs(self, tokens: usize) -> Result<()> {
        let limit = (OF_PAIRS / self.of_pair).isqrt() as usize;
        match self.taken.saturating_add(tokens) > limit {
            true => {
                Err(Error::TooWide { virtual_tokens: self.taken, tokens, limit, bytes: OF_PAIRS })
            }
            false => Ok(()),
        }
    }

    fn most_new_tokens(self, tokens: usize) -> usize {
        let Some(positions) = self.positions else { return usize::MAX };
        // As in `check_length`, the last one needs no position.
        positions.saturating_add(1).saturating_sub(self.taken.saturating_add(tokens))
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
            has_prompt: matches!(virtual_tokens.content, Content::Embeddings(_)),
            uncounted: None,
        }
    }

    /// For rows in which this token takes no position, unless they have a prompt: that of
    /// [`FrozenModel::uncounted_token`](super::frozen::FrozenModel::uncounted_token).
    #[must_use]
    pub fn with_uncounted(self, token: Option<u32>) -> Self {
        Self { uncounted: token.filter(|_| !self.has_prompt), ..self }
    }

    /// The tokens of a row that take a position.
    pub fn counted(&self, ids: &[u32]) -> usize {
        match self.uncounted {
            Some(token) => ids.iter().filter(|id| **id != token).count(),
            None => ids.len(),
        }
    }

    /// As [`check`](Self::check), for a row of these input tokens.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check).
    pub fn check_row(&self, ids: &[u32], decoder_tokens: usize, new_tokens: usize) -> Result<()> {
        self.encoder.check_pairs(ids.len())?;
        self.check(self.counted(ids), decoder_tokens, new_tokens)
    }

    /// Checks a row of `tokens` input tokens and, on an encoder-decoder, `decoder_tokens` decoder
    /// tokens; `new_tokens` will be generated after the decoder tokens, or after the input if there
    /// is only one side.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] naming P, T and the limit of the side that is too short; [`Error::TooWide`] where the
    /// model has more positions than memory has space for their pairs.
    pub fn check(&self, tokens: usize, decoder_tokens: usize, new_tokens: usize) -> Result<()> {
        if !self.two_sides {
            return self.encoder.check(tokens, new_tokens);
        }
        self.encoder.check(tokens, 0)?;
        self.decoder.check(decoder_tokens, new_tokens)
    }

    /// Checks a packed row of `tokens` tokens in all, whose examples pass [`check`](Self::check): it may
    /// have more of them than the model has positions.
    ///
    /// # Errors
    ///
    /// [`Error::TooWide`] where memory has no space for their pairs.
    pub fn check_packed(&self, tokens: usize) -> Result<()> {
        self.encoder.check_pairs(tokens)
    }

    /// The most new tokens for which [`check`](Self::check) passes, for rows that pass it without any.
    pub fn most_new_tokens(&self, tokens: usize, decoder_tokens: usize) -> usize {
        if self.two_sides {
            return self.decoder.most_new_tokens(decoder_tokens);
        }
        self.encoder.most_new_tokens(tokens)
    }
}
