//! A base model's folder that also holds an adapter, which transformers puts on the model.

use std::path::{Path, PathBuf};

use peft_core::{
    Result,
    contract::peft_type::PeftType,
    formats::{gguf::gguf_of, read},
};
use serde_json::Value;

use crate::config::ModelConfig;

const FILE: &str = "adapter_config.json";

/// `adapter_config.json` beside `config.json`, and its `peft_type`, if the folder holds virtual tokens: they are not used
/// unless the folder is also given as the adapter. transformers does not load such a folder.
///
/// # Errors
///
/// [`peft_core::Error::File`] if the file cannot be parsed; [`peft_core::Error::Config`] for an adapter of any other kind:
/// transformers puts a LoRA on the model, and the model alone gives other numbers.
pub fn adapter_beside(config: &ModelConfig) -> Result<Option<(PathBuf, PeftType)>> {
    let path = config.path().with_file_name(FILE);
    // A GGUF file stands for itself.
    if !path.is_file() || gguf_of(config.path())?.is_some() {
        return Ok(None);
    }
    let fields = ModelConfig::from_value(read::json(&path)?, &path)?;
    let kind = fields.get("peft_type").and_then(Value::as_str);
    if let Some(known) = kind.and_then(PeftType::from_name) {
        return Ok(Some((path, known)));
    }
    let kind = kind.map_or("no type".into(), |kind| format!("{kind:?}"));
    let folder = path.parent().unwrap_or(Path::new(".")).display();
    Err(fields.error(
        "peft_type",
        format!(
            "found {kind}: transformers puts this adapter on the base model beside it, and the model without it is \
             another one. Move {FILE} and the adapter's weights to a folder of their own, and give {folder} without them, or \
             with the adapter merged; in Python: PeftModel.from_pretrained(base, \"ADAPTER\").merge_and_unload()\
             .save_pretrained(\"MERGED\")"
        ),
    ))
}
