//! Normalisation over the last dimension.

use burn::tensor::{Tensor, module::layer_norm};
use peft_core::Result;

use crate::{kernels, named_tensors::named_tensors, weights::Weights};

/// `(x - mean) / sqrt(var + ε) * γ + β`.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
}

named_tensors!(LayerNorm { weight, bias });

impl LayerNorm {
    /// Loads `name.weight` and `name.bias`.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Tensor`] for a missing or misshapen tensor.
    pub fn load(weights: &mut Weights, name: &str, size: usize, epsilon: f64) -> Result<Self> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), [size])?,
            bias: weights.take(&format!("{name}.bias"), [size])?,
            epsilon,
        })
    }

    /// `[.., H]` to `[.., H]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if let Some(y) = kernels::normalize(&x, &self.weight, Some(&self.bias), self.epsilon) {
            return y;
        }
        layer_norm(x, self.weight.clone(), Some(self.bias.clone()), self.epsilon)
    }
}

/// `x / sqrt(mean(x²) + ε) * γ`.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    weight: Tensor<1>,
    epsilon: f64,
}

named_tensors!(RmsNorm { weight });

impl RmsNorm {
    /// Loads `name.weight`.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Tensor`] for a missing or misshapen tensor.
    pub fn load(weights: &mut Weights, name: &str, size: usize, epsilon: f64) -> Result<Self> {
        Ok(Self { weight: weights.take(&format!("{name}.weight"), [size])?, epsilon })
    }

    /// `[.., H]` to `[.., H]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if let Some(y) = kernels::normalize(&x, &self.weight, None, self.epsilon) {
            return y;
        }
        let rms = x.clone().square().mean_dim(D - 1).add_scalar(self.epsilon).sqrt();
        x / rms * self.weight.clone().unsqueeze()
    }
}
