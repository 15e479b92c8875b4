//! How each method is trained on the demo's task: the settings of a `peft train` of 300 steps.
//!
//! They were chosen on the rows of split 0 and checked on split 1 and three seeds. The model is small, so
//! learning rates are large: a BERT needs a tenth of these, see docs/RECIPES.md.

use peft_core::Task;

use crate::{flags::method_name::MethodName, settings::Settings};

/// The recipe of a method.
pub fn recipe(method: MethodName, seed: u64) -> Settings {
    let common = Settings {
        method: Some(method),
        task: Some(Task::CausalLm),
        num_virtual_tokens: Some(16),
        steps: Some(300),
        batch_size: Some(16),
        schedule: Some("linear".into()),
        warmup_steps: Some(20),
        clip_norm: Some(1.0),
        seed: Some(seed),
        ..Settings::default()
    };
    match method {
        MethodName::Prompt => Settings { lr: Some(0.2), ..common },
        MethodName::Prefix => Settings { prefix_hidden_size: Some(128), lr: Some(3e-3), ..common },
        MethodName::Ptv2 | MethodName::Head => Settings { lr: Some(0.3), ..common },
    }
}
