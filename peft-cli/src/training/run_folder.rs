//! The folder of a training run, `--out`: what an earlier run left there, and what a new one starts with.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
};

use peft_core::{
    Adapter, Error, Result,
    adapter::atomic,
    formats::{gguf::is_gguf, read},
    text::find_files,
    train::{Plan, checkpoint::Checkpoints},
};

use super::{
    PreparedRun, damaged,
    file_names::{
        CHECKPOINTS, ENSEMBLE, EVALUATIONS, METRICS, OF_RUN, REPORT, RESULT, RUN_FILE, TENSORBOARD,
        VALIDATION,
    },
    machine::computes_by,
    overwrite,
    run_result::RunResult,
    step_lines,
};
use crate::{
    error::{CliError, CliResult},
    flags::given::Given,
    output,
    settings::{Settings, file, whole},
    tensorboard::EventWriter,
    usage::listed,
};

/// What a run writes before its first step, once nothing can keep it from starting.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    run_toml: String,
    metrics: PathBuf,
    start: Start,
    derived: Vec<String>,
    /// What computes.
    computed_by: Option<String>,
    /// The flags that say on which devices.
    devices: String,
    /// Whether event files are written.
    tensorboard: bool,
}

/// What a run does with the one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// There is none.
    New,
    /// It goes on with it.
    Resume,
    /// It takes its place.
    Replace,
}

/// A run that has begun.
#[derive(Debug)]
pub struct Begun {
    /// The metrics file.
    pub path: PathBuf,
    /// Open for one JSON line per step, and kept from other runs.
    pub metrics: File,
    /// The event file, if one is wanted.
    pub events: Option<EventWriter>,
    /// What the user should know of the files that were there.
    pub notes: Vec<String>,
}

impl RunFolder {
    /// The folder `path` of a run with these settings. What a run left that is replaced is removed when this one begins,
    /// except for its adapter, which stays until there is a new one.
    pub fn new(path: &Path, settings: &Settings, start: Start) -> Self {
        let metrics = settings.metrics_file.clone().unwrap_or_else(|| path.join(METRICS));
        Self {
            path: path.to_path_buf(),
            run_toml: file::to_run_file(settings, path),
            metrics,
            start,
            derived: Vec::new(),
            computed_by: None,
            devices: String::new(),
            tensorboard: settings.tensorboard.unwrap_or_default(),
        }
    }

    /// Which knows what computes the run, the flags that say on which `devices`, and which of its settings were not given.
    #[must_use]
    pub fn with_run(self, run: &PreparedRun, devices: &Given) -> Self {
        let computed_by = Some(computes_by(&run.device, run.settings.dtype.unwrap_or_default()));
        Self { derived: run.derived.clone(), computed_by, devices: devices.to_string(), ..self }
    }

    /// Puts `run.toml` into the folder, which the caller has locked, in place of what an earlier run left. The files of
    /// metrics and evaluations keep the lines up to the step that the plan begins after, which a resumed run does not make
    /// again. From then on the folder is that of a run which has begun.
    ///
    /// # Errors
    ///
    /// [`Error::Write`]; [`Error::InUse`] if another run writes the metrics file.
    pub fn begin(&self, plan: &Plan) -> Result<Begun> {
        let path = &self.metrics;
        // A pipe is opened once, since its reader would take a second time for the end. A file is closed again: it may
        // give way to another of its name.
        let stream = Some(step_lines::open(path)?).filter(|_| !step_lines::is_replaceable(path));
        // Better known now than after hours.
        for file in Adapter::FILES.map(|name| self.path.join(name)) {
            if file.exists() {
                OpenOptions::new().write(true).open(&file).map_err(Error::write(&file))?;
            }
        }
        let mut notes = Vec::new();
        // A run that goes on has all settings from its file.
        let earlier = match self.start {
            Start::Resume => RunResult::read(&self.path)?,
            Start::New | Start::Replace => None,
        };
        // One without a step begins anew.
        let begun = earlier.as_ref().filter(|_| plan.after_step > 0);
        let before = begun.and_then(|earlier| earlier.computed_by.clone());
        if let (Some(before), Some(now)) = (&before, &self.computed_by)
            && before != now
            && plan.after_step < plan.total_steps
        {
            notes.push(format!(
                "this run began with {before} and goes on with {now}: in its last bits it ends otherwise than one that goes \
                 on as it began"
            ));
        }
        // What an earlier version's run began with is not known; this machine did not make its first step.
        let devices = begun.map_or_else(|| self.devices.clone(), |begun| begun.devices.clone());
        let computed_by = if begun.is_some() { before } else { self.computed_by.clone() };
        let derived = earlier.map_or_else(|| self.derived.clone(), |earlier| earlier.derived);
        let result = RunResult { derived, computed_by, devices, ..RunResult::begun(plan) };
        if self.start == Start::Replace {
            overwrite::replace(&self.path, &self.run_toml)?;
            result.write(&self.path)?;
        } else {
            result.write(&self.path)?;
            overwrite::forget(&self.path)?;
            if self.start == Start::Resume {
                for lines in [path, &self.evaluations()] {
                    notes.extend(step_lines::keep_up_to(plan.after_step, lines)?);
                }
            }
            atomic::write_file(&self.path.join(RUN_FILE), self.run_toml.as_bytes())?;
        }
        let metrics = stream.map_or_else(|| step_lines::open(path), Ok)?;
        let events = self.tensorboard.then(|| {
            let folder = self.path.join(TENSORBOARD);
            EventWriter::create(&folder, plan.after_step)
        });
        Ok(Begun { path: path.clone(), metrics, events: events.transpose()?, notes })
    }

    /// The file with what the best step predicts for the validation rows.
    pub fn validation(&self) -> PathBuf {
        self.path.join(VALIDATION)
    }

    /// The file with one JSON line per evaluation.
    pub fn evaluations(&self) -> PathBuf {
        self.path.join(EVALUATIONS)
    }
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
    if (!overwrite::has_own_adapter(out)? && steps <= settings.checkpoint_every.unwrap_or(0))
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
