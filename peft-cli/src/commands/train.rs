//! `peft train`: trains one method on one task, or on several.
//!
//! | file | contents |
//! |---|---|
//! | `train/printed.rs` | the settings of a recipe, printed |
//! | `train/planned.rs` | the settings of a run, and what keeps it from beginning |
//! | `train/lead.rs` | its training, and how it ended |
//! | `train/following.rs` | the flags with which other commands go on from it |

mod following;
mod lead;
mod planned;
mod printed;

use std::{path::PathBuf, sync::Arc, time::Duration};

use burn::tensor::Device;
use clap::Args;
use peft_core::Error;

use self::{
    following::{again, devices as device_flags, same_device},
    lead::lead,
    planned::{Planned, Resolved, completed, is_ensemble, plan, settings_of},
    printed::print_recipe,
};
use crate::{
    device::{self, DeviceArgs, DeviceName},
    ensemble::train::Ensemble,
    error::{CliError, CliResult},
    processes::{Member, files::Sums, join::join, together},
    recipes::layer::{explain, on_file},
    screen::rows::INTERVAL,
    settings::{Settings, file},
    signals::{AFTER_STEP, Signals},
    threads,
    training::{PreparedRun, shared::Shared},
};

/// Trains an adapter: prompt tuning, prefix tuning or P-tuning v2 on a frozen model.
///
/// Examples:
///   peft train --model models/minilm --method ptv2 \
///     --task seq-cls --train train.jsonl \
///     --valid valid.jsonl --out runs/intent --epochs 1
///   peft train --config runs/intent/run.toml \
///     --out runs/again
///   peft train --recipe liu2022-superglue \
///     --model models/roberta --train rte.jsonl \
///     --out runs/rte --epochs 10
///   peft train --config runs/intent/run.toml \
///     --out runs/five --ensemble 5
///   peft train --tasks tasks.toml --method ptv2 \
///     --model models/minilm --out runs/joint
///   peft train --out runs/intent --resume
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct TrainArgs {
    /// TOML file of settings, named like the flags with underscores; flags take precedence. Its relative paths start from
    /// the working folder, those of a run.toml from its own.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Continue the run in --out from its newest checkpoint, with its settings.
    #[arg(long)]
    resume: bool,
    /// Replace the run in --out; its adapter stays until there is a new one.
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Device to compute with.
    #[arg(long, value_name = "DEVICE", help = device::name::HELP)]
    device: Option<DeviceName>,
    #[command(flatten)]
    on_device: DeviceArgs,
    /// Devices that share the batches of each step, with commas between them, such as cpu,cpu; in place of --device.
    #[arg(long, value_name = "DEVICES", value_delimiter = ',', conflicts_with = "device")]
    devices: Vec<DeviceName>,
    /// Seconds between two lines about progress, where stderr is no terminal.
    #[arg(long, value_name = "S", default_value_t = INTERVAL.as_secs())]
    log_every: u64,
    /// Print the settings of --recipe as TOML (with --json as JSON), with what flags and --config change, and stop.
    #[arg(long)]
    print: bool,
    /// Print the scores as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error if the settings, the model or the rows cannot be used, or if the loss is no longer finite.
pub fn run(mut args: TrainArgs) -> CliResult {
    if args.print {
        return print_recipe(given(&mut args)?, args.json);
    }
    let member = join()?;
    threads::start(None)?;
    if let Some(member) = member.as_ref().filter(|member| !member.leads()) {
        return assist(&args, member);
    }
    let given = match given(&mut args) {
        Ok(given) => given,
        Err(error) => {
            return together::planned(member.as_deref(), Err(error), settings_of).map(drop);
        }
    };
    train(&args, given.clone(), member.as_ref()).map_err(|error| explain(error, &given))
}

/// The settings that flags and the file of `--config` give.
fn given(args: &mut TrainArgs) -> CliResult<Settings> {
    let given = std::mem::take(&mut args.settings);
    Ok(match &args.config {
        Some(path) => on_file(given, &file::load_config(path).map_err(in_config)?, path),
        None => given,
    })
}

/// Trains by the settings that flags and files give, alone or as the first of several processes.
fn train(args: &TrainArgs, settings: Settings, member: Option<&Arc<Member>>) -> CliResult {
    let settings = args.on_device.apply().and_then(|()| completed(args, settings));
    if member.is_none()
        && let Ok(settings) = &settings
        && is_ensemble(args, settings)?
    {
        let (settings, again) = (settings.clone(), again(args));
        let (resume, device, json) = (args.resume, args.device, args.json);
        let every = Duration::from_secs(args.log_every);
        let (same_device, devices) = (same_device(args), device_flags(args));
        let ensemble =
            Ensemble { settings, resume, device, every, json, again, same_device, devices };
        return ensemble.train();
    }
    let own = member.map(Arc::as_ref);
    let planned = settings.and_then(|settings| plan(args, settings, own));
    let Planned { out, lock, resolved, moved, .. } = together::planned(own, planned, settings_of)?;
    let run = prepared(args, resolved, args.resume, member);
    let run = together::ready(own, run.map_err(|error| moved.explain(error)), sums)?;
    lead(args, run, &out, &lock)
}

/// Assists the run that the process of rank 0 leads, by the settings that it gives.
fn assist(args: &TrainArgs, member: &Arc<Member>) -> CliResult {
    let settings = together::settings_of_leader(member)?;
    // The folder, and a checkpoint to go on from, are those of rank 0.
    let run = args.on_device.apply().and_then(|()| Resolved::of(settings));
    let run = run.and_then(|resolved| prepared(args, resolved, false, Some(member)));
    let run = together::ready(Some(member), run, sums)?;
    member.follow(Signals::follow(AFTER_STEP));
    Ok(run.assist()?)
}

/// The files that all processes of a run must have alike.
fn sums(run: &PreparedRun) -> CliResult<Sums> {
    Ok(Sums::of(&run.settings, run.model_path())?)
}

/// Reads and checks everything that the settings name.
fn prepared(
    args: &TrainArgs,
    settings: Resolved,
    resume: bool,
    member: Option<&Arc<Member>>,
) -> CliResult<PreparedRun> {
    let devices = devices(args, member.map(Arc::as_ref))?;
    let device = &devices[0];
    let run = match (settings.joint, resume) {
        (Some(joint), false) => PreparedRun::joint(joint, device)?,
        (Some(joint), true) => PreparedRun::joint_resumed(joint, device)?,
        (None, false) => PreparedRun::new(settings.run, device)?,
        (None, true) => PreparedRun::resumed(settings.run, device, &Shared::default())?,
    };
    let run = run.on_devices(&devices)?.with_member(member.cloned());
    if member.is_some() {
        // What it says is said once, while all still listen.
        run.check_method()?;
    }
    Ok(run)
}

/// The devices that compute, at least one.
fn devices(args: &TrainArgs, member: Option<&Member>) -> CliResult<Vec<Device>> {
    match args.devices.as_slice() {
        [] => {
            let own =
                |member: &Member| device::choose::of_process(args.device, member.local_place());
            Ok(vec![device::choose(member.map_or(args.device, own))?])
        }
        several => device::choose::several(several),
    }
}

/// A bad key or value in `--config` is wrong usage, as it would be in a flag.
pub(super) fn in_config(error: Error) -> CliError {
    match error {
        Error::File { .. } => CliError::Usage(error.to_string()),
        other => other.into(),
    }
}
