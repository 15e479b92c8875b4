//! A training run made ready: everything read, checked and encoded; then trained.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use burn::{module::Module, tensor::Device};
use peft_core::{
    Adapter, Error, Head, Mode, PeftMethod, Pooling, Result, Room, Task,
    data::{Example, Labels},
    optim::{OptimizerConfig, Schedule},
    text::{Template, collect_labels, read_records},
    train::{
        self, BestMetric, Learner, Observer, Outcome, RunContext, TrainConfig, TrainingData,
        adapter_of,
    },
};
use peft_models::{LoadOptions, Loaded, WeightFormat};
use serde_json::json;

use crate::{
    encoding::{EncodeSettings, Lengths, check_lengths, encode, padding_side},
    error::CliResult,
    hub, locate,
    methods::Start,
    output,
    session::{in_adapter, parse_labels},
    settings::{MethodName, Settings},
};

/// A run that is ready to be made: everything is read, checked and encoded.
#[derive(Debug)]
pub struct Job {
    /// The settings, defaults filled in.
    pub settings: Settings,
    /// The method.
    pub method: MethodName,
    /// The task.
    pub task: Task,
    base: Arc<Loaded>,
    dir: PathBuf,
    base_name: String,
    start_adapter: Option<Adapter>,
    labels: Option<Labels>,
    config: TrainConfig,
    train: Vec<Example>,
    valid: Vec<Example>,
    device: Device,
}

/// A run that was made.
#[derive(Debug)]
pub struct Done {
    /// What was trained, ready to be saved.
    pub adapter: Adapter,
    /// The step it is from.
    pub step: usize,
    /// The step reached.
    pub last_step: usize,
    /// The steps planned.
    pub total_steps: usize,
    /// Its scores on the validation rows.
    pub metrics: Option<peft_core::metrics::Metrics>,
    /// Whether the run was interrupted.
    pub interrupted: bool,
    /// Parameters that were trained, an MLP and a head included.
    pub trained_parameters: usize,
    /// Seconds that training took.
    pub seconds: f64,
}

impl Job {
    /// Reads and checks everything that the settings name.
    ///
    /// # Errors
    ///
    /// Naming the flag, file, line, key or tensor that is wrong.
    pub fn new(mut settings: Settings, device: &Device) -> CliResult<Self> {
        let method = *settings.required(&settings.method, "--method")?;
        let task = *settings.required(&settings.task, "--task")?;
        let model = settings.required(&settings.model, "--model")?;
        let base_name = hub::base_name(model);
        // Settings are checked before anything is loaded: a typo should not cost a minute.
        let mut config = train_config(&settings, task)?;
        check_uses(&settings, task)?;
        let options = LoadOptions {
            recompute: settings.recompute.unwrap_or(false),
            weights: settings.base_weights.unwrap_or_default(),
        };
        let dir = locate::model(model)?;
        let start_dir = settings.init_adapter.as_deref().map(locate::adapter).transpose()?;
        let base = peft_models::load_with(&dir, device, options)?;
        let start_adapter = start_dir.as_deref().map(Adapter::load).transpose()?;
        if let Some(adapter) = &start_adapter
            && let Some(then) = &adapter.config.own.base_fingerprint
            && base.report.fingerprint.as_ref().is_some_and(|now| now != then)
        {
            output::note("note: the adapter of --init-adapter was trained on another base model");
        }
        let train_path = settings.required(&settings.train, "--train")?;
        let train_records = read_records(train_path)?;
        let valid_records = settings.valid.as_deref().map(read_records).transpose()?;
        let labels = match (&settings.labels, task) {
            (Some(list), _) => Some(parse_labels(list)?),
            (None, Task::SeqCls | Task::TokenCls) => {
                let of_adapter = start_adapter.as_ref().and_then(|a| a.config.own.labels.clone());
                match of_adapter {
                    Some(labels) => Some(Labels::from_list(labels)?),
                    None => {
                        let found = collect_labels(&train_records, task)?;
                        let head = match &start_adapter {
                            Some(adapter) => {
                                let model = base.model.as_ref();
                                adapter.head(model.head_layout(task), model.spec(), device)?
                            }
                            None => base.model.classifier().cloned(),
                        };
                        let found = with_all_classes(found, head.as_ref())?;
                        match base.config.labels().filter(|own| same_names(own, &found)) {
                            // The base's own order, in which its head has them.
                            Some(own) if start_adapter.is_none() => Some(Labels::from_list(own)?),
                            _ => Some(found),
                        }
                    }
                }
            }
            _ => None,
        };
        let template = |value: &Option<String>, flag: &str| {
            value.as_deref().map(|value| Template::parse(value, flag)).transpose()
        };
        let encode_settings = EncodeSettings {
            task,
            labels: labels.clone(),
            num_classes: None,
            source_template: template(&settings.source_template, "--source-template")?,
            target_template: template(&settings.target_template, "--target-template")?,
            lengths: Lengths {
                max_length: settings.max_length,
                max_target_length: settings.max_target_length,
                doc_stride: settings.doc_stride,
            },
            targets: true,
        };
        let train = encode(&base, &dir, &train_records, encode_settings.clone())?.examples;
        let valid = match &valid_records {
            Some(records) => encode(&base, &dir, records, encode_settings)?.examples,
            None => Vec::new(),
        };
        // Evaluation and checkpoints go together, once an epoch, but fifty times at most.
        let lengths = train.iter().map(Example::num_tokens).collect();
        let batches = config.sampler(lengths)?.batches_per_epoch();
        let fiftieth = config.total_steps(batches) / 50;
        let per_epoch = batches.div_ceil(config.accumulation).max(1).max(fiftieth);
        if !valid.is_empty() {
            config.eval_every.get_or_insert(per_epoch);
        }
        let every = config.eval_every.unwrap_or(per_epoch);
        config.checkpoint_every.get_or_insert(every);
        settings.eval_every = config.eval_every;
        settings.checkpoint_every = config.checkpoint_every;
        let device = device.clone();
        Ok(Self {
            settings,
            method,
            task,
            base: Arc::new(base),
            dir,
            base_name,
            start_adapter,
            labels,
            config,
            train,
            valid,
            device,
        })
    }

    /// A run on a model and rows that are in memory already, without validation rows.
    ///
    /// # Errors
    ///
    /// Naming the setting that is wrong.
    pub fn on_rows(
        settings: Settings,
        base: Arc<Loaded>,
        train: Vec<Example>,
        device: &Device,
    ) -> Result<Self> {
        let method = *settings.required(&settings.method, "--method")?;
        let task = *settings.required(&settings.task, "--task")?;
        Ok(Self {
            config: train_config(&settings, task)?,
            method,
            task,
            base,
            dir: PathBuf::from("(built-in model)"),
            base_name: "(built-in model)".into(),
            start_adapter: None,
            labels: None,
            train,
            valid: Vec::new(),
            device: device.clone(),
            settings,
        })
    }

    /// Trains. `out` is the run's folder, for checkpoints.
    ///
    /// # Errors
    ///
    /// Wrong settings, [`Error::NotFinite`], or what cannot be written.
    pub fn train(
        &self,
        out: Option<&Path>,
        resume: bool,
        observer: &mut dyn Observer,
    ) -> Result<Done> {
        let start = Start {
            settings: &self.settings,
            model: self.base.model.as_ref(),
            dir: &self.dir,
            labels: self.labels.as_ref(),
            adapter: self.start_adapter.as_ref(),
            device: self.device.clone().autodiff(),
        };
        match self.method {
            MethodName::Prompt => self.train_with(start.prompt()?, out, resume, observer),
            MethodName::Prefix => self.train_with(start.prefix()?, out, resume, observer),
            MethodName::Ptv2 => self.train_with(start.ptv2()?, out, resume, observer),
            MethodName::Head => self.train_with(start.head()?, out, resume, observer),
        }
    }

    fn train_with<M: PeftMethod>(
        &self,
        method: M,
        out: Option<&Path>,
        resume: bool,
        observer: &mut dyn Observer,
    ) -> Result<Done> {
        let model = self.base.model.as_ref();
        let room = Room::new(model.spec(), &method.fold().virtual_tokens(Mode::Evaluate));
        for (rows, path) in
            [(&self.train, &self.settings.train), (&self.valid, &self.settings.valid)]
        {
            let path = path.as_deref().unwrap_or(Path::new(""));
            check_lengths(room, rows, 0, path)?;
        }
        let learner = Learner::new(method, self.head()?);
        let trained_parameters = learner.num_params();
        let run = RunContext {
            dir: out.map(Path::to_path_buf),
            resume,
            labels: self.labels.clone(),
            base_model: Some(self.base_name.clone()),
            base_fingerprint: self.base.report.fingerprint.clone(),
            base_weights: self
                .settings
                .base_weights
                .filter(|format| *format != WeightFormat::F32)
                .map(|format| format.to_string()),
            recipe: self.recipe(trained_parameters),
        };
        let data = TrainingData { train: &self.train, valid: &self.valid };
        let clock = Instant::now();
        let outcome: Outcome<M> =
            train::train(model, learner, &data, &self.config, &run, observer)?;
        let about = run.about(&self.config, outcome.metrics.as_ref());
        Ok(Done {
            adapter: adapter_of(&outcome.learner, model, &about)?,
            step: outcome.step,
            last_step: outcome.last_step,
            total_steps: outcome.total_steps,
            metrics: outcome.metrics,
            interrupted: outcome.interrupted,
            trained_parameters,
            seconds: clock.elapsed().as_secs_f64(),
        })
    }

    /// The head to train: that of `--init-adapter`, else the base's own where it has the classes, else
    /// a new one.
    fn head(&self) -> Result<Option<Head>> {
        if !self.task.has_head() {
            return Ok(None);
        }
        let model = self.base.model.as_ref();
        let (spec, layout) = (model.spec(), model.head_layout(self.task));
        let asks = self.task == Task::QuestionAns;
        let classes = if asks { 2 } else { self.labels.as_ref().map_or(0, Labels::len) };
        let plain = &self.device;
        let found = match &self.start_adapter {
            Some(adapter) => {
                let dir = self.settings.init_adapter.as_deref().unwrap_or(Path::new(""));
                adapter.head(layout, spec, plain).map_err(in_adapter(dir))?
            }
            None => None,
        };
        let head = match found {
            Some(head) if head.num_classes() != classes => {
                return Err(Error::Mismatch(format!(
                    "the adapter of --init-adapter has a head for {} classes, the data has {classes}",
                    head.num_classes()
                )));
            }
            Some(head) => head,
            None => match model.classifier() {
                Some(own)
                    if own.num_classes() == classes
                        && own.bias.is_some() == layout.bias
                        && self.has_labels_of_base()
                        // Two classes of another task are no start and end.
                        && asks == (self.base.config.task() == Some(Task::QuestionAns)) =>
                {
                    own.clone()
                }
                _ => {
                    let seed = self.settings.seed.unwrap_or(0);
                    Head::init(layout, classes, spec.hidden_size, seed, plain)
                }
            },
        };
        Ok(Some(head))
    }

    /// Whether the classes are those of the base's own classifier, in its order.
    fn has_labels_of_base(&self) -> bool {
        self.labels.as_ref().is_none_or(|labels| {
            are_indices(labels)
                || self.base.config.labels().is_some_and(|own| own == labels.names())
        })
    }

    /// What an adapter remembers of its training.
    fn recipe(&self, trained_parameters: usize) -> serde_json::Value {
        let mut recipe = json!(self.settings);
        if let Some(fields) = recipe.as_object_mut() {
            // Where a run stood on somebody's disk is no part of how it was made.
            for place in ["model", "train", "valid", "out", "metrics_file", "init_adapter"] {
                fields.remove(place);
            }
            // Nor is what changes no result: a resumed run may do it otherwise.
            fields.remove("recompute");
            fields.insert("trained_parameters".into(), json!(trained_parameters));
        }
        recipe
    }
}

/// Whether the classes have no names but their indices.
fn are_indices(labels: &Labels) -> bool {
    labels.names().iter().enumerate().all(|(i, name)| *name == i.to_string())
}

/// Whether both have the same names, in whatever order.
fn same_names(own: &[String], labels: &Labels) -> bool {
    own.len() == labels.len() && labels.names().iter().all(|name| own.contains(name))
}

/// Rows with class indices need not show every class: a head that is there knows how many there are.
fn with_all_classes(found: Labels, head: Option<&Head>) -> Result<Labels> {
    match head.map(Head::num_classes) {
        Some(classes) if are_indices(&found) && classes > found.len() => {
            Labels::from_list((0..classes).map(|class| class.to_string()).collect())
        }
        _ => Ok(found),
    }
}

/// Refuses settings that the task does not use.
fn check_uses(settings: &Settings, task: Task) -> Result<()> {
    let given = [
        ("--max-target-length", settings.max_target_length.is_some(), Task::Seq2SeqLm),
        ("--doc-stride", settings.doc_stride.is_some(), Task::QuestionAns),
        ("--max-answer-length", settings.max_answer_length.is_some(), Task::QuestionAns),
    ];
    match given.into_iter().find(|(_, given, of)| *given && *of != task) {
        Some((flag, _, of)) => {
            Err(Error::setting(flag, format!("not used by {task}, it is a setting of {of}")))
        }
        None => Ok(()),
    }
}

/// The training loop's settings.
fn train_config(settings: &Settings, task: Task) -> Result<TrainConfig> {
    let optimizer = OptimizerConfig::from_name(settings.optimizer.as_deref().unwrap_or("adamw"))?;
    let config = TrainConfig {
        steps: settings.steps,
        epochs: settings.epochs.filter(|_| settings.steps.is_none()),
        batch_size: settings.batch_size.unwrap_or(32),
        batch_tokens: settings.batch_tokens,
        accumulation: settings.accumulation.unwrap_or(1),
        optimizer: match settings.weight_decay {
            Some(decay) => optimizer.with_weight_decay(decay),
            None => optimizer,
        },
        lr: settings.lr.unwrap_or(1e-3),
        schedule: settings.schedule.as_deref().unwrap_or("linear").parse::<Schedule>()?,
        warmup_steps: settings.warmup_steps.unwrap_or(0),
        clip_norm: settings.clip_norm,
        seed: settings.seed.unwrap_or(0),
        eval_every: settings.eval_every,
        checkpoint_every: settings.checkpoint_every,
        best_metric: settings.best_metric.as_deref().map(BestMetric::named),
        patience: settings.patience,
        shuffle: !settings.no_shuffle.unwrap_or(false),
        bucket: !settings.no_shuffle.unwrap_or(false),
        padding: padding_side(settings.padding.as_deref().unwrap_or("right"))?,
        pooling: match settings.pooling.as_deref().unwrap_or("first") {
            "first" => Pooling::First,
            "first_token" => Pooling::FirstToken,
            other => {
                let message = format!("found {other:?}, expected first or first_token");
                return Err(Error::setting("--pooling", message));
            }
        },
        max_answer_length: settings.max_answer_length.unwrap_or(30),
        ..TrainConfig::new(task)
    };
    config.validate()?;
    Ok(config)
}
