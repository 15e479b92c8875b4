//! A frozen affine map.

use burn::tensor::{Tensor, module::linear};
use peft_core::Result;

use super::part::parts;
use crate::weights::Weights;

/// `y = x W + b`, with W as `[in, out]`.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
}

parts!(Linear { weight, bias });

impl Linear {
    /// Loads `name.weight`, stored `[out, in]` as PyTorch's `Linear` is, and `name.bias`.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Tensor`] for a missing or misshapen tensor.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        [input, output]: [usize; 2],
        bias: bool,
    ) -> Result<Self> {
        let weight = weights.take(&format!("{name}.weight"), [output, input])?.transpose();
        let bias = bias.then(|| weights.take(&format!("{name}.bias"), [output])).transpose()?;
        Ok(Self { weight, bias })
    }

    /// Loads `name.weight`, stored `[in, out]` as GPT-2's `Conv1D` is, and `name.bias`.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Tensor`] for a missing or misshapen tensor.
    pub fn load_conv1d(
        weights: &mut Weights,
        name: &str,
        [input, output]: [usize; 2],
    ) -> Result<Self> {
        let weight = weights.take(&format!("{name}.weight"), [input, output])?;
        let bias = Some(weights.take(&format!("{name}.bias"), [output])?);
        Ok(Self { weight, bias })
    }

    /// A map from a matrix that is stored elsewhere too: a head tied to the embedding `[out, in]`.
    pub fn tied(weight: Tensor<2>) -> Self {
        Self { weight: weight.transpose(), bias: None }
    }

    /// `[.., in]` to `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        linear(x, self.weight.clone(), self.bias.clone())
    }
}
