//! `peft train`: trains one method on one task.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use burn::tensor::Device;
use clap::Args;
use peft_core::{Error, adapter::FolderLock, train::checkpoint::Checkpoints};
use serde_json::json;

use crate::{
    commands::recipes,
    constant,
    data_files::is_standard_input,
    device::{self, DeviceArgs, DeviceName},
    ensemble::train::{self as ensemble, Ensemble},
    error::{CliError, CliResult},
    flags::given::Given,
    output,
    processes::{Member, files::Sums, join::join, together},
    recipes::{
        layer::{complete, explain, on_file},
        named::Recipe,
    },
    report::ended,
    screen::{bar::columns, fact::fact, manners::is_watched, rows::INTERVAL},
    settings::{
        Settings, file,
        joint::{JointSettings, resolve_joint},
        resolve::{resolve, with_head_lr_of_before},
    },
    signals::{AFTER_STEP, Signals},
    training::{
        PreparedRun, TrainedRun, closing,
        file_names::RUN_FILE,
        overwrite,
        progress::Progress,
        run_folder::{self, RunFolder, Start},
        run_result::{self, RunResult},
        shared::Shared,
        validation::Recorder,
    },
    usage::listed,
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

/// A run of which nothing in its folder keeps it from beginning.
struct Planned {
    out: PathBuf,
    /// Held until the adapter is saved: one process at a time.
    lock: Arc<FolderLock>,
    /// The settings that flags, files and the run that goes on give.
    settings: Settings,
    /// With their defaults.
    resolved: Resolved,
}

fn settings_of(planned: &Planned) -> &Settings {
    &planned.settings
}

/// Settings with their defaults, those of the whole and, of a joint run, those of its tasks.
struct Resolved {
    run: Settings,
    joint: Option<JointSettings>,
}

impl Resolved {
    fn of(settings: Settings) -> CliResult<Self> {
        Ok(match settings.tasks {
            Some(_) => {
                let joint = resolve_joint(settings)?;
                Self { run: joint.run.clone(), joint: Some(joint) }
            }
            None => Self { run: resolve(settings)?, joint: None },
        })
    }
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
        let same_device = same_device(args);
        return Ensemble { settings, resume, device, every, json, again, same_device }.train();
    }
    let own = member.map(Arc::as_ref);
    let planned = settings.and_then(|settings| plan(args, settings, own));
    let Planned { out, lock, resolved, .. } = together::planned(own, planned, settings_of)?;
    let run = together::ready(own, prepared(args, resolved, args.resume, member), sums)?;
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

/// Settings that have all that is required.
fn completed(args: &TrainArgs, mut settings: Settings) -> CliResult<Settings> {
    settings.out.as_deref().map_or(Ok(()), |out| output::check_folder("--out", out))?;
    if !args.resume {
        // Each task of several is completed by itself.
        if settings.tasks.is_none() {
            settings = complete(settings)?;
        }
        check_required(&settings)?;
    }
    Ok(settings)
}

/// Whether an ensemble is to be trained. What it does not take is refused.
fn is_ensemble(args: &TrainArgs, settings: &Settings) -> CliResult<bool> {
    let out = Settings::required(&settings.out, "--out")?;
    let is_ensemble = settings.ensemble.is_some() || (args.resume && ensemble::is_there(out));
    if args.overwrite && (is_ensemble || ensemble::is_there(out)) {
        let message = "not used for an ensemble, whose folder holds several runs: remove the folder, or give another --out";
        return Err(Error::setting("--overwrite", message).into());
    }
    if is_ensemble && !args.devices.is_empty() {
        let message = "--devices: not used for an ensemble, whose adapters are trained one after another: name one device by \
                       --device";
        return Err(CliError::Usage(message.into()));
    }
    Ok(is_ensemble)
}

/// Refuses what several processes do not make together.
fn refuse_among_processes(args: &TrainArgs, settings: &Settings) -> CliResult {
    const ONE: &str = "one process trains an ensemble, without a launcher of MPI in front of it";
    if is_ensemble(args, settings)? {
        return Err(CliError::Usage(format!("--ensemble: {ONE}")));
    }
    if !args.devices.is_empty() {
        return Err(CliError::Usage(
            "--devices: not used where several processes make a run, each of them on one device: name it by --device, and \
             start as many processes as there are devices"
                .into(),
        ));
    }
    for (names, flag) in [(&settings.train, "--train"), (&settings.valid, "--valid")] {
        if names.as_deref().is_some_and(is_standard_input) {
            return Err(CliError::Usage(format!(
                "{flag} -: standard input reaches one process, and several read the rows: give a file that all of them have"
            )));
        }
    }
    Ok(())
}

/// Plans a run in its folder, of which this process has all that one process may have.
fn plan(args: &TrainArgs, mut settings: Settings, member: Option<&Member>) -> CliResult<Planned> {
    let out = Settings::required(&settings.out, "--out")?.clone();
    if member.is_some() {
        refuse_among_processes(args, &settings)?;
    }
    let lock = Arc::new(FolderLock::new(&out)?);
    if let Some(warning) = lock.warning() {
        output::note(format!("note: {warning}"));
    }
    let mut earlier_metrics = None;
    if args.resume {
        if overwrite::finish(&out)? {
            output::note(format!(
                "note: {}: the new run that --overwrite began takes the place of the old one",
                out.display()
            ));
        }
        let earlier = run_folder::settings_of(&out)?;
        check_recipe(&settings, &earlier)?;
        check_start(&settings, &earlier, &out)?;
        earlier_metrics = earlier.metrics_file.clone();
        run_folder::check_resume(&out, &earlier)?;
        settings = settings.or(with_head_lr_of_before(earlier));
    } else if !args.overwrite {
        run_folder::refuse_existing(&out)?;
    }
    let resolved = Resolved::of(settings.clone())?;
    run_folder::check_inputs(&out, &resolved.run)?;
    if let Some(path) = &resolved.run.metrics_file {
        let continues = args.resume
            && earlier_metrics.is_some_and(|earlier| output::is_same_file(path, &earlier));
        let may = (continues, args.overwrite);
        run_folder::check_metrics_file(path, &resolved.run, args.config.as_deref(), may)?;
    }
    Ok(Planned { out, lock, settings, resolved })
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

/// Trains, and says how it ended.
fn lead(args: &TrainArgs, run: PreparedRun, out: &Path, lock: &Arc<FolderLock>) -> CliResult {
    // Written when the run begins: settings that cannot start a run must not cost an earlier one.
    let start = match (args.resume, args.overwrite) {
        (true, _) => Start::Resume,
        (_, true) => Start::Replace,
        _ => Start::New,
    };
    let folder = RunFolder::new(out, &run.settings, start).with_run(&run);
    let columns = is_watched().then(columns);
    let facts = run.facts().into_iter().map(|(name, text)| fact(name, &text, columns));
    let signals = Signals::follow(AFTER_STEP);
    let every = Duration::from_secs(args.log_every);
    let mut progress = Progress::new(run.method.name(), every, Some(folder), signals.clone())
        .with_opening(facts.collect(), run.warnings())
        .with_head_lr(run.settings.head_lr)
        .with_recorder(Recorder::of(&run));
    let trained = run.train(Some(lock), args.resume, &mut progress);
    progress.finish();
    if let Some(error) = progress.failure.take() {
        return Err(error.into());
    }
    let trained = match trained {
        Ok(trained) => trained,
        Err(error) => {
            if let Some(way_on) = closing::way_on(&run, &error, out, &again(args)) {
                output::tell(way_on);
            }
            run_result::diverged(&run, &error, out)?;
            if let Err(failed) = ended::write_diverged(&run, &error, out) {
                output::note(format!("note: the page about the run is not of its end: {failed}"));
            }
            return Err(error.into());
        }
    };
    if trained.interrupted {
        return Err(CliError::Interrupted {
            signal: signals.number(),
            message: format!(
                "interrupted after step {} of {}, which is saved; continue with\n  {}",
                trained.last_step,
                trained.total_steps,
                closing::resume_command(out, &again(args))
            ),
        });
    }
    let train_loss = progress.train_loss().map(|(loss, _)| loss);
    run_result::save(&trained, &RunResult::finished(&run, &trained, train_loss), out)?;
    if let Some(message) = progress.loss_at_end() {
        output::tell(format!("warning: {message}"));
    }
    if let Some(constant) = &progress.constant {
        constant::warn(constant, run.labels.as_ref(), run.settings.head_lr.is_some());
    }
    if args.resume && progress.steps == 0 {
        output::note(closing::had_ended(&trained, out));
    }
    // Nobody may read what is printed; what is written does not depend on that.
    let printed = close(&run, &trained, progress.train_loss(), out, args.json);
    let page = ended::write(&run, &trained, &signals, out);
    output::next("next: ", &closing::next_command(&run, &trained, out, &same_device(args)));
    page?;
    printed
}

/// The flags that are no settings of the run, for the command that goes on with it.
fn again(args: &TrainArgs) -> Given {
    let devices: Vec<String> = args.devices.iter().map(ToString::to_string).collect();
    let every = args.log_every;
    Given::everywhere()
        .value("--device", args.device)
        .value("--devices", (!devices.is_empty()).then(|| devices.join(",")))
        .value("--device-memory", args.on_device.device_memory)
        .value("--log-every", (every != INTERVAL.as_secs()).then_some(every))
        .switch("--json", args.json)
}

/// The flags with which another command computes on the device of this one, the first of several.
fn same_device(args: &TrainArgs) -> Given {
    let device = args.device.or(args.devices.first().copied());
    Given::default()
        .value("--device", device.filter(|name| !device::choose::is_default(*name)))
        .value("--device-memory", args.on_device.device_memory)
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

/// Prints what a recipe sets, and what is given on top of it.
fn print_recipe(given: Settings, as_json: bool) -> CliResult {
    let Some(name) = &given.recipe else {
        return Err(CliError::Usage("--print: needs --recipe, whose settings it prints".into()));
    };
    let recipe = Recipe::named(name)?;
    let alone = given == Settings { recipe: given.recipe.clone(), ..Settings::default() };
    if alone && !as_json {
        return recipes::print(recipe);
    }
    let settings = match alone {
        true => recipe.settings(),
        false => complete(given)?,
    };
    match as_json {
        true => output::line(format!("{:#}", json!(settings)))?,
        false => output::piece(&settings.to_toml())?,
    }
    Ok(())
}

/// Prints how the run ended.
fn close(
    run: &PreparedRun,
    trained: &TrainedRun,
    train_loss: Option<(f64, usize)>,
    out: &Path,
    as_json: bool,
) -> CliResult {
    if as_json {
        let json = json!({
            "step": trained.step, "metrics": trained.metrics, "seconds": trained.seconds,
            "trained_parameters": trained.trained_parameters, "last_step": trained.last_step,
            "total_steps": trained.total_steps, "stopped_early": trained.stopped_early,
            "last_metrics": trained.last_metrics, "train_loss": train_loss.map(|(loss, _)| loss),
        });
        return Ok(output::line(json.to_string())?);
    }
    output::sentence(&closing::summary(run, trained, out))?;
    match (closing::scores(trained), &trained.metrics) {
        (Some(table), _) => output::line(table)?,
        (None, Some(metrics)) => output::metrics(metrics)?,
        (None, None) => {
            train_loss.map_or(Ok(()), |loss| output::line(closing::train_loss(loss)))?
        }
    }
    Ok(())
}

/// Refuses another recipe than that of the run that goes on: its settings are those of the run.
fn check_recipe(settings: &Settings, earlier: &Settings) -> CliResult {
    match settings.recipe.as_deref().filter(|name| earlier.recipe.as_deref() != Some(*name)) {
        Some(name) => Err(Error::setting(
            "--recipe",
            format!("found {name}, but a run that goes on with --resume keeps its settings: give those to change"),
        )
        .into()),
        None => Ok(()),
    }
}

/// Refuses another start than that of the run that goes on, once it has a checkpoint: it goes on from there.
fn check_start(settings: &Settings, earlier: &Settings, out: &Path) -> CliResult {
    let same = |given: &PathBuf| {
        earlier.init_adapter.as_ref().is_some_and(|earlier| output::is_same_file(given, earlier))
    };
    match settings.init_adapter.as_ref().filter(|given| !same(given)) {
        Some(given) if !Checkpoints::new(out, 1).list()?.is_empty() => Err(Error::setting(
            "--init-adapter",
            format!(
                "found {}, but a run that goes on with --resume has started already: leave it out, or give another --out",
                given.display()
            ),
        )
        .into()),
        _ => Ok(()),
    }
}

/// Refuses settings that lack required ones, with all of them in one message.
fn check_required(settings: &Settings) -> CliResult {
    let missing = settings.missing();
    let message = match missing.as_slice() {
        [] => return Ok(()),
        [flag] => format!("{flag} is required (as a flag or in --config)"),
        flags => format!("{} are required (as flags or in --config)", listed(flags, "and")),
    };
    let way_on = match settings.out.as_deref().filter(|out| out.join(RUN_FILE).exists()) {
        Some(out) => format!("; --resume continues the run in {}", out.display()),
        None => String::new(),
    };
    Err(CliError::Usage(format!("{message}{way_on}")))
}

/// A bad key or value in `--config` is wrong usage, as it would be in a flag.
pub(super) fn in_config(error: Error) -> CliError {
    match error {
        Error::File { .. } => CliError::Usage(error.to_string()),
        other => other.into(),
    }
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
    fn a_run_goes_on_with_the_flags_that_it_does_not_remember() {
        let flags = ["--device=cuda", "--device-memory=async", "--json", "--log-every=7"];
        let found = again(&given(&flags)).to_string();
        let expected = " --device cuda --device-memory async --log-every 7 --json";
        assert!(found.ends_with(expected), "{found}");
    }
}
