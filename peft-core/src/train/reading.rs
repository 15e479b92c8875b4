//! When the steps of a run are read from the device: at once, or one step late.

use std::time::Instant;

use super::{observer::StepReport, unread::Unread};
use crate::error::Result;

/// The reading of a run's steps.
#[derive(Default)]
pub(super) struct Reading {
    /// Of its tasks: those of a joint run.
    names: Vec<Option<String>>,
    /// The last step, while nobody has read it.
    last: Option<Unread>,
    /// When the step before was read.
    before: Option<Instant>,
}

impl Reading {
    /// No step yet, of a run on these tasks.
    pub(super) fn new(names: impl IntoIterator<Item = Option<String>>) -> Self {
        Self { names: names.into_iter().collect(), ..Self::default() }
    }

    /// Reads a step, but for the time that it took.
    ///
    /// # Errors
    ///
    /// As for [`Unread::read`].
    pub(super) fn now(&self, made: Unread) -> Result<StepReport> {
        made.read(|task| self.names[task].clone())
    }

    /// Leaves a step to be read when the next one has been made, and reads the one before if that was left, too.
    ///
    /// # Errors
    ///
    /// As for [`Unread::read`], of the step before.
    pub(super) fn late(&mut self, made: Unread) -> Result<Option<StepReport>> {
        let before = self.last.replace(made);
        before.map(|before| self.timely(before)).transpose()
    }

    /// Reads the last step, if that was left.
    ///
    /// # Errors
    ///
    /// As for [`Unread::read`].
    pub(super) fn rest(&mut self) -> Result<Option<StepReport>> {
        let last = self.last.take();
        last.map(|last| self.timely(last)).transpose()
    }

    /// The report of a step that began at `start` and is over, with the tokens that it read in a second: from its beginning
    /// or, if that is later, from when the step before was read.
    pub(super) fn timed(&mut self, mut report: StepReport, start: Instant) -> StepReport {
        let now = Instant::now();
        let since = self.before.replace(now).map_or(start, |before| before.max(start));
        report.tokens_per_second =
            report.tokens as f64 / now.duration_since(since).as_secs_f64().max(1e-9);
        report
    }

    fn timely(&mut self, made: Unread) -> Result<StepReport> {
        let start = made.start;
        let report = self.now(made)?;
        Ok(self.timed(report, start))
    }
}
