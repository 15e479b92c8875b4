//! The folder of a training run, `--out`: what an earlier run left there, and what a new one starts with.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

use peft_core::{
    Adapter, Error, Result, adapter::atomic, formats::read, train::checkpoint::Checkpoints,
};
use serde_json::Value;

use crate::{
    error::{CliError, CliResult},
    output,
    settings::Settings,
};

const RUN_FILE: &str = "run.toml";
const METRICS: &str = "metrics.jsonl";
const EVALUATIONS: &str = "evaluations.jsonl";
const CHECKPOINTS: &str = "checkpoints";

/// What a run writes before its first step, once nothing can keep it from starting.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    run_toml: String,
    metrics: PathBuf,
    replace: bool,
}

impl RunFolder {
    /// The folder `path` of a run with these settings. With `replace`, what an earlier run left is removed
    /// when this one begins, except for its adapter, which stays until there is a new one.
    pub fn new(path: &Path, settings: &Settings, replace: bool) -> Self {
        let metrics = settings.metrics_file.clone().unwrap_or_else(|| path.join(METRICS));
        Self { path: path.to_path_buf(), run_toml: settings.to_toml(), metrics, replace }
    }

    /// Puts `run.toml` into the folder, which the caller has locked. Returns the metrics file, with one JSON line per step, and its
    /// path; the file keeps the lines up to `after_step`, which a resumed run does not make again.
    ///
    /// # Errors
    ///
    /// [`Error::Write`]; [`Error::InUse`] if another run writes the metrics file.
    pub fn begin(&self, after_step: usize) -> Result<(PathBuf, File)> {
        let path = &self.metrics;
        let open = OpenOptions::new().create(true).append(true).open(path);
        let file = open.map_err(Error::write(path))?;
        // Two runs with folders of their own may name one file.
        if path.is_file() && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(Error::InUse { path: path.clone(), process: None });
        }
        if self.replace {
            self.clear()?;
        }
        // A terminal or a pipe has no lines to drop.
        if path.is_file() {
            let text = read::text(path)?;
            file.set_len(lines_up_to(after_step, &text)).map_err(Error::write(path))?;
        }
        let evaluations = self.evaluations();
        if evaluations.is_file() {
            let text = read::text(&evaluations)?;
            OpenOptions::new()
                .write(true)
                .open(&evaluations)
                .and_then(|file| file.set_len(lines_up_to(after_step, &text)))
                .map_err(Error::write(&evaluations))?;
        }
        atomic::write_file(&self.path.join(RUN_FILE), self.run_toml.as_bytes())?;
        Ok((path.clone(), file))
    }

    /// The file with one JSON line per evaluation.
    pub fn evaluations(&self) -> PathBuf {
        self.path.join(EVALUATIONS)
    }

    /// Removes what an earlier run left and this run will not replace.
    fn clear(&self) -> Result<()> {
        let checkpoints = self.path.join(CHECKPOINTS);
        if checkpoints.exists() {
            fs::remove_dir_all(&checkpoints).map_err(Error::write(&checkpoints))?;
        }
        for file in [self.path.join(METRICS), self.evaluations()] {
            if file.exists() && file != self.metrics {
                fs::remove_file(&file).map_err(Error::write(&file))?;
            }
        }
        Ok(())
    }
}

/// The length of the complete lines of steps up to `step`.
fn lines_up_to(step: usize, text: &str) -> u64 {
    let step_of = |line: &str| serde_json::from_str::<Value>(line).ok()?["step"].as_u64();
    text.split_inclusive('\n')
        .take_while(|line| line.ends_with('\n') && step_of(line).is_some_and(|s| s <= step as u64))
        .map(|line| line.len() as u64)
        .sum()
}

/// Refuses a folder that holds a run already.
///
/// # Errors
///
/// [`CliError::Usage`].
pub fn refuse_existing(out: &Path) -> CliResult {
    let holds = |name: &str| out.join(name).exists();
    if !Adapter::exists(out) && !holds(RUN_FILE) && !holds(CHECKPOINTS) {
        return Ok(());
    }
    Err(CliError::Usage(format!(
        "--out {}: holds a run already; use --resume to continue it or --overwrite to replace it",
        out.display()
    )))
}

/// The settings of the run in a folder, to continue it.
///
/// # Errors
///
/// [`CliError::Usage`] if there is no run.
pub fn settings_of(out: &Path) -> CliResult<Settings> {
    let path = out.join(RUN_FILE);
    if !path.exists() {
        return Err(CliError::Usage(format!(
            "--resume: {} holds no run ({} is missing); without --resume a new run is started",
            out.display(),
            path.display()
        )));
    }
    Ok(Settings::load(&path)?)
}

/// Refuses to continue a run that left results but no complete checkpoint, since it would start over. A
/// run that was killed before its first checkpoint has nothing to lose.
///
/// # Errors
///
/// [`Error::Mismatch`].
pub fn check_resume(out: &Path, settings: &Settings) -> Result<()> {
    let metrics = settings.metrics_file.clone().unwrap_or_else(|| out.join(METRICS));
    // Reading a pipe would never end.
    let text = metrics.is_file().then(|| read::text(&metrics)).transpose()?;
    let steps = text.map_or(0, |text| text.lines().count());
    if (!Adapter::exists(out) && steps <= settings.checkpoint_every.unwrap_or(0))
        || Checkpoints::new(out, 1).newest(|_| {})?.is_some()
    {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "--resume: {} holds no complete checkpoint to continue from, and starting over would replace what \
         the run left in {}; --overwrite does that",
        out.join(CHECKPOINTS).display(),
        out.display()
    )))
}

/// Refuses a metrics file that holds something else.
///
/// # Errors
///
/// [`Error::Setting`] naming `--metrics-file`.
pub fn check_metrics_file(
    path: &Path,
    settings: &Settings,
    config: Option<&Path>,
    may_replace: bool,
) -> Result<()> {
    let refuse = |what: String| {
        let message = format!("found {}, {what}", path.display());
        Err(Error::setting("--metrics-file", message))
    };
    let evaluations = settings.out.as_deref().map(|out| out.join(EVALUATIONS));
    let run_file = settings.out.as_deref().map(|out| out.join(RUN_FILE));
    for (names, flag) in [(&settings.train, "--train"), (&settings.valid, "--valid")] {
        if names.iter().flatten().any(|name| output::is_read(path, name)) {
            return refuse(format!("the file of {flag}"));
        }
    }
    for (other, flag) in [
        (config, "the file of --config"),
        (run_file.as_deref(), "where the settings of the run go"),
        (evaluations.as_deref(), "where the evaluations of the run go"),
    ] {
        if other.is_some_and(|other| output::is_same_file(path, other)) {
            return refuse(flag.to_string());
        }
    }
    if !may_replace && has_content(path) {
        return refuse("which exists already; --overwrite replaces it".to_string());
    }
    Ok(())
}

/// Whether this is a file that is not empty.
fn has_content(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_lines_of_earlier_steps_are_kept() {
        let text = "{\"step\": 1}\n{\"step\": 2}\n{\"step\": 3}\n{\"st";
        let kept = |step| lines_up_to(step, text);
        assert_eq!((kept(0), kept(1), kept(2), kept(9)), (0, 12, 24, 36));
        assert_eq!(lines_up_to(9, "{\"step\": 1}\nnothing\n{\"step\": 2}\n"), 12);
    }
}
