//! A frozen linear layer.

use burn::tensor::Tensor;
use peft_core::{
    Result,
    contract::loss::{at_least_f32, check_classes, smoothed_cross_entropy_sum},
};

use super::Activation;
use crate::{
    compute::Compute,
    kernels::{self, Bf16Copies, Nonlinearity},
    named_tensors::named_tensors,
    weights::{Matrix, Weights},
};

/// `y = x Wᵀ + b`, with W as `[out, in]`, or as several such matrices whose outputs stand side by side.
#[derive(Clone, Debug)]
pub struct Linear {
    weights: Vec<Matrix>,
    bias: Option<Tensor<1>>,
    /// The weights in bf16, if products are.
    copies: Option<Bf16Copies>,
}

/// The place of copies, for products in this type; kernels that cannot read the matrices use none.
fn copies(compute: Compute) -> Option<Bf16Copies> {
    (compute == Compute::Bf16).then(Bf16Copies::new).flatten()
}

named_tensors!(Linear { weights, bias });

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
        Ok(Self { weights: vec![weight], bias, copies: copies(weights.compute()) })
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
        let weight = weights.take_transposed(&format!("{name}.weight"), [output, input])?;
        let bias = Some(weights.take(&format!("{name}.bias"), [output])?);
        Ok(Self { weights: vec![weight], bias, copies: copies(weights.compute()) })
    }

    /// A layer whose matrix `[out, in]` is used elsewhere too: a head tied to the embedding.
    pub fn tied(weight: Matrix, compute: Compute) -> Self {
        Self { weights: vec![weight], bias: None, copies: copies(compute) }
    }

    /// The same with another bias.
    #[must_use]
    pub fn with_bias(mut self, bias: Option<Tensor<1>>) -> Self {
        self.bias = bias;
        self
    }

    /// Several layers with the same input as one, whose outputs stand side by side. All have a bias, or none has.
    ///
    /// If kernels read the weights in place, they stay where they are, which may be the file. Otherwise they are copied
    /// into one matrix, for one product.
    pub fn side_by_side(layers: Vec<Self>) -> Self {
        let biases: Option<Vec<_>> = layers.iter().map(|layer| layer.bias.clone()).collect();
        // One copy of all of them, in place of one of each.
        let is_rounded = layers.iter().any(|layer| layer.copies.is_some());
        let weights: Vec<_> = layers.into_iter().flat_map(|layer| layer.weights).collect();
        let stay = kernels::reads_in_place(&weights);
        Self {
            weights: if stay { weights } else { Matrix::concatenate(weights) },
            bias: biases.map(|biases| Tensor::cat(biases, 0)),
            copies: is_rounded.then(Bf16Copies::new).flatten(),
        }
    }

    /// `[.., in]` to `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if let Some(y) = self.by_kernel(&x, None) {
            return y;
        }
        if let [weight] = self.weights.as_slice() {
            return weight.linear(x, self.bias.clone());
        }
        let each = self.weights.iter().map(|weight| weight.linear(x.clone(), None));
        let y = Tensor::cat(each.collect(), D - 1);
        match &self.bias {
            Some(bias) => y + bias.clone().unsqueeze(),
            None => y,
        }
    }

    fn by_kernel<const D: usize>(
        &self,
        x: &Tensor<D>,
        function: Option<Nonlinearity>,
    ) -> Option<Tensor<D>> {
        let (copies, bias) = (self.copies.as_ref(), self.bias.as_ref());
        kernels::apply_linear(x, &self.weights, copies, bias, function)
    }

    /// `f(x W + b)`.
    pub fn activated<const D: usize>(&self, x: Tensor<D>, activation: Activation) -> Tensor<D> {
        if let Some(function) = activation.nonlinearity()
            && let Some(y) = self.by_kernel(&x, Some(function))
        {
            return y;
        }
        activation.forward(self.forward(x))
    }

    /// `residual + x W + b`.
    pub fn onto<const D: usize>(&self, residual: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
        let (copies, bias) = (self.copies.as_ref(), self.bias.as_ref());
        if let Some(y) = kernels::linear_onto(&residual, &x, &self.weights, copies, bias) {
            return y;
        }
        residual + self.forward(x)
    }

    /// The cross entropy of a language-model head: the sum over rows `[M, H]` of the negative log-likelihood of their
    /// targets, smoothed as in [`smoothed_cross_entropy_sum`].
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Mismatch`] for a target that is not below V.
    pub fn cross_entropy(
        &self,
        hidden: Tensor<2>,
        targets: &[usize],
        label_smoothing: f64,
    ) -> Result<Tensor<1>> {
        let classes = self.weights.iter().map(|weight| weight.dims()[0]).sum();
        check_classes(targets, classes)?;
        let (weights, copies, bias) = (&self.weights, self.copies.as_ref(), self.bias.as_ref());
        if let Some(loss) =
            kernels::lm_cross_entropy(&hidden, weights, copies, bias, targets, label_smoothing)
        {
            return Ok(loss);
        }
        let logits = at_least_f32(self.forward(hidden));
        smoothed_cross_entropy_sum(logits, targets, None, label_smoothing)
    }
}
