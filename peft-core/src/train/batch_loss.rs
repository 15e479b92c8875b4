//! The rows of a batch, what they are to predict, and their loss.

use burn::tensor::Tensor;

use super::config::TrainConfig;
use crate::{
    contract::{
        frozen::FrozenModel,
        head::Head,
        lanes::Lanes,
        layer_tape::LayerTape,
        length_multiple::to_few_lengths,
        loss::{smoothed_cross_entropy_sum, weight_of_targets},
        task::Task,
        virtual_tokens::VirtualTokens,
    },
    data::{Batch, Example, packed_batch, slices, token_batch},
    error::Result,
    evaluate::{
        frozen_states::FrozenStates,
        outputs::{logits, loss_of_values},
        positions::{Positions, after_prompt},
    },
};

/// The rows of one batch, or of a slice of it.
pub(super) struct Rows<'a> {
    pub(super) examples: Vec<&'a Example>,
    /// See [`Batch`].
    packed: Option<Vec<usize>>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(all: &'a [Example], batch: Batch) -> Self {
        let examples = batch.rows.into_iter().map(|row| &all[row]).collect();
        Self { examples, packed: batch.packed }
    }

    /// The number of tokens, without padding.
    pub(super) fn num_tokens(&self) -> usize {
        self.examples.iter().map(|example| example.num_tokens()).sum()
    }

    /// Divides the rows into slices. In front of each row, virtual tokens take `in_front` positions.
    pub(super) fn slices(&self, lanes: &dyn Lanes, in_front: usize) -> Vec<Self> {
        let mut rest = self.examples.as_slice();
        let ones = vec![1; if self.packed.is_some() { 0 } else { self.examples.len() }];
        let counts = self.packed.as_deref().unwrap_or(&ones);
        let rows: Vec<&[&Example]> = counts
            .iter()
            .map(|count| {
                let (row, others) = rest.split_at(*count);
                rest = others;
                row
            })
            .collect();
        let length = |row: &&[&Example]| row.iter().map(|example| example.num_tokens()).sum();
        let slice = |indices: Vec<usize>| Self {
            examples: indices.iter().flat_map(|index| rows[*index]).copied().collect(),
            packed: self.packed.as_ref().map(|_| indices.iter().map(|i| rows[*i].len()).collect()),
        };
        let lengths: Vec<usize> = rows.iter().map(length).collect();
        slices(&lengths, in_front, lanes).into_iter().map(slice).collect()
    }
}

/// The number of targets in the batches of a step, and how much they count together.
pub(super) fn count_targets(
    config: &TrainConfig,
    batches: &[Rows<'_>],
    virtual_tokens: &VirtualTokens,
) -> Result<(usize, f64)> {
    let (task, after_prompt) = (config.task, after_prompt(virtual_tokens));
    let targets = |rows: &Rows<'_>| Positions::num_targets(task, &rows.examples, &after_prompt);
    let count: usize = batches.iter().map(targets).sum();
    let Some(weights) = config.class_weights.as_deref() else {
        return Ok((count, count as f64));
    };
    let mut weight = 0.0;
    for rows in batches {
        let (_, targets) = Positions::labelled_rows(task, &rows.examples, &after_prompt);
        weight += weight_of_targets(&targets, Some(weights))?;
    }
    Ok((count, weight))
}

/// The loss of rows, summed over their targets; `None` if they have none. With a tape, layers are cut from each other.
pub(super) fn loss_of_rows(
    (model, frozen): (&dyn FrozenModel, &FrozenStates),
    tape: Option<&LayerTape>,
    config: &TrainConfig,
    head: Option<&Head>,
    rows: &Rows<'_>,
    virtual_tokens: &VirtualTokens,
) -> Result<Option<Tensor<1>>> {
    let examples = rows.examples.as_slice();
    let (positions, targets) =
        Positions::labelled_rows(config.task, examples, after_prompt(virtual_tokens));
    if positions.is_empty() {
        return Ok(None);
    }
    let batch = match &rows.packed {
        Some(counts) => packed_batch(examples, counts, config.padding),
        None => token_batch(examples, config.padding),
    };
    let batch = match config.task {
        Task::SeqCls => batch.for_classifier(config.pooling),
        _ => batch,
    };
    let batch = to_few_lengths(batch, model, virtual_tokens);
    let hidden = frozen.forward(model, examples, &batch, virtual_tokens, tape)?;
    let states = positions.states(model, &batch, &hidden, config.pooling)?;
    if !config.task.has_head() {
        return Ok(Some(model.lm_cross_entropy(states, &targets, config.label_smoothing)?));
    }
    let logits = logits(model, head, config.task, states)?;
    let sum = match config.problem_type.has_values() {
        true => loss_of_values(config.problem_type, logits, &Positions::values(examples))?,
        false => smoothed_cross_entropy_sum(
            positions.choices(logits),
            &targets,
            config.class_weights.as_deref(),
            config.label_smoothing,
        )?,
    };
    Ok(Some(sum))
}
