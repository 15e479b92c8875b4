//! What may be chosen when a model is loaded.

use burn::tensor::{DType, Device};
use peft_core::{Error, Result};

use crate::{compute::Compute, kernels, weights::WeightFormat};

/// How a model is loaded, and how it then computes.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): a forward pass with gradients keeps only the inputs
    /// of each layer, and the backward pass runs the layer again. It takes the memory of one layer's activations
    /// instead of all layers', and one more forward pass. Works for all families and methods, on the CPU (flex) only.
    /// The results are the same, up to the rounding of sums if the layers of a decoder read an encoder.
    pub recompute: bool,
    /// How the large matrices are kept in memory. Formats of fewer bits are for the CPU (flex) only, too.
    pub weights: WeightFormat,
    /// In which type it multiplies with them. [`Compute::Bf16`] is for the CPU (flex) with its kernels only, for models in
    /// f32.
    pub compute: Compute,
}

impl LoadOptions {
    /// Checks that `device` supports these options for a model of this type.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the option that it does not support.
    pub(crate) fn check(&self, device: &Device, dtype: DType) -> Result<()> {
        if self.compute.is_rounded() {
            let other_type = || {
                let message = format!("which is for models in f32; this one is in {dtype:?}");
                (dtype != DType::F32).then_some(message)
            };
            if let Some(reason) = kernels::why_no_bf16(device).or_else(other_type) {
                let message = format!("found {}, {reason}; expected f32", self.compute);
                return Err(Error::setting("compute", message));
            }
        }
        let Some(reason) = kernels::unavailable(device) else { return Ok(()) };
        if self.recompute {
            let message = format!("gradient checkpointing needs the CPU backend, flex; {reason}");
            return Err(Error::setting("recompute", message));
        }
        if self.weights.is_rounded() {
            let message = format!(
                "found {}, which only the CPU backend, flex, supports; {reason}",
                self.weights
            );
            return Err(Error::setting("base_weights", message));
        }
        Ok(())
    }
}
