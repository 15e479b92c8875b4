//! A training run: prepared, so that nothing can keep it from starting, and then made.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Instant,
};

use burn::{module::Module, tensor::Device};
use peft_core::{
    Adapter, ContextBudget, FrozenModel, Mode, PeftMethod, ProblemType, Result, Task,
    adapter::FolderLock,
    data::{Example, Labels},
    evaluate::DEFAULT_NULL_SCORE_DIFF_THRESHOLD,
    metrics::Metrics,
    text::{Encoded, FoundFields, Template},
    train::{
        self, BaseSum, Mixing, Observer, Outcome, RunContext, TrainConfig, Trainable, TrainingData,
        adapter_of,
    },
};
use peft_models::{Loaded, kernels};
use serde_json::json;

use super::{
    class_names, class_weights,
    expected_memory::{AfterLoading, Memory, Run, is_narrow},
    frozen_layers::FrozenLayers,
    inputs::Base,
    method_builder::{MethodBuilder, Trained},
    opening::{Epoch, Opening},
    shared::{ReadRows, Shared},
    started_from::{STARTED_FROM, StartedFrom},
};
use crate::{
    encoding::{SORTED_LABELS, check_lengths},
    error::CliResult,
    flags::method_name::MethodName,
    hub,
    model_dir::ModelDir,
    output,
    settings::{Settings, resolve::check_uses, train_config::train_config},
    tasks::task_file::{GROUP, METRICS, STEPS, TaskFile},
};

/// What stands for the folder of the built-in model.
const BUILT_IN: &str = "(built-in model)";

/// A run that is ready to start: everything is read, checked and encoded.
#[derive(Debug)]
pub struct PreparedRun {
    /// The settings, defaults filled in.
    pub settings: Settings,
    /// The method.
    pub method: MethodName,
    /// The task.
    pub task: Task,
    pub(super) base: Arc<Loaded>,
    pub(super) start_adapter: Option<Adapter>,
    /// The names of the classes.
    pub labels: Option<Labels>,
    pub(super) device: Device,
    /// The base model on further devices.
    pub(super) replicas: Vec<Arc<dyn FrozenModel>>,
    pub(super) found: FoundFields,
    /// The task in TOML, if there is one.
    pub(super) task_file: Option<TaskFile>,
    /// The text of `chat_template`, if one was given.
    pub(super) chat_template: Option<String>,
    pub(super) dir: ModelDir,
    pub(super) base_name: String,
    pub(super) config: TrainConfig,
    /// One pass over the training rows.
    pub(super) epoch: Epoch,
    pub(super) after_loading: AfterLoading,
    pub(super) train: Arc<Encoded>,
    pub(super) valid: Arc<Encoded>,
    /// Settings that nobody gave, which follow from the rows or the day.
    pub derived: Vec<String>,
    /// The sum of the base model's weights, which runs share.
    pub(super) sum: Arc<OnceLock<BaseSum>>,
    /// The tasks of a joint run: `task`, `train` and `valid` are then those of the first.
    pub(super) tasks: Vec<TaskRun>,
    /// How they are mixed.
    pub(super) mixing: Mixing,
}

/// A task of a joint run.
#[derive(Debug)]
pub(super) struct TaskRun {
    /// Its name.
    pub name: String,
    /// How much its loss counts.
    pub weight: f64,
    /// The run that it would be alone.
    pub run: PreparedRun,
}

/// What a run has made.
#[derive(Debug)]
pub struct TrainedRun {
    /// What was trained, ready to be saved; of a joint run what its tasks share.
    pub adapter: Adapter,
    /// The adapter of each task of a joint run, by its name.
    pub tasks: Vec<(String, Adapter)>,
    /// The step it is from.
    pub step: usize,
    /// The last step made.
    pub last_step: usize,
    /// Whether the run ended early because the scores stopped improving.
    pub stopped_early: bool,
    /// The steps planned.
    pub total_steps: usize,
    /// Its scores on the validation rows.
    pub metrics: Option<Metrics>,
    /// The scores of the last step.
    pub last_metrics: Option<Metrics>,
    /// Whether the run was interrupted.
    pub interrupted: bool,
    /// Parameters that were trained, those of an MLP and a head included.
    pub trained_parameters: usize,
    /// Seconds that training took.
    pub seconds: f64,
    /// What it started from, if that is an adapter.
    pub started_from: Option<StartedFrom>,
}

impl TrainedRun {
    /// Parameters of the adapter, its head included; those that the adapters of several tasks share count once.
    pub fn stored_parameters(&self) -> usize {
        let shared = &self.adapter.tensors;
        let of_tasks = self.tasks.iter().flat_map(|(_, adapter)| &adapter.tensors);
        let own = of_tasks.filter(|(name, _)| !shared.contains_key(*name)).map(|(_, data)| data);
        shared.values().chain(own).map(|data| data.num_elements()).sum()
    }
}

impl PreparedRun {
    /// Reads and checks everything that the settings name.
    ///
    /// # Errors
    ///
    /// Returns an error naming the flag, file, line, key or tensor that is wrong.
    pub fn new(settings: Settings, device: &Device) -> CliResult<Self> {
        Self::sharing(settings, device, &Shared::default())
    }

    /// As [`new`](Self::new); what other runs have read already is taken from `shared`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn sharing(mut settings: Settings, device: &Device, shared: &Shared) -> CliResult<Self> {
        let method = *Settings::required(&settings.method, "--method")?;
        let task = *Settings::required(&settings.task, "--task")?;
        let base_name = hub::base_name(Settings::required(&settings.model, "--model")?);
        // Settings are checked before anything is loaded: a typing error should not cost a minute.
        let mut config = train_config(&settings, task)?;
        check_uses(&settings, task)?;
        let base = shared.base(&settings, device)?;
        let read = shared.rows(&settings, task, &base, device)?;
        let ReadRows { found, problem_type, labels, task_file, chat_template, .. } = read.as_ref();
        config.problem_type = *problem_type;
        let (mut train, valid) = (read.train.clone(), read.valid.clone());
        if let Some(count) = settings.train_rows {
            train = Arc::new(train.as_ref().clone().draw(count, settings.seed())?);
        }
        if let Some(given) = &settings.class_weights {
            config.class_weights =
                Some(class_weights::of(given, task, labels.as_ref(), &train.examples)?);
            config.validate()?;
        }
        let was_dated = settings.chat_date.is_some();
        // A run that is resumed on another day has to see the same rows.
        if read.chat_date.is_some() {
            settings.chat_date.clone_from(&read.chat_date);
        }
        // The adapter remembers that questions may have no answer.
        if train.examples.iter().chain(&valid.examples).any(Example::is_unanswerable) {
            settings.null_score_diff_threshold.get_or_insert(DEFAULT_NULL_SCORE_DIFF_THRESHOLD);
            config.null_score_diff_threshold = settings.null_score_diff_threshold;
        }
        let given = (settings.eval_every.is_some(), was_dated);
        let epoch = Epoch::of(&config, &train.examples)?;
        set_intervals(&mut config, epoch.batches, !valid.examples.is_empty());
        settings.eval_every = config.eval_every;
        settings.checkpoint_every = config.checkpoint_every;
        let derived = [
            ("eval_every", !given.0 && settings.eval_every.is_some()),
            ("chat_date", !given.1 && settings.chat_date.is_some()),
        ];
        let derived = derived.into_iter().filter(|(_, is_derived)| *is_derived);
        let Base { loaded, dir, after_loading, sum } = base;
        Ok(Self {
            derived: derived.map(|(name, _)| name.to_string()).collect(),
            task_file: task_file.clone(),
            chat_template: chat_template.clone(),
            settings,
            method,
            task,
            base: loaded,
            start_adapter: read.start_adapter.clone(),
            labels: labels.clone(),
            found: found.clone(),
            device: device.clone(),
            replicas: Vec::new(),
            dir,
            base_name,
            config,
            epoch,
            after_loading,
            train,
            valid,
            sum,
            tasks: Vec::new(),
            mixing: Mixing::default(),
        })
    }

    /// A run on a model and rows that are in memory already, without validation rows.
    ///
    /// # Errors
    ///
    /// Returns an error naming the setting that is wrong.
    pub fn on_rows(
        settings: Settings,
        base: Arc<Loaded>,
        train: Vec<Example>,
        device: &Device,
    ) -> Result<Self> {
        let method = *Settings::required(&settings.method, "--method")?;
        let task = *Settings::required(&settings.task, "--task")?;
        let config = train_config(&settings, task)?;
        Ok(Self {
            derived: Vec::new(),
            epoch: Epoch::of(&config, &train)?,
            after_loading: AfterLoading::default(),
            config,
            method,
            task,
            base,
            start_adapter: None,
            task_file: None,
            chat_template: None,
            labels: None,
            found: FoundFields::default(),
            device: device.clone(),
            replicas: Vec::new(),
            dir: PathBuf::from(BUILT_IN).into(),
            base_name: BUILT_IN.into(),
            train: Arc::new(Encoded { examples: train, ..Encoded::default() }),
            valid: Arc::default(),
            sum: Arc::default(),
            tasks: Vec::new(),
            mixing: Mixing::default(),
            settings,
        })
    }

    /// Trains. `out` is the run's folder, for checkpoints, held by the caller.
    ///
    /// # Errors
    ///
    /// Returns an error if the settings cannot be used, if a file cannot be written, or if the loss
    /// is no longer finite ([`NotFinite`](peft_core::Error::NotFinite)).
    pub fn train(
        &self,
        out: Option<&Arc<FolderLock>>,
        resume: bool,
        observer: &mut dyn Observer,
    ) -> Result<TrainedRun> {
        let builder = MethodBuilder {
            settings: &self.settings,
            model: self.base.model.as_ref(),
            dir: &self.dir,
            labels: self.labels.as_ref(),
            adapter: self.start_adapter.as_ref(),
            device: self.device.clone().autodiff(),
        };
        match self.method {
            MethodName::Prompt => self.train_with(builder.prompt()?, out, resume, observer),
            MethodName::Prefix => self.train_with(builder.prefix()?, out, resume, observer),
            MethodName::Ptv2 => self.train_with(builder.ptv2()?, out, resume, observer),
            MethodName::Head => self.train_with(builder.head()?, out, resume, observer),
        }
    }

    fn train_with<M: PeftMethod>(
        &self,
        method: M,
        out: Option<&Arc<FolderLock>>,
        resume: bool,
        observer: &mut dyn Observer,
    ) -> Result<TrainedRun> {
        if self.is_joint() {
            return self.train_tasks(method, out, resume, observer);
        }
        let model = self.base.model.as_ref();
        let budget =
            ContextBudget::new(model.spec(), &method.fold().virtual_tokens(Mode::Evaluate));
        check_lengths(budget, &self.train, 0)?;
        check_lengths(budget, &self.valid, 0)?;
        let (head, source) = self.head()?.unzip();
        let started_from = StartedFrom::of(self.start_adapter.as_ref(), source);
        let trainable = Trainable::new(method, head);
        let trained_parameters = trainable.num_params();
        let recipe = self.recipe(trained_parameters, started_from.as_ref());
        let run = self.context(out, resume, recipe)?;
        let data = TrainingData { train: &self.train.examples, valid: &self.valid.examples };
        let clock = Instant::now();
        let outcome: Outcome<M> =
            train::train(model, trainable, &data, &self.config, &run, observer)?;
        let about = run.about(&self.config, outcome.metrics.as_ref())?;
        self.note_other_weights(about.base_sha256.as_deref());
        let adapter = adapter_of(&outcome.trainable, model, &about)?;
        let seconds = clock.elapsed().as_secs_f64();
        Ok(outcome_of(outcome, adapter, started_from, trained_parameters, seconds))
    }

    /// What the training loop is told beside settings and rows.
    pub(super) fn context(
        &self,
        out: Option<&Arc<FolderLock>>,
        resume: bool,
        recipe: serde_json::Value,
    ) -> Result<RunContext> {
        Ok(RunContext {
            dir: out.map(|lock| lock.dir().to_path_buf()),
            lock: out.cloned(),
            resume,
            labels: self.labels.clone(),
            base_model: Some(self.base_name.clone()),
            base_fingerprint: self.base.report.fingerprint.clone(),
            base_sum: Some(self.base_sum()),
            base_weights: self
                .settings
                .base_weights
                .filter(|format| format.is_rounded())
                .map(|format| format.to_string()),
            replicas: self.replicas.clone(),
            cache_frozen: self.frozen()?.limit,
            compute: self
                .settings
                .compute
                .filter(|compute| compute.is_rounded())
                .map(|compute| compute.to_string()),
            recipe,
        })
    }

    /// The sum of the base model's weights, computed while training begins, once for all runs on it.
    fn base_sum(&self) -> BaseSum {
        let base = self.base.clone();
        self.sum.get_or_init(|| BaseSum::start(move || base.sha256())).clone()
    }

    /// Tells if the adapter of --init-adapter was trained on weights that differ where a fingerprint does not show it.
    pub(super) fn note_other_weights(&self, now: Option<&str>) {
        let own = self.start_adapter.as_ref().map(|adapter| &adapter.config.own);
        if own.is_some_and(|own| {
            own.base_fingerprint == self.base.report.fingerprint
                && own.base_sha256.as_deref().zip(now).is_some_and(|(then, now)| then != now)
        }) {
            output::note(
                "note: some weights of the base model are not those that the adapter of --init-adapter was trained on",
            );
        }
    }

    /// What the outputs of a classifier of rows mean.
    pub fn problem_type(&self) -> ProblemType {
        self.config.problem_type
    }

    /// The steps that are planned.
    pub fn total_steps(&self) -> usize {
        self.config.total_steps(self.epoch.batches)
    }

    /// Whether several tasks, or one among them, share the virtual tokens.
    pub fn is_joint(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// The name of the score that determines the best step, if there are validation rows.
    pub fn best_metric(&self) -> Option<String> {
        match self.is_joint() {
            true => self.best_metric_of_tasks(),
            false => (!self.valid.examples.is_empty())
                .then(|| self.config.best_metric(self.labels.as_ref()).name),
        }
    }

    /// Its rows, those of each task of a joint run.
    pub(super) fn data(&self) -> Vec<TrainingData<'_>> {
        match self.is_joint() {
            true => self.tasks.iter().flat_map(|task| task.run.data()).collect(),
            false => {
                vec![TrainingData { train: &self.train.examples, valid: &self.valid.examples }]
            }
        }
    }

    /// What the run has before it: lines of a name and a text.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = match self.is_joint() {
            true => self.facts_of_tasks(),
            false => self.opening().facts(),
        };
        if self.is_joint() {
            let frozen = self.frozen().ok().and_then(|frozen| frozen.fact());
            facts.extend(frozen.map(|fact| ("frozen", fact)));
            facts.extend(self.memory().map(|memory| memory.fact()));
        }
        facts.extend(self.fact_of_devices());
        facts
    }

    /// What looks wrong in its rows, with the way out.
    pub fn warnings(&self) -> Vec<String> {
        match self.is_joint() {
            true => self.warnings_of_tasks(),
            false => self.opening().warnings(),
        }
    }

    /// What there is to say before it begins.
    pub(super) fn opening(&self) -> Opening<'_> {
        Opening {
            config: &self.config,
            epoch: self.epoch,
            memory: self.memory(),
            frozen: self.frozen().ok(),
            recompute: self.settings.recompute.unwrap_or_default(),
            is_wide: !is_narrow(&self.base, self.settings.base_weights.unwrap_or_default()),
            labels: self.labels.as_ref(),
            train: &self.train.examples,
            valid: &self.valid.examples,
        }
    }

    /// The memory that it takes, where that is known: on the CPU.
    fn memory(&self) -> Option<Memory> {
        if !kernels::compute_on(&self.device) {
            return None;
        }
        let frozen = self.frozen().ok()?;
        let of_adapter = self.start_adapter.as_ref().map(|one| one.config.num_virtual_tokens);
        let p = of_adapter.or(self.settings.num_virtual_tokens).unwrap_or_default();
        if self.is_joint() {
            // Their batches follow each other; the states of all of them and their heads stay.
            let heads: usize = self.tasks.iter().map(|task| task.run.head_size()).sum();
            let of_task = |task: &TaskRun| task.run.memory_with(frozen, p, heads);
            return self.tasks.iter().filter_map(of_task).max_by_key(|memory| memory.expected);
        }
        self.memory_with(frozen, p, self.head_size())
    }

    /// Parameters of its head, biases left out.
    fn head_size(&self) -> usize {
        let classes = self.labels.as_ref().filter(|_| self.task.has_head()).map_or(0, Labels::len);
        classes * self.base.model.spec().hidden_size
    }

    /// The memory that it takes with these frozen layers, `p` virtual tokens, and heads of so many parameters.
    fn memory_with(&self, frozen: FrozenLayers, p: usize, heads: usize) -> Option<Memory> {
        let (settings, spec) = (&self.settings, self.base.model.spec());
        // Of an encoder-decoder's layers, only the encoder's may be frozen.
        let first = if spec.is_encoder_decoder() { 0 } else { frozen.first_layer };
        let run = Run {
            base: &self.base,
            config: &self.config,
            format: settings.base_weights.unwrap_or_default(),
            compute: settings.compute.unwrap_or_default(),
            after_loading: self.after_loading,
            recompute: settings.recompute.unwrap_or_default(),
            prompt: if self.method == MethodName::Prompt { p } else { 0 },
            first_layer: (self.method != MethodName::Head).then_some(first),
            kept_states: frozen.kept,
            trained: heads + Trained::of(settings, spec, self.method, p).total(),
            packed: self.epoch.packed,
            train: &self.train.examples,
            valid: &self.valid.examples,
        };
        Memory::of(&run)
    }

    /// The layers that nothing trained reaches.
    fn frozen(&self) -> Result<FrozenLayers> {
        let batches: Vec<usize> = match self.is_joint() {
            true => self.tasks.iter().map(|task| task.run.epoch.batches).collect(),
            false => vec![self.epoch.batches],
        };
        FrozenLayers::of(
            &self.settings,
            (self.method, self.start_adapter.as_ref()),
            self.base.model.as_ref(),
            (&self.config, self.mixing, &batches),
            &self.data(),
        )
    }

    /// What an adapter remembers of its training.
    pub(super) fn recipe(
        &self,
        trained_parameters: usize,
        started_from: Option<&StartedFrom>,
    ) -> serde_json::Value {
        let mut recipe = json!(self.settings);
        if let Some(fields) = recipe.as_object_mut() {
            // Where a run lay on somebody's disk is no part of how it was made.
            for place in ["model", "train", "valid", "out", "metrics_file", "init_adapter"] {
                fields.remove(place);
            }
            // A task is used as it was, wherever its file is then.
            fields.remove("data_dir");
            fields.remove("task_file");
            if let Some(file) = &self.task_file {
                fields.insert("task_file".into(), file.name.as_str().into());
                fields.insert(STEPS.into(), file.steps.to_json());
                if !file.group.is_empty() {
                    let group: Vec<&str> = file.group.iter().map(Template::as_str).collect();
                    fields.insert(GROUP.into(), json!(group));
                }
                if !file.metrics.is_empty() {
                    let names: Vec<&str> =
                        file.metrics.iter().map(|asked| asked.name.as_str()).collect();
                    fields.insert(METRICS.into(), names.join(",").into());
                }
            }
            // Nor is what changes no result: a resumed run may do it differently.
            fields.remove("recompute");
            fields.remove("cache_frozen");
            fields.remove("tensorboard");
            fields.remove("no_report");
            for (role, name) in self.found.remembered.iter() {
                fields.insert(role.setting().into(), name.into());
            }
            if let Some(template) = &self.found.source_template {
                fields.insert("source_template".into(), template.as_str().into());
            }
            // The template itself is: the adapter is used with the same one, wherever its file is then.
            fields.remove("chat_template");
            if let Some(template) = &self.chat_template {
                fields.insert("chat_template".into(), json!(template));
            }
            let sorted = self.labels.as_ref().filter(|labels| labels.is_sorted());
            if sorted.is_some_and(|labels| !class_names::are_indices(labels)) {
                fields.insert(SORTED_LABELS.into(), true.into());
            }
            fields.insert("trained_parameters".into(), json!(trained_parameters));
            if let Some(start) = started_from {
                fields.insert(STARTED_FROM.into(), json!(start));
            }
        }
        recipe
    }
}

/// What a run has made, from how its loop ended.
pub(super) fn outcome_of<M: PeftMethod>(
    outcome: Outcome<M>,
    adapter: Adapter,
    started_from: Option<StartedFrom>,
    trained_parameters: usize,
    seconds: f64,
) -> TrainedRun {
    TrainedRun {
        started_from,
        adapter,
        tasks: Vec::new(),
        step: outcome.step,
        last_step: outcome.last_step,
        stopped_early: outcome.stopped_early,
        last_metrics: outcome
            .history
            .last()
            .filter(|last| last.step == outcome.last_step)
            .map(|last| last.metrics.clone()),
        total_steps: outcome.total_steps,
        metrics: outcome.metrics,
        interrupted: outcome.interrupted,
        trained_parameters,
        seconds,
    }
}

/// Sets the steps between evaluations and between checkpoints if they are not given: both once per epoch,
/// but at most fifty times.
pub(super) fn set_intervals(config: &mut TrainConfig, batches: usize, evaluates: bool) {
    let fiftieth = config.total_steps(batches) / 50;
    let per_epoch = batches.div_ceil(config.accumulation).max(1).max(fiftieth);
    if evaluates {
        config.eval_every.get_or_insert(per_epoch);
    }
    let every = config.eval_every.unwrap_or(per_epoch);
    config.checkpoint_every.get_or_insert(every);
}
