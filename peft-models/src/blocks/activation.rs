//! Activation functions, by the names that configs give them.

use burn::tensor::{Tensor, activation};
use peft_core::Result;

use crate::config::ModelConfig;

/// The nonlinearity of a feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x Φ(x)`, with the error function.
    Gelu,
    /// GELU through tanh: `gelu_new`, `gelu_pytorch_tanh`, `gelu_fast`.
    GeluTanh,
    /// `x σ(1.702 x)`.
    QuickGelu,
    /// `max(x, 0)`.
    Relu,
    /// `x σ(x)`, also called swish.
    Silu,
    /// `tanh x`.
    Tanh,
}

impl Activation {
    /// The activation that a config names under `key`.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Config`] naming an unknown one.
    pub fn from_config(config: &ModelConfig, key: &str, default: &str) -> Result<Self> {
        Ok(match config.text(key, default)? {
            "gelu" => Self::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Self::GeluTanh,
            "quick_gelu" => Self::QuickGelu,
            "relu" => Self::Relu,
            "silu" | "swish" => Self::Silu,
            "tanh" => Self::Tanh,
            other => {
                let known = "gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, quick_gelu, relu, silu, \
                             swish, tanh";
                return Err(config.bad(key, format!("found {other:?}, expected one of {known}")));
            }
        })
    }

    /// Applies it element by element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Gelu => activation::gelu(x),
            Self::GeluTanh => activation::gelu_approximate(x),
            Self::QuickGelu => x.clone() * activation::sigmoid(x.mul_scalar(1.702)),
            Self::Relu => activation::relu(x),
            Self::Silu => activation::silu(x),
            Self::Tanh => x.tanh(),
        }
    }
}
