//! Steps that were made and whose loss nobody has read yet.
//!
//! Reading stops a GPU: it would have nothing to do until the host has given it the next step. So there a step is read when
//! the next one has been given to the device, and where a step is evaluated or stored before that. On a CPU, which
//! computes at once, it is read before the update. `reading` keeps what was not read.

use std::{collections::BTreeMap, time::Instant};

use super::{
    observer::{Exchanged, StepReport},
    step_loss::UnreadLoss,
};
use crate::error::{Error, Result};

/// A step with its loss still on the device.
pub(super) struct Unread {
    /// Counted from 1.
    pub(super) step: usize,
    pub(super) loss: UnreadLoss,
    pub(super) lr: f64,
    pub(super) tokens: usize,
    pub(super) labelled: usize,
    /// The factor of the loss.
    pub(super) loss_scale: Option<f64>,
    /// When it began.
    pub(super) start: Instant,
    pub(super) exchanged: Option<Exchanged>,
}

impl Unread {
    /// Reads what there is to report, but for the time that it took. `name` is that of a task of a joint run.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] with this step; and if the device cannot be read.
    pub(super) fn read(self, name: impl Fn(usize) -> Option<String>) -> Result<StepReport> {
        let found = self.loss.read()?;
        if !found.loss.is_finite() {
            return Err(Error::NotFinite { step: self.step, loss: found.loss });
        }
        let named = |(task, loss)| Some((name(task)?, loss));
        let tasks: BTreeMap<String, f64> = found.of_tasks.into_iter().filter_map(named).collect();
        Ok(StepReport {
            step: self.step,
            loss: found.loss,
            tasks,
            lr: self.lr,
            tokens: self.tokens,
            tokens_per_second: 0.0,
            labelled: self.labelled,
            grad_norm: Some(found.norm),
            loss_scale: self.loss_scale,
            skipped: false,
            exchanged: self.exchanged,
        })
    }
}
