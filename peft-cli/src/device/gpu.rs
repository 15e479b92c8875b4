//! The devices of wgpu and CUDA, as CubeCL has them, which Burn computes with.

use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;
#[cfg(feature = "cuda-plain")]
use cubecl::device::CudaDevice;
#[cfg(feature = "wgpu-plain")]
use cubecl::{
    device::{WgpuDevice, WgpuDeviceKind},
    wgpu::{
        AutoGraphicsApi, MemoryConfiguration, RuntimeOptions, WgpuInitError, WgpuSetup,
        try_init_setup,
    },
};

#[cfg(feature = "wgpu-plain")]
use super::{
    allocation::{self, Allocation},
    kind::Kind,
};
use super::{
    kernel_cache,
    opened::{About, Opened},
    panics,
};
use crate::output;

/// What was opened: CubeCL opens a device once, for as long as the process lives.
static OPEN: Mutex<Vec<(cubecl::Device, About)>> = Mutex::new(Vec::new());

/// Every device that CubeCL finds.
fn all() -> Vec<cubecl::Device> {
    kernel_cache::prepare();
    panics::caught(cubecl::Device::enumerate_all).unwrap_or_else(|reason| {
        output::note(format!("note: the devices of GPUs cannot be listed: {reason}"));
        Vec::new()
    })
}

/// The adapters that wgpu finds, with GPUs in front.
#[cfg(feature = "wgpu-plain")]
pub(super) fn adapters() -> Vec<(Kind, WgpuDevice)> {
    let of_wgpu = |device| match device {
        cubecl::Device::Wgpu(device) => Some((kind_of(&device.kind), device)),
        _ => None,
    };
    let mut found: Vec<_> = all().into_iter().filter_map(of_wgpu).collect();
    // Software drivers have no numbers in CubeCL: all are the first of them.
    found.sort_by_key(|(kind, _)| *kind);
    found.dedup();
    found
}

#[cfg(feature = "wgpu-plain")]
fn kind_of(kind: &WgpuDeviceKind) -> Kind {
    match kind {
        WgpuDeviceKind::DiscreteGpu(_) => Kind::Discrete,
        WgpuDeviceKind::IntegratedGpu(_) => Kind::Integrated,
        WgpuDeviceKind::VirtualGpu(_) => Kind::Virtual,
        WgpuDeviceKind::Cpu => Kind::Software,
        _ => Kind::Other,
    }
}

/// The cards that CUDA finds.
#[cfg(feature = "cuda-plain")]
pub(super) fn cards() -> Vec<CudaDevice> {
    let of_cuda = |device| match device {
        cubecl::Device::Cuda(device) => Some(device),
        _ => None,
    };
    all().into_iter().filter_map(of_cuda).collect()
}

/// Opens an adapter; without a number, the one that wgpu prefers.
#[cfg(feature = "wgpu-plain")]
pub(super) fn open_adapter(index: Option<usize>) -> Result<Opened, String> {
    let device = match index {
        None => WgpuDevice::default(),
        Some(index) => {
            let mut found = adapters();
            if index >= found.len() {
                return Err(format!("there are {} such devices, counted from 0", found.len()));
            }
            found.swap_remove(index).1
        }
    };
    open(cubecl::Device::Wgpu(device.clone()), || {
        let mut options = RuntimeOptions::try_default().map_err(|error| error.to_string())?;
        let asked = allocation::asked();
        match asked {
            Some(Allocation::Exclusive) => {
                options.memory_config = MemoryConfiguration::ExclusivePages;
            }
            Some(Allocation::Adaptive) => options.memory_config = MemoryConfiguration::Adaptive,
            Some(Allocation::Async) | None => {}
        }
        match try_init_setup::<AutoGraphicsApi>(&device, options) {
            Ok(setup) => Ok(driver_of(&setup)),
            // Something of this process opened it before, with CubeCL's choice.
            Err(WgpuInitError::Registration { .. }) if asked.is_none() => Ok(None),
            Err(refused) => Err(refused.to_string()),
        }
    })
}

/// The driver of an adapter, with its version.
#[cfg(feature = "wgpu-plain")]
fn driver_of(setup: &WgpuSetup) -> Option<String> {
    let info = setup.adapter.get_info();
    let parts = [info.driver, info.driver_info, format!("by {:?}", info.backend)];
    let told: Vec<String> = parts.into_iter().filter(|part| !part.trim().is_empty()).collect();
    Some(told.join(" "))
}

/// Opens a card; without a number, the first.
#[cfg(feature = "cuda-plain")]
pub(super) fn open_card(index: Option<usize>) -> Result<Opened, String> {
    let (index, found) = (index.unwrap_or(0), cards());
    let Some(device) = found.get(index) else {
        return Err(format!("there are {} such devices, counted from 0", found.len()));
    };
    open(cubecl::Device::Cuda(device.clone()), || Ok(nvidia_driver()))
}

/// The version of NVIDIA's driver, where Linux tells.
#[cfg(feature = "cuda-plain")]
fn nvidia_driver() -> Option<String> {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("NVRM version:"))?;
    let is_version =
        |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
    line.split_whitespace().find(is_version).map(|version| format!("NVIDIA {version}"))
}

/// Opens a device once; `prepare` opens what CubeCL does not, and says which driver it found.
fn open(
    device: cubecl::Device,
    prepare: impl FnOnce() -> Result<Option<String>, String>,
) -> Result<Opened, String> {
    kernel_cache::prepare();
    let mut all = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = all.iter().find(|(other, _)| *other == device);
    let about = match known {
        Some((_, about)) => about.clone(),
        None => {
            let driver = panics::caught(prepare)??;
            let about = panics::caught(|| {
                let client = device.client();
                let properties = client.properties();
                let memory = properties.memory.max_memory();
                About { card: properties.identity.name.clone(), driver, memory }
            })?;
            all.push((device.clone(), about.clone()));
            about
        }
    };
    Ok(Opened { device: Device::from(device), about })
}
