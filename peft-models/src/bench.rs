//! What the benchmarks of the workspace measure: blocks, with kernels or without.

use burn::tensor::Tensor;

use crate::{
    blocks::Linear,
    weights::{Matrix, WeightFormat},
};
pub use crate::{
    blocks::{Activation, LayerNorm, RmsNorm, SelfAttention},
    kernels::Heads,
};

/// `x W`, with W as `[in, out]`, in whatever order it lies in memory.
pub fn linear(x: Tensor<2>, weight: &Tensor<2>) -> Tensor<2> {
    let weight = Matrix::new(weight.clone().transpose(), WeightFormat::F32);
    Linear::tied(weight).forward(x)
}
