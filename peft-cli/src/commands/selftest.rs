//! `peft selftest`: whether a device computes what it should.

use std::time::Instant;

use clap::Args;
use peft_models::{Compute, random_model::Family};
use serde_json::json;

use crate::{
    device::{self, Backend, DeviceArgs, DeviceName, open::open},
    error::{CliError, CliResult},
    flags::choices::parse_value,
    nearest::{did_you_mean, nearest},
    output::{self, line},
    screen::manners::is_watched,
    selftest::{checks::On, rows::families, shown, suite::Suite},
};

/// Computes small random models of every family with every method, on a device and on the CPU, and compares.
///
/// On the CPU, the kernels are compared with Burn's own operations. Logits, gradients, the losses of 20 training steps,
/// generated texts and a batch of several adapters: what is further off than its tolerance is wrong, and the exit code 1.
/// With --dtype, also what frozen matrices in 16 bits do to logits, gradients, losses and texts, with Burn's own operations.
/// Needs no files and no network. A GPU compiles and tunes its kernels in the first run, which takes longer.
///
/// Examples:
///   peft selftest
///   peft selftest --device wgpu --family llama --family bert
///   peft selftest --device cuda --dtype bf16 --dtype f16
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct SelftestArgs {
    /// Device to test.
    #[arg(long, value_name = "DEVICE", help = device::name::HELP)]
    device: Option<DeviceName>,
    #[command(flatten)]
    on_device: DeviceArgs,
    /// Family to test: bert, roberta, gpt2, llama, mistral, qwen2, qwen3, t5, t5-gated or bart; again for another one
    /// [default: all].
    #[arg(long = "family", value_name = "FAMILY", value_parser = parse_family)]
    families: Vec<Family>,
    /// Type of frozen matrices to test beside f32: bf16 or f16; again for the other one.
    #[arg(long = "dtype", value_name = "TYPE", value_parser = parse_value::<Compute>)]
    dtypes: Vec<Compute>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn parse_family(text: &str) -> Result<Family, String> {
    let all = families();
    all.iter().copied().find(|family| family.name() == text).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|family| family.name()).collect();
        let meant = did_you_mean(nearest(text, names.iter().copied()));
        format!("found `{text}`, expected one of {}{meant}", names.join(", "))
    })
}

/// Runs the command.
///
/// # Errors
///
/// [`CliError::Usage`] for a device that is not there, or a build without the CPU; [`CliError::Wrong`] if something is wrong.
pub fn run(args: &SelftestArgs) -> CliResult {
    let Ok(cpu) = open(DeviceName::best(Backend::Cpu)) else {
        return Err(CliError::Usage(
            "selftest compares with the CPU, which this program was built without: build it with the feature `cpu`, too"
                .to_string(),
        ));
    };
    args.on_device.apply()?;
    let chosen = device::choose::chosen("--device", args.device)?;
    let families = if args.families.is_empty() { families() } else { args.families.clone() };
    for dtype in &args.dtypes {
        if !chosen.device.supports_dtype(dtype.dtype()) {
            return Err(CliError::Usage(format!(
                "--dtype: found {dtype}, which {} does not compute in: peft info --devices lists the types",
                chosen.name
            )));
        }
    }
    let suite = Suite::new(chosen.device, cpu.device).with_dtypes(&args.dtypes);
    if !args.json {
        line(match suite.on() {
            On::Cpu => {
                "The kernels of the CPU against Burn's own operations, on small random models."
            }
            On::Gpu => "The device against the CPU, on small random models.",
        })?;
        line(
            "Differences are parts of the largest number; of generation, nats by which a token is less likely.",
        )?;
        line("")?;
    }
    let begin = Instant::now();
    let rows = suite.run(&families, |family, rows| {
        let right = rows.iter().filter(|row| row.is_right()).count();
        if is_watched() {
            output::note(format!("{}: {right} of {} right", family.name(), rows.len()));
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    let advice = shown::advice(&rows, suite.on(), chosen.backend);
    if args.json {
        let found = json!({
            "device": chosen.name.to_string(),
            "right": advice.is_none(),
            "seconds": seconds,
            "checks": shown::json_of(&rows),
        });
        line(format!("{found:#}"))?;
    } else {
        line(shown::table(&rows))?;
        line("")?;
        for failure in shown::failures(&rows) {
            line(output::visible(&failure, &[]))?;
        }
        if advice.is_none() {
            line(format!("All {} checks are right, in {seconds:.0} s.", rows.len()))?;
        }
    }
    advice.map_or(Ok(()), |advice| Err(CliError::Wrong(advice)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn families_are_chosen_by_name() {
        for family in families() {
            assert_eq!(parse_family(family.name()), Ok(family));
        }
        let refused = parse_family("gpt-2").unwrap_err();
        assert!(
            refused.contains("expected one of bert") && refused.ends_with("gpt2?"),
            "{refused}"
        );
    }
}
