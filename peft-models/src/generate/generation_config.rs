//! A model's `generation_config.json`.

use peft_core::{
    Error, Result,
    formats::{gguf::gguf_of, read},
};

use crate::config::ModelConfig;

/// `generation_config.json` beside `config.json`, if there is one. A GGUF file stands for itself: what is beside it may
/// belong to another model.
pub(super) fn beside(config: &ModelConfig) -> Result<Option<ModelConfig>> {
    if gguf_of(config.path())?.is_some() {
        return Ok(None);
    }
    let path = config.path().with_file_name("generation_config.json");
    match read::json(&path) {
        Ok(fields) => ModelConfig::from_value(fields, &path).map(Some),
        Err(Error::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
