//! Prefix tuning as a method: from trained keys and values, or their MLP, to virtual tokens and to an
//! adapter.

use burn::{module::Module, tensor::Device};
use peft_core::{
    FrozenModel, MethodFields, Mode, ModelSpec, NamedTensors, PeftMethod, Result, VirtualTokens,
    methods::prefix::{SiteLayers, SitePrefixes},
};
use serde_json::{Map, Value, json};

use crate::{PrefixConfig, PrefixInit};

/// Keys and values in front of those of the tokens, in every attention layer:
/// `MLP(Z) = tanh(Z W_inᵀ + b_in) W_outᵀ + b_out`, cut into one key and one value per layer
/// (Li & Liang 2021, <https://arxiv.org/abs/2101.00190>).
///
/// Z is `[P, E]`, the result `[P, L * 2 * K * D]`. [`fold`](PeftMethod::fold) keeps only the result.
///
/// An encoder-decoder has one prefix for each of its three attention sites, each with its own MLP.
#[derive(Module, Debug)]
pub struct PrefixTuning {
    /// The MLP, or the keys and values themselves, for each attention site.
    pub prefixes: SitePrefixes,
    #[module(skip)]
    config: PrefixConfig,
}

impl PrefixTuning {
    /// A prefix for `model`, initialised as `init` says. On an autodiff `device` it can be trained.
    ///
    /// # Examples
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use peft_core::{FrozenModel, PeftMethod, Result};
    /// use peft_prefix::{PrefixConfig, PrefixInit, PrefixTuning};
    ///
    /// fn start(model: &dyn FrozenModel) -> Result<PrefixTuning> {
    ///     let (config, init, seed) = (PrefixConfig::new(20), PrefixInit::default(), 42);
    ///     let device = Device::default().autodiff();
    ///     let method = PrefixTuning::init(config, model, &init, seed, &device)?;
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
        config: PrefixConfig,
        model: &dyn FrozenModel,
        init: &PrefixInit,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        let placement = config.placement.resolve(model.spec(), None)?;
        let prefixes = SitePrefixes::new(placement, |site| {
            init.parameters(&config, site, model, seed, device)
        })?;
        Ok(Self { prefixes, config })
    }

    /// Whether there is no MLP: it was folded, or never there.
    pub fn is_folded(&self) -> bool {
        self.prefixes.is_folded()
    }
}

impl PeftMethod for PrefixTuning {
    type Config = PrefixConfig;

    fn config(&self) -> &PrefixConfig {
        &self.config
    }

    /// A key and a value `[1, K, P, D]` for every layer of every chosen site, shared by all rows of a batch; in front
    /// of each row, or as an infix in it ([`VirtualTokens::infix`]).
    fn virtual_tokens(&self, mode: Mode) -> VirtualTokens {
        self.prefixes.virtual_tokens(mode, self.config.dropout, "prefix.dropout")
    }

    fn fold(&self) -> Self {
        Self { prefixes: self.prefixes.fold(), config: self.config.clone() }
    }

    /// Folded: `prompt_embeddings`. Otherwise the MLP under PEFT's names: `embedding.weight`,
    /// `transform.{0,2}.{weight,bias}`. On an encoder-decoder each name ends in the site, as in
    /// `prompt_embeddings.cross`.
    fn state(&self) -> NamedTensors {
        self.prefixes.state()
    }

    fn from_state(
        config: PrefixConfig,
        spec: &ModelSpec,
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        let placement = config.placement.resolve(spec, None)?;
        let sizes = |site: &SiteLayers| config.sizes(spec, site);
        let prefixes = SitePrefixes::from_state(placement, sizes, state, device)?;
        Ok(Self { prefixes, config })
    }

    /// `prefix_projection` is false whatever made the prefix: the adapter file holds the folded tensor, which
    /// with `true` PEFT could load for inference but not train further.
    fn fields(&self, _spec: &ModelSpec) -> MethodFields {
        MethodFields {
            method: "prefix",
            peft_type: self.prefixes.peft_type(),
            num_virtual_tokens: self.config.num_virtual_tokens,
            layers: None,
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
