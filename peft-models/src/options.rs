//! What may be chosen when a model is loaded.

use burn::tensor::{DType, Device};
use peft_core::{Error, Result};

use crate::{
    compute::Compute,
    kernels,
    weights::{self, WeightFormat},
};

/// How a model is loaded, and how it then computes.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): a forward pass with gradients keeps only the inputs
    /// of each layer, and the backward pass runs the layer again. It takes the memory of one layer's activations
    /// instead of all layers', and one more forward pass. Works for all families and methods. The results are the same, up to
    /// the rounding of sums if the layers of a decoder read an encoder. On the CPU (flex) any backward pass does it, on
    /// other devices one that goes through a [`LayerTape`](peft_core::LayerTape), as training does.
    pub recompute: bool,
    /// How the large matrices are kept in memory. On devices other than the CPU (flex), the one format of fewer bits than
    /// products have is that of eight, whose matrices are widened for each product and again for its gradient.
    pub weights: WeightFormat,
    /// The type of products with them, for models in f32; devices other than the CPU also keep them in it.
    pub compute: Compute,
}

impl LoadOptions {
    /// Checks that `device` supports these options for a model of this type.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the option that it does not support.
    pub(crate) fn check(&self, device: &Device, dtype: DType) -> Result<()> {
        if self.compute.is_rounded()
            && let Some(reason) = self.why_no_products(device, dtype)
        {
            return Err(Error::setting("dtype", format!("found {}, {reason}", self.compute)));
        }
        if self.kept_in(device).is_some() && !self.weights_fit() {
            let message = format!(
                "found {}, and {} for `dtype`: without the kernels of the CPU, matrices are kept in the type that they are \
                 multiplied in; leave one of the two out",
                self.weights, self.compute
            );
            return Err(Error::setting("base_weights", message));
        }
        match kernels::unavailable(device) {
            Some(reason) => self.check_without_kernels(&reason, weights::keeps_none(device)),
            None => Ok(()),
        }
    }

    /// Refuses formats of fewer bits than products have on a device that has no kernels for that `reason`, but not eight bits
    /// if products keep no wide copy of them.
    fn check_without_kernels(&self, reason: &str, keeps_none: bool) -> Result<()> {
        let is_there = self.weights == WeightFormat::Int8 && keeps_none;
        if !self.weights.is_rounded() || self.compute.is_rounded() || is_there {
            return Ok(());
        }
        let smaller = if keeps_none { ", or this to int8 for 1 byte" } else { "" };
        let message = format!(
            "found {}, which only the CPU backend, flex, supports; {reason}; set `dtype` to bf16 or f16 to keep matrices in 2 \
             bytes per parameter{smaller}",
            self.weights
        );
        Err(Error::setting("base_weights", message))
    }

    /// The type of 16 bits that large matrices are kept in, because products are in it; `None` if they are kept in
    /// another format, of which kernels make copies, or products are in f32.
    pub(crate) fn kept_in(&self, device: &Device) -> Option<DType> {
        let has_copies = kernels::compute_on(device);
        (self.compute.is_rounded() && !has_copies).then(|| self.compute.dtype())
    }

    /// Whether matrices that are kept in the type of products, as they are without kernels, are in the format that was asked
    /// for.
    pub fn weights_fit(&self) -> bool {
        match self.weights {
            WeightFormat::Auto => true,
            WeightFormat::Bf16 => self.compute == Compute::Bf16,
            WeightFormat::F32 | WeightFormat::Int8 => false,
        }
    }

    /// Why products cannot be in the chosen type, as the end of a message that begins with what was found, with what there
    /// is.
    fn why_no_products(&self, device: &Device, dtype: DType) -> Option<String> {
        if dtype != DType::F32 {
            let reason = "which is for models in f32; this one is in";
            return Some(format!("{reason} {dtype:?}; expected f32"));
        }
        if kernels::compute_on(device) {
            return match self.compute {
                Compute::F16 => Some(
                    "which the kernels of the CPU do not multiply in; expected f32 or bf16, or PEFT_KERNELS=off in the \
                     environment, with which Burn's own operations compute, slower"
                        .into(),
                ),
                _ => kernels::why_no_bf16(device).map(|reason| {
                    format!(
                        "{reason}; expected f32, with `base_weights` in bf16 to save memory alone"
                    )
                }),
            };
        }
        let computes_in = |compute: &Compute| device.supports_dtype(compute.dtype());
        if computes_in(&self.compute) {
            return None;
        }
        let others: Vec<_> =
            Compute::ALL.into_iter().filter(computes_in).map(Compute::name).collect();
        Some(format!("which {device:?} does not compute in; expected {}", others.join(" or ")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn types_are_for_models_in_f32() {
        let options = LoadOptions { compute: Compute::F16, ..LoadOptions::default() };
        let error = options.check(&Device::default(), DType::F64).unwrap_err().to_string();
        assert!(error.contains("dtype") && error.contains("this one is in F64"), "{error}");
        assert!(error.contains("found f16") && error.contains("expected f32"), "{error}");
    }

    #[test]
    fn eight_bits_need_no_kernels_where_no_wide_copy_is_kept() {
        let checked = |weights, compute, keeps_none| {
            let options = LoadOptions { weights, compute, ..LoadOptions::default() };
            let refused = options.check_without_kernels("the model is on a GPU", keeps_none);
            refused.map_err(|error| error.to_string())
        };
        assert_eq!(checked(WeightFormat::Int8, Compute::F32, true), Ok(()));
        let without = checked(WeightFormat::Int8, Compute::F32, false).unwrap_err();
        assert!(without.contains("found int8") && without.ends_with("per parameter"), "{without}");
        let bf16 = checked(WeightFormat::Bf16, Compute::F32, true).unwrap_err();
        assert!(bf16.contains("is on a GPU; set `dtype` to bf16"), "{bf16}");
        assert!(bf16.ends_with("or this to int8 for 1 byte"), "{bf16}");
        for keeps_none in [false, true] {
            assert_eq!(checked(WeightFormat::Bf16, Compute::Bf16, keeps_none), Ok(()));
            assert_eq!(checked(WeightFormat::F32, Compute::F32, keeps_none), Ok(()));
        }
    }

    #[test]
    fn formats_that_are_not_the_type_of_products_do_not_fit() {
        let fits = |weights, compute| {
            LoadOptions { weights, compute, ..LoadOptions::default() }.weights_fit()
        };
        for compute in [Compute::Bf16, Compute::F16] {
            assert!(fits(WeightFormat::Auto, compute));
            assert!(!fits(WeightFormat::F32, compute) && !fits(WeightFormat::Int8, compute));
        }
        assert!(fits(WeightFormat::Bf16, Compute::Bf16) && !fits(WeightFormat::Bf16, Compute::F16));
    }
}
