//! The devices of this machine, by the names that `--device` takes.

use super::{backend::Backend, kind::Kind, name::DeviceName};

/// A device that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What `--device` calls it.
    pub name: DeviceName,
    /// What it is.
    pub kind: Kind,
}

/// The devices of a backend, in the order in which they are numbered: discrete GPUs, integrated, virtual and other ones,
/// software drivers, and among their own kind as the backend lists them. None if this build lacks the backend.
pub fn of(backend: Backend) -> Vec<Listed> {
    kinds(backend)
        .into_iter()
        .enumerate()
        .map(|(index, kind)| Listed { name: DeviceName::numbered(backend, index), kind })
        .collect()
}

fn kinds(backend: Backend) -> Vec<Kind> {
    match backend {
        Backend::Cpu if backend.is_compiled() => vec![Kind::Processor],
        #[cfg(feature = "cuda-plain")]
        Backend::Cuda => super::gpu::cards().iter().map(|_| Kind::Discrete).collect(),
        #[cfg(feature = "wgpu-plain")]
        Backend::Wgpu => super::gpu::adapters().into_iter().map(|(kind, _)| kind).collect(),
        // What is not compiled in.
        _ => Vec::new(),
    }
}

/// Whether a device is one of a backend.
pub fn of_backend(device: &Listed, backend: Backend) -> bool {
    matches!(device.name, DeviceName::Of { backend: own, .. } if own == backend)
}

/// Devices with what they are, for a sentence.
pub fn in_words(devices: &[Listed]) -> String {
    let of = |device: &Listed| format!("{} ({})", device.name, device.kind.name());
    devices.iter().map(of).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_a_device_without_a_number() {
        let found = of(Backend::Cpu);
        let expected = Listed { name: DeviceName::best(Backend::Cpu), kind: Kind::Processor };
        assert_eq!(found, if Backend::Cpu.is_compiled() { vec![expected] } else { Vec::new() });
        assert_eq!(in_words(&[expected]), "cpu (processor)");
    }

    #[test]
    fn a_backend_that_is_not_compiled_in_has_no_devices() {
        for backend in Backend::ALL.into_iter().filter(|backend| !backend.is_compiled()) {
            assert_eq!(of(backend), []);
        }
    }
}
