//! The method itself.

use burn::{module::Module, tensor::Device};
use peft_core::{
    FrozenModel, MethodFields, Mode, ModelSpec, NamedTensors, PeftMethod, PeftType, Result,
    SiteSpec, VirtualTokens, adapter::layout, init::dropout, reparameterization::PrefixParameters,
    rng,
};
use serde_json::{Map, Value, json};

use crate::{PTuningV2Config, PTuningV2Init};

/// Keys and values of P virtual tokens, trained directly, in all layers or in chosen ones:
/// `attention_i(q, [K_i ; keys], [V_i ; values])` with K_i and V_i `[K, P, D]` trained
/// (Liu et al. 2021, <https://arxiv.org/abs/2110.07602>).
#[derive(Module, Debug)]
pub struct PTuningV2 {
    /// The keys and values `[P, l * 2 * K * D]` of the chosen layers, or the projection that makes them.
    pub parameters: PrefixParameters,
    #[module(skip)]
    site: SiteSpec,
    #[module(skip)]
    config: PTuningV2Config,
}

impl PTuningV2 {
    /// Virtual tokens for `model`, started as `init` says. On an autodiff `device` they can be trained.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`](peft_core::Error::Setting) naming the flag that cannot be used,
    /// [`Error::Mismatch`](peft_core::Error::Mismatch) for an encoder-decoder.
    pub fn init(
        config: PTuningV2Config,
        model: &dyn FrozenModel,
        init: &PTuningV2Init,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let site = model.spec().self_site()?.clone();
        config.validate(site.num_layers)?;
        let sizes = config.sizes(model.spec(), &site);
        let parameters = init.parameters(&config, sizes, site.num_layers, model, seed, device)?;
        Ok(Self { parameters, site, config })
    }

    /// The layers that have virtual tokens.
    pub fn layers(&self) -> Vec<usize> {
        self.config.chosen_layers(self.site.num_layers)
    }
}

impl PeftMethod for PTuningV2 {
    type Config = PTuningV2Config;

    fn config(&self) -> &PTuningV2Config {
        &self.config
    }

    /// A key and a value `[1, K, P, D]` for each chosen layer, shared by all rows of a batch.
    fn virtual_tokens(&self, mode: Mode) -> VirtualTokens {
        let mut flat = self.parameters.flat();
        if let Mode::Train { seed, step } = mode {
            let mut stream = rng::stream(seed, step, "ptv2.dropout");
            flat = dropout(flat, self.config.dropout, &mut stream);
        }
        VirtualTokens::key_values(vec![layout::to_key_values(flat, &self.site, &self.layers())])
    }

    fn fold(&self) -> Self {
        Self { parameters: self.parameters.fold(), ..self.clone() }
    }

    /// `prompt_embeddings` of the chosen layers; with the projection, until it is folded, the tensors of
    /// the MLP under PEFT's names: `embedding.weight`, `transform.{0,2}.{weight,bias}`.
    fn state(&self) -> NamedTensors {
        self.parameters.state()
    }

    fn from_state(
        config: PTuningV2Config,
        spec: &ModelSpec,
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self> {
        let site = spec.self_site()?.clone();
        config.validate(site.num_layers)?;
        let parameters = PrefixParameters::from_state(config.sizes(spec, &site), state, device)?;
        Ok(Self { parameters, site, config })
    }

    /// PEFT's `PREFIX_TUNING` where all layers have virtual tokens; else a type of our own, because PEFT
    /// has none that leaves layers out. `prefix_projection` is false whatever made the numbers, since a
    /// folder holds the folded tensor.
    fn fields(&self, _spec: &ModelSpec) -> MethodFields {
        let layers = self.layers();
        let subset = layers.len() < self.site.num_layers;
        MethodFields {
            method: "ptv2",
            peft_type: if subset { PeftType::PrefixTuningLayers } else { PeftType::PrefixTuning },
            num_virtual_tokens: self.config.num_virtual_tokens,
            layers: subset.then_some(layers),
            extra: Map::from_iter([
                ("prefix_projection".to_string(), Value::Bool(false)),
                ("encoder_hidden_size".to_string(), json!(self.config.hidden_size)),
                ("init_weights".to_string(), Value::Null),
            ]),
            settings: json!(self.config),
        }
    }
}
