//! In which type a model multiplies with its frozen matrices.

use std::{fmt, str::FromStr};

use burn::tensor::DType;
use peft_core::Error;
use serde::{Deserialize, Serialize};

/// In which type a model multiplies with the frozen matrices of its linear layers, forward and backward: both factors are
/// in it. Norms, attention, residuals, the loss, virtual tokens, trained heads and the optimizer are in f32, whatever
/// it is.
///
/// On the CPU, kernels multiply copies of the matrices, and add in f32. Elsewhere, and on the CPU without kernels
/// (`PEFT_KERNELS=off`), the matrices themselves, with those of embeddings, are kept in this type, and results have it
/// until they are cast to f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compute {
    /// f32.
    #[default]
    F32,
    /// bfloat16: 8 bits of mantissa, the exponents of f32. With kernels it needs a processor with AMX-BF16 or AVX512-BF16,
    /// and memory for copies of the matrices: 2 bytes per parameter, and as much again for training. Without, a device
    /// that computes in it, and 2 bytes per parameter in place of 4.
    Bf16,
    /// IEEE half precision: 11 bits of mantissa, up to 65504. Kernels have none. Training scales its loss, since small
    /// gradients would be zero ([`FrozenModel::scales_loss`](peft_core::FrozenModel::scales_loss)).
    F16,
}

impl Compute {
    /// All types.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::F16];

    /// Whether factors are rounded.
    pub const fn is_rounded(self) -> bool {
        !matches!(self, Self::F32)
    }

    /// The type itself.
    pub const fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }

    /// Bytes of a number.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }

    /// The name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
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
        Self::ALL
            .into_iter()
            .find(|compute| compute.name() == text)
            .ok_or_else(|| Error::setting("dtype", format!("found {text:?}, expected {}", known())))
    }
}
