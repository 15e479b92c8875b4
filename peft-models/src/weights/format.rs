//! How the large matrices of a frozen model are kept in memory.

use std::{fmt, str::FromStr};

use peft_core::Error;
use serde::{Deserialize, Serialize};

/// How the large matrices of a frozen model (linear layers and the embedding) are kept in memory. Whatever the format,
/// the model computes in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightFormat {
    /// As a GGUF file stores them, in place, on the CPU with its kernels; f32 for all other files and devices.
    #[default]
    Auto,
    /// f32, upcast if the file has fewer bits: 4 bytes per parameter.
    F32,
    /// bfloat16, 8 bits of mantissa: 2 bytes per parameter. Lossless if the file is in bf16.
    Bf16,
    /// 8 bits, with one scale per output or token: 1 byte per parameter. The numbers are the same on every device.
    Int8,
}

impl WeightFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Auto, Self::F32, Self::Bf16, Self::Int8];

    /// Whether values may differ from those of the file.
    pub const fn is_rounded(self) -> bool {
        matches!(self, Self::Bf16 | Self::Int8)
    }

    /// The name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for WeightFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| {
            Error::setting("base_weights", format!("found {text:?}, expected {}", known()))
        })
    }
}
