//! Each method on a model, from a seed: the same numbers on every device.

use peft_core::{
    FrozenModel, Head, Mode, PeftMethod, Result, Task, VirtualTokens, train::Trainable,
};
use peft_models::random_model::Family;
use peft_prefix::{PrefixConfig, PrefixInit, PrefixTuning};
use peft_prompt::{PromptConfig, PromptInit, PromptTuning};
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};

use super::rows::{CLASSES, VIRTUAL_TOKENS, task_of};

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Prompt tuning.
    Prompt,
    /// Prefix tuning with its MLP.
    Prefix,
    /// P-tuning v2.
    PTuningV2,
}

impl Method {
    /// All.
    pub const ALL: [Self; 3] = [Self::Prompt, Self::Prefix, Self::PTuningV2];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Prefix => "prefix",
            Self::PTuningV2 => "P-tuning v2",
        }
    }
}

/// What is done with a method on a model.
pub trait Visit {
    /// What comes out.
    type Found;

    /// Does it.
    ///
    /// # Errors
    ///
    /// Those of what is done.
    fn visit<M: PeftMethod>(
        &self,
        model: &dyn FrozenModel,
        trainable: Trainable<M>,
    ) -> Result<Self::Found>;
}

/// Makes a method, with a head where the family's task has one, and hands it over.
///
/// # Errors
///
/// Those of the method, and of what is done with it.
pub fn with_trainable<V: Visit>(
    method: Method,
    family: Family,
    model: &dyn FrozenModel,
    seed: u64,
    visit: &V,
) -> Result<V::Found> {
    let device = model.device().autodiff();
    let head = task_of(family).has_head().then(|| head(model, seed, &device));
    // Values that are large enough to matter.
    let std = 0.5;
    match method {
        Method::Prompt => {
            let (config, init) = (PromptConfig::new(VIRTUAL_TOKENS), PromptInit::Normal { std });
            let made = PromptTuning::init(config, model, &init, seed, &device)?;
            visit.visit(model, Trainable::new(made, head))
        }
        Method::Prefix => {
            let config = PrefixConfig::new(VIRTUAL_TOKENS).with_hidden_size(8);
            let made = PrefixTuning::init(config, model, &PrefixInit::Random, seed, &device)?;
            visit.visit(model, Trainable::new(made, head))
        }
        Method::PTuningV2 => {
            let config = PTuningV2Config::new(VIRTUAL_TOKENS);
            let made =
                PTuningV2::init(config, model, &PTuningV2Init::Random { std }, seed, &device)?;
            visit.visit(model, Trainable::new(made, head))
        }
    }
}

/// A head whose classes differ.
pub fn head(model: &dyn FrozenModel, seed: u64, device: &burn::tensor::Device) -> Head {
    let layout = model.head_layout(Task::SeqCls);
    let mut head = Head::init(layout, CLASSES, model.spec().hidden_size, seed, device);
    head.weight = head.weight.map(|weight| weight.mul_scalar(40.0));
    head
}

/// The virtual tokens of a method, without gradients.
///
/// # Errors
///
/// Those of the method.
pub fn virtual_tokens(
    method: Method,
    family: Family,
    model: &dyn FrozenModel,
    seed: u64,
) -> Result<VirtualTokens> {
    struct Tokens;
    impl Visit for Tokens {
        type Found = VirtualTokens;
        fn visit<M: PeftMethod>(
            &self,
            _: &dyn FrozenModel,
            trainable: Trainable<M>,
        ) -> Result<VirtualTokens> {
            Ok(trainable.method.virtual_tokens(Mode::Evaluate).without_autodiff())
        }
    }
    with_trainable(method, family, model, seed, &Tokens)
}
