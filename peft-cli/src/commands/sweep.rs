//! `peft sweep`: many runs from one file.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use peft_core::Error;
use serde_json::json;

use super::compare::ShownArgs;
use crate::{
    compare::{compare, find},
    device::{self, DeviceArgs, DeviceName},
    error::{CliError, CliResult},
    flags::{given::Given, help::FlagHelp},
    output::{self, quoted, table},
    screen::rows::INTERVAL,
    shard::{Chosen, Shard},
    signals::{AFTER_STEP, Signals},
    sweep::{Plan, SweepFile, There, Work, changed, check, elsewhere},
    training::{
        ending::Ending,
        file_names::{REPORT, RUN_FILE},
        places,
        shared::Shared,
    },
};

/// Makes the runs that a file asks for, and compares them.
///
/// The file has the settings of all runs, as run.toml has those of one, and tables: `[[runs]]` with settings of their own,
/// whose lists are tried one by one; `[grid]` with lists that are all combined; `[search]` with values that are drawn;
/// `[halving]` to give up runs that are behind. docs/SWEEPS.md has examples.
///
/// The base model and the rows are loaded once. Each run has a folder in --out that is called after its settings. The same
/// command goes on with a sweep that was killed: runs that have ended are left as they are, a run that was begun goes on
/// from its newest checkpoint.
///
/// Examples:
///   peft sweep sweep.toml --out runs/sweep --dry-run
///   peft sweep sweep.toml --out runs/sweep
///   peft sweep sweep.toml --out runs/sweep --shard 1/2
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct SweepArgs {
    /// TOML file of the sweep.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folder for the folders of the runs.
    #[arg(long, value_name = "DIR", show_default = "`out` in the file")]
    out: Option<PathBuf>,
    /// Runs that are made at a time; they share the cores, the model and the rows.
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Make the i-th of n parts of the runs, such as 2/3: each machine makes another one. auto: the part of this process
    /// among those of srun, an array of sbatch or mpirun.
    #[arg(long, value_name = "I/N")]
    shard: Option<Chosen>,
    /// Print the runs and what is there of each, and make none.
    #[arg(long)]
    dry_run: bool,
    /// Device to compute with.
    #[arg(long, value_name = "DEVICE", help = device::name::HELP)]
    device: Option<DeviceName>,
    #[command(flatten)]
    on_device: DeviceArgs,
    /// Seconds between two lines about progress, where stderr is no terminal.
    #[arg(long, value_name = "S", default_value_t = INTERVAL.as_secs())]
    log_every: u64,
    /// Also print seconds and memory, which differ from one repetition to the next.
    #[arg(long)]
    times: bool,
    #[command(flatten)]
    shown: ShownArgs,
}

/// The most runs at a time.
const MOST_JOBS: usize = 1024;

/// Runs the command.
///
/// # Errors
///
/// Returns an error if the file or the settings of a run cannot be used, if a folder holds another run, or if a run fails;
/// the others are made then.
pub fn run(args: &SweepArgs) -> CliResult {
    args.shown.check()?;
    if !(1..=MOST_JOBS).contains(&args.jobs) {
        let message = format!("found {}, expected 1 to {MOST_JOBS}", args.jobs);
        return Err(Error::setting("--jobs", message).into());
    }
    let file = SweepFile::read(&args.file).map_err(in_file)?;
    let out = args.out.clone().or_else(|| file.all.out.clone());
    let out = out.ok_or_else(|| {
        CliError::Usage(
            "--out is required (as a flag, or as `out` in the file of the sweep)".into(),
        )
    })?;
    output::check_folder("--out", &out)?;
    places::refuse_run_itself(&out)?;
    if file.halving.is_some() && args.shard.is_some() {
        let message =
            "not used with [halving], which compares all runs: --jobs makes several at a time";
        return Err(Error::setting("--shard", message).into());
    }
    let plan = Plan::new(&file, &args.file, &out).map_err(in_file)?;
    if plan.repeated > 0 {
        output::note(format!(
            "note: {} of the draws in [search] repeat earlier ones, and are left out",
            plan.repeated
        ));
    }
    let there = plan.there()?;
    let shard = Chosen::settle(args.shard)?.unwrap_or(Shard::WHOLE);
    let mine = plan.of_shard(shard);
    if mine.is_empty() {
        // There are more parts than runs: nothing is wrong.
        output::note(format!(
            "note: part {shard} of this sweep has no runs: there are {} of them, fewer than parts",
            plan.runs.len()
        ));
    }
    if args.dry_run {
        let elsewhere = elsewhere::named_otherwise(&plan, &there)?;
        if let Some(first) = elsewhere.first() {
            let more = match elsewhere.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            output::note(format!(
                "note: {}{more} ended with the base model or rows at other paths: whether these are the same is known once \
                 the sweep goes on",
                first.name
            ));
        }
        return dry_run(&plan, &there, &mine, args.shown.is_json());
    }
    if mine.is_empty() {
        return Ok(());
    }
    let has_ended = |place: &&usize| matches!(there[**place], There::Ended(_));
    let already = mine.iter().filter(has_ended).count();
    if already < mine.len() {
        let of_shard = if mine.len() < plan.runs.len() { " of this shard" } else { "" };
        let ended = match already {
            0 => String::new(),
            already => format!(", {already} of them ended already"),
        };
        output::note(format!("{} runs{of_shard} in {}{ended}", mine.len(), out.display()));
    }
    args.on_device.apply()?;
    let (device, shared) = (device::choose(args.device)?, Shared::default());
    elsewhere::check(&plan, &there, &device, &shared)?;
    changed::notes(&plan, (&mine, &there), &device, &shared).into_iter().for_each(output::note);
    let signals = Signals::follow(AFTER_STEP);
    let work = Work {
        plan: &plan,
        device,
        devices: Given::default()
            .value("--device", args.device)
            .value("--device-memory", args.on_device.device_memory),
        jobs: args.jobs,
        halving: file.halving.clone(),
        signals: signals.clone(),
        every: Duration::from_secs(args.log_every),
        shared: &shared,
    };
    let ended = work.run(&mine, already);
    let command = output::command_line();
    if ended.interrupted {
        return check(&ended, &signals, &command);
    }
    let folders = plan.runs.iter().map(|run| run.folder.clone());
    let folders: Vec<PathBuf> = folders.filter(|folder| folder.join(RUN_FILE).exists()).collect();
    // Beside the table there is a page, unless the file leaves it out.
    let page = (!file.all.no_report.unwrap_or_default()).then(|| out.join(REPORT));
    let mut shown = args.shown.clone();
    shown.html = shown.html.or(page);
    let compared = match folders.is_empty() {
        // What failed is told below.
        true => Ok(()),
        false => {
            let found = find(&folders)?;
            match args.shard.is_some() && found.finished.is_empty() {
                // Other shards make theirs at the same time, or hold all of them.
                true => {
                    output::note("note: no run is finished yet, so that there is no table");
                    Ok(())
                }
                false => compare(found, args.shown.metric.as_deref())
                    .map_err(CliError::from)
                    .and_then(|comparison| shown.show(&comparison, None, args.times)),
            }
        }
    };
    check(&ended, &signals, &command)?;
    compared?;
    if !args.times {
        output::next("seconds and memory: ", &format!("peft compare {}", quoted(&out)));
    }
    Ok(())
}

/// Prints the runs, and what is there of each.
fn dry_run(plan: &Plan, there: &[There], mine: &[usize], as_json: bool) -> CliResult {
    let state = |place: usize| match there[place] {
        There::Nothing => "to be made".to_string(),
        There::Begun(step) => format!("goes on after step {step}"),
        There::Ended(Ending::Diverged) => "ended: diverged".to_string(),
        There::Ended(Ending::Halted) => "ended: given up".to_string(),
        There::Ended(_) => "ended".to_string(),
    };
    if as_json {
        let run = |place: &usize| {
            let run = &plan.runs[*place];
            json!({ "name": run.name, "path": run.folder, "state": state(*place), "settings": run.settings })
        };
        let runs: Vec<_> = mine.iter().map(run).collect();
        return Ok(output::line(format!("{:#}", json!({ "runs": runs })))?);
    }
    let rows: Vec<Vec<String>> =
        mine.iter().map(|place| vec![plan.runs[*place].name.clone(), state(*place)]).collect();
    output::line(table(&["run", "state"], &rows))?;
    let ended = mine.iter().filter(|place| matches!(there[**place], There::Ended(_))).count();
    Ok(output::line(format!("\n{} runs, {ended} of them ended", mine.len()))?)
}

/// What is wrong in the file is wrong usage, as it would be in flags.
fn in_file(error: Error) -> CliError {
    match error {
        Error::File { .. } => CliError::Usage(error.to_string()),
        other => other.into(),
    }
}
