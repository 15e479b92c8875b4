//! Settings of prompt tuning.

use peft_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Settings of [`PromptTuning`](crate::PromptTuning).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PromptConfig {
    /// P: rows of the prompt; 20. The paper uses 100, and finds little to gain beyond 20.
    pub num_virtual_tokens: usize,
}

impl Default for PromptConfig {
    fn default() -> Self {
        Self::new(Self::DEFAULT_NUM_VIRTUAL_TOKENS)
    }
}

impl PromptConfig {
    /// P where none is given.
    pub const DEFAULT_NUM_VIRTUAL_TOKENS: usize = 20;

    /// AdamW's learning rate where none is given.
    pub const DEFAULT_LR: f64 = 0.03;

    /// A prompt of P rows.
    pub fn new(num_virtual_tokens: usize) -> Self {
        Self { num_virtual_tokens }
    }

    /// Sets P.
    #[must_use]
    pub fn with_num_virtual_tokens(mut self, num_virtual_tokens: usize) -> Self {
        self.num_virtual_tokens = num_virtual_tokens;
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
        Ok(())
    }
}
