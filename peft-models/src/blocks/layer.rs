//! One layer as a function of what may be trained.

use burn::tensor::Tensor;

use crate::kernels::{self, LayerInputs};

/// The layer's output, `body` of these inputs.
///
/// With `recompute`, by gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): nothing that `body` computes is
/// kept for the backward pass, which runs it again. That is one more forward pass of the layer for the memory of all
/// that is inside it. The results are the same, up to the rounding of sums if a decoder reads an encoder. The inputs
/// must be on flex.
pub fn run_layer(
    inputs: LayerInputs,
    recompute: bool,
    body: impl Fn(LayerInputs) -> Tensor<3> + Send + Sync + 'static,
) -> Tensor<3> {
    if recompute { kernels::checkpointed(inputs, body) } else { body(inputs) }
}
