//! How likely given continuations are: choosing among classes without generating anything.

use burn::tensor::{DType, Int, Tensor, TensorData, activation::log_softmax};
use peft_core::{ContextBudget, Error, FrozenModel, Result, VirtualTokens};

use super::{
    GenerateConfig,
    decoder::{Decoder, read_scores},
    rows::{check_generates, check_rows},
};

/// Maximum number of logits that are computed at once.
const LOGITS_AT_ONCE: usize = 1 << 24;

/// Returns the log-likelihood of each of `continuations` after each row, in nats: the sum over its tokens of
/// `log p(token | virtual tokens, row, tokens before it)`.
///
/// A row is read once, whatever the number of continuations, and they are then read side by side; virtual tokens are
/// prefilled once for all rows. Of the settings, [`batch_size`](GenerateConfig::batch_size) (continuations at once) and
/// the token that a decoder starts from are used. `virtual_tokens` are shared by all rows, or there are as many as rows.
///
/// # Examples
///
/// The likelier of two answers, whatever their lengths:
///
/// ```
/// # use std::path::Path;
/// # use burn::tensor::{DType, Device};
/// # use peft_models::{ModelConfig, Weights, build};
/// use peft_core::VirtualTokens;
/// use peft_models::generate::{GenerateConfig, log_likelihoods};
///
/// # fn main() -> peft_core::Result<()> {
/// # let config = serde_json::json!({
/// #     "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 40,
/// #     "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
/// #     "num_attention_heads": 2, "max_position_embeddings": 32, "tie_word_embeddings": true
/// # });
/// # let config = ModelConfig::from_value(config, Path::new("config.json"))?;
/// # let loaded = build(config, Weights::random(7, 0.2, &Device::default(), DType::F32))?;
/// let answers = [vec![3, 1], vec![8, 2, 1]];
/// let (tokens, config) = (VirtualTokens::none(), GenerateConfig::new(0));
/// let found = log_likelihoods(loaded.model.as_ref(), &[&[5, 9, 3]], &answers, &tokens, &config)?;
/// let per_token: Vec<f64> =
///     found[0].iter().zip(&answers).map(|(sum, ids)| sum / ids.len() as f64).collect();
/// assert!(per_token.iter().all(|mean| *mean < 0.0));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::TooLong`] if P + T + the tokens of a continuation exceed the model's positions; [`Error::Mismatch`] for a
/// model that does not generate, and a row or a continuation without tokens or with unknown ones; [`Error::Setting`] for a
/// `first_row` behind which not all rows have a number; and as [`FrozenModel::forward`].
pub fn log_likelihoods(
    model: &dyn FrozenModel,
    rows: &[&[u32]],
    continuations: &[Vec<u32>],
    virtual_tokens: &VirtualTokens,
    config: &GenerateConfig,
) -> Result<Vec<Vec<f64>>> {
    check_generates(model)?;
    let spec = model.spec();
    let start = config.start(spec)?;
    check_rows(rows, config.first_row, spec.vocab_size)?;
    for (index, ids) in continuations.iter().enumerate() {
        if ids.is_empty() || ids.iter().any(|id| *id as usize >= spec.vocab_size) {
            let message = format!(
                "continuation {index} has the tokens {ids:?}, expected at least one, each below {}",
                spec.vocab_size
            );
            return Err(Error::Mismatch(message));
        }
    }
    virtual_tokens.check(spec, rows.len())?;
    let budget = ContextBudget::new(spec, virtual_tokens);
    let longest = continuations.iter().map(Vec::len).max().unwrap_or_default();
    for row in rows {
        budget.check(row.len(), usize::from(start.is_some()), longest)?;
    }
    let virtual_tokens = model.prefill(virtual_tokens)?;
    let at_once = (config.batch_size / continuations.len().max(1)).max(1);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|row| rows[*row].len());
    let mut output = vec![Vec::new(); rows.len()];
    for indices in order.chunks(at_once) {
        let own = match virtual_tokens.rows() {
            1 => virtual_tokens.clone(),
            _ => virtual_tokens.select_rows(indices),
        };
        let batch: Vec<&[u32]> = indices.iter().map(|row| rows[*row]).collect();
        let read = Decoder::start(model, &batch, &own, start, longest)?;
        for (row, found) in indices.iter().zip(of_batch(model, read, continuations)?) {
            output[*row] = found;
        }
    }
    Ok(output)
}

/// Of rows that were read, with the logits `[B, V]` of what follows them.
fn of_batch(
    model: &dyn FrozenModel,
    (mut decoder, logits): (Decoder<'_>, Tensor<2>),
    continuations: &[Vec<u32>],
) -> Result<Vec<Vec<f64>>> {
    let rows = decoder.rows();
    let first = continuations.iter().map(|ids| ids[0]).collect::<Vec<u32>>();
    let chosen = first.repeat(rows);
    let first = gathered(logits, &chosen, continuations.len())?;
    let mut found: Vec<Vec<f64>> =
        first.chunks(continuations.len().max(1)).map(<[f64]>::to_vec).collect();
    let longer: Vec<usize> =
        (0..continuations.len()).filter(|at| continuations[*at].len() > 1).collect();
    if longer.is_empty() {
        return Ok(found);
    }
    let pairs: Vec<(usize, usize)> =
        (0..rows).flat_map(|row| longer.iter().map(move |at| (row, *at))).collect();
    decoder.select(&pairs.iter().map(|(row, _)| *row).collect::<Vec<_>>());
    // The last token is never read.
    let read: Vec<&[u32]> = pairs
        .iter()
        .map(|(_, at)| continuations[*at].split_last().map_or(&[][..], |(_, before)| before))
        .collect();
    let hidden = decoder.read_all(&read)?;
    let [b, s, h] = hidden.dims();
    let hidden = hidden.reshape([b * s, h]);
    // The place of each token's state, the token that it predicts, and whose sum that belongs to.
    let mut wanted = Vec::new();
    for (pair, (row, at)) in pairs.iter().enumerate() {
        let following = continuations[*at].iter().skip(1).enumerate();
        wanted.extend(following.map(|(j, id)| (pair * s + j, *id, (*row, *at))));
    }
    for part in wanted.chunks((LOGITS_AT_ONCE / model.spec().vocab_size.max(1)).max(1)) {
        let places: Vec<i64> = part.iter().map(|(place, ..)| *place as i64).collect();
        let places =
            Tensor::<1, Int>::from_data(TensorData::new(places, [part.len()]), &hidden.device());
        let ids: Vec<u32> = part.iter().map(|(_, id, _)| *id).collect();
        let logits = model.lm_logits(hidden.clone().select(0, places))?;
        for (value, (.., (row, at))) in gathered(logits, &ids, 1)?.into_iter().zip(part) {
            found[*row][*at] += value;
        }
    }
    Ok(found)
}

/// The log-probabilities of `columns` tokens for each row of logits `[M, V]`, row by row.
fn gathered(logits: Tensor<2>, ids: &[u32], columns: usize) -> Result<Vec<f64>> {
    let [rows, _] = logits.dims();
    if columns == 0 {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, columns]), &logits.device());
    let chosen = log_softmax(logits.cast(DType::F32), 1).gather(1, ids);
    Ok(read_scores(chosen)?.into_iter().map(f64::from).collect())
}
