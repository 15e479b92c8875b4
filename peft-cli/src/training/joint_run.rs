//! A run on several tasks that share the virtual tokens: each is prepared as a run of its own, and then they are trained
//! together.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use burn::{module::Module, tensor::Device};
use peft_core::{
    Head, PeftMethod, Result,
    adapter::FolderLock,
    text::FoundFields,
    train::{self, Joint, Mixing, Observer, Trainable, assist_joint, train_joint},
};
use serde_json::{Value, json};

use super::{
    file_names::{TASK_NAME, TASKS},
    inputs::start_adapter,
    opening::Epoch,
    prepared::{PreparedRun, TaskRun, set_intervals},
    shared::Shared,
    trained::{TrainedRun, outcome_of},
};
use crate::{
    error::{CliError, CliResult},
    flags::choices::MIXING,
    output::grouped,
    settings::{
        Settings,
        joint::{JointSettings, JointTask, in_task, mixing},
    },
};

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
        for JointTask { name, weight, settings: of_task } in tasks {
            // It gives the virtual tokens; each task finds its own classes and begins with a new head.
            let of_task = Settings { init_adapter: None, ..of_task };
            let run = Self::sharing(of_task, device, &shared);
            let run = run.map_err(|error| match error {
                CliError::Failed(error) => CliError::Failed(in_task(&name, error)),
                other => other,
            })?;
            prepared.push(TaskRun { name, weight, run });
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
        // A run that is resumed on another day has to see the same rows. A day that is given to one task is that of no other.
        let is_derived = |task: &&TaskRun| task.run.derived.iter().any(|name| name == "chat_date");
        let mut days = prepared.iter().filter(is_derived);
        if settings.chat_date.is_none()
            && let Some(day) = days.find_map(|task| task.run.settings.chat_date.clone())
        {
            settings.chat_date = Some(day);
            derived.push("chat_date".into());
        }
        for task in &mut prepared {
            // The run's, which the adapter of the task remembers: one that goes on takes it from the file of the run.
            task.run.settings.checkpoint_every = config.checkpoint_every;
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
            replicas: Vec::new(),
            member: None,
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
            tasks: prepared,
            mixing,
            recorded_start: None,
            settings,
        })
    }

    /// Trains the tasks of a joint run together.
    pub(super) fn train_tasks<M: PeftMethod>(
        &self,
        method: M,
        out: Option<&Arc<FolderLock>>,
        resume: bool,
        observer: &mut dyn Observer,
    ) -> Result<TrainedRun> {
        let model = self.base.model.as_ref();
        let trainable = Trainable::joint(method, self.heads()?);
        let trained_parameters = trainable.num_params();
        let context = self.context(out, resume, self.recipe_of_tasks(trained_parameters))?;
        let of_tasks = self.joint_tasks(trained_parameters);
        let clock = Instant::now();
        let outcome = train_joint(model, trainable, &of_tasks, &context, observer)?;
        let seconds = clock.elapsed().as_secs_f64();
        let made =
            of_tasks.adapters(&outcome.trainable, outcome.metrics.as_ref(), model, &context)?;
        self.note_other_weights(made.shared.config.own.base_sha256.as_deref());
        let names = self.tasks.iter().map(|task| task.name.clone());
        // Each task began with a head of its own.
        let started_from = self.started_from(None);
        let trained = outcome_of(outcome, made.shared, started_from, trained_parameters, seconds);
        Ok(TrainedRun { tasks: names.zip(made.tasks).collect(), ..trained })
    }

    /// The head of each task that has one.
    fn heads(&self) -> Result<Vec<Option<Head>>> {
        let head = |task: &TaskRun| -> Result<Option<Head>> {
            let head = task.run.head().map_err(|error| in_task(&task.name, error))?;
            Ok(head.map(|(head, _)| head))
        };
        self.tasks.iter().map(head).collect()
    }

    /// Assists a joint run that the process of rank 0 leads.
    pub(super) fn assist_tasks<M: PeftMethod>(&self, method: M) -> Result<()> {
        let trainable = Trainable::joint(method, self.heads()?);
        let context = self.context(None, false, Value::Null)?;
        let of_tasks = self.joint_tasks(trainable.num_params());
        assist_joint(self.base.model.as_ref(), &trainable, &of_tasks, &context)
    }

    /// What the shared virtual tokens remember of their training.
    fn recipe_of_tasks(&self, trained_parameters: usize) -> Value {
        let mut recipe = self.recipe(trained_parameters, self.started_from(None).as_ref());
        recipe[TASKS] = json!(self.task_names());
        recipe
    }

    fn task_names(&self) -> Vec<&str> {
        self.tasks.iter().map(|task| task.name.as_str()).collect()
    }

    /// The tasks as the training loop takes them.
    pub(super) fn joint_tasks(&self, trained_parameters: usize) -> Joint<'_> {
        let recipe_of = |task: &TaskRun| {
            let mut recipe = task.run.recipe(trained_parameters, self.started_from(None).as_ref());
            recipe[TASKS] = json!(self.task_names());
            recipe[TASK_NAME] = json!(task.name);
            recipe
        };
        let tasks = self.tasks.iter().zip(self.data()).map(|(own, data)| train::JointTask {
            name: own.name.clone(),
            config: own.run.config.clone(),
            labels: own.run.labels.clone(),
            weight: own.weight,
            data,
            recipe: recipe_of(own),
        });
        Joint {
            tasks: tasks.collect(),
            mixing: self.mixing,
            best_metric: self.settings.best_metric.clone(),
        }
    }

    /// The name of the score that determines the best step, if there are validation rows.
    pub(super) fn best_metric_of_tasks(&self) -> Option<String> {
        let has_valid = self.tasks.iter().any(|task| !task.run.valid.examples.is_empty());
        let best = self.joint_tasks(0).best_metric().ok()?;
        has_valid.then_some(best.name)
    }

    /// What the run has before it: lines of a name and a text.
    pub(super) fn facts_of_tasks(&self) -> Vec<(&'static str, String)> {
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
        let total = self.total_steps();
        let batch = match (self.config.batch_tokens, self.config.accumulation) {
            (Some(tokens), 1) => format!("up to {} tokens", grouped(tokens)),
            (Some(tokens), count) => format!("{count} x up to {} tokens", grouped(tokens)),
            (None, 1) => format!("{} rows", grouped(self.config.batch_size)),
            (None, count) => format!("{count} x {} rows", grouped(self.config.batch_size)),
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
        if let (Some(every), Some(best)) = (self.config.eval_every, self.best_metric_of_tasks()) {
            let when = match every < total {
                true => format!("every {}", grouped(every)),
                false => "at the end".to_string(),
            };
            steps += &format!("; evaluated {when}, best by {best}");
        }
        facts.push(("steps", steps));
        facts
    }

    /// What looks wrong in the run and in the rows of a task, with the way out.
    pub(super) fn warnings_of_tasks(&self) -> Vec<String> {
        let of = |task: &TaskRun| {
            let found = task.run.opening().warnings_of_rows().into_iter();
            found.map(|text| format!("task {}: {text}", task.name)).collect::<Vec<_>>()
        };
        let of_tasks = self.tasks.iter().flat_map(of);
        self.opening().warnings_of_run().into_iter().chain(of_tasks).collect()
    }
}
