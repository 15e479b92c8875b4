//! The state from which generation continues: virtual tokens, and the keys and values of the tokens
//! read so far.
//!
//! They are kept separately, so that virtual tokens shared by the batch are in memory once,
//! whatever B is.

use super::{cross_input::CrossInput, token_cache::TokenCache, virtual_tokens::VirtualTokens};

/// The state from which generation continues: keys and values of everything before the next token.
#[derive(Clone, Debug)]
pub struct Cache {
    /// The virtual tokens of the self-attention.
    pub virtual_tokens: VirtualTokens,
    /// The tokens read after them.
    pub tokens: TokenCache,
    /// The decoder's cross-attention input, for encoder-decoders.
    pub cross: Option<CrossInput>,
}

impl Cache {
    /// Selects rows, in the given order: for beams, and for rows that continue alone.
    #[must_use]
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        Self {
            virtual_tokens: self.virtual_tokens.select_rows(rows),
            tokens: self.tokens.select_rows(rows),
            cross: self.cross.as_ref().map(|cross| cross.select_rows(rows)),
        }
    }
}
