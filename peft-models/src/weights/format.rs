//! How the large matrices of a frozen model are kept in memory.

use std::{fmt, str::FromStr};

use peft_core::Error;
use serde::{Deserialize, Serialize};

/// How the large matrices of a frozen model (its maps and its embedding) are kept. They are computed with in f32
/// whatever it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightFormat {
    /// As they are in the file, widened to f32: 4 bytes a number.
    #[default]
    F32,
    /// bfloat16, 8 bits of mantissa: 2 bytes a number. Lossless where the file is in bf16.
    Bf16,
    /// 8 bits, with a scale for each output or token: 1 byte a number.
    Int8,
}

impl WeightFormat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    /// The name that flags use.
    pub const fn name(self) -> &'static str {
        match self {
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
            Error::setting("--base-weights", format!("found {text:?}, expected {}", known()))
        })
    }
}
