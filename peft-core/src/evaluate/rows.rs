//! The one loop that reads many rows with a frozen model.

use std::{fmt, ops::ControlFlow};

use super::frozen_states::FrozenStates;
use crate::{
    contract::{
        batch::{PaddingSide, TokenBatch},
        frozen::{FrozenModel, Hidden},
        lanes::side_by_side,
        length_multiple::to_few_lengths,
        pooling::Pooling,
        virtual_tokens::VirtualTokens,
    },
    data::{DEFAULT_BATCH_SIZE, Example, eval_batches, slices, token_batch},
    error::{Error, Result},
};

/// Is told after each batch how many rows have been read, and how many there are. A break ends the reading with
/// [`Error::Stopped`], unless all have been.
#[derive(Clone, Copy)]
pub struct RowsRead<'a>(pub &'a dyn Fn(usize, usize) -> ControlFlow<()>);

impl fmt::Debug for RowsRead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowsRead")
    }
}

/// Runs a frozen model over examples, rows of similar length together. What is read depends neither
/// on the batch size nor on the side of the padding.
#[derive(Clone, Copy, Debug)]
pub struct RowReader<'a> {
    model: &'a dyn FrozenModel,
    /// The side of the padding. Default right.
    pub padding: PaddingSide,
    /// Rows per batch. Default [`DEFAULT_BATCH_SIZE`].
    pub batch_size: usize,
    /// Who follows the reading. Default nobody.
    pub watch: Option<RowsRead<'a>>,
    /// The hidden states below the first layer with virtual tokens, where they are kept. Default nothing.
    pub(crate) frozen: Option<&'a FrozenStates>,
    /// Where a classifier of whole rows reads, if nothing else reads the hidden states. Default something does.
    pub pooling: Option<Pooling>,
}

/// A batch that the model has read, or a slice of one.
#[derive(Debug)]
pub struct ReadBatch<'b> {
    /// The index of each row among the examples given.
    pub indices: &'b [usize],
    /// The rows.
    pub examples: &'b [&'b Example],
    /// The rows padded to one length.
    pub batch: &'b TokenBatch,
    /// Their hidden states.
    pub hidden: &'b Hidden,
}

impl ReadBatch<'_> {
    /// Refuses scores of row `row` that are not finite.
    ///
    /// # Errors
    ///
    /// [`Error::ScoreNotFinite`] with the row's line.
    pub fn check_finite(&self, row: usize, scores: &[f32]) -> Result<()> {
        match scores.iter().find(|score| !score.is_finite()) {
            Some(found) => {
                Err(Error::ScoreNotFinite { line: self.examples[row].line, found: *found })
            }
            None => Ok(()),
        }
    }
}

impl<'a> RowReader<'a> {
    /// Creates a reader with the defaults.
    pub fn new(model: &'a dyn FrozenModel) -> Self {
        let (padding, batch_size) = (PaddingSide::Right, DEFAULT_BATCH_SIZE);
        Self { model, padding, batch_size, watch: None, frozen: None, pooling: None }
    }

    /// Reads all examples. `virtual_tokens` gives the virtual tokens of a batch, from the indices of
    /// its rows; `visit` gets each batch once it has been read, in its slices, so that what it asks of
    /// the device can be read together.
    ///
    /// # Errors
    ///
    /// Those of [`FrozenModel::forward`], of `virtual_tokens` and of `visit`, and [`Error::Stopped`]; the first one ends
    /// the loop.
    pub fn read(
        &self,
        examples: &[&Example],
        virtual_tokens: impl Fn(&[usize]) -> Result<VirtualTokens>,
        mut visit: impl FnMut(&[ReadBatch<'_>]) -> Result<()>,
    ) -> Result<()> {
        let lengths: Vec<usize> = examples.iter().map(|example| example.num_tokens()).collect();
        let mut done = 0;
        let (model, frozen, padding) = (self.model, self.frozen, self.padding);
        let pooling = self.pooling;
        let lanes = model.lanes();
        for indices in eval_batches(&lengths, self.batch_size.max(1)) {
            let virtual_tokens = virtual_tokens(&indices)?;
            virtual_tokens.check(model.spec(), indices.len())?;
            let own: Vec<usize> = indices.iter().map(|index| lengths[*index]).collect();
            let slices = slices(&own, virtual_tokens.in_front(), lanes);
            let whole = slices.len() == 1;
            let slice = |rows: Vec<usize>| {
                let own: Vec<usize> = rows.iter().map(|row| indices[*row]).collect();
                let of_rows = || virtual_tokens.select_rows(&rows);
                (if whole { virtual_tokens.clone() } else { of_rows() }, own)
            };
            let read = |(virtual_tokens, indices): (VirtualTokens, Vec<usize>)| {
                let chosen: Vec<&Example> = indices.iter().map(|index| examples[*index]).collect();
                let batch = match pooling {
                    Some(pooling) => token_batch(&chosen, padding).for_classifier(pooling),
                    None => token_batch(&chosen, padding),
                };
                let batch = to_few_lengths(batch, model, &virtual_tokens);
                let hidden = match frozen {
                    Some(frozen) => {
                        frozen.forward(model, &chosen, &batch, &virtual_tokens, None)?
                    }
                    None => model.forward(&batch, &virtual_tokens)?,
                };
                Ok((indices, chosen, batch, hidden))
            };
            let parts = slices.into_iter().map(slice).collect();
            let found = side_by_side(lanes, parts, read);
            let found = found.into_iter().collect::<Result<Vec<_>>>()?;
            let slices: Vec<ReadBatch<'_>> = found
                .iter()
                .map(|(indices, examples, batch, hidden)| ReadBatch {
                    indices,
                    examples,
                    batch,
                    hidden,
                })
                .collect();
            visit(&slices)?;
            done += indices.len();
            let of = lengths.len();
            if let Some(RowsRead(tell)) = self.watch
                && tell(done, of).is_break()
                && done < of
            {
                return Err(Error::Stopped { done, of });
            }
        }
        Ok(())
    }
}
