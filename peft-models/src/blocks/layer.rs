//! One layer as a function of what may be trained.

use burn::tensor::Tensor;
use peft_core::LayerTape;

use crate::kernels::{self, LayerInputs};

/// Whether a layer runs again in the backward pass, so that nothing but its inputs is kept: gradient checkpointing (Chen et
/// al. 2016, arXiv 1604.06174). That is one more forward pass of the layer for the memory of all that is inside it. The
/// results are the same, up to the rounding of sums if a decoder reads an encoder.
#[derive(Clone, Debug)]
pub enum Recompute {
    /// No.
    No,
    /// By an operation of the CPU backend, flex, whose backward pass runs the layer.
    InPlace,
    /// By the caller of the pass, who goes through its layers one by one, on any device.
    Taped(LayerTape),
}

impl Recompute {
    /// How a pass does it: with a tape if there is one, otherwise only if `is_asked` for, on flex.
    pub fn new(is_asked: bool, tape: Option<LayerTape>, x: &Tensor<3>) -> Self {
        match tape {
            Some(tape) => Self::Taped(tape),
            None if is_asked && kernels::unavailable(&x.device()).is_none() => Self::InPlace,
            None => Self::No,
        }
    }
}

/// The layer's output, `body` of these inputs.
pub fn run_layer(
    inputs: LayerInputs,
    recompute: &Recompute,
    body: impl Fn(LayerInputs) -> Tensor<3> + Send + Sync + 'static,
) -> Tensor<3> {
    match recompute {
        Recompute::InPlace => kernels::checkpointed(inputs, body),
        Recompute::Taped(tape) if inputs.need_gradient() => {
            let inputs = LayerInputs { x: tape.cut(inputs.x), ..inputs };
            let output = body(inputs.clone().without_autodiff());
            tape.layer(output, move || body(inputs))
        }
        Recompute::No | Recompute::Taped(_) => body(inputs),
    }
}
