//! Where a prefix goes: one set of parameters per attention site.
//!
//! A single-stack model has one site. An encoder-decoder has three, and Li & Liang (2021) train a
//! prefix for each of them: the encoder's self-attention, the decoder's self-attention, and the
//! cross-attention.

use burn::{module::Module, tensor::Device};
use serde::{Deserialize, Serialize};

use super::{mlp::MlpSizes, parameters::PrefixParameters};
use crate::{
    contract::{
        init::dropout,
        layout,
        method::Mode,
        method_fields::StoredSites,
        peft_type::PeftType,
        rng,
        spec::{ModelSpec, Site, SiteSpec},
        tensors::NamedTensors,
        virtual_tokens::{PrefixPositions, VirtualTokens},
    },
    error::{Error, Result},
};

/// Where a prefix goes: to which sites of an encoder-decoder, or to which place in the row of a decoder.
/// Encoders leave no choice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Placement {
    /// The attention sites that get a prefix; all if not given.
    pub sites: Option<Vec<Site>>,
    /// Where positions start after the prefix of a side's self-attention; unshifted (Li & Liang) if
    /// not given.
    pub prefix_positions: Option<PrefixPositions>,
    /// Whether the relative position bias covers the prefix; false if not given.
    pub relative_bias: Option<bool>,
    /// On a decoder: whether keys and values stand between source and target instead of in front of both,
    /// see [`VirtualTokens::infix`]; false. The paper finds a prefix better.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub infix: bool,
}

impl Placement {
    /// Returns the sites and layers of the model `spec` that get keys and values; `layers` are the
    /// selected layers, all if not given.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the setting, for a site or layer that the model does not have.
    pub fn resolve(&self, spec: &ModelSpec, layers: Option<&[usize]>) -> Result<ResolvedPlacement> {
        let refuse = |setting: &str, message: String| Err(Error::setting(setting, message));
        let two_sides = spec.is_encoder_decoder();
        if self.infix && !spec.is_causal() {
            let name = &spec.model_type;
            let message = format!(
                "found true, and a {name} model has no row of a source and a target, between which an infix \
                 stands: leave it out, for a prefix"
            );
            return refuse("infix", message);
        }
        let asked = match &self.sites {
            None => spec.sites.iter().map(|site| site.site).collect(),
            Some(sites) if sites.is_empty() => {
                return refuse("sites", "found none, expected at least one".into());
            }
            Some(sites) => {
                let mut sites = sites.clone();
                sites.sort_unstable();
                sites.dedup();
                sites
            }
        };
        let mut resolved = Vec::with_capacity(asked.len());
        for site in asked {
            let Some(found) = spec.site(site) else {
                let known = spec.sites.iter().map(|s| s.site.name()).collect::<Vec<_>>().join(", ");
                let name = &spec.model_type;
                return refuse("sites", format!("found {site}, but the {name} model has {known}"));
            };
            let all = found.num_layers;
            let layers = match layers {
                None => (0..all).collect(),
                Some(layers) => check_layers(layers, all).map(|()| layers.to_vec())?,
            };
            resolved.push(SiteLayers { spec: found.clone(), layers, named: two_sides });
        }
        if !two_sides && self.prefix_positions == Some(PrefixPositions::Unshifted) {
            return refuse(
                "prefix_positions",
                format!("found unshifted, but a prefix of a {} model is shifted", spec.model_type),
            );
        }
        let default = if two_sides { PrefixPositions::Unshifted } else { PrefixPositions::Shifted };
        Ok(ResolvedPlacement {
            sites: resolved,
            positions: self.prefix_positions.unwrap_or(default),
            relative_bias: self.relative_bias.unwrap_or(!two_sides),
            infix: self.infix,
        })
    }
}

fn check_layers(layers: &[usize], num_layers: usize) -> Result<()> {
    let refuse = |message: String| Err(Error::setting("layers", message));
    if layers.is_empty() {
        return refuse("found no layer, expected at least one".into());
    }
    if let Some(pair) = layers.windows(2).find(|pair| pair[0] >= pair[1]) {
        return refuse(format!(
            "found {} before {}, expected each layer once, in rising order",
            pair[0], pair[1]
        ));
    }
    match layers.iter().find(|layer| **layer >= num_layers) {
        Some(layer) => {
            refuse(format!("found {layer}, but the model has the layers 0 to {}", num_layers - 1))
        }
        None => Ok(()),
    }
}

/// One attention site and the layers in it that get keys and values.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteLayers {
    /// Geometry of the site.
    pub spec: SiteSpec,
    /// The layers, in ascending order.
    pub layers: Vec<usize>,
    /// Whether tensor names include the site, because the model has several.
    named: bool,
}

impl SiteLayers {
    /// The number of values of one virtual token at this site, `l * 2 * K * D`.
    pub fn width(&self) -> usize {
        self.layers.len() * self.spec.kv_width()
    }

    /// The name of a tensor or of a random stream at this site: unchanged on a model with one site,
    /// else with the site appended, such as `prompt_embeddings.cross`.
    pub fn name(&self, name: &str) -> String {
        if self.named { format!("{name}.{}", self.spec.site) } else { name.to_string() }
    }
}

/// A [`Placement`] resolved for a model: its sites and their layers, with every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedPlacement {
    /// The sites, in the model's order.
    pub sites: Vec<SiteLayers>,
    /// Where positions start after a prefix.
    pub positions: PrefixPositions,
    /// Whether the relative position bias covers the prefix.
    pub relative_bias: bool,
    /// Whether it is an infix.
    pub infix: bool,
}

/// A prefix for every selected attention site of a model, each with its own parameters.
#[derive(Module, Debug)]
pub struct SitePrefixes {
    /// The parameters of each site, in the order of [`placement`](Self::placement).
    pub parameters: Vec<PrefixParameters>,
    #[module(skip)]
    placement: ResolvedPlacement,
}

impl SitePrefixes {
    /// Creates the parameters of each site with `make`.
    ///
    /// # Errors
    ///
    /// Any error of `make`.
    pub fn new(
        placement: ResolvedPlacement,
        make: impl FnMut(&SiteLayers) -> Result<PrefixParameters>,
    ) -> Result<Self> {
        let parameters = placement.sites.iter().map(make).collect::<Result<_>>()?;
        Ok(Self { parameters, placement })
    }

    /// Returns where the prefixes go.
    pub fn placement(&self) -> &ResolvedPlacement {
        &self.placement
    }

    /// Whether no MLP is left, or there never was one.
    pub fn is_folded(&self) -> bool {
        self.parameters.iter().all(|parameters| matches!(parameters, PrefixParameters::Direct(_)))
    }

    /// Returns a key and a value `[1, K, P, D]` for every layer of every selected site, shared by
    /// all rows of a batch. In training, dropout with the given `rate` is applied to them, drawn
    /// from the random stream `place`.
    pub fn virtual_tokens(&self, mode: Mode, rate: f64, place: &str) -> VirtualTokens {
        let sites = self.placement.sites.iter().zip(&self.parameters).map(|(site, parameters)| {
            let mut flat = parameters.flat();
            if let Mode::Train { seed, step } = mode {
                flat = dropout(flat, rate, &mut rng::stream(seed, step, &site.name(place)));
            }
            layout::to_key_values(flat, &site.spec, &site.layers)
        });
        let mut virtual_tokens = VirtualTokens::key_values(sites.collect());
        virtual_tokens.positions = self.placement.positions;
        virtual_tokens.relative_bias = self.placement.relative_bias;
        virtual_tokens.infix = self.placement.infix;
        virtual_tokens
    }

    /// Returns the same keys and values without MLPs.
    #[must_use]
    pub fn fold(&self) -> Self {
        let parameters = self.parameters.iter().map(PrefixParameters::fold).collect();
        Self { parameters, placement: self.placement.clone() }
    }

    /// Returns all tensors by name; the names include the site if the model has several.
    pub fn state(&self) -> NamedTensors {
        let sites = self.placement.sites.iter().zip(&self.parameters);
        sites
            .flat_map(|(site, parameters)| {
                parameters.state().into_iter().map(|(name, data)| (site.name(&name), data))
            })
            .collect()
    }

    /// Loads what [`state`](Self::state) returns; `sizes` returns the MLP sizes for a site.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] naming a missing or misshapen tensor.
    pub fn from_state(
        placement: ResolvedPlacement,
        sizes: impl Fn(&SiteLayers) -> MlpSizes,
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self> {
        Self::new(placement, |site| {
            let suffix = site.name("");
            let own = state
                .iter()
                .filter_map(|(name, data)| {
                    Some((name.strip_suffix(suffix.as_str())?.to_string(), data.clone()))
                })
                .collect();
            PrefixParameters::from_state(sizes(site), &own, device)
        })
    }

    /// What an adapter of these stores.
    pub fn peft_type(&self) -> PeftType {
        if self.placement.infix {
            PeftType::InfixTuning
        } else if self.stored().is_some() {
            PeftType::PrefixTuningSites
        } else if self.chosen_layers().is_some() {
            PeftType::PrefixTuningLayers
        } else {
            PeftType::PrefixTuning
        }
    }

    /// Returns what an adapter's config says about the sites, if the model has several.
    pub fn stored(&self) -> Option<StoredSites> {
        self.placement.sites.iter().any(|site| site.named).then(|| StoredSites {
            sites: self.placement.sites.iter().map(|site| site.spec.site).collect(),
            positions: self.placement.positions,
            relative_bias: self.placement.relative_bias,
        })
    }

    /// Returns the layers that have keys and values, if not all do.
    pub fn chosen_layers(&self) -> Option<Vec<usize>> {
        let is_partial = |site: &&SiteLayers| site.layers.len() < site.spec.num_layers;
        self.placement.sites.iter().find(is_partial).map(|site| site.layers.clone())
    }
}
