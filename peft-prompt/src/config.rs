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
        Self::new(20)
    }
}

impl PromptConfig {
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
    /// [`Error::Setting`] naming the flag.
    pub fn validate(&self) -> Result<()> {
        if self.num_virtual_tokens == 0 {
            return Err(Error::setting("--num-virtual-tokens", "found 0, expected at least 1"));
        }
        Ok(())
    }
}
