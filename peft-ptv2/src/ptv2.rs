//! P-tuning v2 as a method: from the trained keys and values of each layer to virtual tokens, and to an
//! adapter.

use burn::{module::Module, tensor::Device};
use peft_core::{
    FrozenModel, MethodFields, Mode, ModelSpec, NamedTensors, PeftMethod, Result, VirtualTokens,
    methods::prefix::{SiteLayers, SitePrefixes},
};
use serde_json::{Map, Value, json};

use crate::{PTuningV2Config, PTuningV2Init};

/// Keys and values of P virtual tokens, trained directly, in all layers or in chosen ones:
/// `attention_i(q, [K_i ; keys], [V_i ; values])` with K_i and V_i `[K, P, D]` trained
/// (Liu et al. 2021, <https://arxiv.org/abs/2110.07602>).
#[derive(Module, Debug)]
pub struct PTuningV2 {
    /// The keys and values `[P, l * 2 * K * D]` of the chosen layers, or the projection that makes them,
    /// for each attention site.
    pub prefixes: SitePrefixes,
    #[module(skip)]
    config: PTuningV2Config,
}

impl PTuningV2 {
    /// Virtual tokens for `model`, initialised as `init` says. On an autodiff `device` they can be trained.
    ///
    /// # Examples
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use peft_core::{FrozenModel, PeftMethod, Result};
    /// use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};
    ///
    /// fn start(model: &dyn FrozenModel) -> Result<PTuningV2> {
    ///     let (config, init, seed) = (PTuningV2Config::new(16), PTuningV2Init::default(), 42);
    ///     let device = Device::default().autodiff();
    ///     let method = PTuningV2::init(config, model, &init, seed, &device)?;
    ///     println!("{} parameters are trained", method.num_trainable());
    ///     Ok(method)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Setting`](peft_core::Error::Setting) naming the field that cannot be used,
    /// [`Error::Mismatch`](peft_core::Error::Mismatch) for the activations of words on an encoder-decoder.
    pub fn init(
        config: PTuningV2Config,
        model: &dyn FrozenModel,
        init: &PTuningV2Init,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let placement = config.place(model.spec())?;
        let prefixes = SitePrefixes::new(placement, |site| {
            init.parameters(&config, site, model, seed, device)
        })?;
        Ok(Self { prefixes, config })
    }

    /// The layers that have virtual tokens, for each site in the order of the sites.
    pub fn layers(&self) -> Vec<Vec<usize>> {
        self.prefixes.placement().sites.iter().map(|site| site.layers.clone()).collect()
    }
}

impl PeftMethod for PTuningV2 {
    type Config = PTuningV2Config;

    fn config(&self) -> &PTuningV2Config {
        &self.config
    }

    /// A key and a value `[1, K, P, D]` for each chosen layer of each chosen site, shared by all rows of a
    /// batch; in front of each row, or as an infix in it ([`VirtualTokens::infix`]).
    fn virtual_tokens(&self, mode: Mode) -> VirtualTokens {
        self.prefixes.virtual_tokens(mode, self.config.dropout, "ptv2.dropout")
    }

    fn fold(&self) -> Self {
        Self { prefixes: self.prefixes.fold(), config: self.config.clone() }
    }

    /// Folded: `prompt_embeddings` of the chosen layers. With the projection: the MLP under PEFT's names,
    /// `embedding.weight` and `transform.{0,2}.{weight,bias}`. On an encoder-decoder each name ends in the
    /// site, as in `prompt_embeddings.cross`.
    fn state(&self) -> NamedTensors {
        self.prefixes.state()
    }

    fn from_state(
        config: PTuningV2Config,
        spec: &ModelSpec,
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self> {
        let placement = config.place(spec)?;
        let sizes = |site: &SiteLayers| config.sizes(spec, site);
        let prefixes = SitePrefixes::from_state(placement, sizes, state, device)?;
        Ok(Self { prefixes, config })
    }

    /// PEFT's `PREFIX_TUNING` where all layers of the only site have virtual tokens; otherwise a type of our
    /// own, because PEFT has none that skips layers, reaches three sites or is an infix. `prefix_projection` is false
    /// whatever made the virtual tokens: the adapter file holds the folded tensor.
    fn fields(&self, _spec: &ModelSpec) -> MethodFields {
        MethodFields {
            method: "ptv2",
            peft_type: self.prefixes.peft_type(),
            num_virtual_tokens: self.config.num_virtual_tokens,
            layers: self.prefixes.chosen_layers(),
            sites: self.prefixes.stored(),
            extra: Map::from_iter([
                ("prefix_projection".to_string(), Value::Bool(false)),
                ("encoder_hidden_size".to_string(), json!(self.config.hidden_size)),
                ("init_weights".to_string(), Value::Null),
            ]),
            settings: json!(self.config),
        }
    }
}
