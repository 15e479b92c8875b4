//! Settings of prompt tuning.

use peft_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::EncoderConfig;

/// Settings of [`PromptTuning`](crate::PromptTuning).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PromptConfig {
    /// P: rows of the prompt. Default 20; the paper uses 100, and finds little to gain beyond 20.
    pub num_virtual_tokens: usize,
    /// The encoder that makes the rows during training, as in P-tuning. Default `None`: the rows themselves are trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderConfig>,
}

impl Default for PromptConfig {
    fn default() -> Self {
        Self::new(Self::DEFAULT_NUM_VIRTUAL_TOKENS)
    }
}

impl PromptConfig {
    /// The default P.
    pub const DEFAULT_NUM_VIRTUAL_TOKENS: usize = 20;

    /// AdamW's default learning rate. An encoder amplifies each step, so with one it is smaller.
    pub const fn default_lr(encoder: bool) -> f64 {
        if encoder { 1e-3 } else { 3e-2 }
    }

    /// A prompt of P rows.
    pub fn new(num_virtual_tokens: usize) -> Self {
        Self { num_virtual_tokens, encoder: None }
    }

    /// Sets P.
    #[must_use]
    pub fn with_num_virtual_tokens(mut self, num_virtual_tokens: usize) -> Self {
        self.num_virtual_tokens = num_virtual_tokens;
        self
    }

    /// Sets the encoder, `None` for none.
    #[must_use]
    pub fn with_encoder(mut self, encoder: Option<EncoderConfig>) -> Self {
        self.encoder = encoder;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the field.
    pub fn validate(&self) -> Result<()> {
        if self.num_virtual_tokens == 0 {
            return Err(Error::setting("num_virtual_tokens", "found 0, expected at least 1"));
        }
        self.encoder.as_ref().map_or(Ok(()), EncoderConfig::validate)
    }
}
