//! The device that is asked for.

use burn::tensor::Device;

use super::{
    allocation,
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

/// The flag that names one device.
const FLAG: &str = "--device";

/// A device that was chosen, which is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// What `--device` calls it.
    pub name: DeviceName,
    /// Its backend.
    pub backend: Backend,
    /// The device.
    pub device: Device,
}

/// The device asked for by `--device`; otherwise the CPU if it is compiled in, otherwise that of the only backend there is.
///
/// # Errors
///
/// [`CliError::Usage`] if that backend is not compiled in, none is, the machine has no such device, or it cannot be opened.
pub fn choose(asked: Option<DeviceName>) -> CliResult<Device> {
    chosen(FLAG, asked).map(|chosen| chosen.device)
}

/// The device of one of several processes on a machine, with its place among them and their number: each has the card of CUDA of
/// its place, where none is numbered and the process sees more than one.
pub fn of_process(asked: Option<DeviceName>, (place, of): (usize, usize)) -> Option<DeviceName> {
    match asked {
        Some(DeviceName::Of { backend: Backend::Cuda, index: None }) if of > 1 => {
            card_of(place, listed::of(Backend::Cuda).len()).or(asked)
        }
        asked => asked,
    }
}

/// The card of a place, of so many that a process sees. A launcher may show each process one of its own.
fn card_of(place: usize, cards: usize) -> Option<DeviceName> {
    (cards > 1).then(|| DeviceName::numbered(Backend::Cuda, place))
}

/// As for [`choose`], with what was chosen; `flag` is the one that names it.
///
/// # Errors
///
/// As for [`choose`].
pub fn chosen(flag: &str, asked: Option<DeviceName>) -> CliResult<Chosen> {
    match asked {
        Some(DeviceName::Auto) => first_there_is(flag),
        Some(DeviceName::Of { backend, index }) => of_backend(flag, backend, index),
        None => of_backend(flag, default(), None),
    }
}

/// The backend that computes where no device is asked for.
fn default() -> Backend {
    let cpu = Some(Backend::Cpu).filter(|cpu| cpu.is_compiled());
    cpu.or(Backend::compiled().next()).unwrap_or(Backend::Cpu)
}

/// Whether this is the device that computes where none is asked for.
pub fn is_default(name: DeviceName) -> bool {
    name == DeviceName::best(default())
}

/// The devices that `--devices` names.
///
/// # Errors
///
/// As for [`choose`], and [`CliError::Usage`] for two names that may be of one device.
pub fn several(names: &[DeviceName]) -> CliResult<Vec<Device>> {
    const FLAG: &str = "--devices";
    let all = names.iter().map(|name| chosen(FLAG, Some(*name)));
    let all = all.collect::<CliResult<Vec<Chosen>>>()?;
    let names: Vec<DeviceName> = all.iter().map(|chosen| chosen.name).collect();
    match one_twice(&names) {
        Some((bare, numbered)) => Err(CliError::Usage(format!(
            "{FLAG}: found {bare} and {numbered}, which may be one device: number all of them, as `peft info --devices` \
             counts them"
        ))),
        None => Ok(all.into_iter().map(|chosen| chosen.device).collect()),
    }
}

/// A backend without a number beside one of its devices: for CubeCL these are two, even where they are one card, which
/// would then be opened twice.
fn one_twice(names: &[DeviceName]) -> Option<(DeviceName, DeviceName)> {
    let bare = names.iter().filter(|name| matches!(name, DeviceName::Of { index: None, .. }));
    let is_numbered = |bare: &DeviceName, other: &DeviceName| match (bare, other) {
        (DeviceName::Of { backend, .. }, DeviceName::Of { backend: same, index: Some(_) }) => {
            backend == same
        }
        _ => false,
    };
    bare.flat_map(|bare| names.iter().map(move |other| (*bare, *other)))
        .find(|(bare, other)| is_numbered(bare, other))
}

/// A device of a backend.
fn of_backend(flag: &str, backend: Backend, index: Option<usize>) -> CliResult<Chosen> {
    let name = DeviceName::Of { backend, index };
    if !backend.is_compiled() {
        return Err(not_compiled(flag, name, backend));
    }
    allocation::check(name, backend)?;
    let chosen = |opened: Opened| Chosen { name, backend, device: opened.device };
    // Everywhere, and opened by the first tensor.
    if backend == Backend::Cpu {
        return open(name).map(chosen).map_err(CliError::Usage);
    }
    let found = listed::of(backend);
    if found.is_empty() {
        return Err(CliError::Usage(format!(
            "{flag} {name}: no such device was found on this machine, or its driver is missing: it needs {}; \
             `peft info --devices` lists what there is, --device cpu computes on the processor",
            backend.driver()
        )));
    }
    if let Some(index) = index.filter(|index| *index >= found.len()) {
        return Err(CliError::Usage(format!(
            "{flag} {}:{index}: there is no such device, counted from 0; there are {}",
            backend.name(),
            in_words(&found)
        )));
    }
    open(name).map(chosen).map_err(|reason| {
        CliError::Usage(format!(
            "{flag} {name}: it cannot be opened: {reason}; there are {}, and --device cpu computes on the processor",
            in_words(&found)
        ))
    })
}

fn not_compiled(flag: &str, name: DeviceName, backend: Backend) -> CliError {
    let compiled: Vec<&str> = Backend::compiled().map(Backend::name).collect();
    CliError::Usage(format!(
        "{flag} {name}: this program was built without that backend (built with: {}); build it with `{}`",
        if compiled.is_empty() { "none".to_string() } else { compiled.join(", ") },
        backend.build_command()
    ))
}

/// The first device there is of CUDA, a GPU by wgpu, and the CPU; says which.
fn first_there_is(flag: &str) -> CliResult<Chosen> {
    let mut refused = Vec::new();
    let best_of = |backend| best(&listed::of(backend)).map(|candidate| (backend, candidate));
    for (backend, candidate) in Backend::ALL.into_iter().filter_map(best_of) {
        allocation::check(candidate.name, backend)?;
        match open(candidate.name) {
            Ok(Opened { device, about }) => {
                output::note(format!("device {}: {}", candidate.name, about.card));
                return Ok(Chosen { name: candidate.name, backend, device });
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
    Err(CliError::Usage(format!("{flag} auto: {tried}; `peft info --devices` lists what there is")))
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
    fn processes_of_a_machine_have_a_card_each() {
        assert_eq!([0, 1].map(|cards| card_of(1, cards)), [None; 2]);
        // A place without a card is refused where the card is opened.
        let numbered = |place| Some(DeviceName::numbered(Backend::Cuda, place));
        assert_eq!([0, 1, 3].map(|place| card_of(place, 2)), [0, 1, 3].map(numbered));
        for asked in
            [None, Some(DeviceName::Auto), numbered(2), Some(DeviceName::best(Backend::Cpu))]
        {
            assert_eq!(of_process(asked, (1, 4)), asked);
        }
    }

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
    fn errors_name_the_flag_that_was_given() {
        for backend in Backend::ALL.into_iter().filter(|backend| !backend.is_compiled()) {
            let told = several(&[DeviceName::numbered(backend, 7)]).unwrap_err().to_string();
            assert!(told.starts_with(&format!("--devices {}", backend.name())), "{told}");
        }
    }

    #[test]
    fn a_device_with_and_without_a_number_may_be_one() {
        let of = |names: &[&str]| {
            let names: Vec<DeviceName> = names.iter().map(|name| name.parse().unwrap()).collect();
            one_twice(&names).map(|(bare, numbered)| format!("{bare} {numbered}"))
        };
        assert_eq!(of(&["wgpu:1", "cpu", "wgpu"]).as_deref(), Some("wgpu wgpu:1"));
        assert_eq!(of(&["cuda", "cuda:0"]).as_deref(), Some("cuda cuda:0"));
        for fine in
            [&["wgpu", "wgpu"][..], &["wgpu:0", "wgpu:0"], &["cpu", "cpu"], &["wgpu", "cuda:0"]]
        {
            assert_eq!(of(fine), None, "{fine:?}");
        }
    }

    #[test]
    #[cfg(feature = "cpu")]
    #[cfg(not(any(feature = "wgpu-plain", feature = "cuda-plain")))]
    fn auto_is_the_only_one() {
        let auto = chosen(FLAG, Some(DeviceName::Auto)).unwrap();
        assert_eq!((auto.name.to_string().as_str(), &auto.device), ("cpu", &Device::flex()));
    }
}
