//! What may be chosen when a model is loaded.

use burn::tensor::Device;
use peft_core::{Error, Result};

use crate::weights::WeightFormat;

/// How a model is loaded, and how it then computes.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Whether a pass with gradients keeps only the inputs of each layer, and runs the layer again on the way
    /// back: the memory of one layer's activations in place of all layers', for one more forward pass. All
    /// families and all methods can; the device must be the CPU's, flex. The numbers are the same, up to the
    /// rounding of sums where the layers of a decoder read an encoder.
    pub recompute: bool,
    /// How the large matrices are kept in memory. Other formats than f32 are for the CPU's flex too.
    pub weights: WeightFormat,
}

impl LoadOptions {
    /// Whether a model on `device` can be as these options want it.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming what cannot.
    pub(crate) fn check(&self, device: &Device) -> Result<()> {
        let Some(reason) = cannot(device) else { return Ok(()) };
        if self.recompute {
            let message = format!("only the CPU backend, flex, runs layers again; {reason}");
            return Err(Error::setting("--recompute", message));
        }
        if self.weights != WeightFormat::F32 {
            let message = format!(
                "found {}, which only the CPU backend, flex, computes with; {reason}",
                self.weights
            );
            return Err(Error::setting("--base-weights", message));
        }
        Ok(())
    }
}

/// Why a model on `device` has no kernels; `None` where it has.
#[cfg(feature = "cpu")]
fn cannot(device: &Device) -> Option<String> {
    (*device != Device::flex()).then(|| format!("the model is on {device:?}"))
}

/// As above.
#[cfg(not(feature = "cpu"))]
fn cannot(_: &Device) -> Option<String> {
    Some("this program was built without the feature `cpu`".to_string())
}
