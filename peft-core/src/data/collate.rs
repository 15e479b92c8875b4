//! Examples padded to one batch.

use super::example::Example;
use crate::contract::batch::{PaddingSide, TokenBatch};

/// Pads examples to one batch, on both sides if they have two.
pub fn token_batch(examples: &[&Example], side: PaddingSide) -> TokenBatch {
    let rows: Vec<&[u32]> = examples.iter().map(|example| example.input_ids.as_slice()).collect();
    let mut batch = TokenBatch::new(&rows, side);
    if examples.iter().any(|example| example.decoder_input_ids.is_some()) {
        let rows: Vec<&[u32]> = examples
            .iter()
            .map(|example| example.decoder_input_ids.as_deref().unwrap_or(&[]))
            .collect();
        batch = batch.with_decoder(TokenBatch::new(&rows, side));
    }
    if examples.iter().all(|example| example.token_type_ids.is_none()) {
        return batch;
    }
    let types: Vec<&[u32]> =
        examples.iter().map(|example| example.token_type_ids.as_deref().unwrap_or(&[])).collect();
    batch.with_token_types(&types)
}
