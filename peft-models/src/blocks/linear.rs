//! A frozen affine map.

use burn::tensor::{Tensor, module::linear};
use peft_core::Result;

use super::{Activation, Matrix, part::parts};
#[cfg(feature = "cpu")]
use crate::kernels;
use crate::weights::Weights;

/// `y = x Wᵀ + b`, with W as `[out, in]`.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Matrix,
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
        let weight = weights.take_matrix(&format!("{name}.weight"), [output, input])?;
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
        let weight = weights.take(&format!("{name}.weight"), [input, output])?.transpose();
        let bias = Some(weights.take(&format!("{name}.bias"), [output])?);
        Ok(Self { weight: Matrix::new(weight, weights.format()), bias })
    }

    /// A map from a matrix that is stored elsewhere too: a head tied to the embedding `[out, in]`.
    pub fn tied(weight: Matrix) -> Self {
        Self { weight, bias: None }
    }

    /// Several maps of the same rows as one, whose outputs stand side by side. All have a bias, or none has.
    pub fn side_by_side(maps: Vec<Self>) -> Self {
        let biases: Option<Vec<_>> = maps.iter().map(|map| map.bias.clone()).collect();
        let weights = maps.into_iter().map(|map| map.weight).collect();
        Self {
            weight: Matrix::below_one_another(weights),
            bias: biases.map(|biases| Tensor::cat(biases, 0)),
        }
    }

    /// `[.., in]` to `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "cpu")]
        if kernels::serve(&x)
            && let Some(y) = self.kernel(&x, None)
        {
            return y;
        }
        let weight = self.weight.full(x.dtype()).transpose();
        linear(x, weight, self.bias.clone())
    }

    /// `f(x W + b)`.
    pub fn activated<const D: usize>(&self, x: Tensor<D>, activation: Activation) -> Tensor<D> {
        #[cfg(feature = "cpu")]
        if kernels::serve(&x)
            && let Some(function) = activation.kernel()
            && let Some(y) = self.kernel(&x, Some(function))
        {
            return y;
        }
        activation.forward(self.forward(x))
    }

    /// `residual + x W + b`.
    pub fn onto<const D: usize>(&self, residual: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "cpu")]
        if kernels::serve(&x)
            && let Some(weight) = self.weight.kernel()
            && let Some(y) = kernels::linear::linear_onto(
                x.clone(),
                weight,
                self.bias.as_ref(),
                residual.clone(),
            )
        {
            return y;
        }
        residual + self.forward(x)
    }

    #[cfg(feature = "cpu")]
    fn kernel<const D: usize>(
        &self,
        x: &Tensor<D>,
        function: Option<kernels::activation::Nonlinearity>,
    ) -> Option<Tensor<D>> {
        kernels::linear::linear(x.clone(), self.weight.kernel()?, self.bias.as_ref(), function)
    }

    /// The cross entropy of a language-model head without a bias: the sum over rows `[M, H]` of the negative
    /// log-likelihood of their targets. `None` where no kernel does it.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Mismatch`] for a target that is not below V.
    pub fn cross_entropy(
        &self,
        hidden: &Tensor<2>,
        targets: &[usize],
    ) -> Result<Option<Tensor<1>>> {
        peft_core::loss::check_classes(targets, self.weight.dims()[0])?;
        #[cfg(feature = "cpu")]
        if kernels::serve(hidden) && self.bias.is_none() {
            return Ok(self.weight.kernel().map(|weight| {
                kernels::cross_entropy::cross_entropy(hidden.clone(), weight, targets)
            }));
        }
        #[cfg(not(feature = "cpu"))]
        let _ = hidden;
        Ok(None)
    }
}
