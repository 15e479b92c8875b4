//! A prompt in a file of its own, and the adapter made from it.

use std::path::Path;

use burn::tensor::TensorData;

use super::{
    codec::finite_f32,
    config::{AdapterConfig, OwnFields},
    folder::Adapter,
    stored,
};
use crate::{
    contract::{
        layout::PROMPT_EMBEDDINGS, method_fields::prompt_tuning_fields, peft_type::PeftType,
        task::Task, tensors::NamedTensors,
    },
    error::{Error, Result},
    formats::{
        npy, read,
        torch_file::{self, TorchFile},
    },
};

/// Reads a prompt `[P, H]`, as f32, from a `.npy`, `.safetensors`, `.bin`, `.pt` or `.pth` file, or
/// from an adapter folder without a config. If there are several tensors, it is
/// `prompt_embeddings`; a single tensor may have any name, or none.
///
/// # Errors
///
/// [`Error::Read`], [`Error::File`] or [`Error::Tensor`] naming what is missing or not a prompt.
pub fn read(path: &Path) -> Result<TensorData> {
    let path = if path.is_dir() { stored::path(path)? } else { path.to_path_buf() };
    let bytes = read::bytes(&path)?;
    let (name, data) = match path.extension().and_then(|extension| extension.to_str()) {
        Some("npy") => ("(the array)".to_string(), npy::read(&bytes, &path)?),
        Some("safetensors") => the_prompt(stored::parse(&bytes, &path)?, &path)?,
        Some("bin" | "pt" | "pth") => match torch_file::read(&bytes, &path)? {
            TorchFile::Bare(data) => ("(the only one)".to_string(), data),
            TorchFile::Named(tensors) => the_prompt(tensors, &path)?,
        },
        _ => {
            let message = "expected an adapter folder, .npy, .safetensors, .bin, .pt or .pth";
            return Err(Error::file(&path, message));
        }
    };
    match data.shape().as_slice() {
        [p, h] if *p > 0 && *h > 0 => {}
        shape => {
            let message = format!("has the shape {shape:?}, expected a prompt: [P, H]");
            return Err(Error::tensor(&path, name, message));
        }
    }
    finite_f32(data, &name, &path)
}

/// Returns the prompt among named tensors, with its name.
fn the_prompt(mut tensors: NamedTensors, path: &Path) -> Result<(String, TensorData)> {
    if let Some(found) = tensors.remove_entry(PROMPT_EMBEDDINGS) {
        return Ok(found);
    }
    match tensors.len() {
        1 => tensors.pop_first().ok_or_else(|| Error::file(path, "holds no tensor")),
        count => {
            let names = tensors.into_keys().take(4).collect::<Vec<_>>().join(", ");
            let message =
                format!("holds {count} tensors ({names}), none of them `{PROMPT_EMBEDDINGS}`");
            Err(Error::file(path, message))
        }
    }
}

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
