//! `result.json`: how a run ended, and what its other files do not say. It is there from the first step on, so that a run
//! that was killed is told from one that has ended.

use std::path::Path;

use peft_core::{
    Error, Result,
    adapter::atomic,
    formats::read,
    train::{Plan, sum_of_rows},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    PreparedRun, TrainedRun,
    file_names::{PREDICTIONS, RESULT},
    machine::Machine,
    overwrite,
    started_from::StartedFrom,
};
use crate::screen::memory;

/// What became of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It has begun, and not ended: it goes on, or was killed.
    #[default]
    Begun,
    /// It has an adapter.
    Finished,
    /// Its loss was no number any more.
    Diverged,
    /// A sweep gave it up, since others were better after as many steps.
    Halted,
}

/// What is compared with training runs and is none of this program: a base model alone, or what another program trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Baseline {
    /// What it is, in place of a method: `zero-shot`, `few-shot`, `full`, `lora`, `head`.
    pub kind: String,
    /// The program that trained it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Settings that tell it from others of its kind, such as the number of examples.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
}

impl Baseline {
    /// An evaluation without any example: the same for all seeds.
    pub const ZERO_SHOT: &'static str = "zero-shot";
    /// One with examples in front of each row.
    pub const FEW_SHOT: &'static str = "few-shot";

    /// Its kind, and who trained it.
    pub fn method(&self) -> String {
        self.by.as_ref().map_or_else(|| self.kind.clone(), |by| format!("{} ({by})", self.kind))
    }
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunResult {
    /// What became of it.
    pub ending: Ending,
    /// The step of its adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// The last step that it made; of a run that diverged the one that it could not make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_step: Option<usize>,
    /// The steps that were planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_steps: Option<usize>,
    /// The score that chose the step, if there were validation rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_metric: Option<String>,
    /// The mean loss of its last steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_loss: Option<f64>,
    /// Parameters that were trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trained_parameters: Option<usize>,
    /// Parameters of the adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_parameters: Option<usize>,
    /// The most bytes of main memory that the process which ended the run had until then, where the system says so and
    /// no other run was made at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// The machine of that process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// The number of rows that were learnt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_rows: Option<usize>,
    /// Their sum, which tells other rows, or other token ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_sha256: Option<String>,
    /// The number of rows that were scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_rows: Option<usize>,
    /// Their sum, which tells other rows, or other token ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_sha256: Option<String>,
    /// The adapter that it started from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_from: Option<StartedFrom>,
    /// Settings that nobody gave: they followed from the rows, or from the day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<String>,
    /// Its scores, where the folder holds no adapter that remembers them: that of an evaluation, or of a baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Map<String, Value>>,
    /// What was scored, if that is no adapter of a training run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// Seconds that its steps took, where no file of steps says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

impl RunResult {
    /// That of a run which has begun.
    pub fn begun(plan: &Plan) -> Self {
        let best_metric = plan.best_metric.as_ref().map(|best| best.name.clone());
        Self { total_steps: Some(plan.total_steps), best_metric, ..Self::default() }
    }

    /// That of a run which has made its last step; `train_loss` is the mean of the last ones.
    pub fn finished(run: &PreparedRun, trained: &TrainedRun, train_loss: Option<f64>) -> Self {
        let valid = &run.valid.examples;
        let is_scored = !valid.is_empty();
        Self {
            ending: Ending::Finished,
            step: Some(trained.step),
            last_step: Some(trained.last_step),
            total_steps: Some(trained.total_steps),
            best_metric: is_scored.then(|| run.config.best_metric(run.labels.as_ref()).name),
            train_loss,
            trained_parameters: Some(trained.trained_parameters),
            stored_parameters: Some(trained.stored_parameters()),
            peak_memory: memory::peak(),
            machine: Some(Machine::here()),
            train_rows: Some(run.train.examples.len()),
            train_sha256: Some(sum_of_rows(&run.train.examples)),
            valid_rows: Some(valid.len()),
            valid_sha256: is_scored.then(|| sum_of_rows(valid)),
            started_from: trained.started_from.clone(),
            ..Self::default()
        }
    }

    /// That of the run in a folder; `None` of one of an earlier version.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::File`].
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(RESULT);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = read::bytes(&path)?;
        let found = serde_json::from_slice(&bytes);
        let found = found
            .map_err(|error| Error::file(&path, format!("not the result of a run: {error}")))?;
        Ok(Some(found))
    }

    /// Writes it into a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(RESULT);
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|error| Error::file(&path, error.to_string()))?;
        atomic::write_file(&path, format!("{text}\n").as_bytes())
    }
}

/// Keeps that a run ended since its loss was no number, if this error says so.
///
/// # Errors
///
/// [`Error::Write`].
pub fn diverged(run: &PreparedRun, error: &Error, folder: &Path) -> Result<()> {
    let Error::NotFinite { step, .. } = error else { return Ok(()) };
    let ending = Ending::Diverged;
    let result = RunResult::read(folder)?.unwrap_or_default();
    let total_steps = Some(run.total_steps());
    RunResult { ending, last_step: Some(*step), total_steps, ..result }.write(folder)
}

/// Puts what a run has made into its folder: the adapter, and then its result. Predictions of an earlier adapter get
/// another name, so that nobody takes them for those of this one.
///
/// # Errors
///
/// [`Error::Write`]; the run can be resumed then.
pub fn save(trained: &TrainedRun, result: &RunResult, folder: &Path) -> Result<()> {
    rename_predictions(folder)?;
    trained.adapter.save(folder)?;
    overwrite::adapter_saved(folder)?;
    // A run that was continued has all settings from its file; which of them were given is known since it began.
    let derived = RunResult::read(folder)?.unwrap_or_default().derived;
    RunResult { derived, ..result.clone() }.write(folder)
}

fn rename_predictions(folder: &Path) -> Result<()> {
    for name in PREDICTIONS {
        let path = folder.join(name);
        if path.is_file() {
            atomic::rename(&path, &folder.join(format!("earlier-{name}")))?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn predictions_of_an_earlier_adapter_get_another_name() {
        let dir = tempfile::tempdir().unwrap();
        rename_predictions(dir.path()).unwrap();
        std::fs::write(dir.path().join("predictions.csv"), "old").unwrap();
        rename_predictions(dir.path()).unwrap();
        assert!(!dir.path().join("predictions.csv").exists());
        let kept = std::fs::read_to_string(dir.path().join("earlier-predictions.csv")).unwrap();
        assert_eq!(kept, "old");
    }

    #[test]
    fn a_result_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(RunResult::read(dir.path()).unwrap(), None);
        let begun = RunResult { total_steps: Some(7), ..RunResult::default() };
        begun.write(dir.path()).unwrap();
        assert_eq!(RunResult::read(dir.path()).unwrap(), Some(begun));
        let result =
            RunResult { ending: Ending::Finished, train_loss: Some(0.1), ..RunResult::default() };
        result.write(dir.path()).unwrap();
        assert_eq!(RunResult::read(dir.path()).unwrap(), Some(result));
        std::fs::write(dir.path().join(RESULT), "{\"ending\": 3}").unwrap();
        let message = RunResult::read(dir.path()).unwrap_err().to_string();
        assert!(message.contains("not the result of a run"), "{message}");
    }
}
