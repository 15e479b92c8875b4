//! `peft train`: trains one method on one task.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use burn::{module::Module, tensor::Device};
use clap::Args;
use peft_core::{
    Adapter, Error, Head, PeftMethod, Pooling, Result, Task,
    data::{Example, Labels, Template, collect_labels, read_records},
    optim::{OptimizerConfig, Schedule},
    train::{self, BestMetric, Data, Learner, Observer, Outcome, Run, TrainConfig, adapter_of},
};
use peft_models::Loaded;
use serde_json::json;

use super::eval;
use crate::{
    device::{self, Backend},
    error::{CliError, CliResult},
    methods::{
        LARGEST, Start, default_init, default_lr, default_num_virtual_tokens, has_projection,
    },
    output::{self, grouped},
    progress::{Progress, interrupt_flag},
    run_folder::{self, RunFolder},
    session::{EncodeSettings, check_lengths, encode, in_adapter, padding_side, parse_labels},
    settings::{MethodName, Settings},
};

/// Trains an adapter: prompt tuning, prefix tuning or P-tuning v2 on a frozen model.
///
/// Examples:
///   peft train --model models/minilm --method ptv2 --task seq-cls --train train.jsonl \
///     --valid valid.jsonl --out runs/intent --epochs 1
///   peft train --config runs/intent/run.toml --out runs/again
///   peft train --out runs/intent --resume
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct TrainArgs {
    /// Settings from a TOML file with the same names (underscores for dashes); flags win.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Go on with the run in --out, from its newest checkpoint and with its settings.
    #[arg(long)]
    resume: bool,
    /// Replace the run in --out. Its adapter stays until the new one is there.
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Backend that computes.
    #[arg(long, value_enum)]
    device: Option<Backend>,
    /// Prints the scores as JSON alone.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Runs the command.
///
/// # Errors
///
/// Wrong settings, whatever is wrong with the model or the rows, or a loss that is no number any more.
pub fn run(args: TrainArgs) -> CliResult {
    let mut settings = args.settings;
    if let Some(path) = &args.config {
        settings = settings.or(Settings::load(path).map_err(in_config)?);
    }
    let out = settings.required(&settings.out, "--out")?.clone();
    let mut begun_metrics = None;
    if args.resume {
        let begun = run_folder::settings_of(&out)?;
        begun_metrics = begun.metrics_file.clone();
        run_folder::check_resume(&out, &begun)?;
        settings = settings.or(begun);
    } else if !args.overwrite {
        run_folder::refuse_existing(&out)?;
    }
    let settings = resolve(settings)?;
    if let Some(path) = &settings.metrics_file {
        let goes_on = args.resume && begun_metrics.as_ref() == Some(path);
        let may_replace = args.overwrite || goes_on;
        run_folder::check_metrics_file(path, &settings, args.config.as_deref(), may_replace)?;
    }
    let job = Job::new(settings, &device::choose(args.device)?)?;
    // Written when the run begins: settings that cannot start one must not cost an earlier one.
    let folder = RunFolder::new(&out, &job.settings, args.overwrite);
    let mut progress = Progress::new(job.method.name(), Some(folder), interrupt_flag());
    let done = job.train(Some(&out), args.resume, &mut progress);
    progress.finish();
    if let Some(error) = progress.failure.take() {
        return Err(error.into());
    }
    let done = done?;
    if done.interrupted {
        output::note(format!(
            "interrupted after step {} of {}; go on with\n  peft train --out {} --resume",
            done.last_step,
            done.total_steps,
            out.display()
        ));
        return Err(CliError::Failed(Error::Mismatch("the run is not finished".into())));
    }
    done.adapter.save(&out)?;
    if args.json {
        let json = json!({
            "step": done.step, "metrics": done.metrics, "seconds": done.seconds,
            "trained_parameters": done.trained_parameters,
        });
        return output::line(json.to_string());
    }
    output::line(format!(
        "{}: step {} of {}, {} parameters trained, {:.1} s, saved in {}",
        job.method.name(),
        done.step,
        done.total_steps,
        grouped(done.trained_parameters),
        done.seconds,
        out.display()
    ))?;
    done.metrics.as_ref().map_or(Ok(()), eval::print)
}

/// A key or value in `--config` that makes no sense is wrong usage, as it would be as a flag.
fn in_config(error: Error) -> CliError {
    match error {
        Error::File { .. } => CliError::Usage(error.to_string()),
        other => other.into(),
    }
}

/// Fills in every default that does not depend on the data.
fn resolve(mut settings: Settings) -> Result<Settings> {
    let method = *settings.required(&settings.method, "--method")?;
    settings.required(&settings.model, "--model")?;
    settings.required(&settings.task, "--task")?;
    settings.required(&settings.train, "--train")?;
    check_sizes(&settings)?;
    check_needs_valid(&settings)?;
    let optimizer = settings.optimizer.get_or_insert_with(|| "adamw".into()).clone();
    let projection = has_projection(&settings, method);
    settings.lr.get_or_insert(default_lr(method, projection, &optimizer));
    settings.schedule.get_or_insert_with(|| "linear".into());
    settings.batch_size.get_or_insert(32);
    settings.seed.get_or_insert(0);
    settings.accumulation.get_or_insert(1);
    settings.warmup_steps.get_or_insert(0);
    settings.padding.get_or_insert_with(|| "right".into());
    if settings.steps.is_none() {
        settings.epochs.get_or_insert(3);
    }
    // An adapter to start from has its own.
    if method != MethodName::Head && settings.init_adapter.is_none() {
        settings.num_virtual_tokens.get_or_insert(default_num_virtual_tokens(method));
        settings.init.get_or_insert_with(|| default_init(method).into());
    }
    if matches!(method, MethodName::Prefix | MethodName::Ptv2) {
        settings.prefix_projection.get_or_insert(projection);
        settings.prefix_dropout.get_or_insert(0.0);
        if projection {
            settings.prefix_hidden_size.get_or_insert(512);
        }
    }
    Ok(settings)
}

/// Refuses settings of evaluations where there will be none.
fn check_needs_valid(settings: &Settings) -> Result<()> {
    let given = [
        ("--eval-every", settings.eval_every.is_some()),
        ("--best-metric", settings.best_metric.is_some()),
        ("--patience", settings.patience.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given && settings.valid.is_none()) {
        Some((flag, _)) => Err(Error::setting(flag, "needs validation rows (--valid)")),
        None => Ok(()),
    }
}

/// Refuses numbers that no memory has room for, and paths that `run.toml` cannot hold.
fn check_sizes(settings: &Settings) -> Result<()> {
    for (flag, value) in [
        ("--batch-size", settings.batch_size),
        ("--prefix-hidden-size", settings.prefix_hidden_size),
    ] {
        if let Some(value) = value.filter(|value| *value > LARGEST) {
            let message = format!("found {value}, expected at most {LARGEST}");
            return Err(Error::setting(flag, message));
        }
    }
    for (flag, path) in [
        ("--model", &settings.model),
        ("--train", &settings.train),
        ("--valid", &settings.valid),
        ("--out", &settings.out),
        ("--init-adapter", &settings.init_adapter),
        ("--metrics-file", &settings.metrics_file),
    ] {
        if let Some(path) = path.as_deref().filter(|path| path.to_str().is_none()) {
            let message = format!("found {}, expected a path in UTF-8", path.display());
            return Err(Error::setting(flag, message));
        }
    }
    Ok(())
}

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
    pub fn new(mut settings: Settings, device: &Device) -> Result<Self> {
        let method = *settings.required(&settings.method, "--method")?;
        let task = *settings.required(&settings.task, "--task")?;
        let dir = settings.required(&settings.model, "--model")?.clone();
        // Settings are checked before anything is loaded: a typo should not cost a minute.
        let mut config = train_config(&settings, task)?;
        let base = peft_models::load(&dir, device)?;
        let start_adapter = settings.init_adapter.as_deref().map(Adapter::load).transpose()?;
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
            max_length: settings.max_length,
            targets: true,
        };
        let train = encode(&base, &dir, &train_records, encode_settings.clone())?.examples;
        let valid = match &valid_records {
            Some(records) => encode(&base, &dir, records, encode_settings)?.examples,
            None => Vec::new(),
        };
        // Evaluation and checkpoints go together, once an epoch, but fifty times at most.
        let batches = train.len().div_ceil(config.batch_size);
        let fiftieth = config.total_steps(batches) / 50;
        let per_epoch = train
            .len()
            .div_ceil(config.batch_size.saturating_mul(config.accumulation))
            .max(1)
            .max(fiftieth);
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
        let p = method.fields(model.spec()).num_virtual_tokens;
        for (rows, path) in
            [(&self.train, &self.settings.train), (&self.valid, &self.settings.valid)]
        {
            let path = path.as_deref().unwrap_or(Path::new(""));
            check_lengths(model.spec(), p, rows, 0, path)?;
        }
        let learner = Learner::new(method, self.head()?);
        let trained_parameters = learner.num_params();
        let run = Run {
            dir: out.map(Path::to_path_buf),
            resume,
            labels: self.labels.clone(),
            base_model: Some(self.dir.display().to_string()),
            base_fingerprint: self.base.report.fingerprint.clone(),
            recipe: self.recipe(trained_parameters),
        };
        let data = Data { train: &self.train, valid: &self.valid };
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
        if !matches!(self.task, Task::SeqCls | Task::TokenCls) {
            return Ok(None);
        }
        let model = self.base.model.as_ref();
        let (spec, layout) = (model.spec(), model.head_layout(self.task));
        let classes = self.labels.as_ref().map_or(0, Labels::len);
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
                        && self.has_labels_of_base() =>
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

/// The training loop's settings.
fn train_config(settings: &Settings, task: Task) -> Result<TrainConfig> {
    let optimizer = OptimizerConfig::from_name(settings.optimizer.as_deref().unwrap_or("adamw"))?;
    let config = TrainConfig {
        steps: settings.steps,
        epochs: settings.epochs.filter(|_| settings.steps.is_none()),
        batch_size: settings.batch_size.unwrap_or(32),
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
        ..TrainConfig::new(task)
    };
    config.validate()?;
    Ok(config)
}
