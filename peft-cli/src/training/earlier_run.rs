//! The run that a folder holds, as `--resume` finds it: its settings, and whether there is a state to continue from.

use std::path::Path;

use peft_core::{Error, Result, formats::read, train::checkpoint::Checkpoints};

use super::{
    damaged, earlier_adapter,
    file_names::{CHECKPOINTS, METRICS, RUN_FILE},
    run_result::RunResult,
    step_lines,
};
use crate::{
    error::{CliError, CliResult},
    output,
    settings::{Settings, whole},
    usage::listed,
};

/// The settings of the run in a folder, to continue it. What was edited since the run wrote them is used as it stands,
/// and said.
///
/// # Errors
///
/// [`CliError::Usage`] if there is no run; [`Error::File`] if its end is missing, and settings with it.
pub fn settings_of(out: &Path) -> CliResult<Settings> {
    let path = out.join(RUN_FILE);
    if !path.exists() {
        return Err(CliError::Usage(format!(
            "--resume: {} holds no run ({} is missing); without --resume a new run is started",
            out.display(),
            path.display()
        )));
    }
    if RunResult::read(out)?.is_some_and(|result| result.scores.is_some()) {
        return Err(CliError::Usage(format!(
            "--resume: {} holds scores that `peft eval --out` or another program wrote, and no run to continue",
            out.display()
        )));
    }
    let otherwise = || damaged::without_settings(out);
    let settings = damaged::settings(out, otherwise)?;
    let text = read::text(&path)?;
    let lacking = settings.missing();
    if whole::lacks_end(&text) && !lacking.is_empty() {
        let message = format!(
            "was cut off: it holds no {}; put the file back as it was, or {}",
            listed(&lacking, "and"),
            otherwise()
        );
        return Err(Error::file(&path, message).into());
    }
    // With defaults for what is missing it would go on as another run.
    if whole::lacks_settings(&text) {
        whole::refuse_cut(&text, &path)
            .map_err(|error| damaged::with_way_out(error, || format!("or {}", otherwise())))?;
    }
    if let Some(says) = whole::says(&text) {
        note_changes(&path, says);
    }
    Ok(settings)
}

/// Tells of a file of settings in a folder that goes on, which `says` how it is not as it was written.
pub(crate) fn note_changes(path: &Path, says: &str) {
    output::note(format!("note: {} {says}: its settings are used as they stand", path.display()));
}

/// Refuses to continue a run that left results but no complete checkpoint, since it would start over. A
/// run that was killed before its first checkpoint has nothing to lose.
///
/// # Errors
///
/// [`Error::Mismatch`].
pub fn check_resume(out: &Path, settings: &Settings) -> Result<()> {
    let metrics = settings.metrics_file.clone().unwrap_or_else(|| out.join(METRICS));
    let steps = step_lines::count(&metrics)?;
    let mut damaged = String::new();
    let note = |text: &str| damaged.push_str(&format!("\n  {text}"));
    if (!earlier_adapter::has_own_adapter(out)? && steps <= settings.checkpoint_every.unwrap_or(0))
        || Checkpoints::new(out, 1).newest(note)?.is_some()
    {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "--resume: {} holds no complete checkpoint to continue from, and starting over would replace what \
         the run left in {}; --overwrite does that{damaged}",
        out.join(CHECKPOINTS).display(),
        out.display()
    )))
}
