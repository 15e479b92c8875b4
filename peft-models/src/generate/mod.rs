//! Continuing rows of tokens: greedily, by sampling, with beams.
//!
//! The K/V cache begins with the virtual tokens: a soft prompt of a causal model is compiled to keys and
//! values once and never added again; from then on a prompt, a prefix and the tokens produced so far are
//! all one cache. An encoder-decoder reads its rows with the encoder, virtual tokens included, and its
//! decoder starts from one token. What comes out is what transformers gives, without its padding.
//!
//! | file | what it holds |
//! |---|---|
//! | `config` | [`GenerateConfig`]: the settings, with [`Sampling`] and [`Beams`] |
//! | `folder` | [`GenerateConfig::for_model`]: special tokens of a model's folder |
//! | `decoder` | a model that reads one token a row after another |
//! | `scores` | what changes the scores of the next token: penalties, forced tokens |
//! | `steps` | greedy generation and sampling |
//! | `sample` | drawing a token |
//! | `beams` | beam search |

mod beams;
mod config;
mod decoder;
mod folder;
mod sample;
mod scores;
mod steps;

use burn::tensor::Tensor;
use peft_core::{Error, FrozenModel, Result, Room, Topology, VirtualTokens};

pub use config::{Beams, EarlyStopping, GenerateConfig, Sampling, Strategy};

use decoder::Decoder;
use scores::Context;

/// A sequence that was generated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generated {
    /// The new tokens, the end token included.
    pub ids: Vec<u32>,
    /// Of a beam search: the log-probability over the length to the power of the length penalty.
    pub score: Option<f32>,
}

/// Follows generation, and may end sequences.
pub trait Watcher {
    /// A new token of a sequence (counted from 0) of a row, as it is made. Not called by a beam search,
    /// whose sequences are not known before it ends.
    fn token(&mut self, row: usize, sequence: usize, token: u32) {
        let _ = (row, sequence, token);
    }

    /// Whether these new tokens are a whole sequence, although the last one is no end token. Asked after
    /// each token, by a beam search for each candidate.
    fn ends(&mut self, row: usize, new_tokens: &[u32]) -> bool {
        let _ = (row, new_tokens);
        false
    }

    /// All sequences of a row are done.
    fn row_done(&mut self, row: usize) {
        let _ = row;
    }
}

/// Follows nothing.
impl Watcher for () {}

/// Continues each row; gives its sequences, of a beam search the best first.
///
/// Rows of similar length go together, [`batch_size`](GenerateConfig::batch_size) at once; what a row
/// gets does not depend on that. `virtual_tokens` are shared by all rows or have a row each. A beam search
/// gives fewer sequences than asked for where there are not so many.
///
/// # Errors
///
/// [`Error::Setting`] as [`GenerateConfig::validate`]; [`Error::TooLong`] where P + T + the new tokens exceed
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
    let room = Room::new(spec, virtual_tokens);
    let read = usize::from(start.is_some());
    rows.iter().try_for_each(|row| room.check(row.len(), read, config.max_new_tokens))?;
    if config.max_new_tokens == 0 {
        return Ok(vec![vec![Generated::default(); config.num_return_sequences]; rows.len()]);
    }
    // Once for all batches.
    let virtual_tokens = model.compile(virtual_tokens)?;
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
            _ => steps::run(&batch, config, None, watcher)?,
        };
        for (row, sequences) in indices.iter().zip(made) {
            output[*row] = sequences;
        }
    }
    Ok(output)
}

/// Continues each row by the likeliest token until one of `end_tokens`, which is included: one batch,
/// nothing else set.
///
/// # Errors
///
/// As [`generate`].
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

/// Checks that a model generates at all.
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

/// Rows that are continued together.
#[derive(Debug)]
struct Batch<'a> {
    model: &'a dyn FrozenModel,
    /// Their places among all rows.
    indices: &'a [usize],
    rows: Vec<&'a [u32]>,
    virtual_tokens: VirtualTokens,
    /// What a decoder of its own starts from.
    start: Option<u32>,
}

impl Batch<'_> {
    /// Reads the rows: the model after them, and the logits `[B, V]` of their first new tokens.
    fn read(&self, max_new_tokens: usize) -> Result<(Decoder<'_>, Tensor<2>)> {
        Decoder::start(self.model, &self.rows, &self.virtual_tokens, self.start, max_new_tokens)
    }

    /// A sequence of one of the rows.
    fn context<'b>(&'b self, row: usize, new: &'b [u32]) -> Context<'b> {
        Context { read: self.start.as_ref().map_or(self.rows[row], std::slice::from_ref), new }
    }

    /// The error of a row whose scores allow no token.
    fn no_token(&self, row: usize) -> Error {
        let row = self.indices[row];
        Error::Mismatch(format!(
            "row {row}: no token can follow: the model's scores are no numbers"
        ))
    }
}
