//! A run on several tasks that share the virtual tokens: each is prepared as a run of its own, and then they are trained
//! together.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use burn::{module::Module, tensor::Device};
use peft_core::{
    ContextBudget, Mode, PeftMethod, Result,
    adapter::{FolderLock, codec::sha256},
    data::Example,
    metrics::Metrics,
    text::{Encoded, FoundFields},
    train::{
        Joint, JointTask, Mixing, Observer, Trainable, TrainingData, sum_of_rows, train_joint,
    },
};
use serde_json::{Value, json};

use super::{
    PreparedRun, TrainedRun,
    file_names::TASKS,
    inputs::start_adapter,
    opening::Epoch,
    prepared::{outcome_of, set_intervals},
    run_result::TaskResult,
    shared::Shared,
};
use crate::{
    encoding::check_lengths,
    error::{CliError, CliResult},
    flags::choices::MIXING,
    output::grouped,
    settings::{
        Settings,
        joint::{JointSettings, NamedTask, in_task, mixing},
    },
};

/// The tasks of a joint run.
#[derive(Debug)]
pub struct JointRun {
    /// The tasks, at least one.
    pub(super) tasks: Vec<TaskRun>,
    mixing: Mixing,
}

/// One of them.
#[derive(Debug)]
pub(super) struct TaskRun {
    /// Its name.
    pub name: String,
    weight: f64,
    /// The run that it would be alone.
    pub run: PreparedRun,
}

impl TaskRun {
    /// The folder of its adapter in that of the run.
    pub fn folder(&self, out: &Path) -> PathBuf {
        out.join(TASKS).join(&self.name)
    }
}

impl PreparedRun {
    /// Reads and checks everything that the settings of a joint run name.
    ///
    /// # Errors
    ///
    /// Returns an error naming the task, and the flag, file, line, key or tensor that is wrong.
    pub fn joint(settings: JointSettings, device: &Device) -> CliResult<Self> {
        let JointSettings { run: mut settings, tasks } = settings;
        let (mixing, shared) = (mixing(&settings)?, Shared::default());
        let base = shared.base(&settings, device)?;
        let start = start_adapter(&settings, &base)?;
        let mut prepared = Vec::with_capacity(tasks.len());
        for NamedTask { name, weight, settings: of_task } in tasks {
            // It gives the virtual tokens; each task finds its own classes and begins with a new head.
            let of_task = Settings { init_adapter: None, ..of_task };
            let run = Self::sharing(of_task, device, &shared);
            let run = run.map_err(|error| match error {
                CliError::Failed(error) => CliError::Failed(in_task(&name, error)),
                other => other,
            })?;
            prepared.push(TaskRun { name, weight: weight.unwrap_or(1.0), run });
        }
        let batches: Vec<usize> = prepared.iter().map(|task| task.run.epoch.batches).collect();
        let epoch = Epoch { batches: mixing.places_per_epoch(&batches), packed: None };
        let first = &prepared[0].run;
        let mut config = first.config.clone();
        config.eval_every = settings.eval_every;
        config.checkpoint_every = settings.checkpoint_every;
        config.patience = settings.patience;
        let has_valid = prepared.iter().any(|task| !task.run.valid.examples.is_empty());
        let derives_evaluations = config.eval_every.is_none() && has_valid;
        set_intervals(&mut config, epoch.batches, has_valid);
        settings.eval_every = config.eval_every;
        settings.checkpoint_every = config.checkpoint_every;
        let mut derived: Vec<String> =
            derives_evaluations.then(|| "eval_every".to_string()).into_iter().collect();
        // A run that is resumed on another day has to see the same rows.
        if let Some(day) = prepared.iter().find_map(|task| task.run.settings.chat_date.clone())
            && settings.chat_date.is_none()
        {
            settings.chat_date = Some(day);
            derived.push("chat_date".into());
        }
        for task in &mut prepared {
            let own = &mut task.run.config;
            own.eval_every = config.eval_every;
            own.checkpoint_every = config.checkpoint_every;
            own.patience = config.patience;
        }
        let first = &prepared[0].run;
        Ok(Self {
            derived,
            method: first.method,
            task: first.task,
            base: first.base.clone(),
            start_adapter: start,
            labels: None,
            device: device.clone(),
            found: FoundFields::default(),
            task_file: None,
            chat_template: None,
            dir: first.dir.clone(),
            base_name: first.base_name.clone(),
            config,
            epoch,
            after_loading: first.after_loading,
            train: first.train.clone(),
            valid: first.valid.clone(),
            sum: first.sum.clone(),
            joint: Some(JointRun { tasks: prepared, mixing }),
            settings,
        })
    }

    /// Trains the tasks of a joint run together.
    pub(super) fn train_tasks<M: PeftMethod>(
        &self,
        joint: &JointRun,
        method: M,
        out: Option<&Arc<FolderLock>>,
        resume: bool,
        observer: &mut dyn Observer,
    ) -> Result<TrainedRun> {
        let model = self.base.model.as_ref();
        let budget =
            ContextBudget::new(model.spec(), &method.fold().virtual_tokens(Mode::Evaluate));
        let mut heads = Vec::with_capacity(joint.tasks.len());
        for task in &joint.tasks {
            let lengths = |rows: &Encoded| check_lengths(budget, rows, 0);
            lengths(&task.run.train)
                .and_then(|()| lengths(&task.run.valid))
                .map_err(|error| in_task(&task.name, error))?;
            heads.push(task.run.head().map_err(|error| in_task(&task.name, error))?);
        }
        let trainable = Trainable::joint(method, heads);
        let trained_parameters = trainable.num_params();
        let context = self.context(out, resume, self.recipe_of_tasks(joint, trained_parameters))?;
        let of_tasks = joint.as_trained(self, trained_parameters);
        let clock = Instant::now();
        let outcome = train_joint(model, trainable, &of_tasks, &context, observer)?;
        let seconds = clock.elapsed().as_secs_f64();
        let made = of_tasks.adapters(&outcome, model, &context)?;
        self.note_other_weights(made.shared.config.own.base_sha256.as_deref());
        let names = joint.tasks.iter().map(|task| task.name.clone());
        let trained = outcome_of(outcome, made.shared, trained_parameters, seconds);
        Ok(TrainedRun { tasks: names.zip(made.tasks).collect(), ..trained })
    }

    /// What the shared virtual tokens remember of their training.
    fn recipe_of_tasks(&self, joint: &JointRun, trained_parameters: usize) -> Value {
        let mut recipe = self.recipe(trained_parameters);
        recipe["tasks"] = json!(joint.names());
        recipe
    }
}

impl JointRun {
    fn names(&self) -> Vec<&str> {
        self.tasks.iter().map(|task| task.name.as_str()).collect()
    }

    /// The tasks as the training loop takes them.
    fn as_trained<'a>(&'a self, run: &PreparedRun, trained_parameters: usize) -> Joint<'a> {
        let task = |task: &'a TaskRun| {
            let mut recipe = task.run.recipe(trained_parameters);
            recipe["tasks"] = json!(self.names());
            recipe["task_name"] = json!(task.name);
            JointTask {
                name: task.name.clone(),
                config: task.run.config.clone(),
                labels: task.run.labels.clone(),
                weight: task.weight,
                data: task.data(),
                recipe,
            }
        };
        Joint {
            tasks: self.tasks.iter().map(task).collect(),
            mixing: self.mixing,
            best_metric: run.settings.best_metric.clone(),
        }
    }

    /// The name of the score that determines the best step, if there are validation rows.
    pub(super) fn best_metric(&self, run: &PreparedRun) -> Option<String> {
        let has_valid = self.tasks.iter().any(|task| !task.run.valid.examples.is_empty());
        let best = self.as_trained(run, 0).best_metric().ok()?;
        has_valid.then_some(best.name)
    }

    /// What the run has before it: lines of a name and a text.
    pub(super) fn facts(&self, run: &PreparedRun) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        for task in &self.tasks {
            let counts = match task.weight {
                1.0 => String::new(),
                weight => format!(", weight {weight}"),
            };
            facts.push(("task", format!("{}: {}{counts}", task.name, task.run.task)));
            let own = task.run.opening().facts().into_iter();
            facts.extend(own.filter(|(name, _)| ["train", "valid", "classes"].contains(name)));
        }
        let total = run.total_steps();
        let batch = match (run.config.batch_tokens, run.config.accumulation) {
            (Some(tokens), 1) => format!("up to {} tokens", grouped(tokens)),
            (Some(tokens), count) => format!("{count} x up to {} tokens", grouped(tokens)),
            (None, 1) => format!("{} rows", grouped(run.config.batch_size)),
            (None, count) => format!("{count} x {} rows", grouped(run.config.batch_size)),
        };
        let of = match self.mixing {
            Mixing::All => " of each task".to_string(),
            Mixing::Turns => ", tasks in turns".to_string(),
            Mixing::Drawn { temperature } => {
                format!(
                    ", tasks {} at temperature {temperature}",
                    MIXING.name(Mixing::Drawn { temperature: 1.0 })
                )
            }
        };
        let mut steps = format!("{} of {batch}{of}", grouped(total));
        if let (Some(every), Some(best)) = (run.config.eval_every, self.best_metric(run)) {
            let when = match every < total {
                true => format!("every {}", grouped(every)),
                false => "at the end".to_string(),
            };
            steps += &format!("; evaluated {when}, best by {best}");
        }
        facts.push(("steps", steps));
        facts
    }

    /// What looks wrong in the rows of a task, with the way out.
    pub(super) fn warnings(&self) -> Vec<String> {
        let of = |task: &TaskRun| {
            let found = task.run.opening().warnings().into_iter();
            found.map(|text| format!("task {}: {text}", task.name)).collect::<Vec<_>>()
        };
        self.tasks.iter().flat_map(of).collect()
    }

    /// What `result.json` says of each task.
    pub(super) fn results(&self, scores: Option<&Metrics>, run: &PreparedRun) -> Vec<TaskResult> {
        let joint = self.as_trained(run, 0);
        let result = |(task, of): (&TaskRun, &JointTask<'_>)| {
            let TrainingData { train, valid } = of.data;
            TaskResult {
                name: task.name.clone(),
                adapter: format!("{TASKS}/{}", task.name),
                weight: task.weight,
                best_metric: (!valid.is_empty()).then(|| of.best_metric().name),
                scores: scores.map(|all| of.scores(all)).unwrap_or_default(),
                train_rows: train.len(),
                train_sha256: sum_of_rows(train),
                valid_rows: valid.len(),
                valid_sha256: (!valid.is_empty()).then(|| sum_of_rows(valid)),
            }
        };
        self.tasks.iter().zip(&joint.tasks).map(result).collect()
    }
}

impl TaskRun {
    pub(super) fn data(&self) -> TrainingData<'_> {
        TrainingData { train: &self.run.train.examples, valid: &self.run.valid.examples }
    }
}

/// One sum for the rows of several tasks.
pub(super) fn sum_of_all<'a>(rows: impl IntoIterator<Item = &'a [Example]>) -> String {
    let sums: Vec<String> = rows.into_iter().map(sum_of_rows).collect();
    match sums.as_slice() {
        [one] => one.clone(),
        all => sha256(all.join("\n").as_bytes()),
    }
}
