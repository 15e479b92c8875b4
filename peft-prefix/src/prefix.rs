//! The method itself.

use burn::{module::Module, tensor::Device};
use peft_core::{
    FrozenModel, MethodFields, Mode, ModelSpec, NamedTensors, PeftMethod, PeftType, Result,
    SiteSpec, VirtualTokens, adapter::layout, init::dropout, reparameterization::PrefixParameters,
    rng,
};
use serde_json::{Map, Value, json};

use crate::{PrefixConfig, PrefixInit};

/// Keys and values in front of those of the tokens, in every attention layer:
/// `MLP(P') = W2 tanh(W1 P' + b1) + b2`, cut into a key and a value a layer
/// (Li & Liang 2021, <https://arxiv.org/abs/2101.00190>).
///
/// P' is `[P, E]`, the result `[P, L * 2 * K * D]`. [`fold`](PeftMethod::fold) keeps the result only.
#[derive(Module, Debug)]
pub struct PrefixTuning {
    /// The MLP, or the keys and values themselves.
    pub parameters: PrefixParameters,
    #[module(skip)]
    site: SiteSpec,
    #[module(skip)]
    config: PrefixConfig,
}

impl PrefixTuning {
    /// A prefix for `model`, started as `init` says. On an autodiff `device` it can be trained.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`](peft_core::Error::Setting) naming the flag that cannot be used,
    /// [`Error::Mismatch`](peft_core::Error::Mismatch) for an encoder-decoder.
    pub fn init(
        config: PrefixConfig,
        model: &dyn FrozenModel,
        init: &PrefixInit,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        let site = model.spec().self_site()?.clone();
        let sizes = config.sizes(model.spec(), &site);
        let parameters = init.parameters(&config, sizes, model, seed, device)?;
        Ok(Self { parameters, site, config })
    }

    /// Whether the MLP is gone, or never was.
    pub fn is_folded(&self) -> bool {
        matches!(self.parameters, PrefixParameters::Direct(_))
    }
}

impl PeftMethod for PrefixTuning {
    type Config = PrefixConfig;

    fn config(&self) -> &PrefixConfig {
        &self.config
    }

    /// A key and a value `[1, K, P, D]` for every layer, shared by all rows of a batch.
    fn virtual_tokens(&self, mode: Mode) -> VirtualTokens {
        let mut flat = self.parameters.flat();
        if let Mode::Train { seed, step } = mode {
            let mut stream = rng::stream(seed, step, "prefix.dropout");
            flat = dropout(flat, self.config.dropout, &mut stream);
        }
        let layers: Vec<usize> = (0..self.site.num_layers).collect();
        VirtualTokens::key_values(vec![layout::to_key_values(flat, &self.site, &layers)])
    }

    fn fold(&self) -> Self {
        Self { parameters: self.parameters.fold(), ..self.clone() }
    }

    /// Folded: `prompt_embeddings`. Else the MLP under PEFT's names: `embedding.weight`,
    /// `transform.{0,2}.{weight,bias}`.
    fn state(&self) -> NamedTensors {
        self.parameters.state()
    }

    fn from_state(
        config: PrefixConfig,
        spec: &ModelSpec,
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        let site = spec.self_site()?.clone();
        let parameters = PrefixParameters::from_state(config.sizes(spec, &site), state, device)?;
        Ok(Self { parameters, site, config })
    }

    /// PEFT is told of no projection, whatever made the numbers: a folder holds the folded tensor, and
    /// with `prefix_projection: true` PEFT could read it for inference only, not train it on.
    fn fields(&self, _spec: &ModelSpec) -> MethodFields {
        MethodFields {
            method: "prefix",
            peft_type: PeftType::PrefixTuning,
            num_virtual_tokens: self.config.num_virtual_tokens,
            layers: None,
            extra: Map::from_iter([
                ("prefix_projection".to_string(), Value::Bool(false)),
                ("encoder_hidden_size".to_string(), json!(self.config.hidden_size)),
                ("init_weights".to_string(), Value::Null),
            ]),
            settings: json!(self.config),
        }
    }
}
