//! What a run is given beside its settings: its rows, and where it lives.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{config::TrainConfig, export::About};
use crate::{
    data::{Example, Labels},
    metrics::Metrics,
};

/// What is trained on.
#[derive(Clone, Copy, Debug)]
pub struct TrainingData<'a> {
    /// Rows to learn.
    pub train: &'a [Example],
    /// Rows to choose the best step by; may be empty.
    pub valid: &'a [Example],
}

/// Where a run lives, and what its adapter says of it.
#[derive(Clone, Debug, Default)]
pub struct RunContext {
    /// The run's folder; without it there are no checkpoints.
    pub dir: Option<PathBuf>,
    /// Whether to go on from the newest checkpoint in the folder.
    pub resume: bool,
    /// Names of the classes.
    pub labels: Option<Labels>,
    /// Path or name of the base model.
    pub base_model: Option<String>,
    /// Fingerprint of the base model.
    pub base_fingerprint: Option<String>,
    /// The format that the base's matrices are kept in, where it is not that of the computation.
    pub base_weights: Option<String>,
    /// How the adapter is trained, as it is to be remembered.
    pub recipe: Value,
}

impl RunContext {
    /// What the adapter of this run says beside its method.
    pub fn about(&self, config: &TrainConfig, metrics: Option<&Metrics>) -> About {
        About {
            task: config.task,
            pooling: config.pooling,
            labels: self.labels.clone(),
            base_model: self.base_model.clone(),
            base_fingerprint: self.base_fingerprint.clone(),
            recipe: self.recipe.clone(),
            metrics: metrics.map_or(Value::Null, |metrics| json!(metrics)),
        }
    }
}
