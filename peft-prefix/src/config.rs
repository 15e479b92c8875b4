//! Settings of prefix tuning.

use peft_core::{
    Error, ModelSpec, Result,
    methods::prefix::{MlpSizes, Placement, Slot},
};
use serde::{Deserialize, Serialize};

/// Settings of [`PrefixTuning`](crate::PrefixTuning).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrefixConfig {
    /// P: length of the prefix; 10. The paper has 10 as the best length for tables, 200 for summaries.
    pub num_virtual_tokens: usize,
    /// Whether keys and values come from an MLP while training lasts; true. Without it they are free
    /// parameters, which the paper found less stable.
    pub prefix_projection: bool,
    /// E: width of the MLP's input; H, as in the paper, where it is not given. PEFT has K * D.
    pub embedding_size: Option<usize>,
    /// M: width of the MLP's hidden layer; 512, the paper's for tables (800 for summaries).
    pub hidden_size: usize,
    /// Share of the prefix's keys and values that a training step leaves out; 0, as in the paper.
    pub dropout: f64,
    /// On an encoder-decoder: the attention sites that get a prefix, all three as in the paper, and how
    /// positions go on after it.
    #[serde(flatten)]
    pub placement: Placement,
}

impl Default for PrefixConfig {
    fn default() -> Self {
        Self::new(10)
    }
}

impl PrefixConfig {
    /// A prefix of P virtual tokens through the MLP.
    pub fn new(num_virtual_tokens: usize) -> Self {
        Self {
            num_virtual_tokens,
            prefix_projection: true,
            embedding_size: None,
            hidden_size: 512,
            dropout: 0.0,
            placement: Placement::default(),
        }
    }

    /// Sets P.
    #[must_use]
    pub fn with_num_virtual_tokens(mut self, num_virtual_tokens: usize) -> Self {
        self.num_virtual_tokens = num_virtual_tokens;
        self
    }

    /// Sets whether keys and values come from an MLP.
    #[must_use]
    pub fn with_prefix_projection(mut self, prefix_projection: bool) -> Self {
        self.prefix_projection = prefix_projection;
        self
    }

    /// Sets E, `None` for H.
    #[must_use]
    pub fn with_embedding_size(mut self, embedding_size: Option<usize>) -> Self {
        self.embedding_size = embedding_size;
        self
    }

    /// Sets M.
    #[must_use]
    pub fn with_hidden_size(mut self, hidden_size: usize) -> Self {
        self.hidden_size = hidden_size;
        self
    }

    /// Sets the dropout of keys and values.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// Sets where the prefix goes on an encoder-decoder.
    #[must_use]
    pub fn with_placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag.
    pub fn validate(&self) -> Result<()> {
        for (flag, size) in [
            ("--num-virtual-tokens", self.num_virtual_tokens),
            ("--embedding-size", self.embedding_size.unwrap_or(1)),
            ("--prefix-hidden-size", self.hidden_size),
        ] {
            if size == 0 {
                return Err(Error::setting(flag, "found 0, expected at least 1"));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let message = format!("found {}, expected a number from 0 to below 1", self.dropout);
            return Err(Error::setting("--prefix-dropout", message));
        }
        Ok(())
    }

    /// Sizes of the MLP for one attention site of the model `spec`.
    pub(crate) fn sizes(&self, spec: &ModelSpec, slot: &Slot) -> MlpSizes {
        MlpSizes {
            virtual_tokens: self.num_virtual_tokens,
            embedding: self.embedding_size.unwrap_or(spec.hidden_size),
            hidden: self.hidden_size,
            output: slot.width(),
        }
    }
}
