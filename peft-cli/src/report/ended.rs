//! The page about a run that has just ended.

use std::path::Path;

use peft_core::{Error, Result};

use super::of_run;
use crate::{
    output,
    signals::Signals,
    training::{
        PreparedRun, TrainedRun, file_names::VALIDATION, samples::generated, validation::Validation,
    },
};

/// Writes the page about a run whose adapter is saved, unless its settings leave it out. For a language model some texts
/// are generated for it; not for one that several tasks share.
///
/// # Errors
///
/// [`Error::Mismatch`] saying that the adapter is saved, and what failed.
pub fn write(run: &PreparedRun, trained: &TrainedRun, signals: &Signals, out: &Path) -> Result<()> {
    if run.settings.no_report.unwrap_or_default() {
        return Ok(());
    }
    let add = || match run.task.is_language_model() && !run.is_joint() {
        true => add_samples(run, trained, signals, &out.join(VALIDATION)),
        false => Ok(()),
    };
    add().and_then(|()| of_run::write(out)).map_err(|error| {
        Error::Mismatch(format!(
            "{error}: the adapter is saved, the page about its run is not; --resume writes it again, --no-report leaves it out"
        ))
    })
}

fn add_samples(
    run: &PreparedRun,
    trained: &TrainedRun,
    signals: &Signals,
    path: &Path,
) -> Result<()> {
    let samples = match generated(run, trained, signals) {
        Ok(samples) if samples.is_empty() => return Ok(()),
        Ok(samples) => samples,
        // The page goes without.
        Err(error) => {
            output::note(format!("note: no text is generated for report.html: {error}"));
            return Ok(());
        }
    };
    let known = Validation::read(path)?.filter(|known| known.step == trained.step);
    let new = || Validation {
        step: trained.step,
        metrics: trained.metrics.clone().unwrap_or_default(),
        ..Validation::default()
    };
    Validation { samples, ..known.unwrap_or_else(new) }.write(path)
}
