//! A run that this process makes alone, or as the first of several: its training, and how it ended.

use std::{path::Path, sync::Arc, time::Duration};

use peft_core::adapter::FolderLock;
use serde_json::json;

use super::{
    TrainArgs,
    following::{again, devices, same_device},
};
use crate::{
    constant,
    error::{CliError, CliResult},
    output,
    report::ended,
    screen::{bar::columns, fact::fact, manners::is_watched},
    signals::{AFTER_STEP, Signals},
    training::{
        PreparedRun, TrainedRun, closing,
        progress::Progress,
        run_folder::{RunFolder, Start},
        run_result::{self, RunResult},
        saving,
        validation::Recorder,
    },
};

/// Trains, and says how it ended.
pub(super) fn lead(
    args: &TrainArgs,
    run: PreparedRun,
    out: &Path,
    lock: &Arc<FolderLock>,
) -> CliResult {
    // Written when the run begins: settings that cannot start a run must not cost an earlier one.
    let start = match (args.resume, args.overwrite) {
        (true, _) => Start::Resume,
        (_, true) => Start::Replace,
        _ => Start::New,
    };
    let folder = RunFolder::new(out, &run.settings, start).with_run(&run, &devices(args));
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
    saving::save(&trained, &RunResult::finished(&run, &trained, train_loss), out)?;
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
