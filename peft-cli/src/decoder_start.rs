//! The token from which the decoder of an encoder-decoder starts.

use peft_models::{
    Loaded,
    generate::{GenerateConfig, trained_start},
};

use crate::output;

/// Warns where the decoder of an encoder-decoder starts from another token in generation than in training, and where it
/// cannot start at all.
pub fn note(base: &Loaded) {
    let Some(trained) = trained_start(&base.config) else { return };
    if !base.model.spec().is_encoder_decoder() {
        return;
    }
    match GenerateConfig::for_model(base, 1) {
        Ok(config) => {
            let Some(generated) = config.decoder_start.filter(|start| *start != trained) else {
                return;
            };
            output::note(format!(
                "warning: {}: as in transformers, the decoder starts from the token {generated} in generation \
                 (generation_config.json), but from {trained} in training and in losses (config.json). To have {trained} in both, \
                 write \"decoder_start_token_id\": {trained} into generation_config.json",
                base.config.path().parent().unwrap_or(base.config.path()).display()
            ));
        }
        Err(error) => output::note(format!("warning: {error}")),
    }
}
