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
    let weight = Matrix::new(weight.clone().transpose(), WeightFormat::F32);
    Linear::tied(weight, Compute::F32).forward(x)
}
