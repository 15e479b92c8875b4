//! Examples padded to one batch.

use super::example::Example;
use crate::contract::batch::{PaddingSide, TokenBatch};

/// Packs examples into rows, of which each takes the next `counts` of them, and pads the rows.
/// Segments are left out: only decoders read packed rows, and they have none.
pub fn packed_batch(examples: &[&Example], counts: &[usize], side: PaddingSide) -> TokenBatch {
    let mut rest = examples.iter().map(|example| example.input_ids.as_slice());
    let rows: Vec<Vec<&[u32]>> =
        counts.iter().map(|count| rest.by_ref().take(*count).collect()).collect();
    TokenBatch::packed(&rows, side)
}

/// Pads examples to one batch, on both sides if they have two. Of a model with one stack it says where
/// their sources end, if all of them have targets of tokens.
pub fn token_batch(examples: &[&Example], side: PaddingSide) -> TokenBatch {
    let rows: Vec<&[u32]> = examples.iter().map(|example| example.input_ids.as_slice()).collect();
    let mut batch = TokenBatch::new(&rows, side);
    let sources: Option<Vec<usize>> = examples.iter().map(|row| row.source_len()).collect();
    if examples.iter().any(|example| example.decoder_input_ids.is_some()) {
        let rows: Vec<&[u32]> = examples
            .iter()
            .map(|example| example.decoder_input_ids.as_deref().unwrap_or(&[]))
            .collect();
        batch = batch.with_decoder(TokenBatch::new(&rows, side));
    } else if let Some(sources) = sources {
        batch = batch.with_sources(sources);
    }
    if examples.iter().all(|example| example.token_type_ids.is_none()) {
        return batch;
    }
    let types: Vec<&[u32]> =
        examples.iter().map(|example| example.token_type_ids.as_deref().unwrap_or(&[])).collect();
    batch.with_token_types(&types)
}
