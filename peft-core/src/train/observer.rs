//! How a caller follows a run and stops it.

use std::path::Path;

use serde::Serialize;

use crate::{error::Result, metrics::Metrics};

/// The result of one step: one line of the metrics file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// The step, counted from 1.
    pub step: usize,
    /// The loss before the update: the mean over the step's labelled tokens or rows, in nats. 0 if
    /// there were none, in which case nothing was updated.
    pub loss: f64,
    /// The learning rate of the update.
    pub lr: f64,
    /// Real tokens of the step's rows, without virtual tokens and padding.
    pub tokens: usize,
    /// These tokens divided by the seconds that the step took.
    pub tokens_per_second: f64,
    /// Labelled tokens or rows.
    #[serde(skip)]
    pub labelled: usize,
    /// Norm of all gradients before clipping, if they were clipped.
    #[serde(skip)]
    pub grad_norm: Option<f64>,
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
    /// The run continues after step `after_step` of an earlier one (0: it starts anew); `total`
    /// steps are planned. Everything was checked, and nothing has been written yet.
    ///
    /// # Errors
    ///
    /// Whatever prevents the run from beginning, such as a folder that cannot be written.
    fn started(&mut self, after_step: usize, total: usize) -> Result<()> {
        let _ = (after_step, total);
        Ok(())
    }

    /// A step was made.
    fn step(&mut self, report: &StepReport) -> Flow {
        let _ = report;
        Flow::Continue
    }

    /// The validation rows were scored after `step`.
    fn evaluated(&mut self, step: usize, metrics: &Metrics) {
        let _ = (step, metrics);
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
