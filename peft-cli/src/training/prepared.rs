//! A training run: prepared, so that nothing can keep it from starting.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use burn::tensor::Device;
use peft_core::{
    Adapter, FrozenModel, ProblemType, Result, Task,
    data::{Example, Labels},
    evaluate::DEFAULT_NULL_SCORE_DIFF_THRESHOLD,
    text::{Encoded, FoundFields},
    train::{BaseSum, Mixing, TrainConfig, TrainingData},
};
use peft_models::{Loaded, kernels};

use super::{
    class_weights,
    expected_memory::{AfterLoading, Memory, Run, is_narrow},
    frozen_layers::FrozenLayers,
    inputs::Base,
    opening::{Epoch, Opening},
    shared::{ReadRows, Shared},
    started_from::StartedFrom,
    trained_numbers::Trained,
};
use crate::{
    error::CliResult,
    flags::method_name::MethodName,
    hub,
    model_dir::ModelDir,
    processes::Member,
    settings::{Settings, resolve::check_uses, train_config::train_config},
    tasks::task_file::TaskFile,
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
    /// This process among those that make the run together.
    pub(super) member: Option<Arc<Member>>,
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
    /// What a run that goes on remembers of its start: the adapter here is then that of its checkpoint.
    pub(super) recorded_start: Option<StartedFrom>,
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
            member: None,
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
            recorded_start: None,
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
            member: None,
            dir: PathBuf::from(BUILT_IN).into(),
            base_name: BUILT_IN.into(),
            train: Arc::new(Encoded { examples: train, ..Encoded::default() }),
            valid: Arc::default(),
            sum: Arc::default(),
            tasks: Vec::new(),
            mixing: Mixing::default(),
            recorded_start: None,
            settings,
        })
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

    /// The rows to validate on, encoded; those of the first task of a joint run.
    pub fn valid_rows(&self) -> &Arc<Encoded> {
        &self.valid
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
        facts.extend(self.fact_of_processes());
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
        let replicas = 1 + self.replicas.len();
        if self.is_joint() {
            // Their batches follow each other; the states of all of them and their heads stay.
            let heads: usize = self.tasks.iter().map(|task| task.run.head_size()).sum();
            let of_task = |task: &TaskRun| task.run.memory_with(frozen, p, heads, replicas);
            return self.tasks.iter().filter_map(of_task).max_by_key(|memory| memory.expected);
        }
        self.memory_with(frozen, p, self.head_size(), replicas)
    }

    /// Parameters of its head, biases left out.
    fn head_size(&self) -> usize {
        let classes = self.labels.as_ref().filter(|_| self.task.has_head()).map_or(0, Labels::len);
        classes * self.base.model.spec().hidden_size
    }

    /// The memory that it takes with these frozen layers, `p` virtual tokens, heads of so many parameters, and so many
    /// replicas.
    fn memory_with(
        &self,
        frozen: FrozenLayers,
        p: usize,
        heads: usize,
        replicas: usize,
    ) -> Option<Memory> {
        let (settings, spec) = (&self.settings, self.base.model.spec());
        // Of an encoder-decoder's layers, only the encoder's may be frozen.
        let first = if spec.is_encoder_decoder() { 0 } else { frozen.first_layer };
        let numbers = Trained::of(settings, spec, self.method, p);
        let made = numbers.made(settings, spec, self.method, p);
        let run = Run {
            base: &self.base,
            config: &self.config,
            format: settings.base_weights.unwrap_or_default(),
            compute: settings.dtype.unwrap_or_default(),
            after_loading: self.after_loading,
            recompute: settings.recompute.unwrap_or_default(),
            prompt: if self.method == MethodName::Prompt { p } else { 0 },
            virtual_tokens: p,
            first_layer: (self.method != MethodName::Head).then_some(first),
            kept_states: frozen.kept.memory,
            trained: heads + numbers.total(),
            in_slices: heads + numbers.in_slices(made),
            made,
            packed: self.epoch.packed,
            replicas,
            train: &self.train.examples,
            valid: &self.valid.examples,
        };
        Memory::of(&run)
    }

    /// The layers that nothing trained reaches.
    pub(super) fn frozen(&self) -> Result<FrozenLayers> {
        let batches: Vec<usize> = match self.is_joint() {
            true => self.tasks.iter().map(|task| task.run.epoch.batches).collect(),
            false => vec![self.epoch.batches],
        };
        let processes = self.member.as_ref().map_or(1, |member| member.local_place().1);
        FrozenLayers::of(
            (&self.settings, processes),
            (self.method, self.start_adapter.as_ref()),
            self.base.model.as_ref(),
            (&self.config, self.mixing, &batches),
            &self.data(),
        )
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
