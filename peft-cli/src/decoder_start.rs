//! The token from which the decoder of an encoder-decoder starts.

use peft_models::{
    Loaded,
    generate::{GenerateConfig, GenerationDefaults, trained_start},
};

use crate::output;

/// Warns where the decoder of an encoder-decoder starts from another token in generation than in training, and where it
/// cannot start at all.
pub fn note(base: &Loaded) {
    let Some(trained) = trained_start(&base.config) else { return };
    if !base.model.spec().is_encoder_decoder() {
        return;
    }
    let config = &base.config;
    let decided = GenerateConfig::for_model(base, 1)
        .and_then(|found| Ok((found.decoder_start, GenerationDefaults::of(base)?.file_name())));
    match decided {
        Ok((start, file)) => {
            let Some(generated) = start.filter(|start| *start != trained) else { return };
            let by = match config.has("decoder_start_token_id") {
                true => "config.json",
                false => "its class in transformers",
            };
            output::note(format!(
                "warning: {}: as in transformers, the decoder starts from the token {generated} in generation ({file}), but \
                 from {trained} in training and in losses ({by}). To have {trained} in both, write \
                 \"decoder_start_token_id\": {trained} into {file}",
                config.path().parent().unwrap_or(config.path()).display()
            ));
        }
        Err(error) => output::note(format!("warning: {error}")),
    }
}
