//! `peft train`: trains one method on one task.

use std::path::PathBuf;

use clap::Args;
use peft_core::{Error, Result};
use serde_json::json;

use super::eval;
use crate::{
    device::{self, Backend},
    error::{CliError, CliResult},
    job::Job,
    methods::{LARGEST, default_init, default_lr, default_num_virtual_tokens, has_projection},
    output::{self, grouped},
    progress::{Progress, interrupt_flag},
    run_folder::{self, RunFolder},
    settings::{MethodName, Settings},
};

/// Trains an adapter: prompt tuning, prefix tuning or P-tuning v2 on a frozen model.
///
/// Examples:
///   peft train --model models/minilm --method ptv2 --task seq-cls --train train.jsonl \
///     --valid valid.jsonl --out runs/intent --epochs 1
///   peft train --config runs/intent/run.toml --out runs/again
///   peft train --out runs/intent --resume
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct TrainArgs {
    /// Settings from a TOML file with the same names (underscores for dashes); flags win.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Go on with the run in --out, from its newest checkpoint and with its settings.
    #[arg(long)]
    resume: bool,
    /// Replace the run in --out. Its adapter stays until the new one is there.
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Backend that computes.
    #[arg(long, value_enum)]
    device: Option<Backend>,
    /// Prints the scores as JSON alone.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Runs the command.
///
/// # Errors
///
/// Wrong settings, whatever is wrong with the model or the rows, or a loss that is no number any more.
pub fn run(args: TrainArgs) -> CliResult {
    let mut settings = args.settings;
    if let Some(path) = &args.config {
        settings = settings.or(Settings::load(path).map_err(in_config)?);
    }
    let out = settings.required(&settings.out, "--out")?.clone();
    let mut begun_metrics = None;
    if args.resume {
        let begun = run_folder::settings_of(&out)?;
        begun_metrics = begun.metrics_file.clone();
        run_folder::check_resume(&out, &begun)?;
        settings = settings.or(begun);
    } else if !args.overwrite {
        run_folder::refuse_existing(&out)?;
    }
    let settings = resolve(settings)?;
    if let Some(path) = &settings.metrics_file {
        let goes_on = args.resume && begun_metrics.as_ref() == Some(path);
        let may_replace = args.overwrite || goes_on;
        run_folder::check_metrics_file(path, &settings, args.config.as_deref(), may_replace)?;
    }
    let job = Job::new(settings, &device::choose(args.device)?)?;
    // Written when the run begins: settings that cannot start one must not cost an earlier one.
    let folder = RunFolder::new(&out, &job.settings, args.overwrite);
    let mut progress = Progress::new(job.method.name(), Some(folder), interrupt_flag());
    let done = job.train(Some(&out), args.resume, &mut progress);
    progress.finish();
    if let Some(error) = progress.failure.take() {
        return Err(error.into());
    }
    let done = done?;
    if done.interrupted {
        output::note(format!(
            "interrupted after step {} of {}; go on with\n  peft train --out {} --resume",
            done.last_step,
            done.total_steps,
            out.display()
        ));
        return Err(CliError::Failed(Error::Mismatch("the run is not finished".into())));
    }
    done.adapter.save(&out)?;
    if args.json {
        let json = json!({
            "step": done.step, "metrics": done.metrics, "seconds": done.seconds,
            "trained_parameters": done.trained_parameters,
        });
        return output::line(json.to_string());
    }
    output::line(format!(
        "{}: step {} of {}, {} parameters trained, {:.1} s, saved in {}",
        job.method.name(),
        done.step,
        done.total_steps,
        grouped(done.trained_parameters),
        done.seconds,
        out.display()
    ))?;
    done.metrics.as_ref().map_or(Ok(()), eval::print)
}

/// A key or value in `--config` that makes no sense is wrong usage, as it would be as a flag.
fn in_config(error: Error) -> CliError {
    match error {
        Error::File { .. } => CliError::Usage(error.to_string()),
        other => other.into(),
    }
}

/// Fills in every default that does not depend on the data.
fn resolve(mut settings: Settings) -> Result<Settings> {
    let method = *settings.required(&settings.method, "--method")?;
    settings.required(&settings.model, "--model")?;
    settings.required(&settings.task, "--task")?;
    settings.required(&settings.train, "--train")?;
    check_sizes(&settings)?;
    if settings.batch_size.is_some() && settings.batch_tokens.is_some() {
        let message = "give either it or --batch-size, not both";
        return Err(Error::setting("--batch-tokens", message));
    }
    check_needs_valid(&settings)?;
    let optimizer = settings.optimizer.get_or_insert_with(|| "adamw".into()).clone();
    let projection = has_projection(&settings, method);
    settings.lr.get_or_insert(default_lr(method, projection, &optimizer));
    settings.schedule.get_or_insert_with(|| "linear".into());
    if settings.batch_tokens.is_none() {
        settings.batch_size.get_or_insert(32);
    }
    settings.seed.get_or_insert(0);
    settings.accumulation.get_or_insert(1);
    settings.warmup_steps.get_or_insert(0);
    settings.padding.get_or_insert_with(|| "right".into());
    if settings.steps.is_none() {
        settings.epochs.get_or_insert(3);
    }
    // An adapter to start from has its own.
    if method != MethodName::Head && settings.init_adapter.is_none() {
        settings.num_virtual_tokens.get_or_insert(default_num_virtual_tokens(method));
        settings.init.get_or_insert_with(|| default_init(method).into());
    }
    if matches!(method, MethodName::Prefix | MethodName::Ptv2) {
        settings.prefix_projection.get_or_insert(projection);
        settings.prefix_dropout.get_or_insert(0.0);
        if projection {
            settings.prefix_hidden_size.get_or_insert(512);
        }
    }
    Ok(settings)
}

/// Refuses settings of evaluations where there will be none.
fn check_needs_valid(settings: &Settings) -> Result<()> {
    let given = [
        ("--eval-every", settings.eval_every.is_some()),
        ("--best-metric", settings.best_metric.is_some()),
        ("--patience", settings.patience.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given && settings.valid.is_none()) {
        Some((flag, _)) => Err(Error::setting(flag, "needs validation rows (--valid)")),
        None => Ok(()),
    }
}

/// Refuses numbers that no memory has room for, and paths that `run.toml` cannot hold.
fn check_sizes(settings: &Settings) -> Result<()> {
    for (flag, value) in [
        ("--batch-size", settings.batch_size),
        ("--batch-tokens", settings.batch_tokens),
        ("--prefix-hidden-size", settings.prefix_hidden_size),
    ] {
        if let Some(value) = value.filter(|value| *value > LARGEST) {
            let message = format!("found {value}, expected at most {LARGEST}");
            return Err(Error::setting(flag, message));
        }
    }
    for (flag, path) in [
        ("--model", &settings.model),
        ("--train", &settings.train),
        ("--valid", &settings.valid),
        ("--out", &settings.out),
        ("--init-adapter", &settings.init_adapter),
        ("--metrics-file", &settings.metrics_file),
    ] {
        if let Some(path) = path.as_deref().filter(|path| path.to_str().is_none()) {
            let message = format!("found {}, expected a path in UTF-8", path.display());
            return Err(Error::setting(flag, message));
        }
    }
    Ok(())
}
