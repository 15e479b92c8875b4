//! Defaults, and checks of settings that need no model.

use std::path::PathBuf;

use peft_core::{Error, ProblemType, Result, Task, train::TrainConfig};

use super::Settings;
use crate::{
    data_files::is_standard_input,
    encoding::check_problem_type,
    flags::{choices::PADDING, method_name::MethodName},
    training::class_weights,
};

/// The largest batch, width or number of virtual tokens: a typing error beyond.
pub const LARGEST: usize = 1_000_000;

/// Fills in every default that does not depend on the data.
///
/// # Errors
///
/// [`Error::Setting`] naming the flag that is missing or cannot be used.
pub fn resolve(mut settings: Settings) -> Result<Settings> {
    for (flag, given) in [
        ("--task-mixing", settings.task_mixing.is_some()),
        ("--task-temperature", settings.task_temperature.is_some()),
    ] {
        if given {
            return Err(Error::setting(flag, "needs --tasks, which it mixes"));
        }
    }
    let method = *Settings::required(&settings.method, "--method")?;
    Settings::required(&settings.model, "--model")?;
    Settings::required(&settings.task, "--task")?;
    Settings::required(&settings.train, "--train")?;
    check_sizes(&settings)?;
    if settings.batch_size.is_some() && settings.batch_tokens.is_some() {
        let message = "give either it or --batch-size, not both";
        return Err(Error::setting("--batch-tokens", message));
    }
    if settings.valid.is_some() && settings.valid_split.is_some() {
        return Err(Error::setting("--valid-split", "give either it or --valid, not both"));
    }
    check_needs_valid(&settings, settings.has_valid())?;
    let defaults = TrainConfig::default();
    let optimizer =
        settings.optimizer.get_or_insert_with(|| defaults.optimizer.name().into()).clone();
    let (projection, encoder) = (settings.has_projection(method), settings.encoder()?);
    let is_made = projection || encoder.is_some();
    settings.lr.get_or_insert(method.default_lr(is_made, &optimizer));
    set_head_lr(&mut settings, method, &optimizer)?;
    settings.schedule.get_or_insert_with(|| defaults.schedule.name().into());
    if settings.batch_tokens.is_none() {
        settings.batch_size.get_or_insert(defaults.batch_size);
    }
    settings.seed.get_or_insert(defaults.seed);
    settings.accumulation.get_or_insert(defaults.accumulation);
    settings.warmup_steps.get_or_insert(defaults.warmup_steps);
    settings.padding.get_or_insert_with(|| PADDING.name(defaults.padding).into());
    if settings.steps.is_none() {
        settings.epochs.get_or_insert(TrainConfig::DEFAULT_EPOCHS);
    }
    // An adapter to start from brings its own.
    if method != MethodName::Head && settings.init_adapter.is_none() {
        settings.num_virtual_tokens.get_or_insert(method.default_num_virtual_tokens());
        settings.init.get_or_insert_with(|| method.default_init(encoder.is_some()).into());
    }
    if method == MethodName::Prompt {
        settings.complete_encoder(encoder.as_ref());
    }
    if method.can_project() {
        settings.prefix_projection.get_or_insert(projection);
        settings.prefix_dropout.get_or_insert(method.default_dropout());
        if projection {
            settings.prefix_hidden_size.get_or_insert(method.default_hidden_size());
        }
    }
    Ok(settings)
}

/// Settings that a run from before heads had a rate of their own wrote: its head went by that of the method.
#[must_use]
pub fn with_head_lr_of_before(mut earlier: Settings) -> Settings {
    if earlier.task.is_some_and(Task::has_head) && earlier.method != Some(MethodName::Head) {
        earlier.head_lr = earlier.head_lr.or(earlier.lr);
    }
    earlier
}

/// The rate of the head beside a method; `lr` is set.
fn set_head_lr(settings: &mut Settings, method: MethodName, optimizer: &str) -> Result<()> {
    let task = settings.task.unwrap_or(Task::CausalLm);
    if task.has_head() && method != MethodName::Head {
        let lr = settings.lr.unwrap_or_default();
        let least = method.default_head_lr(optimizer).unwrap_or(lr);
        settings.head_lr.get_or_insert(least.max(lr));
    } else if settings.head_lr.is_some() {
        let message = match task.has_head() {
            true => "not used by head, whose rate is --lr".to_string(),
            false => format!("not used by {task}, which has no head"),
        };
        return Err(Error::setting("--head-lr", message));
    }
    Ok(())
}

/// Refuses settings that the task does not use.
///
/// # Errors
///
/// [`Error::Setting`] naming the flag.
pub fn check_uses(settings: &Settings, task: Task) -> Result<()> {
    settings.text().check_task(task)?;
    if settings.problem_type.is_some() {
        check_problem_type(task)?;
    }
    if let Some(given) = &settings.class_weights {
        class_weights::check(given, task)?;
    }
    if settings.problem_type == Some(ProblemType::Regression) && settings.labels.is_some() {
        return Err(Error::setting("--labels", "not used by regression, which has no classes"));
    }
    Ok(())
}

impl Settings {
    /// Whether they name validation rows.
    pub(super) fn has_valid(&self) -> bool {
        self.valid.is_some() || self.valid_split.is_some()
    }
}

/// Refuses settings of evaluations if there will be none.
pub(super) fn check_needs_valid(settings: &Settings, has_valid: bool) -> Result<()> {
    let given = [
        ("--eval-every", settings.eval_every.is_some()),
        ("--best-metric", settings.best_metric.is_some()),
        ("--patience", settings.patience.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given && !has_valid) {
        Some((flag, _)) => {
            Err(Error::setting(flag, "needs validation rows (--valid, --valid-split)"))
        }
        None => Ok(()),
    }
}

/// Refuses sizes that no memory has room for, and paths that `run.toml` cannot hold.
fn check_sizes(settings: &Settings) -> Result<()> {
    for (flag, value) in [
        ("--batch-size", settings.batch_size),
        ("--batch-tokens", settings.batch_tokens),
        ("--prefix-hidden-size", settings.prefix_hidden_size),
        ("--encoder-hidden-size", settings.encoder_hidden_size),
        ("--encoder-num-layers", settings.encoder_num_layers),
    ] {
        if let Some(value) = value.filter(|value| *value > LARGEST) {
            let message = format!("found {value}, expected at most {LARGEST}");
            return Err(Error::setting(flag, message));
        }
    }
    let rows = |names: &Option<Vec<PathBuf>>| names.clone().unwrap_or_default();
    let (train, valid) = (rows(&settings.train), rows(&settings.valid));
    if is_standard_input(&train) && is_standard_input(&valid) {
        let message = "found -, standard input, which --train reads already: give a file";
        return Err(Error::setting("--valid", message));
    }
    let one = |path: &Option<PathBuf>| path.clone().into_iter().collect();
    for (flag, paths) in [
        ("--model", one(&settings.model)),
        ("--train", train),
        ("--valid", valid),
        ("--out", one(&settings.out)),
        ("--init-adapter", one(&settings.init_adapter)),
        ("--metrics-file", one(&settings.metrics_file)),
        ("--chat-template", one(&settings.chat_template)),
        ("--task-file", one(&settings.task_file)),
    ] as [(&str, Vec<PathBuf>); 8]
    {
        if let Some(path) = paths.iter().find(|path| path.to_str().is_none()) {
            let message = format!("found {}, expected a path in UTF-8", path.display());
            return Err(Error::setting(flag, message));
        }
    }
    Ok(())
}
