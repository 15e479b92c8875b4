//! What makes the rows of a prompt while it is trained.

use peft_prompt::EncoderConfig;
use serde::{Deserialize, Serialize};

/// A value of `--reparameterization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Reparameterization {
    /// Nothing: the rows themselves are trained.
    None,
    /// An MLP, as in P-tuning.
    Mlp,
    /// A bidirectional LSTM and an MLP, as in P-tuning.
    Lstm,
}

impl Reparameterization {
    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mlp => "mlp",
            Self::Lstm => "lstm",
        }
    }

    /// The encoder with its defaults.
    pub fn encoder(self) -> Option<EncoderConfig> {
        match self {
            Self::None => None,
            Self::Mlp => Some(EncoderConfig::mlp()),
            Self::Lstm => Some(EncoderConfig::lstm()),
        }
    }
}
