//! The layers that nothing trained reaches, and what is kept of them.

use peft_core::{
    Adapter, FrozenModel, Result, Site,
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
/// What part of the free memory may be filled where nobody says how much.
const PART: u64 = 4;

/// The layers of the stack that reads rows which nothing trained reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FrozenLayers {
    /// The first that is not one of them.
    pub first_layer: usize,
    /// How many layers the stack has.
    pub num_layers: usize,
    /// Bytes that may be kept of them.
    pub limit: u64,
    /// Bytes that will be.
    pub kept: u64,
    /// Bytes that would be with more room.
    all: u64,
    /// Whether somebody asked for it.
    asked: bool,
    /// Whether the model runs where states are kept.
    on_cpu: bool,
}

impl FrozenLayers {
    /// Those of a run whose tasks have so many batches in an epoch of theirs.
    pub(super) fn of(
        settings: &Settings,
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
        let limit = settings.cache_frozen.map_or_else(default_limit, |size| size.0);
        let on_cpu = kernels::compute_on(&model.device());
        let kept = |limit| match on_cpu && first_layer > 0 {
            true => {
                let KeptStates { train, valid } =
                    KeptStates::of(limit, spec, config, (mixing, batches), data);
                train + valid
            }
            false => 0,
        };
        Ok(Self {
            first_layer,
            num_layers,
            limit,
            kept: kept(limit),
            all: kept(u64::MAX),
            asked: settings.cache_frozen.is_some_and(|size| size.0 > 0),
            on_cpu,
        })
    }

    /// Why nothing is kept although somebody asked for it.
    pub(super) fn warning(&self) -> Option<String> {
        if !self.asked || self.kept > 0 {
            return None;
        }
        let reason = match (self.first_layer, self.on_cpu) {
            (0, _) => "virtual tokens enter the first layer, see --layers",
            (_, false) => "it needs the kernels of the CPU",
            (_, true) => "no row is read twice",
        };
        Some(format!("--cache-frozen keeps nothing: {reason}"))
    }

    /// What is said of them; nothing if nothing is kept.
    pub(super) fn fact(&self) -> Option<String> {
        if self.kept == 0 {
            return None;
        }
        let layers = match self.first_layer {
            all if all == self.num_layers => "all layers".to_string(),
            1 => "layer 0".to_string(),
            first => format!("layers 0 to {}", first - 1),
        };
        let kept = bytes(self.kept);
        Some(match self.kept < self.all {
            true => format!(
                "{layers}, kept for {kept} of rows; --cache-frozen {} is room for all rows",
                ByteSize(self.all.next_multiple_of(TEN_MB))
            ),
            false => format!("{layers}, computed once for each row and kept in {kept}"),
        })
    }
}

fn default_limit() -> u64 {
    let free = memory::available().unwrap_or(u64::MAX);
    RunContext::DEFAULT_CACHE_FROZEN.min(free / PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_said() {
        let whole = FrozenLayers {
            first_layer: 3,
            num_layers: 6,
            limit: 1_000_000_000,
            kept: 254_000_000,
            all: 254_000_000,
            asked: true,
            on_cpu: true,
        };
        let fact = |frozen: FrozenLayers| frozen.fact().unwrap_or_default();
        assert_eq!(fact(whole), "layers 0 to 2, computed once for each row and kept in 250 MB");
        assert_eq!(whole.warning(), None);
        let head = FrozenLayers { first_layer: 6, ..whole };
        assert!(fact(head).starts_with("all layers, "));
        let part = FrozenLayers { first_layer: 1, kept: 100_000_000, ..whole };
        assert_eq!(
            fact(part),
            "layer 0, kept for 100 MB of rows; --cache-frozen 260MB is room for all rows"
        );
        let nothing = FrozenLayers { kept: 0, all: 0, ..whole };
        assert_eq!(nothing.fact(), None);
        assert!(nothing.warning().is_some_and(|warning| warning.ends_with("no row is read twice")));
        let first = FrozenLayers { first_layer: 0, ..nothing };
        assert!(first.warning().is_some_and(|warning| warning.contains("--layers")));
        assert_eq!(FrozenLayers { asked: false, ..first }.warning(), None);
    }
}
