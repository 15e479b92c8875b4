//! Prompt tuning as a method: from trained rows to virtual tokens, and to an adapter.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use peft_core::{
    FrozenModel, MethodFields, Mode, ModelSpec, NamedTensors, PROMPT_EMBEDDINGS, PeftMethod,
    PeftType, Result, VirtualTokens,
    contract::{method_fields::prompt_tuning_fields, params},
};
use serde_json::json;

use crate::{PromptConfig, PromptInit};

/// A soft prompt: trained embeddings in front of those of the real tokens.
///
/// `Pr(Y | [W ; E(X)])` with W `[P, H]` trained and everything else frozen
/// (Lester et al. 2021, <https://arxiv.org/abs/2104.08691>).
#[derive(Module, Debug)]
pub struct PromptTuning {
    /// W `[P, H]`.
    pub embeddings: Param<Tensor<2>>,
    #[module(skip)]
    config: PromptConfig,
}

impl PromptTuning {
    /// Creates a prompt for `model`, initialised as `init` says. On an autodiff `device` it can be trained.
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
    /// [`Error::Setting`](peft_core::Error::Setting) naming the field that cannot be used.
    pub fn init(
        config: PromptConfig,
        model: &dyn FrozenModel,
        init: &PromptInit,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        let rows = init.rows(config.num_virtual_tokens, model, seed)?;
        Ok(Self { embeddings: Param::from_tensor(Tensor::from_data(rows, device)), config })
    }
}

impl PeftMethod for PromptTuning {
    type Config = PromptConfig;

    fn config(&self) -> &PromptConfig {
        &self.config
    }

    /// W as `[1, P, H]`, shared by all rows of a batch.
    fn virtual_tokens(&self, _mode: Mode) -> VirtualTokens {
        VirtualTokens::embeddings(self.embeddings.val().unsqueeze())
    }

    /// A prompt is deployed as it is trained.
    fn fold(&self) -> Self {
        self.clone()
    }

    fn state(&self) -> NamedTensors {
        NamedTensors::from([(PROMPT_EMBEDDINGS.to_string(), self.embeddings.val().into_data())])
    }

    fn from_state(
        config: PromptConfig,
        spec: &ModelSpec,
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        let shape = [config.num_virtual_tokens, spec.hidden_size];
        Ok(Self {
            embeddings: params::from_named(PROMPT_EMBEDDINGS, shape, state, device)?,
            config,
        })
    }

    fn fields(&self, _spec: &ModelSpec) -> MethodFields {
        MethodFields {
            method: "prompt",
            peft_type: PeftType::PromptTuning,
            num_virtual_tokens: self.config.num_virtual_tokens,
            layers: None,
            sites: None,
            extra: prompt_tuning_fields(),
            settings: json!(self.config),
        }
    }
}
