//! What the CPU does in place of Burn's general operations, where weights are frozen.
//!
//! Each kernel is a function of tensors with a gradient written by hand: of the inputs alone, as nothing else is
//! trained. They run where f32 tensors are on Burn's `flex`; elsewhere, and where they are turned off, the blocks
//! compute the same with Burn's own operations.
//!
//! | file | what it is |
//! |---|---|
//! | `linear` | affine maps, with an activation or onto a residual |
//! | `activation` | GELU, SiLU, ReLU, SwiGLU's product |
//! | `norm` | LayerNorm and RMSNorm |
//! | `rotate` | rotary positions |
//! | `attention` | attention over `[virtual tokens \| tokens]` |
//! | `cross_entropy` | a language-model head with its loss |
//! | `frozen` | frozen matrices, also in fewer bits |
//! | `recompute` | layers of which only the inputs are kept for the way back |
//! | `node` | how these become operations of Burn |
//! | `product`, `tiles`, `turned`, `parallel`, `simd`, `tensors` | what they are made of |
//!
//! Products are those of the `gemm` crate, with AVX-512 where the machine has it; where weights lie as PyTorch stores
//! them they are turned first (`turned`), or for few rows made of dot products (`tiles`). `PEFT_KERNELS=off` turns
//! all kernels off, and [`set_enabled`] does so for a test.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod cross_entropy;
mod frozen;
pub(crate) mod linear;
mod node;
pub(crate) mod norm;
mod parallel;
mod product;
pub(crate) mod recompute;
pub(crate) mod rotate;
mod simd;
mod tensors;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tiles;
#[cfg(target_arch = "x86_64")]
mod turned;

use std::sync::{
    LazyLock,
    atomic::{AtomicBool, Ordering},
};

use burn::tensor::{DType, Device, Tensor};
pub(crate) use frozen::Frozen;

static ENABLED: LazyLock<AtomicBool> = LazyLock::new(|| {
    let off = std::env::var_os("PEFT_KERNELS").is_some_and(|value| value == "off");
    AtomicBool::new(!off)
});

/// Turns the kernels on or off, for the whole process.
pub fn set_enabled(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Whether kernels are turned on.
pub fn enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Whether a kernel is to compute with `x`.
pub(crate) fn serve<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32
        && x.dims().iter().all(|size| *size > 0)
        && enabled()
        && x.device() == Device::flex()
}

/// What the benchmarks of the workspace measure: parts that compute with kernels or, where these are turned
/// off, without.
#[doc(hidden)]
pub mod bench {
    use burn::tensor::Tensor;

    pub use crate::blocks::{Activation, Heads, LayerNorm, RmsNorm, SelfAttention};
    use crate::{
        blocks::{Linear, Matrix},
        weights::WeightFormat,
    };

    /// `x W`, with W as `[in, out]`, in whatever order it lies in memory.
    pub fn affine(x: Tensor<2>, weight: &Tensor<2>) -> Tensor<2> {
        let weight = Matrix::new(weight.clone().transpose(), WeightFormat::F32);
        Linear::tied(weight).forward(x)
    }
}
