//! The layers that nothing trained reaches, and what is kept of them.

use peft_core::{
    Adapter, FrozenModel, Result, Site,
    evaluate::{StatesRoom, bytes_of_frozen_states},
    train::{KeptStates, Mixing, RunContext, TrainConfig, TrainingData},
};
use peft_models::kernels;

use crate::{
    flags::{byte_size::ByteSize, method_name::MethodName},
    output::bytes,
    screen::memory,
    settings::{
        Settings,
        lists::{parse_layers, parse_sites},
    },
};

/// To which sizes that are advised are rounded.
const TEN_MB: u64 = 10_000_000;
const KB: u64 = 1000;
/// What part of the free memory may be filled.
const PART: u64 = 4;

/// The layers of the stack that reads rows which nothing trained reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FrozenLayers {
    /// The first that is not one of them.
    pub first_layer: usize,
    /// How many layers the stack has.
    pub num_layers: usize,
    /// How much of them may be kept.
    pub room: StatesRoom,
    /// How much will be.
    pub kept: StatesRoom,
    /// Bytes that would be with more room.
    all: u64,
    /// Bytes that the shortest of those rows takes.
    least: u64,
    /// The room that somebody asked for.
    asked: u64,
    /// Whether the model runs where states are kept.
    on_cpu: bool,
}

impl FrozenLayers {
    /// Those of a run whose tasks have so many batches in an epoch of theirs. So many processes share this machine's memory.
    pub(super) fn of(
        (settings, processes): (&Settings, usize),
        (method, start): (MethodName, Option<&Adapter>),
        model: &dyn FrozenModel,
        (config, mixing, batches): (&TrainConfig, Mixing, &[usize]),
        data: &[TrainingData<'_>],
    ) -> Result<Self> {
        let spec = model.spec();
        let site = if spec.is_causal() { Site::DecoderSelf } else { Site::EncoderSelf };
        let num_layers = spec.site(site).map_or(0, |site| site.num_layers);
        let of_adapter = start.and_then(|adapter| adapter.config.own.layers.clone());
        let layers = match of_adapter {
            Some(layers) => Some(layers),
            None => settings.layers.as_deref().map(parse_layers).transpose()?,
        };
        let sites = match start.and_then(|adapter| adapter.config.own.sites.clone()) {
            Some(sites) => Some(sites),
            None => settings.sites.as_deref().map(parse_sites).transpose()?,
        };
        let first_layer = match method {
            MethodName::Head => num_layers,
            MethodName::Prompt => 0,
            _ if sites.is_some_and(|sites| !sites.contains(&site)) => num_layers,
            _ => layers.and_then(|layers| layers.into_iter().min()).unwrap_or(0),
        };
        let free = memory::available().map(|free| free / processes.max(1) as u64);
        let room = room(settings.cache_frozen.map(|size| size.0), free);
        let on_cpu = kernels::compute_on(&model.device());
        let kept = |room| match on_cpu && first_layer > 0 {
            true => KeptStates::of(room, spec, config, (mixing, batches), data),
            false => KeptStates::default(),
        };
        let all = kept(StatesRoom { memory: u64::MAX, file: 0 });
        let of_all =
            data.iter().flat_map(|data| [(data.train, all.train), (data.valid, all.valid)]);
        let rows = of_all.filter(|(_, room)| room.total() > 0).flat_map(|(rows, _)| rows);
        let rows = rows.filter(|row| !row.input_ids.is_empty());
        let least = rows.map(|row| bytes_of_frozen_states(spec, row)).min();
        Ok(Self {
            first_layer,
            num_layers,
            room,
            kept: kept(room).sum(),
            all: all.sum().memory,
            least: least.unwrap_or_default(),
            asked: settings.cache_frozen.unwrap_or_default().0,
            on_cpu,
        })
    }

    /// Why nothing is kept although somebody asked for it.
    pub(super) fn warning(&self) -> Option<String> {
        if self.asked == 0 || self.kept.total() > 0 {
            return None;
        }
        let reason = match (self.first_layer, self.on_cpu) {
            (0, _) => "virtual tokens enter the first layer, see --layers".to_string(),
            (_, false) => "it needs the kernels of the CPU".to_string(),
            (_, true) if self.all == 0 => "no row is read twice".to_string(),
            (_, true) => format!(
                "{} is less than one row takes; {} is room for the shortest, {} for all rows",
                ByteSize(self.asked),
                ByteSize(self.least.next_multiple_of(KB)),
                ByteSize(self.all.next_multiple_of(if self.all > TEN_MB { TEN_MB } else { KB }))
            ),
        };
        Some(format!("--cache-frozen keeps nothing: {reason}"))
    }

    /// What is said of them; nothing if nothing is kept.
    pub(super) fn fact(&self) -> Option<String> {
        let kept = self.kept.total();
        if kept == 0 {
            return None;
        }
        let layers = match self.first_layer {
            all if all == self.num_layers => "all layers".to_string(),
            1 => "layer 0".to_string(),
            first => format!("layers 0 to {}", first - 1),
        };
        let there = match self.kept {
            StatesRoom { memory, file: 0 } => bytes(memory),
            StatesRoom { memory: 0, file } => format!("a file of {}", bytes(file)),
            StatesRoom { memory, file } => {
                format!("{} of memory and a file of {}", bytes(memory), bytes(file))
            }
        };
        Some(match kept < self.all {
            true => format!(
                "{layers}, kept for {} of rows{}; --cache-frozen {} is room for all rows",
                bytes(kept),
                if self.kept.file > 0 { format!(", in {there}") } else { String::new() },
                ByteSize(self.all.next_multiple_of(TEN_MB))
            ),
            false => format!("{layers}, computed once for each row and kept in {there}"),
        })
    }
}

/// How much is kept where somebody asked for so many bytes or nobody did, and so many bytes of memory are free: memory is
/// filled by a quarter of these at most. A file has the rest, if it was asked for.
fn room(asked: Option<u64>, free: Option<u64>) -> StatesRoom {
    let memory = free.map_or(u64::MAX, |free| free / PART);
    let all = StatesRoom { memory, file: u64::MAX }
        .at_most(asked.unwrap_or(RunContext::DEFAULT_CACHE_FROZEN));
    StatesRoom { file: if asked.is_some() { all.file } else { 0 }, ..all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_filled_first_and_a_file_only_where_it_was_asked_for() {
        let of = |asked, free| {
            let StatesRoom { memory, file } = room(asked, free);
            [memory, file]
        };
        assert_eq!(of(Some(900), Some(4000)), [900, 0]);
        assert_eq!(of(Some(1500), Some(4000)), [1000, 500]);
        assert_eq!(of(Some(0), Some(4000)), [0, 0]);
        assert_eq!(of(Some(1500), None), [1500, 0]);
        assert_eq!(of(None, Some(4000)), [1000, 0]);
        assert_eq!(of(None, None), [RunContext::DEFAULT_CACHE_FROZEN, 0]);
    }

    #[test]
    fn what_is_kept_is_said() {
        let whole = FrozenLayers {
            first_layer: 3,
            num_layers: 6,
            room: StatesRoom { memory: 1_000_000_000, file: 0 },
            kept: StatesRoom { memory: 254_000_000, file: 0 },
            all: 254_000_000,
            least: 98_500,
            asked: 1_000_000_000,
            on_cpu: true,
        };
        let fact = |frozen: FrozenLayers| frozen.fact().unwrap_or_default();
        assert_eq!(fact(whole), "layers 0 to 2, computed once for each row and kept in 250 MB");
        assert_eq!(whole.warning(), None);
        let head = FrozenLayers { first_layer: 6, ..whole };
        assert!(fact(head).starts_with("all layers, "));
        let kept = |memory, file| StatesRoom { memory, file };
        let part = FrozenLayers { first_layer: 1, kept: kept(100_000_000, 0), ..whole };
        assert_eq!(
            fact(part),
            "layer 0, kept for 100 MB of rows; --cache-frozen 260MB is room for all rows"
        );
        let both = FrozenLayers { kept: kept(100_000_000, 154_000_000), ..whole };
        assert_eq!(
            fact(both),
            "layers 0 to 2, computed once for each row and kept in 100 MB of memory and a file of 150 MB"
        );
        assert_eq!(
            fact(FrozenLayers { kept: kept(100_000_000, 50_000_000), ..whole }),
            "layers 0 to 2, kept for 150 MB of rows, in 100 MB of memory and a file of 50 MB; \
             --cache-frozen 260MB is room for all rows"
        );
        let nothing = FrozenLayers { kept: kept(0, 0), all: 0, ..whole };
        assert_eq!(nothing.fact(), None);
        assert!(nothing.warning().is_some_and(|warning| warning.ends_with("no row is read twice")));
        let first = FrozenLayers { first_layer: 0, ..nothing };
        assert!(first.warning().is_some_and(|warning| warning.contains("--layers")));
        assert_eq!(FrozenLayers { asked: 0, ..first }.warning(), None);
        let little = FrozenLayers { kept: kept(0, 0), asked: 2000, ..whole };
        assert_eq!(little.fact(), None);
        let says = "--cache-frozen keeps nothing: 2kB is less than one row takes; 99kB is room for the shortest, \
                    260MB for all rows";
        assert_eq!(little.warning().as_deref(), Some(says));
    }
}
