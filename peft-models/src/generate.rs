//! Greedy generation with a K/V cache that begins with the virtual tokens.
//!
//! A soft prompt of a causal model is compiled to keys and values once and never added again; from then on
//! a prompt, a prefix and the tokens produced so far are all one cache.

use burn::tensor::{Int, Tensor};
use peft_core::{Error, FrozenModel, PaddingSide, Result, Room, TokenBatch, VirtualTokens};

/// When generation stops.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// New tokens at most.
    pub max_new_tokens: usize,
    /// Ids that end a row; the one that ended it is part of the output.
    pub end_tokens: Vec<u32>,
}

/// Checks that a model generates at all.
///
/// # Errors
///
/// [`Error::Mismatch`] for an encoder.
pub fn check_causal(model: &dyn FrozenModel) -> Result<()> {
    if model.spec().is_causal() {
        return Ok(());
    }
    Err(Error::Mismatch(format!("a {} model does not generate text", model.spec().model_type)))
}

/// Continues each row by the likeliest token, one at a time. Gives the new tokens of each row.
///
/// `on_token` is called with the row's index and each new token, as it is made.
///
/// # Errors
///
/// [`Error::TooLong`] where P + T + the new tokens exceed the model's positions, and as
/// [`FrozenModel::forward`].
pub fn greedy(
    model: &dyn FrozenModel,
    rows: &[&[u32]],
    virtual_tokens: &VirtualTokens,
    stop: &Stop,
    mut on_token: impl FnMut(usize, u32),
) -> Result<Vec<Vec<u32>>> {
    check_causal(model)?;
    let room = Room::new(model.spec(), virtual_tokens);
    rows.iter().try_for_each(|row| room.check(row.len(), 0, stop.max_new_tokens))?;
    let mut output = vec![Vec::new(); rows.len()];
    if rows.is_empty() || stop.max_new_tokens == 0 {
        return Ok(output);
    }
    let mut done = vec![false; rows.len()];
    // Left padding: every row's next token is in the last column.
    let mut batch = TokenBatch::new(rows, PaddingSide::Left);
    let mut cache = model.begin(&batch, virtual_tokens)?;
    loop {
        let hidden = model.forward_cached(&batch, &cache)?;
        let next = likeliest(model, hidden.tokens)?;
        for (row, token) in
            next.iter().enumerate().filter(|(row, _)| !done[*row]).collect::<Vec<_>>()
        {
            output[row].push(*token);
            on_token(row, *token);
            done[row] = stop.end_tokens.contains(token) || output[row].len() == stop.max_new_tokens;
        }
        if done.iter().all(|done| *done) {
            return Ok(output);
        }
        cache = hidden.cache.ok_or_else(|| Error::Mismatch("the model gave no cache".into()))?;
        // Rows that are done go on with what they produce, unread, until the last one is.
        let next: Vec<&[u32]> = next.chunks(1).collect();
        batch = TokenBatch::new(&next, PaddingSide::Left);
    }
}

/// The likeliest next token of each row, from the hidden states `[B, S, H]` of a left-padded batch.
fn likeliest(model: &dyn FrozenModel, hidden: Tensor<3>) -> Result<Vec<u32>> {
    let [b, s, h] = hidden.dims();
    let logits = model.lm_logits(hidden.narrow(1, s - 1, 1).reshape([b, h]))?;
    let best: Tensor<1, Int> = logits.argmax(1).reshape([b]);
    best.try_into_vec_as::<i64>()
        .map(|ids| ids.into_iter().map(|id| id as u32).collect())
        .map_err(|error| Error::Mismatch(format!("cannot read the device: {error}")))
}
