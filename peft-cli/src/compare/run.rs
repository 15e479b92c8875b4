//! What the folder of a run says.

use std::path::{Path, PathBuf};

use peft_core::{Adapter, Error, Result, data::Labels, formats::read, train::BestMetric};
use serde_json::{Map, Value};

use crate::{
    settings::{Settings, whole},
    training::{
        damaged, earlier_adapter,
        ending::Ending,
        file_names::{EVALUATIONS, METRICS, RUN_FILE},
        machine::Machine,
        overwrite,
        run_result::{Baseline, RunResult},
        step_lines,
    },
};

/// The mean of so many steps at the end is the loss of a run without validation rows.
const LAST: usize = 20;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has an adapter, or scores without one.
    Finished,
    /// It goes on, or was killed.
    Unfinished,
    /// Its loss was no number any more.
    Diverged,
    /// A sweep gave it up.
    Halted,
}

/// An evaluation, or a step: the scores after it.
#[derive(Clone, Debug)]
pub struct Point {
    /// The step.
    pub step: usize,
    /// The scores by name.
    pub scores: Map<String, Value>,
}

/// What a run says of its steps.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// Its steps; none where they went elsewhere.
    pub steps: Vec<Point>,
    /// Its evaluations.
    pub evaluations: Vec<Point>,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its folder.
    pub path: PathBuf,
    /// Its settings, with paths from the working folder.
    pub settings: Settings,
    /// Those of them that nobody gave.
    pub derived: Vec<String>,
    /// How far it is.
    pub state: State,
    /// The score that chose its best step; `train_loss` without validation rows.
    pub best_metric: String,
    /// The scores of its adapter.
    pub scores: Map<String, Value>,
    /// Parameters that were trained.
    pub trained_parameters: Option<usize>,
    /// Parameters of the adapter.
    pub stored_parameters: Option<usize>,
    /// Steps that were made.
    pub steps: Option<usize>,
    /// Steps that were planned.
    pub total_steps: Option<usize>,
    /// Seconds that the steps took, without loading and evaluations.
    pub seconds: Option<f64>,
    /// The most bytes of main memory.
    pub peak_memory: Option<u64>,
    /// The machine that it was made on.
    pub machine: Option<Machine>,
    /// The step of its adapter.
    pub best_step: Option<usize>,
    /// The sum of the rows that it learnt.
    pub train_sha256: Option<String>,
    /// The sum of the weights of its base model.
    pub base_sha256: Option<String>,
    /// The base model's config as JSON.
    pub base_config: Option<String>,
    /// The number of validation rows, and their sum.
    pub valid: (Option<usize>, Option<String>),
    /// What it is, if no training run made it.
    pub baseline: Option<Baseline>,
    /// How an evaluation of an adapter was made.
    pub evaluation: Map<String, Value>,
    /// Its evaluations; without validation rows its steps, with their `train_loss`.
    pub curve: Vec<Point>,
    /// Whether `peft eval` scored it, on rows of its own.
    pub is_evaluation: bool,
    /// What should be known of its files: a line that is cut off, steps that are not there.
    pub notes: Vec<String>,
    /// Whether its file of steps has them all.
    pub has_all_steps: bool,
    /// What it takes from the adapter that it started from, in place of settings.
    pub(super) of_start: OfStart,
}

/// Settings that the adapter which a run starts from decides.
#[derive(Clone, Debug, Default)]
pub(super) struct OfStart {
    num_virtual_tokens: Option<usize>,
    layers: Option<String>,
}

impl OfStart {
    /// Those of a run with these settings that made this adapter.
    fn of(settings: &Settings, adapter: Option<&Adapter>) -> Self {
        let Some(made) = adapter.filter(|_| settings.init_adapter.is_some()) else {
            return Self::default();
        };
        let layers = made.config.own.layers.as_ref();
        let list =
            |layers: &Vec<usize>| layers.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        Self {
            // A head alone has none.
            num_virtual_tokens: Some(made.config.num_virtual_tokens).filter(|count| *count > 0),
            layers: layers.map(list),
        }
    }
}

impl Run {
    /// Reads the run in a folder.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if it holds no run; [`Error::Read`], [`Error::File`] or [`Error::Config`] naming what is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_with_lines(path).map(|(run, _)| run)
    }

    /// Reads the run in a folder, and all that it says of its steps: a long run has large files.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn read_with_lines(path: &Path) -> Result<(Self, Lines)> {
        let run_file = path.join(RUN_FILE);
        if !run_file.is_file() {
            return Err(holds_no_run(path));
        }
        let settings = damaged::settings(path, || "leave this run out".into())?;
        let result = RunResult::read(path)?;
        let metrics = settings.metrics_file.clone().unwrap_or_else(|| path.join(METRICS));
        let steps = match step_lines::is_replaceable(&metrics) {
            true => PointLines::read(&metrics)?,
            false => PointLines::default(),
        };
        let evaluations_file = path.join(EVALUATIONS);
        let evaluations = PointLines::read(&evaluations_file)?;
        let state = state(path, result.as_ref())?;
        let result = result.unwrap_or_default();
        let mut notes = Vec::new();
        if whole::is_cut(&read::text(&run_file)?) {
            let file = run_file.display();
            notes.push(format!(
                "{file}: its end is cut off; settings that it lacks count as not given"
            ));
        }
        // A run that goes on, or was killed, is left out anyway.
        if state == State::Finished {
            for (lines, file) in [(&steps, &metrics), (&evaluations, &evaluations_file)] {
                if lines.is_cut {
                    let file = file.display();
                    notes.push(format!("{file}: the last line is cut off, and is not used"));
                }
            }
        }
        let (steps, evaluations) = (steps.points, evaluations.points);
        let has_all_steps = state != State::Finished
            || steps.is_empty()
            || result.last_step.is_none_or(|last| steps.len() == last);
        if !has_all_steps {
            notes.push(format!(
                "{}: found {} of the {} steps, so that their seconds are not known",
                metrics.display(),
                steps.len(),
                result.last_step.unwrap_or_default()
            ));
        }
        let has_adapter = state == State::Finished && result.scores.is_none();
        let adapter = has_adapter.then(|| Adapter::load(path)).transpose();
        let adapter = adapter.map_err(|error| damaged::in_run(error, path))?;
        let own = adapter.as_ref().map(|adapter| &adapter.config.own);
        let mut scores = match (&result.scores, own.map(|own| &own.metrics)) {
            (Some(scores), _) | (None, Some(Value::Object(scores))) => scores.clone(),
            _ => Map::new(),
        };
        let train_loss = result.train_loss.or_else(|| mean_loss(&steps));
        if let Some(loss) = train_loss.filter(|_| state == State::Finished) {
            scores.insert(TRAIN_LOSS.into(), loss.into());
        }
        let is_scored = !evaluations.is_empty();
        let curve = if is_scored { evaluations.clone() } else { of_losses(&steps) };
        let in_adapter = || {
            adapter.as_ref().map(|one| one.tensors.values().map(|data| data.num_elements()).sum())
        };
        let recipe = own.and_then(|own| own.recipe.get("trained_parameters")?.as_u64());
        let best_metric = match &result.best_metric {
            Some(name) => name.clone(),
            None if is_scored => best_metric(&settings, adapter.as_ref()),
            None => TRAIN_LOSS.to_string(),
        };
        let run = Self {
            path: path.to_path_buf(),
            state,
            best_metric,
            scores,
            trained_parameters: result.trained_parameters.or(recipe.map(|count| count as usize)),
            stored_parameters: result.stored_parameters.or_else(in_adapter),
            steps: made_steps(state, steps.last().map(|last| last.step), result.last_step),
            total_steps: result.total_steps.or(settings.steps),
            seconds: seconds(&steps).filter(|_| has_all_steps).or(result.seconds),
            peak_memory: result.peak_memory,
            machine: result.machine,
            best_step: result.step,
            train_sha256: result.train_sha256,
            base_sha256: own.and_then(|own| own.base_sha256.clone()),
            base_config: own
                .filter(|own| !own.base_config.is_empty())
                .map(|own| Value::from(own.base_config.clone()).to_string()),
            valid: (result.valid_rows, result.valid_sha256.clone()),
            curve,
            is_evaluation: result.scores.is_some()
                && result.baseline.as_ref().is_none_or(|baseline| baseline.by.is_none()),
            notes,
            has_all_steps,
            of_start: OfStart::of(&settings, adapter.as_ref()),
            baseline: result.baseline,
            evaluation: result.evaluation,
            derived: result.derived,
            settings,
        };
        Ok((run, Lines { steps, evaluations }))
    }

    /// Its settings, with those that the adapter decided which it started from.
    pub fn settings_in_full(&self) -> Settings {
        let OfStart { num_virtual_tokens, layers } = self.of_start.clone();
        Settings {
            num_virtual_tokens: self.settings.num_virtual_tokens.or(num_virtual_tokens),
            layers: self.settings.layers.clone().or(layers),
            ..self.settings.clone()
        }
    }

    /// A score of its adapter, if that is a number.
    pub fn score(&self, name: &str) -> Option<f64> {
        self.scores.get(name)?.as_f64()
    }
}

/// The score of a run without validation rows.
pub const TRAIN_LOSS: &str = "train_loss";

/// A folder by a name that can be given: that of a file without one is empty.
fn named(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// What is said of a path that is no folder of a run.
fn holds_no_run(path: &Path) -> Error {
    let message = match path.parent().filter(|_| path.is_file()) {
        Some(folder) => format!(
            "is a file: expected the folder of a run, or {}, for all runs in it",
            named(folder).display()
        ),
        None => {
            let what = if path.is_dir() { "holds no run.toml" } else { "is no folder" };
            format!("{what}: expected the folder of a run, as `peft train --out` makes it")
        }
    };
    Error::file(path, message)
}

fn state(path: &Path, result: Option<&RunResult>) -> Result<State> {
    Ok(match result.map(|result| result.ending) {
        Some(Ending::Finished) => State::Finished,
        Some(Ending::Begun) => State::Unfinished,
        Some(Ending::Diverged) => State::Diverged,
        Some(Ending::Halted) => State::Halted,
        // One of an earlier version: its adapter came last.
        None if overwrite::is_due(path) => State::Unfinished,
        None if earlier_adapter::has_own_adapter(path)? => State::Finished,
        None => State::Unfinished,
    })
}

/// The score by which a run of an earlier version chose its best step.
fn best_metric(settings: &Settings, adapter: Option<&Adapter>) -> String {
    if let Some(named) = &settings.best_metric {
        return named.clone();
    }
    let own = adapter.map(|adapter| &adapter.config.own);
    let labels = own.and_then(|own| Labels::from_list(own.labels.clone()?).ok());
    let problem_type = own.and_then(|own| own.problem_type).unwrap_or_default();
    match settings.task {
        Some(task) => BestMetric::of_task(task, problem_type, labels.as_ref()).name,
        None => "loss".to_string(),
    }
}

/// The steps that a run made: its result knows once it has ended, whatever became of the lines of its steps.
fn made_steps(state: State, of_lines: Option<usize>, of_result: Option<usize>) -> Option<usize> {
    match state {
        State::Finished => of_result.or(of_lines),
        _ => of_lines.or(of_result),
    }
}

/// A file with one JSON object a step.
#[derive(Debug, Default)]
struct PointLines {
    points: Vec<Point>,
    /// Whether its last line has no end.
    is_cut: bool,
}

impl PointLines {
    /// Reads the whole lines of a file; one that a kill cut off is passed over, as when a run is resumed.
    ///
    /// # Errors
    ///
    /// [`Error::Read`].
    fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes = read::bytes(path)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let point = |line: &[u8]| {
            let Ok(Value::Object(scores)) = serde_json::from_slice(line) else { return None };
            Some(Point { step: usize::try_from(scores.get("step")?.as_u64()?).ok()?, scores })
        };
        let mut points: Vec<Point> = Vec::new();
        for point in bytes[..whole].split(|byte| *byte == b'\n').filter_map(point) {
            // After a kill a run goes on from a checkpoint, and repeats what came after it.
            while points.last().is_some_and(|last| last.step >= point.step) {
                points.pop();
            }
            points.push(point);
        }
        Ok(Self { points, is_cut: whole < bytes.len() })
    }
}

/// Seconds of all steps.
fn seconds(steps: &[Point]) -> Option<f64> {
    let of = |point: &Point| {
        let number = |key| point.scores.get(key)?.as_f64();
        Some(number("tokens")? / number("tokens_per_second").filter(|speed| *speed > 0.0)?)
    };
    let all: Option<f64> = steps.iter().map(of).sum();
    all.filter(|_| !steps.is_empty())
}

fn mean_loss(steps: &[Point]) -> Option<f64> {
    let last = &steps[steps.len().saturating_sub(LAST)..];
    let losses: Option<Vec<f64>> =
        last.iter().map(|point| point.scores.get("loss")?.as_f64()).collect();
    peft_core::metrics::mean(&losses?)
}

/// Steps with their loss, smoothed over [`LAST`] of them, at most a hundred.
fn of_losses(steps: &[Point]) -> Vec<Point> {
    let every = steps.len().div_ceil(100).max(1);
    let at = |index: usize| {
        let loss = mean_loss(&steps[..=index])?;
        let scores = Map::from_iter([(TRAIN_LOSS.to_string(), loss.into())]);
        Some(Point { step: steps[index].step, scores })
    };
    (0..steps.len()).filter(|index| (index + 1) % every == 0).filter_map(at).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_steps_are_read_as_a_resumed_run_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("m.jsonl");
        let step = |step: usize, loss: f64| {
            format!(
                "{{\"step\":{step},\"loss\":{loss},\"tokens\":10,\"tokens_per_second\":20.0}}\n"
            )
        };
        let text =
            [step(1, 4.0), step(2, 9.0), step(3, 9.0), "damaged\n".into(), step(2, 2.0)].concat();
        std::fs::write(&file, text + "{\"step\":3,\"lo").unwrap();
        let PointLines { points: found, is_cut } = PointLines::read(&file).unwrap();
        assert!(is_cut);
        assert_eq!(found.iter().map(|point| point.step).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((seconds(&found), mean_loss(&found)), (Some(1.0), Some(3.0)));
        assert_eq!(of_losses(&found).len(), 2);
        assert_eq!((seconds(&[]), mean_loss(&[])), (None, None));
        assert!(PointLines::read(&dir.path().join("none")).unwrap().points.is_empty());
        // What looks whole may be cut off, too.
        std::fs::write(&file, step(1, 4.0) + step(12, 4.0).trim_end()).unwrap();
        let found = PointLines::read(&file).unwrap();
        assert_eq!((found.points.len(), found.is_cut), (1, true));
        std::fs::write(&file, step(1, 4.0)).unwrap();
        assert!(!PointLines::read(&file).unwrap().is_cut);
    }

    #[test]
    fn a_run_that_ended_has_the_steps_of_its_result() {
        assert_eq!(made_steps(State::Finished, Some(3), Some(4)), Some(4));
        assert_eq!(made_steps(State::Finished, Some(3), None), Some(3));
        assert_eq!(made_steps(State::Unfinished, Some(3), Some(4)), Some(3));
        assert_eq!(made_steps(State::Diverged, None, Some(4)), Some(4));
    }

    #[test]
    fn what_is_no_run_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let said = |path: &Path| Run::read(path).unwrap_err().to_string();
        assert!(said(dir.path()).contains("holds no run.toml: expected the folder of a run"));
        assert!(said(&dir.path().join("none")).contains("is no folder"));
        assert_eq!(
            ["", "sweep"].map(|folder| named(Path::new(folder))),
            [".", "sweep"].map(Path::new)
        );
        // As `sweep/*` names it.
        let page = dir.path().join("report.html");
        std::fs::write(&page, "").unwrap();
        let all = format!("is a file: expected the folder of a run, or {}", dir.path().display());
        assert!(said(&page).contains(&all));
        std::fs::write(dir.path().join(RUN_FILE), "lr = \"x\"").unwrap();
        assert!(said(dir.path()).contains("run.toml"));
    }
}
