//! How the memory of a GPU is given out to tensors: `--device-memory`.
//!
//! CubeCL takes memory from the driver in pages and keeps what tensors leave. It opens a device once, for as long as the process
//! lives, so that this holds for all devices of the process.

use std::{fmt, str::FromStr, sync::OnceLock};

use clap::Args;
use peft_core::Error;

use super::backend::Backend;
use crate::{
    error::{CliError, CliResult},
    flags::choices::{Named, parse_value},
};

/// The flag.
const FLAG: &str = "--device-memory";

/// What was asked for, if anything was.
static ASKED: OnceLock<Allocation> = OnceLock::new();

/// How the memory of a GPU is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// Pages that several tensors share, each as large as the largest tensor so far; what CubeCL does unasked.
    Adaptive,
    /// A page for each tensor, of one of some sizes. Only wgpu: CubeCL opens cards of CUDA by itself, with its own choice.
    Exclusive,
    /// As [`Adaptive`](Self::Adaptive), with pages from CUDA's allocator that waits for nothing (`cudaMallocAsync`).
    Async,
}

impl Allocation {
    /// All.
    pub const ALL: [Self; 3] = [Self::Adaptive, Self::Exclusive, Self::Async];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Adaptive => "adaptive",
            Self::Exclusive => "exclusive",
            Self::Async => "async",
        }
    }

    /// The backends that have it.
    const fn backends(self) -> &'static [Backend] {
        match self {
            Self::Adaptive => &[Backend::Cuda, Backend::Wgpu],
            Self::Exclusive => &[Backend::Wgpu],
            Self::Async => &[Backend::Cuda],
        }
    }
}

impl fmt::Display for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Allocation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|one| one.name() == text).ok_or_else(|| {
            Error::setting("device_memory", format!("found {text:?}, expected {}", known()))
        })
    }
}

impl Named for Allocation {
    fn names() -> Vec<&'static str> {
        Self::ALL.map(Self::name).to_vec()
    }
}

/// Flags of how a device is used, beside the one that names it.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct DeviceArgs {
    /// How the memory of a GPU is given out: adaptive, in pages that tensors share; exclusive, a page for each (wgpu);
    /// async, by CUDA's own allocator (cuda) [default: adaptive].
    // A build without GPUs has no use for it, and says so.
    #[arg(long, value_name = "HOW", value_parser = parse_value::<Allocation>, hide = !has_gpus())]
    pub device_memory: Option<Allocation>,
}

impl DeviceArgs {
    /// Does what the flags say, for the rest of the program; before a device is opened.
    ///
    /// # Errors
    ///
    /// [`CliError::Usage`] if this build has no backend for GPUs.
    pub fn apply(self) -> CliResult {
        let Some(asked) = self.device_memory else { return Ok(()) };
        if !has_gpus() {
            return Err(CliError::Usage(format!(
                "{FLAG} {asked}: this program was built without a backend for GPUs; build it with `{}` or `{}`",
                Backend::Wgpu.build_command(),
                Backend::Cuda.build_command()
            )));
        }
        // Once in a process: there is one command line.
        let _ = ASKED.set(asked);
        Ok(())
    }
}

/// Whether this build computes on GPUs.
const fn has_gpus() -> bool {
    cfg!(any(feature = "wgpu-plain", feature = "cuda-plain"))
}

/// What was asked for; CubeCL chooses where that is `None`.
pub fn asked() -> Option<Allocation> {
    ASKED.get().copied()
}

/// Checks that a device gives out memory as it was asked for; `name` is what the device is called.
///
/// # Errors
///
/// [`CliError::Usage`] naming both, and what this device has.
pub fn check(name: impl fmt::Display, backend: Backend) -> CliResult {
    asked().map_or(Ok(()), |asked| fits(asked, &name.to_string(), backend))
}

fn fits(asked: Allocation, name: &str, backend: Backend) -> CliResult {
    if asked.backends().contains(&backend) {
        return Ok(());
    }
    let has = |one: &Allocation| one.backends().contains(&backend);
    let here: Vec<&str> = Allocation::ALL.into_iter().filter(has).map(Allocation::name).collect();
    Err(CliError::Usage(match here.is_empty() {
        true => format!("{FLAG} {asked}: it is for GPUs, and the device is {name}"),
        false => format!("{FLAG} {asked}: {name} has {}", here.join(" and ")),
    }))
}

/// Puts it into CubeCL's settings, as far as it stands there.
#[cfg(any(feature = "wgpu-plain", feature = "cuda-plain"))]
pub(super) fn configure(config: &mut cubecl::config::CubeClRuntimeConfig) {
    use cubecl::config::memory::CudaAllocator;

    match asked() {
        Some(Allocation::Async) => config.memory.cuda.allocator = CudaAllocator::Async,
        Some(Allocation::Adaptive) => config.memory.cuda.allocator = CudaAllocator::Sync,
        Some(Allocation::Exclusive) | None => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_others_refused_with_the_list() {
        for one in Allocation::ALL {
            assert_eq!(one.to_string().parse::<Allocation>().unwrap(), one);
        }
        let refused = parse_value::<Allocation>("exclusiv").unwrap_err();
        assert!(refused.contains("expected adaptive, exclusive, async"), "{refused}");
    }

    #[test]
    fn each_device_has_its_own() {
        let told = |asked, backend: Backend| match fits(asked, backend.name(), backend) {
            Ok(()) => String::new(),
            Err(error) => {
                assert_eq!(error.exit_code(), 2);
                error.to_string()
            }
        };
        for asked in Allocation::ALL {
            let cpu = told(asked, Backend::Cpu);
            assert!(cpu.contains(&format!("{FLAG} {asked}: it is for GPUs")), "{cpu}");
        }
        assert_eq!(told(Allocation::Adaptive, Backend::Cuda), "");
        assert_eq!(told(Allocation::Exclusive, Backend::Wgpu), "");
        assert_eq!(told(Allocation::Async, Backend::Cuda), "");
        let cuda = told(Allocation::Exclusive, Backend::Cuda);
        assert!(cuda.ends_with("exclusive: cuda has adaptive and async"), "{cuda}");
        let wgpu = told(Allocation::Async, Backend::Wgpu);
        assert!(wgpu.ends_with("async: wgpu has adaptive and exclusive"), "{wgpu}");
    }

    #[test]
    #[cfg(not(any(feature = "wgpu-plain", feature = "cuda-plain")))]
    fn a_build_without_gpus_refuses_it() {
        let args = DeviceArgs { device_memory: Some(Allocation::Adaptive) };
        let told = args.apply().unwrap_err().to_string();
        assert!(
            told.contains("--device-memory adaptive") && told.contains("--features cuda"),
            "{told}"
        );
        assert_eq!(asked(), None);
        DeviceArgs::default().apply().unwrap();
    }
}
