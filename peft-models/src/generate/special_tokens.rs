//! The special tokens of a model's folder.

use peft_core::{ModelSpec, Result, formats::gguf::gguf_of};

use super::{EndTokens, GenerateConfig, generation_config};
use crate::{class_defaults::special_tokens, config::ModelConfig, load::Loaded};

impl GenerateConfig {
    /// Greedy generation of at most `max_new_tokens` tokens, with the special tokens of a model's folder.
    ///
    /// The end tokens are those of [`EndTokens::of`]. `decoder_start_token_id`, or `bos_token_id` if it is missing, is
    /// that of `generation_config.json`, or of `config.json` if there is no such file: as in transformers, which trains
    /// from another one where they differ ([`trained_start`]). `forced_bos_token_id` and `forced_eos_token_id` are those of
    /// `generation_config.json`, or of `config.json` if there is no such file; an old `config.json` forces
    /// `bos_token_id` by `force_bos_token_to_be_generated`. What else the files ask for:
    /// [`GenerationDefaults`](super::GenerationDefaults).
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::File`] or [`peft_core::Error::Config`] if a file cannot be parsed;
    /// [`peft_core::Error::Config`] if the decoder of an encoder-decoder has nothing to start from, or a special token is
    /// outside the vocabulary.
    pub fn for_model(loaded: &Loaded, max_new_tokens: usize) -> Result<Self> {
        let config = &loaded.config;
        let beside = generation_config::beside(config)?;
        let own = beside.as_ref().unwrap_or(config);
        let spec = loaded.model.spec();
        let end_tokens = EndTokens::of(config)?;
        end_tokens.check(spec.vocab_size)?;
        let generate = Self::new(max_new_tokens).with_end_tokens(end_tokens.ids().to_vec());
        let forced_bos = match config.flag("force_bos_token_to_be_generated", false)? {
            true if beside.is_none() => "bos_token_id",
            _ => "forced_bos_token_id",
        };
        let forced_bos = special(own, forced_bos, spec)?.first().copied();
        let forced_eos = special(own, "forced_eos_token_id", spec)?;
        let generate = generate.with_forced_bos(forced_bos).with_forced_eos(forced_eos);
        if !spec.is_encoder_decoder() {
            return Ok(generate);
        }
        for key in [START, "bos_token_id"] {
            if let Some(start) = special(own, key, spec)?.first() {
                return Ok(generate.with_decoder_start(Some(*start)));
            }
        }
        let usual = match config.model_type()? {
            // As in transformers' message.
            "t5" => special_tokens(config, "pad_token_id").first().copied(),
            _ => None,
        };
        let id = trained_start(config).or(usual).map_or("ID".into(), |start| start.to_string());
        let way = match gguf_of(config.path())? {
            Some(_) => format!("Set {}.{START} in its metadata to {id}", config.model_type()?),
            None => format!("Write \"{START}\": {id} into it"),
        };
        Err(own.error(
            START,
            format!(
                "is missing, and so is bos_token_id: generation starts from one of them, and asks no other file. {way}"
            ),
        ))
    }
}

const START: &str = "decoder_start_token_id";

/// The token from which the decoder of an encoder-decoder is trained: `decoder_start_token_id` of `config.json`, or that
/// of its class in transformers, if it has one.
pub fn trained_start(config: &ModelConfig) -> Option<u32> {
    special_tokens(config, START).first().copied()
}

/// The ids of a key, which must be in the vocabulary.
fn special(config: &ModelConfig, key: &str, spec: &ModelSpec) -> Result<Vec<u32>> {
    config.check_token_ids(key)?;
    let ids = config.token_ids(key);
    match ids.iter().find(|id| **id as usize >= spec.vocab_size) {
        Some(id) => {
            let or_null = if key == START { "" } else { ", or to null" };
            let message = format!(
                "found {id}, outside the vocabulary of {}: set it to a token of the vocabulary{or_null}",
                spec.vocab_size
            );
            Err(config.error(key, message))
        }
        None => Ok(ids),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    /// What transformers 5.23 shifts labels with: BART's and mT5's classes have a default, T5 raises.
    #[test]
    fn training_starts_as_the_config_or_its_class_says() {
        for (fields, expected) in [
            (
                json!({"model_type": "bart", "decoder_start_token_id": 5, "bos_token_id": 0}),
                Some(5),
            ),
            (json!({"model_type": "bart", "bos_token_id": 0}), Some(2)),
            (json!({"model_type": "bart", "decoder_start_token_id": null}), None),
            (json!({"model_type": "t5", "decoder_start_token_id": 0}), Some(0)),
            (json!({"model_type": "t5", "bos_token_id": 3}), None),
            (json!({"model_type": "mt5"}), Some(0)),
        ] {
            let config = ModelConfig::from_value(fields, Path::new("config.json")).unwrap();
            assert_eq!(trained_start(&config), expected, "{config:?}");
        }
    }
}
