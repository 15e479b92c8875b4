//! The device that is asked for.

use burn::tensor::Device;

use super::{
    backend::Backend,
    kind::Kind,
    listed::{self, Listed, in_words},
    name::DeviceName,
    open::open,
    opened::Opened,
};
use crate::{
    error::{CliError, CliResult},
    output,
};

/// The device asked for; otherwise the CPU if it is compiled in, otherwise that of the only backend there is.
///
/// # Errors
///
/// [`CliError::Usage`] if that backend is not compiled in, none is, the machine has no such device, or it cannot be opened.
pub fn choose(asked: Option<DeviceName>) -> CliResult<Device> {
    match asked {
        Some(DeviceName::Auto) => first_there_is(),
        Some(DeviceName::Of { backend, index }) => of_backend(backend, index),
        None => {
            let default = Some(Backend::Cpu).filter(|cpu| cpu.is_compiled());
            of_backend(default.or(Backend::compiled().next()).unwrap_or(Backend::Cpu), None)
        }
    }
}

/// A device of a backend.
fn of_backend(backend: Backend, index: Option<usize>) -> CliResult<Device> {
    let name = DeviceName::Of { backend, index };
    if !backend.is_compiled() {
        return Err(not_compiled(name, backend));
    }
    // Everywhere, and opened by the first tensor.
    if backend == Backend::Cpu {
        return open(name).map(|opened| opened.device).map_err(CliError::Usage);
    }
    let found = listed::of(backend);
    if found.is_empty() {
        return Err(CliError::Usage(format!(
            "--device {name}: no such device was found on this machine, or its driver is missing: it needs {}; \
             `peft info --devices` lists what there is, --device cpu computes on the processor",
            backend.driver()
        )));
    }
    if let Some(index) = index.filter(|index| *index >= found.len()) {
        return Err(CliError::Usage(format!(
            "--device {}:{index}: there is no such device, counted from 0; there are {}",
            backend.name(),
            in_words(&found)
        )));
    }
    open(name).map(|opened| opened.device).map_err(|reason| {
        CliError::Usage(format!(
            "--device {name}: it cannot be opened: {reason}; there are {}, and --device cpu computes on the processor",
            in_words(&found)
        ))
    })
}

fn not_compiled(name: DeviceName, backend: Backend) -> CliError {
    let compiled: Vec<&str> = Backend::compiled().map(Backend::name).collect();
    CliError::Usage(format!(
        "--device {name}: this program was built without that backend (built with: {}); build it with `{}`",
        if compiled.is_empty() { "none".to_string() } else { compiled.join(", ") },
        backend.build_command()
    ))
}

/// The first device there is of CUDA, a GPU by wgpu, and the CPU; says which.
fn first_there_is() -> CliResult<Device> {
    let mut refused = Vec::new();
    for candidate in Backend::ALL.into_iter().filter_map(|backend| best(&listed::of(backend))) {
        match open(candidate.name) {
            Ok(Opened { device, about }) => {
                output::note(format!("device {}: {}", candidate.name, about.card));
                return Ok(device);
            }
            Err(reason) => {
                let name = candidate.name;
                output::note(format!("note: {name} cannot be opened: {reason}"));
                refused.push(name.to_string());
            }
        }
    }
    let tried = match refused.as_slice() {
        [] => "this machine has none that this build can use".to_string(),
        names => format!("{} cannot be opened", names.join(" and ")),
    };
    Err(CliError::Usage(format!(
        "--device auto: {tried}; `peft info --devices` lists what there is"
    )))
}

/// The first device of a backend that is worth taking unasked: a driver that computes on the processor is slower than the
/// CPU backend.
fn best(devices: &[Listed]) -> Option<Listed> {
    devices.iter().find(|device| device.kind != Kind::Software).copied()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn software_is_not_taken_unasked() {
        let of = |kinds: &[Kind]| {
            let listed = kinds.iter().enumerate().map(|(index, kind)| Listed {
                name: DeviceName::numbered(Backend::Wgpu, index),
                kind: *kind,
            });
            best(&listed.collect::<Vec<_>>()).map(|device| device.name.to_string())
        };
        assert_eq!(of(&[Kind::Integrated, Kind::Software]).as_deref(), Some("wgpu:0"));
        assert_eq!(of(&[Kind::Software]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_is_not_compiled_in_is_refused_with_the_way_out() {
        for backend in Backend::ALL.into_iter().filter(|backend| !backend.is_compiled()) {
            let error = choose(Some(DeviceName::numbered(backend, 1))).unwrap_err();
            let (told, way_out) = (error.to_string(), backend.build_command());
            assert!(
                told.contains("built without that backend") && told.contains(&way_out),
                "{told}"
            );
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    #[cfg(feature = "cpu")]
    fn the_cpu_is_the_default() {
        assert_eq!(choose(None).unwrap(), Device::flex());
        assert_eq!(choose(Some(DeviceName::best(Backend::Cpu))).unwrap(), Device::flex());
    }

    #[test]
    #[cfg(not(any(feature = "wgpu-plain", feature = "cuda-plain")))]
    fn auto_is_the_only_one() {
        assert_eq!(choose(Some(DeviceName::Auto)).unwrap(), Device::flex());
    }
}
