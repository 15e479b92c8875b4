//! The flags with which other commands go on from a run: those that are no settings of it, which it does not remember.

use super::TrainArgs;
use crate::{device, flags::given::Given, screen::rows::INTERVAL};

/// The flags that are no settings of the run, for the command that goes on with it.
pub(super) fn again(args: &TrainArgs) -> Given {
    let every = args.log_every;
    with_devices(Given::everywhere(), args)
        .value("--log-every", (every != INTERVAL.as_secs()).then_some(every))
        .switch("--json", args.json)
}

/// The flags that say on which devices the run is made, as they were given.
pub(super) fn devices(args: &TrainArgs) -> Given {
    with_devices(Given::default(), args)
}

fn with_devices(given: Given, args: &TrainArgs) -> Given {
    let devices: Vec<String> = args.devices.iter().map(ToString::to_string).collect();
    given
        .value("--device", args.device)
        .value("--devices", (!devices.is_empty()).then(|| devices.join(",")))
        .value("--device-memory", args.on_device.device_memory)
}

/// The flags with which another command computes on the device of this one, the first of several.
pub(super) fn same_device(args: &TrainArgs) -> Given {
    let device = args.device.or(args.devices.first().copied());
    Given::default()
        .value("--device", device.filter(|name| !device::choose::is_default(*name)))
        .value("--device-memory", args.on_device.device_memory)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: TrainArgs,
    }

    fn given(flags: &[&str]) -> TrainArgs {
        Line::try_parse_from([&["train"], flags].concat()).unwrap().args
    }

    #[test]
    fn another_command_computes_on_the_same_device() {
        let found = |flags: &[&str]| same_device(&given(flags)).to_string();
        assert_eq!(found(&[]), "");
        assert_eq!(found(&["--device=wgpu:1"]), " --device wgpu:1");
        let several = ["--devices=cuda:1,cuda:0", "--device-memory=async"];
        assert_eq!(found(&several), " --device cuda:1 --device-memory async");
        #[cfg(feature = "cpu")]
        assert_eq!(found(&["--device=cpu"]) + &found(&["--devices=cpu,cpu"]), "");
    }

    #[test]
    fn a_run_is_made_again_on_all_of_its_devices() {
        let found = |flags: &[&str]| devices(&given(flags)).to_string();
        assert_eq!(found(&["--json"]), "");
        assert_eq!(found(&["--device=cpu"]), " --device cpu");
        let several = ["--devices=cpu,cpu", "--device-memory=async"];
        assert_eq!(found(&several), " --devices cpu,cpu --device-memory async");
    }

    #[test]
    fn a_run_goes_on_with_the_flags_that_it_does_not_remember() {
        let flags = ["--device=cuda", "--device-memory=async", "--json", "--log-every=7"];
        let found = again(&given(&flags)).to_string();
        let expected = " --device cuda --device-memory async --log-every 7 --json";
        assert!(found.ends_with(expected), "{found}");
    }
}
