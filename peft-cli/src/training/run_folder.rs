//! The folder of a training run, `--out`: what a run puts there before its first step.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
};

use peft_core::{Adapter, Error, Result, adapter::atomic, train::Plan};

use super::{
    PreparedRun,
    file_names::{EVALUATIONS, METRICS, RUN_FILE, TENSORBOARD, VALIDATION},
    machine::computes_by,
    overwrite,
    run_result::RunResult,
    step_lines,
};
use crate::{
    flags::given::Given,
    settings::{Settings, file},
    tensorboard::EventWriter,
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
        let settings = || atomic::write_file(&self.path.join(RUN_FILE), self.run_toml.as_bytes());
        match self.start {
            Start::Replace => {
                overwrite::replace(&self.path, &self.run_toml)?;
                result.write(&self.path)?;
            }
            // The settings first: a run that is killed in between goes on with --resume.
            Start::New => {
                overwrite::forget(&self.path)?;
                settings()?;
                result.write(&self.path)?;
            }
            Start::Resume => {
                result.write(&self.path)?;
                overwrite::forget(&self.path)?;
                for lines in [path, &self.evaluations()] {
                    notes.extend(step_lines::keep_up_to(plan.after_step, lines)?);
                }
                settings()?;
            }
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
