//! How a caller follows a run and stops it.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::{best_metric::BestMetric, spare_room::SpareRoom};
use crate::{error::Result, evaluate::Assessment};

/// The result of one step: one line of the metrics file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// The step, counted from 1.
    pub step: usize,
    /// The loss before the update: the mean over the step's labelled tokens or rows, in nats. 0 if
    /// there were none, in which case nothing was updated.
    pub loss: f64,
    /// The mean loss of each task of a joint run that the step learnt from, by its name; `loss` is their weighted sum, see
    /// [`joint`](super::joint).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, f64>,
    /// The learning rate of the update.
    pub lr: f64,
    /// Real tokens of the step's rows, without virtual tokens and padding.
    pub tokens: usize,
    /// These tokens divided by the seconds that the step took.
    pub tokens_per_second: f64,
    /// Labelled tokens or rows.
    #[serde(skip)]
    pub labelled: usize,
    /// Norm of all gradients before clipping, if they are known.
    #[serde(skip)]
    pub grad_norm: Option<f64>,
    /// By what the loss was multiplied before the backward pass, where gradients pass through f16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<f64>,
    /// Whether the step changed nothing, because a gradient was too large for f16.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// What rank 0 exchanged with the other processes, in a run on several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchanged: Option<Exchanged>,
}

/// What a process exchanged with others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exchanged {
    /// Bytes that it gave to others.
    pub sent: u64,
    /// Bytes that it got from others.
    pub received: u64,
    /// The time that this took, in which it also waited for those that were not as far.
    pub microseconds: u64,
}

/// What a run is going to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The steps that an earlier run made, with which this one goes on; 0 if it starts anew.
    pub after_step: usize,
    /// The number of steps, those included.
    pub total_steps: usize,
    /// Steps in which every row is visited once; an epoch may end in the middle of a step.
    pub steps_per_epoch: f64,
    /// The score that determines the best step; none if there are no validation rows.
    pub best_metric: Option<BestMetric>,
    /// The best step so far, with that score, if the run goes on with an earlier one.
    pub best: Option<(usize, f64)>,
}

impl Plan {
    /// Epochs that a number of steps takes.
    pub fn epochs(&self, steps: usize) -> f64 {
        steps as f64 / self.steps_per_epoch
    }
}

/// Whether to continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Continue.
    Continue,
    /// Save a checkpoint and return.
    Stop,
}

/// Receives the events of a run.
pub trait Observer {
    /// The run begins. Everything was checked, and nothing has been written yet.
    ///
    /// # Errors
    ///
    /// Whatever prevents the run from beginning, such as a folder that cannot be written.
    fn started(&mut self, plan: &Plan) -> Result<()> {
        let _ = plan;
        Ok(())
    }

    /// What the run can do without, told before it begins: files of the observer's own that find no room may take it.
    fn spare_room(&mut self, room: SpareRoom) {
        let _ = room;
    }

    /// A step was made.
    fn step(&mut self, report: &StepReport) -> Flow {
        let _ = report;
        Flow::Continue
    }

    /// After `step`, so many of the validation rows have been read.
    fn evaluating(&mut self, step: usize, rows: usize, of: usize) {
        let _ = (step, rows, of);
    }

    /// The validation rows were scored after `step`, better than ever before or not.
    fn evaluated(&mut self, step: usize, found: &Assessment, is_best: bool) {
        let _ = (step, found, is_best);
    }

    /// A checkpoint was written to `folder`.
    fn saved(&mut self, folder: &Path) {
        let _ = folder;
    }

    /// Something the user should know, such as a damaged checkpoint that was skipped.
    fn note(&mut self, message: &str) {
        let _ = message;
    }
}

/// An observer that does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
