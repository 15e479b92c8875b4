//! The part of the settings that the training loop takes.

use peft_core::{
    Result, Task,
    train::{BestMetric, TrainConfig},
};

use super::Settings;
use crate::flags::choices::{PADDING, POOLING, parse_named, parse_optimizer};

/// The training loop's settings; its own defaults if these say nothing.
///
/// # Errors
///
/// [`Error::Setting`](peft_core::Error::Setting) naming the one that cannot be used.
pub fn train_config(settings: &Settings, task: Task) -> Result<TrainConfig> {
    let defaults = TrainConfig::new(task);
    let optimizer = match &settings.optimizer {
        Some(name) => parse_optimizer(name)?,
        None => defaults.optimizer,
    };
    let in_file_order = settings.no_shuffle.unwrap_or(!defaults.shuffle);
    let packing = settings.packing.unwrap_or(defaults.packing);
    let config = TrainConfig {
        steps: settings.steps,
        epochs: settings.epochs.filter(|_| settings.steps.is_none()),
        batch_size: settings.batch_size.unwrap_or(defaults.batch_size),
        batch_tokens: settings.batch_tokens,
        packing,
        // None at all is refused with the texts, by its own name.
        packed_length: settings.max_length.filter(|length| packing && *length > 0),
        accumulation: settings.accumulation.unwrap_or(defaults.accumulation),
        optimizer: match settings.weight_decay {
            Some(decay) => optimizer.with_weight_decay(decay),
            None => optimizer,
        },
        lr: settings.lr.unwrap_or(defaults.lr),
        // Where it says nothing, checkpoints from before it can be resumed.
        head_lr: settings.head_lr.filter(|rate| settings.lr != Some(*rate)),
        schedule: settings.schedule.as_deref().map_or(Ok(defaults.schedule), parse_named)?,
        warmup_steps: settings.warmup_steps.unwrap_or(defaults.warmup_steps),
        clip_norm: settings.clip_norm,
        label_smoothing: settings.label_smoothing.unwrap_or(defaults.label_smoothing),
        seed: settings.seed(),
        eval_every: settings.eval_every,
        checkpoint_every: settings.checkpoint_every,
        best_metric: settings.best_metric.as_deref().map(BestMetric::named),
        patience: settings.patience,
        shuffle: !in_file_order,
        bucket: !in_file_order,
        padding: match &settings.padding {
            Some(name) => PADDING.parse(name)?,
            None => defaults.padding,
        },
        pooling: match &settings.pooling {
            Some(name) => POOLING.parse(name)?,
            None => defaults.pooling,
        },
        max_answer_length: settings.max_answer_length.unwrap_or(defaults.max_answer_length),
        null_score_diff_threshold: settings.null_score_diff_threshold,
        ..defaults
    };
    config.validate()?;
    Ok(config)
}
