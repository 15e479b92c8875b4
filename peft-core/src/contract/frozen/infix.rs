//! Where an infix stands in the rows of a batch.

use crate::{
    contract::{batch::TokenBatch, token_cache::TokenCache, virtual_tokens::VirtualTokens},
    error::{Error, Result},
};

/// A cache that knows where an infix stands in the rows of `batch`, which are to follow it: in front of the
/// last token of their source.
///
/// # Errors
///
/// [`Error::Mismatch`] where rows have no place for it, or do not say where.
pub(super) fn placed(
    tokens: TokenCache,
    batch: &TokenBatch,
    virtual_tokens: &VirtualTokens,
) -> Result<TokenCache> {
    if !virtual_tokens.infix {
        return Ok(tokens);
    }
    let refuse = |message: String| Err(Error::Mismatch(message));
    if batch.blocks().is_some() {
        return refuse(
            "an infix stands between the source and the target of one example, and a packed row has several: \
             give each example a row of its own"
                .into(),
        );
    }
    if let (Some(sources), true) = (batch.sources(), tokens.is_empty()) {
        let mut rows = sources.iter().enumerate().take(batch.rows());
        if let Some((row, source)) = rows.find(|(row, source)| **source > batch.row_len(*row)) {
            let tokens = batch.row_len(row);
            return refuse(format!(
                "row {row} has {tokens} tokens, and its source would have {source}"
            ));
        }
    }
    match (batch.sources(), tokens.is_empty()) {
        (Some(sources), true) if sources.len() == batch.rows() => {
            Ok(tokens.with_infix(sources.iter().map(|tokens| tokens.saturating_sub(1))))
        }
        (Some(sources), true) => {
            let found = sources.len();
            refuse(format!("found {found} sources for a batch of {} rows", batch.rows()))
        }
        (None, true) => refuse(
            "the virtual tokens are an infix, between the source and the target of each row, and nothing says \
             where sources end: rows with targets say it, and so does `TokenBatch::with_sources`"
                .into(),
        ),
        (None, false) if tokens.infix(batch.rows()).is_some() => Ok(tokens),
        (None, false) => refuse(
            "the virtual tokens are an infix, and the cache was read with others or none: read its tokens \
             again"
                .into(),
        ),
        (Some(_), false) => refuse(
            "rows that continue a cache belong to the target, behind the infix, and have no source of their \
             own"
                .into(),
        ),
    }
}
