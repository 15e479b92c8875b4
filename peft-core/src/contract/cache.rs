//! What generation continues from: virtual tokens, and the keys and values of the tokens read so far.
//!
//! The two stay apart, so that virtual tokens which the batch shares are in memory once, whatever B is.

use super::{cross_input::CrossInput, token_cache::TokenCache, virtual_tokens::VirtualTokens};

/// What generation continues from: keys and values of everything before the next token.
#[derive(Clone, Debug)]
pub struct Cache {
    /// The virtual tokens of the self-attention.
    pub virtual_tokens: VirtualTokens,
    /// The tokens read behind them.
    pub tokens: TokenCache,
    /// What the decoder of an encoder-decoder reads.
    pub cross: Option<CrossInput>,
}

impl Cache {
    /// The cache of chosen rows, in the order given: for beams, and for rows that go on alone.
    #[must_use]
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        Self {
            virtual_tokens: self.virtual_tokens.select_rows(rows),
            tokens: self.tokens.select_rows(rows),
            cross: self.cross.as_ref().map(|cross| cross.select_rows(rows)),
        }
    }
}
