//! How each method is trained on the demo's task. The settings are those of `peft train`; they were
//! found by trying a handful on other seeds than the demo's.

use crate::settings::{MethodName, Settings};

/// The recipe of a method.
pub fn recipe(method: MethodName, seed: u64) -> Settings {
    let common = Settings {
        method: Some(method),
        task: Some(peft_core::Task::CausalLm),
        batch_size: Some(32),
        schedule: Some("linear".into()),
        seed: Some(seed),
        ..Settings::default()
    };
    match method {
        MethodName::Prompt => Settings {
            num_virtual_tokens: Some(16),
            init: Some("vocab".into()),
            steps: Some(300),
            lr: Some(0.05),
            ..common
        },
        MethodName::Prefix => Settings {
            num_virtual_tokens: Some(16),
            prefix_hidden_size: Some(128),
            steps: Some(200),
            lr: Some(3e-3),
            ..common
        },
        MethodName::Ptv2 | MethodName::Head => {
            Settings { num_virtual_tokens: Some(16), steps: Some(200), lr: Some(0.03), ..common }
        }
    }
}
