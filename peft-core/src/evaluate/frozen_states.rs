//! Hidden states below the first layer that virtual tokens enter. Nothing that is trained reaches them, so they are the same
//! in every epoch and evaluation of a run: they are computed once for each row, as far as there is room for them, in memory
//! first and then in a file.
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

use super::states_file::{Place, StatesFile};
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
/// In front of the number of tokens of the source.
const SOURCE_FOLLOWS: u32 = u32::MAX - 1;

/// How many bytes of states are kept at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatesRoom {
    /// In memory, which is filled first.
    pub memory: u64,
    /// In a file. What rows are found by counts here, too, but is in memory: about a part in H.
    pub file: u64,
}

impl StatesRoom {
    /// Both together.
    pub fn total(self) -> u64 {
        self.memory.saturating_add(self.file)
    }

    /// As much of it as `bytes` need.
    #[must_use]
    pub fn at_most(self, bytes: u64) -> Self {
        let memory = self.memory.min(bytes);
        Self { memory, file: self.file.min(bytes - memory) }
    }

    /// What is left of it: none where more is used than there is.
    #[must_use]
    pub fn without(self, used: Self) -> Self {
        Self {
            memory: self.memory.saturating_sub(used.memory),
            file: self.file.saturating_sub(used.file),
        }
    }
}

/// The states of a run's rows. The virtual tokens of a run enter the same layers from its first step to its last.
#[derive(Debug)]
pub(crate) struct FrozenStates {
    room: StatesRoom,
    kept: Mutex<Kept>,
    /// Where memory has no room for them.
    file: Option<Arc<StatesFile>>,
    /// Whether the model turned out not to stop before a layer.
    cannot_stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Kept {
    /// By what the model reads of a row.
    rows: HashMap<Box<[u32]>, Stored>,
    in_memory: u64,
    in_file: u64,
}

/// Where the states of a row are.
#[derive(Debug)]
enum Stored {
    Memory(Arc<[f32]>),
    File(Place),
    /// Being written to the file: they cannot be read yet, and are not to be written twice.
    OnTheWay,
}

/// The bytes that the states of a row take, and what they are found by.
pub fn bytes_of_frozen_states(spec: &ModelSpec, row: &Example) -> u64 {
    let of_types = row.token_type_ids.as_ref().map_or(0, |types| 1 + types.len());
    let numbers = row.input_ids.len() * (spec.hidden_size + 1) + of_types;
    ENTRY + (numbers * size_of::<f32>()) as u64
}

/// The token ids of a row and, if it has them, their types; where an infix moves the positions of what is behind
/// it, also how long the source is.
fn key(row: &Example, is_infix: bool) -> Box<[u32]> {
    let mut key = row.input_ids.clone();
    if let Some(types) = &row.token_type_ids {
        key.push(TYPES_FOLLOW);
        key.extend(types);
    }
    if let Some(source) = row.source_len().filter(|_| is_infix) {
        key.extend([SOURCE_FOLLOWS, source as u32]);
    }
    key.into()
}

impl FrozenStates {
    /// Keeps states of so many bytes at most; nothing in a file if there is none.
    pub(crate) fn new(room: StatesRoom, file: Option<Arc<StatesFile>>) -> Self {
        let (kept, cannot_stop) = (Mutex::default(), AtomicBool::new(false));
        Self { room, kept, file, cannot_stop }
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
        let is_infix = virtual_tokens.infix;
        let known = |row: &&Example| self.find(model.spec(), (*row, is_infix));
        let mut found: Vec<Option<Arc<[f32]>>> = examples.iter().map(known).collect();
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
                self.keep(model.spec(), (examples[index], is_infix), &own);
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

    /// The states of a row, if they are kept; with an infix they depend on where its source ends.
    pub(crate) fn find(
        &self,
        spec: &ModelSpec,
        (row, is_infix): (&Example, bool),
    ) -> Option<Arc<[f32]>> {
        let key = key(row, is_infix);
        let place = match self.lock().rows.get(&key)? {
            Stored::Memory(states) => return Some(states.clone()),
            Stored::File(place) => *place,
            Stored::OnTheWay => return None,
        };
        let states = self.file.as_ref()?.read(place);
        if states.is_none() {
            let mut kept = self.lock();
            // Another slice may have found out, and kept them elsewhere.
            if matches!(kept.rows.get(&key), Some(Stored::File(there)) if *there == place) {
                kept.rows.remove(&key);
                kept.in_file -= bytes_of_frozen_states(spec, row);
            }
        }
        states
    }

    /// Keeps the states of a row if there is room for them.
    pub(crate) fn keep(
        &self,
        spec: &ModelSpec,
        (row, is_infix): (&Example, bool),
        states: &Arc<[f32]>,
    ) {
        let (key, bytes) = (key(row, is_infix), bytes_of_frozen_states(spec, row));
        let file = {
            let mut kept = self.lock();
            // Another slice may have the same row.
            if kept.rows.contains_key(&key) {
                return;
            }
            if self.room.memory.saturating_sub(kept.in_memory) >= bytes {
                kept.rows.insert(key, Stored::Memory(states.clone()));
                kept.in_memory += bytes;
                return;
            }
            let Some(file) = self.file.as_ref().filter(|file| file.is_in_use()) else { return };
            // What memory was too small for is left to the file.
            if self.room.total().saturating_sub(kept.in_memory + kept.in_file) < bytes {
                return;
            }
            kept.rows.insert(key.clone(), Stored::OnTheWay);
            kept.in_file += bytes;
            file
        };
        let place = file.write(states);
        let mut kept = self.lock();
        match place {
            Some(place) => _ = kept.rows.insert(key, Stored::File(place)),
            None => {
                kept.rows.remove(&key);
                kept.in_file -= bytes;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // What a panic leaves is whole: at worst, a row on its way never arrives and is computed each time.
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
