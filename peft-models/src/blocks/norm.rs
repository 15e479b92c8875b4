//! Normalisation over the last dimension.

use burn::tensor::{Tensor, module::layer_norm};
use peft_core::{NamedTensors, Result};

use crate::weights::Weights;

/// `(x - mean) / sqrt(var + ε) * γ + β`.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    scale: Tensor<1>,
    shift: Tensor<1>,
    epsilon: f64,
}

impl LayerNorm {
    /// Loads `name.weight` and `name.bias`.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Tensor`] for a missing or misshapen tensor.
    pub fn load(weights: &mut Weights, name: &str, size: usize, epsilon: f64) -> Result<Self> {
        Ok(Self {
            scale: weights.take(&format!("{name}.weight"), [size])?,
            shift: weights.take(&format!("{name}.bias"), [size])?,
            epsilon,
        })
    }

    /// Adds its tensors to `into`, under `name`.
    pub fn collect(&self, name: &str, into: &mut NamedTensors) {
        into.insert(format!("{name}.weight"), self.scale.to_data());
        into.insert(format!("{name}.bias"), self.shift.to_data());
    }

    /// `[.., H]` to `[.., H]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        layer_norm(x, self.scale.clone(), Some(self.shift.clone()), self.epsilon)
    }
}

/// `x / sqrt(mean(x²) + ε) * γ`.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    scale: Tensor<1>,
    epsilon: f64,
}

impl RmsNorm {
    /// Loads `name.weight`.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Tensor`] for a missing or misshapen tensor.
    pub fn load(weights: &mut Weights, name: &str, size: usize, epsilon: f64) -> Result<Self> {
        Ok(Self { scale: weights.take(&format!("{name}.weight"), [size])?, epsilon })
    }

    /// Adds its tensor to `into`, under `name`.
    pub fn collect(&self, name: &str, into: &mut NamedTensors) {
        into.insert(format!("{name}.weight"), self.scale.to_data());
    }

    /// `[.., H]` to `[.., H]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let rms = x.clone().square().mean_dim(D - 1).add_scalar(self.epsilon).sqrt();
        x / rms * self.scale.clone().unsqueeze()
    }
}
