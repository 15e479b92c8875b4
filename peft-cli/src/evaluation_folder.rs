//! What `peft eval --out` writes: a folder that `peft compare` puts beside those of runs.
//!
//! | file | what it is |
//! |---|---|
//! | `run.toml` | the settings: those of the adapter's run, or of the base model alone |
//! | `result.json` | the scores, and what was scored |
//! | `predictions.jsonl` | what was written or ranked for each row, if it was |
//! | `shots.jsonl` | the examples in front of each row, if there are any |

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use peft_core::{
    Adapter, Error, Result,
    adapter::atomic,
    metrics::Metrics,
    text::Encoded,
    train::{BestMetric, sum_of_rows},
};
use peft_models::{Compute, WeightFormat};
use serde_json::{Map, Value, json};

use crate::{
    compare::Run,
    encoding::label_list,
    error::{CliError, CliResult},
    locate,
    output::{is_read, is_same_file},
    predictions::Format,
    screen::memory,
    session::{Session, UseArgs, numbers},
    settings::{Settings, file},
    shots::{Shot, ShotArgs},
    tasks::layer,
    text_settings::TextArgs,
    training::{
        ending::Ending,
        file_names::{CHECKPOINTS, ENSEMBLE, PREDICTIONS, RESULT, RUN_FILE},
        run_result::{Baseline, RunResult},
    },
};

/// The examples in front of each row.
const SHOTS: &str = "shots.jsonl";

/// The files that an evaluation writes or removes, beside `run.toml`.
fn own_names() -> impl Iterator<Item = &'static str> {
    PREDICTIONS.into_iter().chain([SHOTS, RESULT])
}

/// What was evaluated, and how.
#[derive(Clone, Debug)]
pub struct Evaluated<'a> {
    /// The model and the adapter.
    pub session: &'a Session,
    /// The flags that name them.
    pub model: &'a UseArgs,
    /// How rows are read.
    pub text: &'a TextArgs,
    /// The files of the rows.
    pub data: &'a [PathBuf],
    /// The examples.
    pub shots: (&'a ShotArgs, &'a [Shot]),
    /// The rows, as the model read them.
    pub encoded: &'a Encoded,
    /// What tells it from other evaluations, such as how `answers` were found: `ranked by sum`, `generated`.
    pub asked: Map<String, Value>,
    /// The scores.
    pub metrics: &'a Metrics,
    /// The rows of predictions, if there are any.
    pub predictions: Option<&'a [Map<String, Value>]>,
}

/// The folder, which holds no training run.
#[derive(Clone, Debug)]
pub struct EvaluationFolder(PathBuf);

impl EvaluationFolder {
    /// Makes the folder, or takes one that is there; an evaluation in it only gives way if that is asked for.
    ///
    /// # Errors
    ///
    /// [`CliError::Usage`] if it holds an evaluation, a run, an ensemble, an adapter, or files that are called as those of an
    /// evaluation are; [`Error::Write`].
    pub fn open(path: &Path, overwrite: bool) -> CliResult<Self> {
        let refuse = |what: &str| Err(CliError::Usage(format!("--out {}: {what}", path.display())));
        if path.exists() && !path.is_dir() {
            return refuse("is a file, expected a folder");
        }
        let is_evaluation = RunResult::read(path)?.is_some_and(|result| result.scores.is_some());
        let holds = |name: &&str| path.join(name).exists();
        let of_run = [RUN_FILE, ENSEMBLE, CHECKPOINTS];
        if Adapter::exists(path) || (!is_evaluation && of_run.iter().any(holds)) {
            return refuse(
                "holds a training run, which an evaluation does not replace: give another folder",
            );
        }
        if let Some(name) = own_names().find(holds).filter(|_| !is_evaluation) {
            let message = format!(
                "holds no evaluation, but {name}, which one would replace: give another folder"
            );
            return refuse(&message);
        }
        if is_evaluation && !overwrite {
            return refuse("holds an evaluation already; --overwrite replaces it");
        }
        fs::create_dir_all(path).map_err(Error::write(path))?;
        atomic::check_writable(&path.join(RESULT))?;
        Ok(Self(path.to_path_buf()))
    }

    /// Refuses files of a flag that the evaluation would replace.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag and the file.
    pub fn check_apart<'p>(
        &self,
        flag: &str,
        files: impl IntoIterator<Item = &'p PathBuf>,
    ) -> Result<()> {
        for file in files {
            // A file that is not there yet has no path to compare but that of its folder.
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let is_inside = is_same_file(folder.unwrap_or(Path::new(".")), &self.0);
            let is_own = |name: &&str| {
                let is_called_so = file.file_name() == Some(OsStr::new(*name));
                is_inside && is_called_so || is_read(&self.0.join(name), file)
            };
            if let Some(name) = own_names().find(is_own) {
                let message = format!(
                    "found {}, but {name} in --out {} is replaced by the evaluation: give another file, or another --out",
                    file.display(),
                    self.0.display()
                );
                return Err(Error::setting(flag, message));
            }
        }
        Ok(())
    }

    /// Writes it. `run.toml`, by which it is found, comes last.
    ///
    /// # Errors
    ///
    /// [`Error::Write`]; an error naming what is wrong with the folder of the adapter.
    pub fn write(&self, found: &Evaluated<'_>) -> CliResult {
        let (settings, result) = found.described()?;
        let at = |name: &str| self.0.join(name);
        for name in PREDICTIONS.into_iter().chain([SHOTS, RUN_FILE]) {
            if at(name).is_file() {
                atomic::remove(&at(name))?;
            }
        }
        let lines = |rows: Vec<Map<String, Value>>| Format::Jsonl.text(rows).into_bytes();
        if let Some(rows) = found.predictions {
            atomic::write_file(&at(PREDICTIONS[0]), &lines(rows.to_vec()))?;
        }
        if !found.shots.1.is_empty() {
            let row = |shot: &Shot| {
                let fields = [("source", &shot.source), ("target", &shot.target)];
                fields.into_iter().map(|(name, text)| (name.to_string(), json!(text))).collect()
            };
            let rows = found.shots.1.iter().map(row).collect();
            atomic::write_file(&at(SHOTS), &lines(rows))?;
        }
        result.write(&self.0)?;
        let text = file::to_run_file(&settings, &self.0);
        atomic::write_file(&at(RUN_FILE), text.as_bytes())?;
        Ok(())
    }
}

impl Evaluated<'_> {
    /// The settings and the result.
    fn described(&self) -> Result<(Settings, RunResult)> {
        let scores: Map<String, Value> =
            self.metrics.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
        let (count, shots) = (self.shots.0.count(), self.shots.0);
        let result = RunResult {
            ending: Ending::Finished,
            best_metric: Some(self.best_metric()?),
            peak_memory: memory::peak(),
            valid_rows: Some(self.encoded.records()),
            // Behind examples rows have other tokens; their files tell whether they are the same.
            valid_sha256: (count == 0).then(|| sum_of_rows(&self.encoded.examples)),
            scores: Some(scores),
            ..RunResult::default()
        };
        if let Some(named) = self.model.adapters.first() {
            let folder =
                locate::adapter(named).map_err(|error| Error::file(named, error.to_string()))?;
            return self.of_adapter(named, &folder, result);
        }
        let mut own = Map::new();
        own.insert("shots".into(), count.into());
        own.extend(self.asked.clone());
        if count > 0 {
            own.insert("shot_separator".into(), shots.separator().into());
            own.insert("shots_from".into(), json!(shots.shots_from));
        }
        let kind = if count == 0 { Baseline::ZERO_SHOT } else { Baseline::FEW_SHOT };
        let baseline = Baseline { kind: kind.into(), by: None, settings: own };
        let nothing = Some(0);
        let result = RunResult {
            trained_parameters: nothing,
            stored_parameters: nothing,
            baseline: Some(baseline),
            ..result
        };
        let seed = (count > 0).then_some(shots.seed());
        Ok((Settings { seed, ..self.settings()? }, result))
    }

    /// Those of an adapter: what its run says, where it has one.
    fn of_adapter(
        &self,
        named: &Path,
        folder: &Path,
        result: RunResult,
    ) -> Result<(Settings, RunResult)> {
        if folder.join(RUN_FILE).is_file() {
            let run = Run::read(folder)?;
            let settings = Settings {
                valid: Some(self.data.to_vec()),
                valid_split: None,
                metrics_file: None,
                out: None,
                ..run.settings_in_full()
            };
            let mut result = RunResult {
                step: run.steps,
                last_step: run.steps,
                total_steps: run.total_steps,
                trained_parameters: run.trained_parameters,
                stored_parameters: run.stored_parameters,
                train_sha256: run.train_sha256,
                seconds: run.seconds,
                derived: run.derived,
                evaluation: self.asked.clone(),
                ..result
            };
            // Its scores are those of the numbers here. How it was trained stands among the settings, under the plain names.
            let adapter = self.session.adapter.iter();
            for (name, _, now) in adapter.flat_map(|one| numbers::differing(one, self.model)) {
                result.evaluation.insert(format!("scored_{name}"), now.into());
            }
            return Ok((settings, result));
        }
        let adapter = self.session.adapter.as_ref();
        let stored = adapter.map(|one| one.tensors.values().map(|data| data.num_elements()).sum());
        let kind = adapter.map(|one| one.config.peft_type.name().to_lowercase());
        let mut settings = self.asked.clone();
        settings.insert("adapter".into(), json!(named));
        let baseline = Baseline { kind: kind.unwrap_or_default(), by: None, settings };
        let result = RunResult { stored_parameters: stored, baseline: Some(baseline), ..result };
        Ok((self.settings()?, result))
    }

    /// The settings that the flags are, as those of a run.
    fn settings(&self) -> Result<Settings> {
        let UseArgs { model, base_weights, dtype, .. } = self.model;
        let (text, fields) = (self.text, &self.text.fields);
        let names = self.session.labels.as_ref().map(label_list);
        let mut settings = Settings {
            model: Some(model.clone()),
            task: Some(self.session.task()?),
            task_file: text.task_file.clone(),
            // A task needs no files of its own then.
            train: Some(Vec::new()),
            valid: Some(self.data.to_vec()),
            columns: text.columns.clone(),
            source_template: text.source_template.clone(),
            target_template: text.target_template.clone(),
            chat_template: text.chat_template.clone(),
            chat_date: text.chat_date.clone(),
            max_length: text.max_length,
            max_target_length: text.max_target_length,
            doc_stride: text.doc_stride,
            base_weights: Some(*base_weights).filter(|own| *own != WeightFormat::default()),
            dtype: Some(*dtype).filter(|own| *own != Compute::default()),
            labels: names,
            text_field: fields.text_field.clone(),
            text_pair_field: fields.text_pair_field.clone(),
            label_field: fields.label_field.clone(),
            tokens_field: fields.tokens_field.clone(),
            tags_field: fields.tags_field.clone(),
            question_field: fields.question_field.clone(),
            context_field: fields.context_field.clone(),
            answers_field: fields.answers_field.clone(),
            source_field: fields.source_field.clone(),
            target_field: fields.target_field.clone(),
            ..Settings::default()
        };
        settings = layer::complete_to_score(settings)?;
        settings.train = None;
        Ok(settings)
    }

    /// The score that evaluations are compared by: that of the classes or of the texts that were found, else the one that
    /// would choose the step of a run.
    fn best_metric(&self) -> Result<String> {
        let (session, task) = (self.session, self.session.task()?);
        let of_answers =
            ["accuracy", "exact_match"].into_iter().find(|name| self.metrics.get(name).is_some());
        let of_task =
            || BestMetric::of_task(task, session.problem_type, session.labels.as_ref()).name;
        Ok(of_answers
            .filter(|_| self.asked.contains_key("answers"))
            .map_or_else(of_task, str::to_string))
    }
}
