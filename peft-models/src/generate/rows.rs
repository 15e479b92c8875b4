//! Continuing all rows, batch by batch.

use peft_core::{ContextBudget, Error, FrozenModel, Result, Topology, VirtualTokens};

use super::{
    GenerateConfig, Generated, Strategy, Watcher, batch::Batch, beams, config::MOST_NEW_TOKENS,
    steps,
};

/// The most that the scores of the next tokens may take, in bytes.
const SCORES: u64 = 8 << 30;

/// Continues each row; returns its sequences, of a beam search the best first.
///
/// Rows of similar length are batched, [`batch_size`](GenerateConfig::batch_size) at once, among a few batches of
/// neighbours, so that rows come out nearly in order; the output does not depend on that. `virtual_tokens` are shared by
/// all rows, or there are as many as rows. A beam search that finds fewer sequences than asked for returns those.
///
/// # Examples
///
/// Two rows of token ids, continued greedily by a small model with random weights:
///
/// ```
/// # use std::path::Path;
/// # use burn::tensor::{DType, Device};
/// # use peft_models::{ModelConfig, Weights, build};
/// use peft_core::VirtualTokens;
/// use peft_models::generate::{GenerateConfig, generate};
///
/// # fn main() -> peft_core::Result<()> {
/// # let config = serde_json::json!({
/// #     "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 40,
/// #     "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
/// #     "num_attention_heads": 2, "max_position_embeddings": 32, "tie_word_embeddings": true
/// # });
/// # let config = ModelConfig::from_value(config, Path::new("config.json"))?;
/// # let loaded = build(config, Weights::random(7, 0.2, &Device::default(), DType::F32))?;
/// let rows: [&[u32]; 2] = [&[5, 9, 3], &[7]];
/// // The model alone; an adapter's are those of `Adapter::virtual_tokens`.
/// let tokens = VirtualTokens::none();
/// let config = GenerateConfig::new(4);
/// let made = generate(loaded.model.as_ref(), &rows, &tokens, &config, &mut ())?;
/// // One sequence of each row, of 4 tokens, since no token ends it.
/// assert_eq!(made.iter().map(|row| row[0].ids.len()).collect::<Vec<_>>(), [4, 4]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::Setting`] as [`GenerateConfig::validate`], and for a `first_row` behind which not all rows have a
/// number; [`Error::TooLong`] if P + T + the new tokens exceed the model's positions; [`Error::Mismatch`] for a model that does not generate and a row without tokens
/// or with unknown ones; and as [`FrozenModel::forward`].
pub fn generate(
    model: &dyn FrozenModel,
    rows: &[&[u32]],
    virtual_tokens: &VirtualTokens,
    config: &GenerateConfig,
    watcher: &mut dyn Watcher,
) -> Result<Vec<Vec<Generated>>> {
    check_generates(model)?;
    config.validate()?;
    let spec = model.spec();
    let start = config.start(spec)?;
    check_rows(rows, config.first_row, spec.vocab_size)?;
    check_scores(config, rows.len(), spec.vocab_size)?;
    virtual_tokens.check(spec, rows.len())?;
    let budget = ContextBudget::new(spec, virtual_tokens);
    let longest = rows
        .iter()
        .enumerate()
        .map(|(index, row)| {
            longest(config, &budget, config.first_row + index, row.len(), start.is_some())
        })
        .collect::<Result<Vec<usize>>>()?;
    if config.max_new_tokens == 0 {
        return Ok(vec![vec![Generated::default(); config.num_return_sequences]; rows.len()]);
    }
    // Once for all batches.
    let virtual_tokens = model.prefill(virtual_tokens)?;
    let mut order: Vec<usize> = (0..rows.len()).collect();
    for together in order.chunks_mut(config.rows_together()) {
        together.sort_by_key(|row| rows[*row].len());
    }
    let mut output = vec![Vec::new(); rows.len()];
    for indices in order.chunks(config.batch_size) {
        let batch = Batch {
            model,
            indices,
            first_row: config.first_row,
            rows: indices.iter().map(|row| rows[*row]).collect(),
            virtual_tokens: if virtual_tokens.rows() == 1 {
                virtual_tokens.clone()
            } else {
                virtual_tokens.select_rows(indices)
            },
            start,
            longest: indices.iter().map(|row| longest[*row]).collect(),
        };
        let made = match &config.strategy {
            Strategy::Beams(beams) if beams.num_beams > 1 => {
                beams::run(&batch, config, beams, watcher)?
            }
            Strategy::Sampling(sampling) => steps::run(&batch, config, Some(sampling), watcher)?,
            // One beam is a greedy search.
            Strategy::Greedy | Strategy::Beams(_) => steps::run(&batch, config, None, watcher)?,
        };
        for (row, sequences) in indices.iter().zip(made) {
            output[*row] = sequences;
            if watcher.made(*row, &output[*row]).is_break() {
                return Ok(output);
            }
        }
    }
    Ok(output)
}

/// The most new tokens of a row of `tokens` tokens. `starts`: they follow the token that a decoder starts from.
fn longest(
    config: &GenerateConfig,
    budget: &ContextBudget,
    row: usize,
    tokens: usize,
    starts: bool,
) -> Result<usize> {
    let of_decoder = usize::from(starts);
    let bounded = |new_tokens: usize| match new_tokens > MOST_NEW_TOKENS {
        true => {
            let message = format!("found {new_tokens}, expected at most {MOST_NEW_TOKENS}");
            Err(Error::setting("max_new_tokens", message))
        }
        false => Ok(new_tokens),
    };
    let Some(total) = config.max_total_tokens else {
        budget.check(tokens, of_decoder, config.max_new_tokens)?;
        return bounded(config.max_new_tokens);
    };
    let read = if starts { 1 } else { tokens };
    let left = total.saturating_sub(read).min(config.max_new_tokens);
    if left == 0 && config.max_new_tokens > 0 {
        let message = format!(
            "is needed: row {row} has {read} tokens before the first new one, and the most with them (max_length) is \
             {total}"
        );
        return Err(Error::setting("max_new_tokens", message));
    }
    budget.check(tokens, of_decoder, left.min(1))?;
    bounded(left.min(budget.most_new_tokens(tokens, of_decoder)))
}

/// Continues each row by the likeliest token until one of `end_tokens`, which is included. All rows are one batch, and
/// all other settings have their defaults.
///
/// # Errors
///
/// Returns the errors of [`generate`].
pub fn greedy(
    model: &dyn FrozenModel,
    rows: &[&[u32]],
    virtual_tokens: &VirtualTokens,
    max_new_tokens: usize,
    end_tokens: &[u32],
) -> Result<Vec<Vec<u32>>> {
    let config = GenerateConfig::new(max_new_tokens)
        .with_end_tokens(end_tokens.to_vec())
        .with_batch_size(rows.len().max(1));
    let made = generate(model, rows, virtual_tokens, &config, &mut ())?;
    Ok(made.into_iter().flatten().map(|sequence| sequence.ids).collect())
}

/// Checks that a model generates text at all.
///
/// # Errors
///
/// [`Error::Mismatch`] for an encoder.
pub fn check_generates(model: &dyn FrozenModel) -> Result<()> {
    let spec = model.spec();
    if spec.topology != Topology::EncoderOnly {
        return Ok(());
    }
    Err(Error::Mismatch(format!("a {} model does not generate text", spec.model_type)))
}

/// Refuses more sequences at once than memory has space for the scores of.
fn check_scores(config: &GenerateConfig, rows: usize, vocabulary: usize) -> Result<()> {
    let beams = match &config.strategy {
        Strategy::Beams(beams) => beams.num_beams,
        Strategy::Greedy | Strategy::Sampling(_) => 1,
    };
    let (setting, of_row) = match beams > config.num_return_sequences {
        true => ("num_beams", beams),
        false => ("num_return_sequences", config.num_return_sequences),
    };
    let at_once = config.batch_size.min(rows).saturating_mul(of_row);
    let bytes = at_once.saturating_mul(vocabulary).saturating_mul(size_of::<f32>());
    if bytes as u64 <= SCORES {
        return Ok(());
    }
    let most = (SCORES / (vocabulary * size_of::<f32>()) as u64) as usize;
    let (setting, found, other) = match of_row > most {
        true => (setting, of_row, most),
        false => ("batch_size", config.batch_size, most / of_row),
    };
    let message = format!(
        "found {found}, expected at most {other}: {at_once} sequences at once, with {vocabulary} scores each, would take \
         more than {} GB",
        SCORES / 1_000_000_000
    );
    Err(Error::setting(setting, message))
}

/// Refuses rows without a number, without tokens, and with unknown ones, by their numbers among all rows.
pub(super) fn check_rows(rows: &[&[u32]], first_row: usize, vocabulary: usize) -> Result<()> {
    if first_row.checked_add(rows.len()).is_none() {
        let most = usize::MAX - rows.len();
        let message = format!("found {first_row}, expected at most {most} for {} rows", rows.len());
        return Err(Error::setting("first_row", message));
    }
    for (index, row) in rows.iter().enumerate() {
        let index = first_row + index;
        if row.is_empty() {
            return Err(Error::Mismatch(format!("row {index} has no tokens to continue")));
        }
        if let Some(id) = row.iter().find(|id| **id as usize >= vocabulary) {
            return Err(Error::Mismatch(format!(
                "row {index} has the token id {id}, outside the vocabulary of {vocabulary}"
            )));
        }
    }
    Ok(())
}
