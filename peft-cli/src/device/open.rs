//! Opening a device by its name.

#[cfg(feature = "cpu")]
use burn::tensor::Device;

use super::{backend::Backend, name::DeviceName, opened::Opened};

/// Opens a device.
///
/// # Errors
///
/// Why it cannot be opened, as the end of a sentence; that there is none of this name, too.
pub fn open(name: DeviceName) -> Result<Opened, String> {
    match name {
        #[cfg(feature = "cpu")]
        DeviceName::Of { backend: Backend::Cpu, .. } => {
            let card = crate::training::machine::Machine::here().processor;
            let about =
                super::opened::About { card, driver: None, memory: crate::screen::memory::total() };
            Ok(Opened { device: Device::flex(), about })
        }
        #[cfg(feature = "cuda-plain")]
        DeviceName::Of { backend: Backend::Cuda, index } => super::gpu::open_card(index),
        #[cfg(feature = "wgpu-plain")]
        DeviceName::Of { backend: Backend::Wgpu, index } => super::gpu::open_adapter(index),
        other => Err(format!("this build has no {other}")),
    }
}
