//! Where a run may write: not over another run, into the folder of its base model, or over what it reads.

use std::{
    fs,
    path::{Path, PathBuf},
};

use peft_core::{Adapter, Error, Result, formats::gguf::is_gguf, text::find_files};

use super::{
    file_names::{
        CHECKPOINTS, ENSEMBLE, EVALUATIONS, METRICS, OF_RUN, REPORT, RESULT, RUN_FILE, VALIDATION,
    },
    overwrite, step_lines,
};
use crate::{
    error::{CliError, CliResult},
    output,
    settings::Settings,
};

/// Refuses a folder that holds the folders of runs, such as those of a sweep, and is none of a run itself: a run among them
/// would stand before them wherever runs are looked for.
///
/// # Errors
///
/// [`CliError::Usage`].
pub fn refuse_runs_inside(out: &Path) -> CliResult {
    if [RUN_FILE, ENSEMBLE].iter().any(|name| out.join(name).exists()) {
        return Ok(());
    }
    // A folder that is not there, or cannot be read, holds none that would be found.
    let entries = fs::read_dir(out).into_iter().flatten().flatten();
    let runs = entries.map(|entry| entry.path());
    // The first by name, so that the message is the same each time.
    match runs.filter(|folder| folder.join(RUN_FILE).is_file()).min() {
        Some(run) => Err(CliError::Usage(format!(
            "--out {}: holds the folders of runs, such as {}, which would not be found beside a run of its own: give another \
             --out, such as {}",
            out.display(),
            run.display(),
            out.join("another").display()
        ))),
        None => Ok(()),
    }
}

/// Refuses a folder that holds one run, or an ensemble, as that of the folders of several.
///
/// # Errors
///
/// [`CliError::Usage`].
pub fn refuse_run_itself(out: &Path) -> CliResult {
    let what = match (out.join(RUN_FILE).exists(), out.join(ENSEMBLE).exists()) {
        (true, _) => "a run",
        (_, true) => "an ensemble",
        _ => return Ok(()),
    };
    Err(CliError::Usage(format!(
        "--out {}: holds {what}, beside which the runs of a sweep would not be found: give another --out",
        out.display()
    )))
}

/// Refuses a folder that holds a run already.
///
/// # Errors
///
/// [`CliError::Usage`].
pub fn refuse_existing(out: &Path) -> CliResult {
    if out.join(ENSEMBLE).exists() {
        return Err(CliError::Usage(format!(
            "--out {}: holds an ensemble already; use --resume to continue it, or another --out",
            out.display()
        )));
    }
    let holds = |name: &&str| out.join(name).exists();
    let log = || [METRICS, EVALUATIONS].into_iter().find(|name| has_content(&out.join(name)));
    let file = || [RESULT, VALIDATION, REPORT].into_iter().find(|name| out.join(name).is_file());
    let found = [RUN_FILE, Adapter::CONFIG, CHECKPOINTS].into_iter().find(holds);
    let found = found.or_else(log).or_else(file);
    let Some(found) = found else { return Ok(()) };
    let out_name = out.display();
    Err(CliError::Usage(match found == RUN_FILE || overwrite::is_due(out) {
        true => format!(
            "--out {out_name}: holds a run already; use --resume to continue it or --overwrite to replace it"
        ),
        false => format!(
            "--out {out_name}: holds {found} already, and no {RUN_FILE} with which --resume could continue; use --overwrite \
             to replace it, or another --out"
        ),
    }))
}

/// Refuses the folder of the base model, or of its GGUF file, as that of a new run, whose files would lie among the model's.
/// To be asked before the folder is locked, which writes to it.
///
/// # Errors
///
/// [`Error::Setting`].
pub fn refuse_model_folder(out: &Path, model: Option<&Path>) -> Result<()> {
    // A GGUF file's own folder, not that of a file that it links to.
    let folder = model.map(|model| match model.parent().filter(|_| is_gguf(model)) {
        Some(folder) if !folder.as_os_str().is_empty() && model.is_file() => folder,
        Some(_) if model.is_file() => Path::new("."),
        _ => model,
    });
    let is_model = folder.is_some_and(|folder| match (folder.canonicalize(), out.canonicalize()) {
        (Ok(folder), Ok(out)) => folder == out,
        // One of them is not there.
        _ => false,
    });
    match is_model {
        true => Err(Error::setting(
            "--out",
            format!(
                "found {}, the folder of the base model: give another, so that the run's files do not lie among the model's",
                out.display()
            ),
        )),
        false => Ok(()),
    }
}

/// Refuses rows to learn or to score that lie where the run, or a member of an ensemble, writes.
///
/// # Errors
///
/// [`Error::Setting`] naming the flag and the file.
pub fn check_inputs(out: &Path, settings: &Settings) -> Result<()> {
    // A folder that is not there holds none.
    let Ok(out) = out.canonicalize() else { return Ok(()) };
    let is_own = |file: &Path| {
        let file = file.canonicalize().unwrap_or_default();
        let first = file.strip_prefix(&out).ok().and_then(|inside| inside.components().next());
        first.is_some_and(|first| {
            let name = first.as_os_str().to_string_lossy();
            OF_RUN.contains(&name.as_ref()) || name.starts_with("seed=")
        })
    };
    for (names, flag) in names_of_rows(settings) {
        // A name that stands for none is told when it is opened.
        let found = find_files(&names).unwrap_or_default();
        if let Some(file) = found.files.iter().find(|file| is_own(file)) {
            let message = format!(
                "found {}, where the run in --out {} writes: move the file, or give another --out",
                file.display(),
                out.display()
            );
            return Err(Error::setting(flag, message));
        }
    }
    Ok(())
}

/// The names of the files of rows that a run is given, of each of its tasks, with their flags.
pub(crate) fn names_of_rows(settings: &Settings) -> Vec<(Vec<PathBuf>, &'static str)> {
    let of_tasks = settings.tasks.iter().flat_map(|tasks| &tasks.0);
    let of_tasks = of_tasks.filter_map(|task| Settings::of_fields(task.own.clone()).ok());
    let all = of_tasks.chain([settings.clone()]);
    all.flat_map(|settings| [(settings.train, "--train"), (settings.valid, "--valid")])
        .map(|(names, flag)| (names.into_iter().flatten().collect(), flag))
        .collect()
}

/// Refuses a metrics file that holds something else than the lines of a run that is continued, or is to be overwritten.
///
/// # Errors
///
/// [`Error::Setting`] naming `--metrics-file`; [`Error::Read`].
pub fn check_metrics_file(
    path: &Path,
    settings: &Settings,
    config: Option<&Path>,
    (continues, overwrite): (bool, bool),
) -> Result<()> {
    let refuse = |what: String| {
        let message = format!("found {}, {what}", path.display());
        Err(Error::setting("--metrics-file", message))
    };
    if output::is_stdout(path) {
        return refuse(
            "standard output: give /dev/stdout, or a file (./- is one of that name)".into(),
        );
    }
    let evaluations = settings.out.as_deref().map(|out| out.join(EVALUATIONS));
    let run_file = settings.out.as_deref().map(|out| out.join(RUN_FILE));
    for (names, flag) in names_of_rows(settings) {
        if names.iter().any(|name| output::is_read(path, name)) {
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
    if continues || !has_content(path) {
        return Ok(());
    }
    if !step_lines::has_steps(path)? {
        return refuse(
            "which holds something else than the steps of a run: give another file".into(),
        );
    }
    if !overwrite {
        return refuse("which exists already; --overwrite replaces it".into());
    }
    Ok(())
}

/// Whether this is a file that is not empty.
fn has_content(path: &Path) -> bool {
    step_lines::is_replaceable(path) && fs::metadata(path).is_ok_and(|found| found.len() > 0)
}
