//! Prompt tuning as a method: from trained rows, or the encoder that makes them, to virtual tokens, and to an adapter.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use peft_core::{
    Error, FrozenModel, MethodFields, Mode, ModelSpec, NamedTensors, PROMPT_EMBEDDINGS, PeftMethod,
    PeftType, Result, VirtualTokens,
    contract::{method_fields::prompt_tuning_fields, params},
};
use serde_json::json;

use crate::{PromptConfig, PromptEncoder, PromptInit};

/// PEFT's name of the encoder's input.
const EMBEDDING: &str = "embedding.weight";

/// A soft prompt: trained embeddings in front of those of the real tokens.
///
/// `Pr(Y | [W ; E(X)])` with W `[P, H]` trained and everything else frozen
/// (Lester et al. 2021, <https://arxiv.org/abs/2104.08691>), or `W = encoder(Z)` with Z `[P, H]` and the encoder trained
/// (P-tuning, Liu et al. 2021, <https://arxiv.org/abs/2103.10385>). [`fold`](PeftMethod::fold) keeps only W.
#[derive(Module, Debug)]
pub struct PromptTuning {
    /// W `[P, H]`, or the input Z of the encoder.
    pub embeddings: Param<Tensor<2>>,
    /// What makes W of Z, until it is folded.
    pub encoder: Option<PromptEncoder>,
    #[module(skip)]
    config: PromptConfig,
}

impl PromptTuning {
    /// Creates a prompt for `model`, initialised as `init` says. On an autodiff `device` it can be trained.
    ///
    /// With an encoder, `init` is what its input Z starts from; [`PromptInit::normal`] is torch's and PEFT's.
    ///
    /// # Examples
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use peft_core::{FrozenModel, PeftMethod, Result};
    /// use peft_prompt::{PromptConfig, PromptInit, PromptTuning};
    ///
    /// fn start(model: &dyn FrozenModel) -> Result<PromptTuning> {
    ///     let (config, init, seed) = (PromptConfig::new(20), PromptInit::default(), 42);
    ///     let device = Device::default().autodiff();
    ///     let method = PromptTuning::init(config, model, &init, seed, &device)?;
    ///     println!("{} parameters are trained", method.num_trainable());
    ///     Ok(method)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the field that cannot be used.
    pub fn init(
        config: PromptConfig,
        model: &dyn FrozenModel,
        init: &PromptInit,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        if config.encoder.is_some() && matches!(init, PromptInit::Rows(_)) {
            let message = "found the rows of another prompt, of which an encoder would make others: start a prompt \
                           without one from them";
            return Err(Error::setting("init", message));
        }
        let rows = init.rows(config.num_virtual_tokens, model, seed)?;
        let h = model.spec().hidden_size;
        let encoder = config.encoder.as_ref().map(|of| PromptEncoder::init(of, h, seed, device));
        Ok(Self {
            embeddings: Param::from_tensor(Tensor::from_data(rows, device)),
            encoder,
            config,
        })
    }

    /// Whether there is no encoder: it was folded, or never there.
    pub fn is_folded(&self) -> bool {
        self.encoder.is_none()
    }

    /// W `[P, H]`, differentiably.
    pub fn rows(&self, mode: Mode) -> Tensor<2> {
        let embeddings = self.embeddings.val();
        match (&self.encoder, &self.config.encoder) {
            (Some(encoder), Some(config)) => encoder.forward(embeddings, config, mode),
            _ => embeddings,
        }
    }
}

impl PeftMethod for PromptTuning {
    type Config = PromptConfig;

    fn config(&self) -> &PromptConfig {
        &self.config
    }

    /// W as `[1, P, H]`, shared by all rows of a batch.
    fn virtual_tokens(&self, mode: Mode) -> VirtualTokens {
        VirtualTokens::embeddings(self.rows(mode).unsqueeze())
    }

    fn fold(&self) -> Self {
        if self.is_folded() {
            return self.clone();
        }
        let rows = self.rows(Mode::Evaluate).detach();
        Self { embeddings: Param::from_tensor(rows), encoder: None, config: self.config.clone() }
    }

    /// Folded: `prompt_embeddings`. Otherwise Z and the encoder under the names of PEFT's `PromptEncoder`:
    /// `embedding.weight`, `mlp_head.0.weight` and so on, `lstm_head.weight_ih_l0` and so on.
    fn state(&self) -> NamedTensors {
        let embeddings = self.embeddings.val().into_data();
        match &self.encoder {
            None => NamedTensors::from([(PROMPT_EMBEDDINGS.to_string(), embeddings)]),
            Some(encoder) => {
                let mut state = encoder.state();
                state.insert(EMBEDDING.to_string(), embeddings);
                state
            }
        }
    }

    fn from_state(
        config: PromptConfig,
        spec: &ModelSpec,
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        let h = spec.hidden_size;
        let shape = [config.num_virtual_tokens, h];
        let (name, encoder) = match &config.encoder {
            Some(of) if PromptEncoder::is_in(state) => {
                (EMBEDDING, Some(PromptEncoder::from_state(of, h, state, device)?))
            }
            _ => (PROMPT_EMBEDDINGS, None),
        };
        Ok(Self { embeddings: params::from_named(name, shape, state, device)?, encoder, config })
    }

    /// A prompt that an encoder made is stored under PEFT's type for these, `P_TUNING`, whose rows PEFT takes as they
    /// are for inference.
    fn fields(&self, spec: &ModelSpec) -> MethodFields {
        let (peft_type, extra) = match &self.config.encoder {
            None => (PeftType::PromptTuning, prompt_tuning_fields()),
            Some(encoder) => (PeftType::PTuning, encoder.peft_fields(spec.hidden_size)),
        };
        MethodFields {
            method: "prompt",
            peft_type,
            num_virtual_tokens: self.config.num_virtual_tokens,
            layers: None,
            sites: None,
            extra,
            settings: json!(self.config),
        }
    }
}
