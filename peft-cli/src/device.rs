//! Which of the compiled backends computes.

use burn::tensor::Device;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn::tensor::DeviceType;
use clap::ValueEnum;

use crate::error::{CliError, CliResult};

/// The value of `--device`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// Burn's flex backend (Cargo feature `cpu`).
    Cpu,
    /// Any GPU that wgpu reaches (Cargo feature `wgpu`).
    Wgpu,
    /// NVIDIA GPUs (Cargo feature `cuda`).
    Cuda,
}

impl Backend {
    const ALL: [Self; 3] = [Self::Cuda, Self::Wgpu, Self::Cpu];

    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        }
    }

    fn is_compiled(self) -> bool {
        match self {
            Self::Cpu => cfg!(feature = "cpu"),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Cuda => cfg!(feature = "cuda"),
        }
    }

    /// Whether this machine has such a device. Opening a missing one would end the program.
    fn is_present(self) -> bool {
        match self {
            #[cfg(feature = "wgpu")]
            Self::Wgpu => !Device::enumerate(DeviceType::Wgpu).into_vec().is_empty(),
            #[cfg(feature = "cuda")]
            Self::Cuda => !Device::enumerate(DeviceType::Cuda).into_vec().is_empty(),
            _ => true,
        }
    }

    fn open(self) -> Option<Device> {
        match self {
            #[cfg(feature = "cpu")]
            Self::Cpu => Some(Device::flex()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Some(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(feature = "cuda")]
            Self::Cuda => Some(Device::cuda(0)),
            // Every backend that is not compiled in.
            #[allow(unreachable_patterns)]
            _ => None,
        }
    }
}

/// The device asked for; otherwise the CPU if it is compiled in, otherwise the only backend there is.
///
/// # Errors
///
/// [`CliError::Usage`] if that backend is not compiled in, none is, or the machine has no such device.
pub fn choose(asked: Option<Backend>) -> CliResult<Device> {
    let compiled: Vec<&str> =
        Backend::ALL.into_iter().filter(|b| b.is_compiled()).map(Backend::name).collect();
    let chosen = match asked {
        Some(asked) => asked,
        None if Backend::Cpu.is_compiled() => Backend::Cpu,
        None => Backend::ALL.into_iter().find(|b| b.is_compiled()).unwrap_or(Backend::Cpu),
    };
    if !chosen.is_present() {
        return Err(CliError::Usage(format!(
            "--device {}: no such device was found on this machine, or its driver is missing",
            chosen.name()
        )));
    }
    chosen.open().ok_or_else(|| {
        CliError::Usage(format!(
            "--device {}: this program was built without that backend (built with: {}); build it with \
             `cargo build --release -p peft-cli --features {}`",
            chosen.name(),
            if compiled.is_empty() { "none".to_string() } else { compiled.join(", ") },
            chosen.name()
        ))
    })
}
