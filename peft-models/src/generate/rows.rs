//! Continuing all rows, batch by batch.

use peft_core::{ContextBudget, Error, FrozenModel, Result, Topology, VirtualTokens};

use super::{GenerateConfig, Generated, Strategy, Watcher, batch::Batch, beams, steps};

/// Continues each row; returns its sequences, of a beam search the best first.
///
/// Rows of similar length are batched, [`batch_size`](GenerateConfig::batch_size) at once; the output does not depend on
/// that. `virtual_tokens` are shared by all rows, or there are as many as rows. A beam search that finds fewer
/// sequences than asked for returns those.
///
/// # Errors
///
/// [`Error::Setting`] as [`GenerateConfig::validate`]; [`Error::TooLong`] if P + T + the new tokens exceed
/// the model's positions; [`Error::Mismatch`] for a model that does not generate and a row without tokens
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
    check_rows(rows, spec.vocab_size)?;
    virtual_tokens.check(spec, rows.len())?;
    let budget = ContextBudget::new(spec, virtual_tokens);
    let read = usize::from(start.is_some());
    rows.iter().try_for_each(|row| budget.check(row.len(), read, config.max_new_tokens))?;
    if config.max_new_tokens == 0 {
        return Ok(vec![vec![Generated::default(); config.num_return_sequences]; rows.len()]);
    }
    // Once for all batches.
    let virtual_tokens = model.prefill(virtual_tokens)?;
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|row| rows[*row].len());
    let mut output = vec![Vec::new(); rows.len()];
    for indices in order.chunks(config.batch_size) {
        let batch = Batch {
            model,
            indices,
            rows: indices.iter().map(|row| rows[*row]).collect(),
            virtual_tokens: if virtual_tokens.rows() == 1 {
                virtual_tokens.clone()
            } else {
                virtual_tokens.select_rows(indices)
            },
            start,
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
        }
    }
    Ok(output)
}

/// Continues each row by the likeliest token until one of `end_tokens`, which is included. All rows are one batch, and all
/// other settings have their defaults.
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

fn check_rows(rows: &[&[u32]], vocabulary: usize) -> Result<()> {
    for (index, row) in rows.iter().enumerate() {
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
