//! The adapter of a prompt, also of one that P-tuning v1 trained.

use burn::tensor::TensorData;

use super::{config::AdapterConfig, folder::Adapter, own_fields::OwnFields};
use crate::contract::{
    layout::PROMPT_EMBEDDINGS, method_fields::prompt_tuning_fields, peft_type::PeftType,
    task::Task, tensors::NamedTensors,
};

/// Returns the adapter of a prompt `[P, H]` of f32.
pub fn adapter(prompt: TensorData, task: Task, base_model: Option<String>) -> Adapter {
    let (p, h) = match prompt.shape().as_slice() {
        [p, h] => (*p, *h),
        _ => (0, 0),
    };
    let mut config = AdapterConfig {
        peft_type: PeftType::PromptTuning,
        task: Some(task),
        base_model,
        num_virtual_tokens: p,
        token_dim: Some(h),
        num_attention_heads: None,
        num_layers: None,
        extra: serde_json::Map::new(),
        own: OwnFields::default(),
    };
    mark_as_prompt(&mut config);
    let tensors = NamedTensors::from([(PROMPT_EMBEDDINGS.to_string(), prompt)]);
    Adapter { config, tensors }
}

/// Turns an adapter of P-tuning v1 into one of prompt tuning: its stored rows are the output of its
/// encoder, and act as a prompt. Other adapters are returned unchanged.
#[must_use]
pub fn into_prompt_tuning(mut adapter: Adapter) -> Adapter {
    if adapter.config.peft_type == PeftType::PTuning {
        adapter.config.peft_type = PeftType::PromptTuning;
        adapter.config.extra.retain(|key, _| !key.starts_with("encoder_"));
        mark_as_prompt(&mut adapter.config);
    }
    adapter
}

/// Sets the fields that PEFT expects of prompt tuning.
fn mark_as_prompt(config: &mut AdapterConfig) {
    config.extra.extend(prompt_tuning_fields());
    config.own.method = Some("prompt".into());
}
