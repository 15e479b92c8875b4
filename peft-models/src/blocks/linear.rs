//! A frozen affine map.

use burn::tensor::{Tensor, module::linear};
use peft_core::{Result, contract::loss::{at_least_f32, check_classes, cross_entropy_sum}};

use super::{Activation, Matrix, part::parts};
#[cfg(feature = "cpu")]
use crate::kernels;
use crate::weights::Weights;

/// `y = x Wᵀ + b`, with W as `[out, in]`, or as several such whose outputs stand side by side.
#[derive(Clone, Debug)]
pub struct Linear {
    weights: Vec<Matrix>,
    bias: Option<Tensor<1>>,
}

parts!(Linear { weights, bias });

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
        Ok(Self { weights: vec![weight], bias })
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
        Ok(Self { weights: vec![Matrix::new(weight, weights.format())], bias })
    }

    /// A map from a matrix that is stored elsewhere too: a head tied to the embedding `[out, in]`.
    pub fn tied(weight: Matrix) -> Self {
        Self { weights: vec![weight], bias: None }
    }

    /// The same with another bias.
    #[must_use]
    pub fn with_bias(mut self, bias: Option<Tensor<1>>) -> Self {
        self.bias = bias;
        self
    }

    /// Several maps of the same rows as one, whose outputs stand side by side. All have a bias, or none has.
    ///
    /// Where a kernel reads weights one after another they stay where they are, which may be the file. Elsewhere
    /// they are copied into one, for one product.
    pub fn side_by_side(maps: Vec<Self>) -> Self {
        let biases: Option<Vec<_>> = maps.iter().map(|map| map.bias.clone()).collect();
        let weights: Vec<_> = maps.into_iter().flat_map(|map| map.weights).collect();
        #[cfg(feature = "cpu")]
        let stay = weights.iter().all(|weight| weight.kernel().is_some());
        #[cfg(not(feature = "cpu"))]
        let stay = false;
        Self {
            weights: if stay { weights } else { vec![Matrix::below_one_another(weights)] },
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
        let map =
            |weight: &Matrix, bias| linear(x.clone(), weight.full(x.dtype()).transpose(), bias);
        if let [weight] = self.weights.as_slice() {
            return map(weight, self.bias.clone());
        }
        let y = Tensor::cat(self.weights.iter().map(|weight| map(weight, None)).collect(), D - 1);
        match &self.bias {
            Some(bias) => y + bias.clone().unsqueeze(),
            None => y,
        }
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
            && let Some(weights) = self.frozen()
            && let Some(y) = kernels::linear::linear_onto(
                x.clone(),
                weights,
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
        kernels::linear::linear(x.clone(), self.frozen()?, self.bias.as_ref(), function)
    }

    /// The weights as kernels read them.
    #[cfg(feature = "cpu")]
    fn frozen(&self) -> Option<Vec<kernels::Frozen>> {
        self.weights.iter().map(Matrix::kernel).collect()
    }

    /// The cross entropy of a language-model head: the sum over rows `[M, H]` of the negative log-likelihood of their
    /// targets.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Mismatch`] for a target that is not below V.
    pub fn cross_entropy(&self, hidden: Tensor<2>, targets: &[usize]) -> Result<Tensor<1>> {
        let classes = self.weights.iter().map(|weight| weight.dims()[0]).sum();
        check_classes(targets, classes)?;
        #[cfg(feature = "cpu")]
        if kernels::serve(&hidden)
            && let [head] = self.weights.as_slice()
            && let Some(head) = head.kernel()
            && let Some(loss) = kernels::cross_entropy::cross_entropy(
                hidden.clone(),
                head,
                self.bias.as_ref(),
                targets,
            )
        {
            return Ok(loss);
        }
        cross_entropy_sum(at_least_f32(self.forward(hidden)), targets)
    }
}
