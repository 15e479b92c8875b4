//! The special tokens of a model's folder.

use peft_core::{ModelSpec, Result};

use super::{EndTokens, GenerateConfig, generation_config};
use crate::{config::ModelConfig, load::Loaded};

impl GenerateConfig {
    /// Greedy generation of at most `max_new_tokens` tokens, with the special tokens of a model's folder.
    ///
    /// The end tokens are those of [`EndTokens::of`]. `decoder_start_token_id` is that of `generation_config.json`,
    /// else of `config.json`, else `bos_token_id`. `forced_bos_token_id` and `forced_eos_token_id` are those of
    /// `generation_config.json`, or of `config.json` if there is no such file; an old `config.json` forces
    /// `bos_token_id` by `force_bos_token_to_be_generated`. What else the files ask for:
    /// [`GenerationDefaults`](super::GenerationDefaults).
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::File`] or [`peft_core::Error::Config`] if a file cannot be parsed.
    pub fn for_model(loaded: &Loaded, max_new_tokens: usize) -> Result<Self> {
        let config = &loaded.config;
        let beside = generation_config::beside(config)?;
        let own = beside.as_ref().unwrap_or(config);
        let spec = loaded.model.spec();
        let end_tokens = EndTokens::of(config)?;
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
        for key in ["decoder_start_token_id", "bos_token_id"] {
            for source in [own, config] {
                if let Some(start) = special(source, key, spec)?.first() {
                    return Ok(generate.with_decoder_start(Some(*start)));
                }
            }
        }
        Ok(generate)
    }
}

/// The ids of a key, which must be in the vocabulary.
fn special(config: &ModelConfig, key: &str, spec: &ModelSpec) -> Result<Vec<u32>> {
    config.check_token_ids(key)?;
    let ids = config.token_ids(key);
    match ids.iter().find(|id| **id as usize >= spec.vocab_size) {
        Some(id) => {
            let message = format!("found {id}, outside the vocabulary of {}", spec.vocab_size);
            Err(config.error(key, message))
        }
        None => Ok(ids),
    }
}
