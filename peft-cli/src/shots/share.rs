//! Tokens that all rows begin with, read once: the examples stand in front of all rows alike, and nothing that follows
//! them changes what a decoder makes of them, as with a prompt.

use burn::tensor::{Int, Tensor, TensorData};
use peft_core::{
    FrozenModel, Result, VirtualTokens,
    data::{Example, Target},
};

/// Takes the tokens that all rows begin with out of the rows: what they are as virtual tokens of a decoder, prefilled, and
/// their number. Each row keeps one token of its input at least. `None` where nothing can be shared: rows of an
/// encoder-decoder attend to what is behind them.
///
/// The rows' own tokens are the references: however the text behind the examples is cut into tokens, only those that
/// are the same in all rows are shared.
///
/// # Errors
///
/// As [`FrozenModel::prefill`].
pub fn share(model: &dyn FrozenModel, rows: &mut [Example]) -> Result<Option<VirtualTokens>> {
    let shared = if model.spec().is_causal() { in_common(rows) } else { 0 };
    if shared == 0 {
        return Ok(None);
    }
    let ids: Vec<i64> = rows[0].input_ids[..shared].iter().map(|id| i64::from(*id)).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, shared]), &model.device());
    let prefilled = model.prefill(&VirtualTokens::embeddings(model.embed(ids)))?;
    for row in rows {
        row.input_ids.drain(..shared);
        if let Target::Tokens(targets) = &mut row.target {
            targets.drain(..shared);
        }
    }
    Ok(Some(prefilled))
}

/// The number of tokens that the inputs of all rows begin with, without the last of each.
fn in_common(rows: &[Example]) -> usize {
    let Some(first) = rows.first() else { return 0 };
    let of_row = |row: &Example| {
        let alike = first.input_ids.iter().zip(&row.input_ids).take_while(|(a, b)| a == b).count();
        alike.min(of_input(row).saturating_sub(1))
    };
    rows.iter().map(of_row).min().unwrap_or_default()
}

/// The number of tokens in front of the target.
pub fn of_input(row: &Example) -> usize {
    row.source_len().unwrap_or(row.input_ids.len())
}

#[cfg(test)]
mod tests {
    use peft_core::data::IGNORE;

    use super::*;

    fn row(ids: &[u32], of_target: usize) -> Example {
        let target = |(at, id): (usize, &u32)| match at + of_target < ids.len() {
            true => IGNORE,
            false => i64::from(*id),
        };
        let targets = ids.iter().enumerate().map(target).collect();
        Example::new(ids.to_vec(), Target::Tokens(targets), 1)
    }

    #[test]
    fn each_row_keeps_a_token_of_its_input() {
        assert_eq!(in_common(&[]), 0);
        assert_eq!(in_common(&[row(&[1, 2, 3, 4], 1)]), 2);
        assert_eq!(in_common(&[row(&[1, 2, 3, 4], 1), row(&[1, 2, 5, 6, 7], 2)]), 2);
        // The second's input is one token.
        assert_eq!(in_common(&[row(&[1, 2, 3, 4], 1), row(&[1, 2, 3], 2)]), 0);
        assert_eq!(in_common(&[row(&[1, 2], 0), row(&[3, 2], 0)]), 0);
    }
}
