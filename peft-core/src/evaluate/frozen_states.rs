//! Hidden states below the first layer that virtual tokens enter. Nothing that is trained reaches them, so they are the same
//! in every epoch and evaluation of a run: they are computed once for each row, as far as memory allows.
//!
//! | what is trained | what is kept of each row |
//! |---|---|
//! | keys and values from layer k on | what enters layer k, `[T, H]` |
//! | a head alone | what leaves the last layer, `[T, H]` |
//! | keys and values of an encoder-decoder's decoder alone | what leaves the encoder, `[T, H]` |
//! | a prompt, or keys and values from layer 0 on | nothing |
//!
//! Whether the states of a row are kept or computed again changes no bit of them, because they are always computed in
//! the same way: in a pass over rows that are padded on the right, those of one token apart from longer ones, with enough
//! positions for the model to treat each of them alike
//! ([`Lanes::alike_from`](crate::contract::lanes::Lanes::alike_from)). Where a model does not say how many these are, and
//! where it cannot stop before a layer, all layers of a batch run as they do otherwise.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use burn::tensor::{DType, Tensor, TensorData};

use crate::{
    contract::{
        batch::{PaddingSide, TokenBatch},
        frozen::{FrozenModel, Hidden},
        layer_tape::LayerTape,
        readback,
        spec::{ModelSpec, Site},
        stack::LayerStates,
        virtual_tokens::VirtualTokens,
    },
    data::{Example, token_batch},
    error::Result,
};

/// Bytes that an entry takes beside its numbers, about.
const ENTRY: u64 = 96;
/// Between the token ids and the token types of a key.
const TYPES_FOLLOW: u32 = u32::MAX;

/// The states of a run's rows. The virtual tokens of a run enter the same layers from its first step to its last.
#[derive(Debug)]
pub(crate) struct FrozenStates {
    /// Bytes at most.
    limit: u64,
    kept: Mutex<Kept>,
    /// Whether the model turned out not to stop before a layer.
    cannot_stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Kept {
    /// By what the model reads of a row.
    rows: HashMap<Box<[u32]>, Arc<[f32]>>,
    bytes: u64,
}

/// The bytes that the states of a row take, and what they are found by.
pub fn bytes_of_frozen_states(spec: &ModelSpec, row: &Example) -> u64 {
    let of_types = row.token_type_ids.as_ref().map_or(0, |types| 1 + types.len());
    let numbers = row.input_ids.len() * (spec.hidden_size + 1) + of_types;
    ENTRY + (numbers * size_of::<f32>()) as u64
}

/// The token ids of a row and, if it has them, their types.
fn key(row: &Example) -> Box<[u32]> {
    match &row.token_type_ids {
        None => row.input_ids.as_slice().into(),
        Some(types) => [&row.input_ids, &[TYPES_FOLLOW][..], types].concat().into(),
    }
}

impl FrozenStates {
    /// Keeps states of `limit` bytes at most.
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, kept: Mutex::default(), cannot_stop: AtomicBool::new(false) }
    }

    /// As [`FrozenModel::forward`], with the states of the examples where there are any. `batch` holds these examples in
    /// this order, padded or packed. With a tape all layers of a batch run, cut from each other, where there are none.
    pub(crate) fn forward(
        &self,
        model: &dyn FrozenModel,
        examples: &[&Example],
        batch: &TokenBatch,
        virtual_tokens: &VirtualTokens,
        tape: Option<&LayerTape>,
    ) -> Result<Hidden> {
        match (self.of_batch(model, examples, batch, virtual_tokens)?, tape) {
            (Some(from), _) => model.forward_from(batch, virtual_tokens, from),
            (None, Some(tape)) => model.forward_taped(batch, virtual_tokens, tape),
            (None, None) => model.forward(batch, virtual_tokens),
        }
    }

    /// What enters the first layer that is not frozen, padded as `batch` is.
    fn of_batch(
        &self,
        model: &dyn FrozenModel,
        examples: &[&Example],
        batch: &TokenBatch,
        virtual_tokens: &VirtualTokens,
    ) -> Result<Option<LayerStates>> {
        let Some(pass) = self.pass(model, virtual_tokens) else { return Ok(None) };
        let mut found: Vec<Option<Arc<[f32]>>> =
            examples.iter().map(|row| self.lock().rows.get(&key(row)).cloned()).collect();
        let missing = (0..examples.len())
            .filter(|index| found[*index].is_none() && !examples[*index].input_ids.is_empty());
        // The queries of a row of one token are computed in another way, unless it is padded.
        let (short, longer): (Vec<usize>, Vec<usize>) =
            missing.partition(|index| examples[*index].input_ids.len() == 1);
        for indices in [short, longer].into_iter().filter(|indices| !indices.is_empty()) {
            let rows: Vec<&Example> = indices.iter().map(|index| examples[*index]).collect();
            let Some(states) = pass.states(&rows)? else {
                self.cannot_stop.store(true, Ordering::Relaxed);
                return Ok(None);
            };
            for (index, own) in indices.into_iter().zip(states) {
                self.keep(model.spec(), examples[index], &own);
                found[index] = Some(own);
            }
        }
        let [b, t, h] = [batch.rows(), batch.len(), model.spec().hidden_size];
        let mut values = vec![0.0; b * t * h];
        for (index, own) in found.iter().enumerate() {
            let Some(own) = own else { continue };
            let place = batch.example(index);
            let start = (place.row * t + place.start) * h;
            values[start..start + own.len()].copy_from_slice(own);
        }
        let states = Tensor::from_data(TensorData::new(values, [b, t, h]), &model.device());
        Ok(Some(LayerStates { layer: pass.layer, states }))
    }

    /// How states are computed; `None` if nothing is frozen, or they would not always be the same.
    fn pass<'a>(
        &self,
        model: &'a dyn FrozenModel,
        virtual_tokens: &VirtualTokens,
    ) -> Option<Pass<'a>> {
        let spec = model.spec();
        let site = if spec.is_causal() { Site::DecoderSelf } else { Site::EncoderSelf };
        let layer = virtual_tokens.first_layer(site, spec.site(site)?.num_layers);
        let shared = virtual_tokens.rows() == 1;
        if layer == 0 || !shared || spec.dtype != DType::F32 {
            return None;
        }
        let positions = model.lanes().alike_from()?;
        if self.cannot_stop.load(Ordering::Relaxed) {
            return None;
        }
        // No slices of a batch share a node of a graph.
        let virtual_tokens = virtual_tokens.clone().without_autodiff();
        Some(Pass { model, virtual_tokens, layer, positions })
    }

    /// Keeps the states of a row if there is room for them.
    fn keep(&self, spec: &ModelSpec, row: &Example, states: &Arc<[f32]>) {
        let bytes = bytes_of_frozen_states(spec, row);
        let mut kept = self.lock();
        // Another slice may have the same row.
        let room = self.limit.saturating_sub(kept.bytes) >= bytes;
        if room && kept.rows.insert(key(row), states.clone()).is_none() {
            kept.bytes += bytes;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Each change is one insertion: what a panic leaves is whole.
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A pass through the frozen layers.
struct Pass<'a> {
    model: &'a dyn FrozenModel,
    virtual_tokens: VirtualTokens,
    /// The first layer that is not frozen.
    layer: usize,
    /// The fewest positions.
    positions: usize,
}

impl Pass<'_> {
    /// The states of rows, `[T, H]` each; `None` if the model cannot stop there.
    fn states(&self, rows: &[&Example]) -> Result<Option<Vec<Arc<[f32]>>>> {
        let longest = rows.iter().map(|row| row.input_ids.len()).max().unwrap_or(0).max(1);
        let copies = self.positions.div_ceil(rows.len() * longest).max(1);
        let repeated: Vec<&Example> =
            rows.iter().copied().cycle().take(rows.len() * copies).collect();
        let batch = token_batch(&repeated, PaddingSide::Right);
        let below = self.model.states_below(&batch, &self.virtual_tokens, self.layer)?;
        let Some(below) = below else { return Ok(None) };
        let h = self.model.spec().hidden_size;
        let data = readback::read(below.narrow(0, 0, rows.len()))?;
        let of_rows = |values: &[f32]| {
            let padded = values.chunks(longest * h).zip(rows);
            padded.map(|(states, row)| Arc::from(&states[..row.input_ids.len() * h])).collect()
        };
        Ok(Some(match data.as_slice::<f32>() {
            Ok(values) => of_rows(values),
            Err(_) => of_rows(&data.iter::<f32>().collect::<Vec<_>>()),
        }))
    }
}
