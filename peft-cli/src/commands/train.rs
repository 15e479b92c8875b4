//! `peft train`: trains one method on one task.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use peft_core::{Error, adapter::FolderLock};
use serde_json::json;

use crate::{
    device::{self, Backend},
    error::{CliError, CliResult},
    output::{self, grouped},
    settings::{Settings, file, resolve::resolve},
    training::{
        PreparedRun, overwrite,
        progress::{Progress, interrupt_flag},
        run_folder::{self, RunFolder, Start},
    },
    usage::listed,
};

/// Trains an adapter: prompt tuning, prefix tuning or P-tuning v2 on a frozen model.
///
/// Examples:
///   peft train --model models/minilm --method ptv2 --task seq-cls \
///     --train train.jsonl --valid valid.jsonl --out runs/intent --epochs 1
///   peft train --config runs/intent/run.toml --out runs/again
///   peft train --out runs/intent --resume
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct TrainArgs {
    /// TOML file of settings, named like the flags with underscores; flags take precedence.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Continue the run in --out from its newest checkpoint, with its settings.
    #[arg(long)]
    resume: bool,
    /// Replace the run in --out; its adapter stays until there is a new one.
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Backend to compute with.
    #[arg(long, value_enum)]
    device: Option<Backend>,
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
pub fn run(args: TrainArgs) -> CliResult {
    let mut settings = args.settings;
    if let Some(path) = &args.config {
        settings = settings.or(file::load(path).map_err(in_config)?);
    }
    if !args.resume {
        check_required(&settings)?;
    }
    let out = Settings::required(&settings.out, "--out")?.clone();
    // Held until the adapter is saved: one process at a time.
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
        earlier_metrics = earlier.metrics_file.clone();
        run_folder::check_resume(&out, &earlier)?;
        settings = settings.or(earlier);
    } else if !args.overwrite {
        run_folder::refuse_existing(&out)?;
    }
    let settings = resolve(settings)?;
    if let Some(path) = &settings.metrics_file {
        let continues = args.resume
            && earlier_metrics.is_some_and(|earlier| output::is_same_file(path, &earlier));
        let may_replace = args.overwrite || continues;
        run_folder::check_metrics_file(path, &settings, args.config.as_deref(), may_replace)?;
    }
    let run = PreparedRun::new(settings, &device::choose(args.device)?)?;
    // Written when the run begins: settings that cannot start a run must not cost an earlier one.
    let start = match (args.resume, args.overwrite) {
        (true, _) => Start::Resume,
        (_, true) => Start::Replace,
        _ => Start::New,
    };
    let folder = RunFolder::new(&out, &run.settings, start);
    let mut progress = Progress::new(run.method.name(), Some(folder), interrupt_flag());
    let trained = run.train(Some(&lock), args.resume, &mut progress);
    progress.finish();
    if let Some(error) = progress.failure.take() {
        return Err(error.into());
    }
    let trained = trained?;
    if trained.interrupted {
        output::note(format!(
            "interrupted after step {} of {}; continue with\n  peft train --out {} --resume",
            trained.last_step,
            trained.total_steps,
            out.display()
        ));
        return Err(CliError::Failed(Error::Mismatch("the run is not finished".into())));
    }
    trained.adapter.save(&out)?;
    overwrite::adapter_saved(&out)?;
    if args.json {
        let json = json!({
            "step": trained.step, "metrics": trained.metrics, "seconds": trained.seconds,
            "trained_parameters": trained.trained_parameters,
        });
        return Ok(output::line(json.to_string())?);
    }
    output::line(format!(
        "{}: step {} of {}, {} parameters trained, {:.1} s, saved in {}",
        run.method.name(),
        trained.step,
        trained.total_steps,
        grouped(trained.trained_parameters),
        trained.seconds,
        out.display()
    ))?;
    if let Some(metrics) = &trained.metrics {
        output::metrics(metrics)?;
    }
    Ok(())
}

/// Refuses settings that lack required ones, with all of them in one message.
fn check_required(settings: &Settings) -> CliResult {
    let missing = settings.missing();
    let message = match missing.as_slice() {
        [] => return Ok(()),
        [flag] => format!("{flag} is required (as a flag or in --config)"),
        flags => format!("{} are required (as flags or in --config)", listed(flags, "and")),
    };
    Err(CliError::Usage(message))
}

/// A bad key or value in `--config` is wrong usage, as it would be in a flag.
fn in_config(error: Error) -> CliError {
    match error {
        Error::File { .. } => CliError::Usage(error.to_string()),
        other => other.into(),
    }
}
