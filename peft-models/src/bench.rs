//! What the benchmarks of the workspace measure: blocks, with kernels or without.

use burn::tensor::Tensor;

pub use crate::blocks::{Activation, Heads, LayerNorm, RmsNorm, SelfAttention};
use crate::{
    blocks::Linear,
    compute::Compute,
    weights::{Matrix, WeightFormat},
};

/// `x W`, with W as `[in, out]`, in whatever order it lies in memory.
pub fn linear(x: Tensor<2>, weight: &Tensor<2>) -> Tensor<2> {
    Product::new(weight, Compute::F32).of(x)
}

/// Products with one frozen matrix.
#[derive(Debug)]
pub struct Product(Linear);

impl Product {
    /// With W as `[in, out]`, in whatever order it lies in memory, multiplied in a type: of 16 bits, as kernels do.
    pub fn new(weight: &Tensor<2>, compute: Compute) -> Self {
        let weight = Matrix::new(weight.clone().transpose(), WeightFormat::F32);
        Self(Linear::tied(weight, compute))
    }

    /// `x W`.
    pub fn of(&self, x: Tensor<2>) -> Tensor<2> {
        self.0.forward(x)
    }
}
