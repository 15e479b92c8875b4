//! In which type a model multiplies with its frozen matrices.

use std::{fmt, str::FromStr};

use peft_core::Error;
use serde::{Deserialize, Serialize};

/// In which type a model multiplies with the frozen matrices of its linear layers, forward and backward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compute {
    /// f32.
    #[default]
    F32,
    /// Both factors are rounded to bfloat16, and products are added in f32. Norms, attention, the loss, virtual tokens,
    /// trained heads and the optimizer stay in f32. It needs a processor with AMX-BF16 or AVX512-BF16, and memory for
    /// copies of the matrices: 2 bytes per parameter, and as much again for training.
    Bf16,
}

impl Compute {
    /// All types.
    pub const ALL: [Self; 2] = [Self::F32, Self::Bf16];

    /// Whether factors are rounded.
    pub const fn is_rounded(self) -> bool {
        matches!(self, Self::Bf16)
    }

    /// The name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Compute {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|compute| compute.name() == text).ok_or_else(|| {
            Error::setting("compute", format!("found {text:?}, expected {}", known()))
        })
    }
}
