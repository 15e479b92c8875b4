//! The state of a run as it is stored.

use serde::{Deserialize, Serialize};

use super::{identity::Identity, loss_scale::LossScale};
use crate::{contract::tensors::NamedTensors, metrics::Metrics};

/// Scores on the validation rows after a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The step, counted from 1.
    pub step: usize,
    /// The scores.
    pub metrics: Metrics,
}

/// Counters and scores of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// The number of steps made.
    pub step: usize,
    /// The step at which what is trained scored best, and that score.
    pub best: Option<(usize, f64)>,
    /// The number of consecutive evaluations without a better score. An evaluation before which no step changed anything
    /// does not count.
    pub without_improvement: usize,
    /// All evaluations.
    pub history: Vec<Evaluation>,
    /// The factor of the loss, of a model that needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
}

/// The stored state of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Counters and scores.
    pub counters: Counters,
    /// What must be the same when the run is resumed.
    pub identity: Identity,
    /// Tensors of what is trained, of the optimizer, and of what scored best.
    pub tensors: NamedTensors,
}
