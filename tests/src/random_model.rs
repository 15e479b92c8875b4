//! Small random models on the tests' device.

use burn::tensor::{DType, Device};
pub use peft_models::random_model::{Shape, VOCAB};
use peft_models::{LoadOptions, Loaded, random_model::random_model as built};

use crate::Family;

/// The device that tests run on: wgpu if it is compiled in, otherwise the CPU.
pub fn device() -> Device {
    #[cfg(feature = "wgpu")]
    return Device::wgpu(burn::tensor::DeviceKind::DefaultDevice);
    #[cfg(not(feature = "wgpu"))]
    Device::flex()
}

/// A small random model in f32, on the tests' device.
pub fn random_model(family: Family, shape: Shape, seed: u64) -> Loaded {
    random_model_on(family, shape, seed, &device(), DType::F32)
}

/// A small random model, with weights large enough for every part of it to matter.
///
/// # Panics
///
/// If the model cannot be built.
pub fn random_model_on(
    family: Family,
    shape: Shape,
    seed: u64,
    device: &Device,
    dtype: DType,
) -> Loaded {
    random_model_with(family, shape, seed, device, dtype, LoadOptions::default())
}

/// Like [`random_model_on`], with options.
///
/// # Panics
///
/// Like [`random_model_on`].
pub fn random_model_with(
    family: Family,
    shape: Shape,
    seed: u64,
    device: &Device,
    dtype: DType,
    options: LoadOptions,
) -> Loaded {
    built(family, shape, seed, device, dtype, options)
        .unwrap_or_else(|error| panic!("a random {family:?}: {error}"))
}
