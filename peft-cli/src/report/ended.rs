//! The page about a run that has just ended.

use std::path::Path;

use peft_core::{Error, Result, adapter::atomic};

use super::of_run;
use crate::{
    output,
    signals::Signals,
    training::{
        PreparedRun, TrainedRun,
        file_names::{REPORT, VALIDATION},
        samples::generated,
        validation::Validation,
    },
};

/// Writes the page about a run whose adapter is saved, unless its settings leave it out: then those of an earlier step go.
/// For a language model some texts are generated for it; not for one that several tasks share.
///
/// # Errors
///
/// [`Error::Mismatch`] saying that the adapter is saved, and what failed.
pub fn write(run: &PreparedRun, trained: &TrainedRun, signals: &Signals, out: &Path) -> Result<()> {
    if run.settings.no_report.unwrap_or_default() {
        return leave_out(out).map_err(|error| {
            Error::Mismatch(format!(
                "{error}: the adapter is saved, but what an earlier step left for a page is still there; remove it"
            ))
        });
    }
    let add = || match run.task.is_language_model() && !run.is_joint() {
        true => add_samples(run, trained, signals, &out.join(VALIDATION)),
        false => Ok(()),
    };
    add().and_then(|()| of_run::write(out)).map_err(not_written)
}

/// What is said where there is no page.
fn not_written(error: Error) -> Error {
    let again = match &error {
        // It would only fail in the same way.
        Error::File { .. } | Error::Config { .. } => "--resume writes it once that is mended",
        _ => "--resume writes it again",
    };
    Error::Mismatch(format!(
        "{error}; the adapter is saved, the page about its run is not: {again}, --no-report leaves it out"
    ))
}

/// Writes the page about a run whose loss was no number any more, if this error says so: one that an earlier ending left
/// would go on telling of that.
///
/// # Errors
///
/// As for [`of_run::write`].
pub fn write_diverged(run: &PreparedRun, error: &Error, out: &Path) -> Result<()> {
    if !matches!(error, Error::NotFinite { .. }) {
        return Ok(());
    }
    match run.settings.no_report.unwrap_or_default() {
        true => leave_out(out),
        false => of_run::write(out),
    }
}

/// Removes the page of an earlier step, and what it was made of.
fn leave_out(out: &Path) -> Result<()> {
    for path in [REPORT, VALIDATION].map(|name| out.join(name)) {
        if path.is_file() {
            atomic::remove(&path)?;
        }
    }
    Ok(())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_is_wrong_is_to_be_mended_first() {
        let said = |error: Error| not_written(error).to_string();
        let wrong =
            said(Error::file(Path::new("run/validation.json"), "found else: it may be removed"));
        assert!(wrong.starts_with("run/validation.json: found else"), "{wrong}");
        assert!(wrong.contains("--resume writes it once that is mended"), "{wrong}");
        assert!(said(Error::Mismatch("full".into())).contains("--resume writes it again"));
    }

    #[test]
    fn what_an_earlier_step_left_goes() {
        let dir = tempfile::tempdir().unwrap();
        leave_out(dir.path()).unwrap();
        for name in [REPORT, VALIDATION, "other"] {
            fs::write(dir.path().join(name), "old").unwrap();
        }
        leave_out(dir.path()).unwrap();
        let left = |name: &str| dir.path().join(name).exists();
        assert_eq!([REPORT, VALIDATION, "other"].map(left), [false, false, true]);
    }
}
