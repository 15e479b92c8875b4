//! `result.json`: how a run ended, and what its other files do not say. It is there from the first step on, so that a run
//! that was killed is told from one that has ended.

use std::path::Path;

use peft_core::{
    Error, Result,
    adapter::atomic,
    data::Example,
    formats::read,
    metrics::Metrics,
    train::{JointTask, Plan, TrainingData, sum_of_rows},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    PreparedRun, TrainedRun, damaged,
    ending::Ending,
    file_names::{RESULT, TASKS},
    machine::Machine,
    row_sums::sum_of_all,
    started_from::StartedFrom,
};
use crate::screen::memory;

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
    /// What computed its first step, see [`computes_by`](super::machine::computes_by).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub computed_by: Option<String>,
    /// The flags that said on which devices, such as ` --device wgpu:1`; empty where none was given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub devices: String,
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
    /// The tasks of a joint run, with all scores; the rows above are then those of all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskResult>,
    /// Settings that nobody gave: they followed from the rows, or from the day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<String>,
    /// Its scores, where the folder holds no adapter that remembers them: that of an evaluation, or of a baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Map<String, Value>>,
    /// What was scored, if that is no adapter of a training run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// How `peft eval` scored an adapter, as far as that tells evaluations apart.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub evaluation: Map<String, Value>,
    /// Seconds that its steps took, where no file of steps says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// How one task of a joint run ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskResult {
    /// Its name.
    pub name: String,
    /// The folder of its adapter, in that of the run.
    pub adapter: String,
    /// How much its loss counted.
    pub weight: f64,
    /// The score by which it is judged, if it has validation rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_metric: Option<String>,
    /// Its scores at the step of the adapters.
    pub scores: Metrics,
    /// The number of rows that were learnt.
    pub train_rows: usize,
    /// Their sum.
    pub train_sha256: String,
    /// The number of rows that were scored.
    pub valid_rows: usize,
    /// Their sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_sha256: Option<String>,
}

impl RunResult {
    /// That of a run which has begun.
    pub fn begun(plan: &Plan) -> Self {
        let best_metric = plan.best_metric.as_ref().map(|best| best.name.clone());
        Self { total_steps: Some(plan.total_steps), best_metric, ..Self::default() }
    }

    /// That of a run which has made its last step; `train_loss` is the mean of the last ones.
    pub fn finished(run: &PreparedRun, trained: &TrainedRun, train_loss: Option<f64>) -> Self {
        let (train, valid): (Vec<&[Example]>, Vec<&[Example]>) =
            run.data().into_iter().map(|data| (data.train, data.valid)).unzip();
        let count = |rows: &[&[Example]]| -> usize { rows.iter().map(|rows| rows.len()).sum() };
        Self {
            ending: Ending::Finished,
            step: Some(trained.step),
            last_step: Some(trained.last_step),
            total_steps: Some(trained.total_steps),
            best_metric: run.best_metric(),
            train_loss,
            trained_parameters: Some(trained.trained_parameters),
            stored_parameters: Some(trained.stored_parameters()),
            peak_memory: memory::peak(),
            machine: Some(Machine::here()),
            train_rows: Some(count(&train)),
            train_sha256: Some(sum_of_all(train)),
            valid_rows: Some(count(&valid)),
            valid_sha256: run.best_metric().map(|_| sum_of_all(valid)),
            tasks: of_tasks(run, trained.metrics.as_ref()),
            started_from: trained.started_from.clone(),
            ..Self::default()
        }
    }

    /// Whether it is of rows with these [sums](super::row_sums::row_sums); of an earlier version, which knows none, that is
    /// taken for granted.
    pub fn is_of_rows(&self, [train, valid]: &[Option<String>; 2]) -> bool {
        let same = |known: &Option<String>, now: &Option<String>| {
            known.as_ref().zip(now.as_ref()).is_none_or(|(known, now)| known == now)
        };
        same(&self.train_sha256, train) && same(&self.valid_sha256, valid)
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
        let found = found.map_err(|error| {
            let way_out = damaged::without_result(folder);
            Error::file(&path, format!("not the result of a run: {error}; {way_out}"))
        })?;
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

/// How each task of a joint run ended, with `scores` of all of them.
fn of_tasks(run: &PreparedRun, scores: Option<&Metrics>) -> Vec<TaskResult> {
    let result = |task: &JointTask<'_>| {
        let TrainingData { train, valid } = task.data;
        let is_scored = !valid.is_empty();
        TaskResult {
            name: task.name.clone(),
            adapter: format!("{TASKS}/{}", task.name),
            weight: task.weight,
            best_metric: is_scored.then(|| task.best_metric().name),
            scores: scores.map(|all| task.scores(all)).unwrap_or_default(),
            train_rows: train.len(),
            train_sha256: sum_of_rows(train),
            valid_rows: valid.len(),
            valid_sha256: is_scored.then(|| sum_of_rows(valid)),
        }
    };
    run.joint_tasks(0).tasks.iter().map(result).collect()
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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
