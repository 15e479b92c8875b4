//! `peft plan`: what a training step would cost, on this machine or another.

use std::path::PathBuf;

use clap::Args;
use peft_core::{Error, Result};
use peft_models::{Compute, LoadOptions, WeightFormat, kernels};

use super::train::in_config;
use crate::{
    device,
    error::{CliError, CliResult},
    flags::help::FlagHelp,
    output::line,
    plan::{
        estimate::On,
        hardware::{self, CPU, Hardware, Kind},
        measure::Measured,
        planned::Planned,
        rows::RowArgs,
        written::Plan,
    },
    recipes::layer::{complete, explain},
    screen::memory,
    settings::{Settings, file},
    threads,
    training::expected_memory::PROGRAM,
};

/// Says what a training step would cost: memory, operations, seconds, bytes between devices.
///
/// It takes the settings of peft train, as flags and in --config, and reads a model's config: of its weights, where they are
/// there, whether they have a language-model head, and of the rows of --train the classes alone. The more rows, the longer that takes; with --classes they are not read.
///
/// Examples:
///   peft plan --model models/gpt2 --method ptv2 \
///     --task causal-lm --tokens-per-row 64
///   peft plan --model models/t5-xxl --method prompt \
///     --num-virtual-tokens 100 --task seq2seq-lm \
///     --tokens-per-row 512 --target-tokens-per-row 64 \
///     --device h100 --dtype bf16 --devices 1,8,64,512
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct PlanArgs {
    /// TOML file of settings, as of peft train; flags take precedence.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    rows: RowArgs,
    /// Device to plan for: cpu, this machine, which is measured for about a second; a100-40, a100-80, h100, h200, l4,
    /// rtx-4090; or one of the file of --hardware.
    #[arg(long, value_name = "NAME", default_value = CPU, help_heading = "Hardware")]
    device: String,
    /// TOML file with more devices and links, see docs/PLAN.md.
    #[arg(long, value_name = "FILE", help_heading = "Hardware")]
    hardware: Option<PathBuf>,
    /// Numbers of devices, each with a replica of the model.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "1",
        help_heading = "Hardware"
    )]
    devices: Vec<usize>,
    /// Deal the rows of one batch out to the devices, in place of a batch for each of them.
    #[arg(long, help_heading = "Hardware")]
    one_batch: bool,
    /// What part of the peak products reach, from 0.0001 to 1.
    #[arg(
        long,
        value_name = "PART",
        help_heading = "Hardware",
        show_default = "that of the device, else 1"
    )]
    peak_share: Option<f64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

/// The most devices: a typing error beyond.
const MOST_DEVICES: usize = 1_000_000;

/// Runs the command.
///
/// # Errors
///
/// Returns an error naming the flag, the file or the key that is wrong.
pub fn run(mut args: PlanArgs) -> CliResult {
    let mut given = std::mem::take(&mut args.settings);
    if let Some(path) = &args.config {
        given = given.or(file::load_config(path).map_err(in_config)?);
    }
    plan(&args, given.clone()).map_err(|error| explain(error, &given))
}

fn plan(args: &PlanArgs, given: Settings) -> CliResult {
    // Before anything is measured.
    let resident = memory::resident().unwrap_or_default();
    let left = memory::available().map(|available| resident + available);
    let hardware = Hardware::read(args.hardware.as_deref())?;
    let device = hardware.device(&args.device)?;
    if let Some(count) = args.devices.iter().find(|count| **count > MOST_DEVICES) {
        let message = format!("found {count}, expected at most {MOST_DEVICES}");
        return Err(Error::setting("--devices", message).into());
    }
    let settings = complete(given)?;
    require(&settings)?;
    check_types(&settings, device)?;
    let planned = Planned::new(settings, &args.rows)?;
    let share = share(args, device)?;
    let threads = threads::count();
    let is_cpu = device.kind == Kind::Cpu;
    let mut on = On {
        device,
        cluster: hardware.cluster(device),
        products: planned.compute(),
        measured: None,
        threads,
        share,
        program: if is_cpu { resident + PROGRAM } else { 0 },
        limit: match device.memory_gb {
            Some(gb) => Some((1e9 * gb) as u64),
            None => left.filter(|_| device.is_measured()),
        },
        one_batch: args.one_batch,
    };
    if device.is_measured() {
        let backend = device::choose(Some(device::DeviceName::best(device::Backend::Cpu)))?;
        // Without kernels training multiplies in any type, by operations that are not measured here.
        let compute = if kernels::enabled() { planned.compute() } else { Compute::F32 };
        check_compute(compute, &backend)?;
        let step = planned.step(device, threads, planned.batch.rows);
        on.measured = Some(Measured::of(&step, compute, threads, &backend));
    }
    let plan = Plan::new(&planned, on, &args.devices)?;
    match args.json {
        true => Ok(line(format!("{:#}", plan.json()))?),
        false => Ok(line(plan.text())?),
    }
}

/// Refuses settings that lack what decides a step, with all of it in one message.
fn require(settings: &Settings) -> CliResult {
    // Rows and a folder are for training.
    let needed = settings.missing();
    let needed: Vec<&str> =
        needed.into_iter().filter(|flag| !["--train", "--out"].contains(flag)).collect();
    match needed.as_slice() {
        [] => Ok(()),
        [flag] => Err(CliError::Usage(format!("{flag} is required (as a flag or in --config)"))),
        flags => {
            let flags = crate::usage::listed(flags, "and");
            Err(CliError::Usage(format!("{flags} are required (as flags or in --config)")))
        }
    }
}

/// Refuses types that the device does not compute in.
fn check_types(settings: &Settings, device: &hardware::Device) -> Result<()> {
    let (weights, compute) =
        (settings.base_weights.unwrap_or_default(), settings.dtype.unwrap_or_default());
    let has_kernels = device.kind == Kind::Cpu && kernels::enabled();
    let options = LoadOptions { weights, compute, ..LoadOptions::default() };
    if compute.is_rounded() && !has_kernels && !options.weights_fit() {
        let message = format!(
            "found {weights}, and {compute} for --dtype: without the kernels of the CPU, matrices are kept in the type that \
             they are multiplied in; leave one of the two out"
        );
        return Err(Error::setting("--base-weights", message));
    }
    if device.kind == Kind::Gpu && weights == WeightFormat::Bf16 && !compute.is_rounded() {
        let message = format!(
            "found bf16, which with --dtype f32 is for the CPU, not for {}: give int8, or --dtype bf16",
            device.name
        );
        return Err(Error::setting("--base-weights", message));
    }
    if has_kernels && compute == Compute::F16 {
        let message =
            "found f16, which the kernels of the CPU do not multiply in; expected f32 or bf16";
        return Err(Error::setting("--dtype", message));
    }
    Ok(())
}

/// Refuses products in 16 bits where this machine's kernels have none, before they are measured.
fn check_compute(compute: Compute, device: &burn::tensor::Device) -> Result<()> {
    let reason = compute.is_rounded().then(|| kernels::why_no_bf16(device)).flatten();
    match reason {
        Some(reason) => {
            let message = format!("found {compute}, {reason}; expected f32");
            Err(Error::setting("--dtype", message))
        }
        None => Ok(()),
    }
}

/// What part of the peak products reach.
fn share(args: &PlanArgs, device: &hardware::Device) -> Result<f64> {
    match args.peak_share {
        Some(share) if !(hardware::LEAST_SHARE..=1.0).contains(&share) => {
            let message =
                format!("found {share}, expected a number from {} to 1", hardware::LEAST_SHARE);
            Err(Error::setting("--peak-share", message))
        }
        Some(share) => Ok(share),
        None => Ok(device.share.unwrap_or(1.0)),
    }
}
