//! Dynamic loss scaling (Micikevicius et al. 2018, arXiv 1710.03740): where gradients pass through f16, those below
//! 6e-8 would become zero there, so the loss is multiplied before the backward pass and the gradients are divided by the same
//! factor, in f32, after it.
//!
//! ```text
//! g = ∂(s loss) / ∂θ / s
//! ```
//!
//! The factor is a power of two, so that it changes no digit. It changes as that of torch's `GradScaler` does: where a
//! gradient is too large for f16 the step is left out and s is halved; after 2000 steps without one it is doubled.

use serde::{Deserialize, Serialize};

use super::observer::StepReport;
use crate::{
    contract::frozen::FrozenModel,
    error::{Error, Result},
};

/// The factor of the loss, and what became of it so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossScale {
    /// s.
    pub factor: f64,
    /// Steps since it was changed, all of them with finite gradients.
    pub good_steps: usize,
    /// Steps that changed nothing, because a gradient was not finite.
    pub skipped: usize,
    /// Whether a step since the last evaluation changed anything. Otherwise what is trained scores as it did, which is no
    /// failure to improve.
    #[serde(default = "changed")]
    pub has_changed: bool,
}

/// Of a checkpoint of a version that did not store it.
fn changed() -> bool {
    true
}

impl Default for LossScale {
    fn default() -> Self {
        Self { factor: Self::START, good_steps: 0, skipped: 0, has_changed: false }
    }
}

impl LossScale {
    /// The factor of the first step.
    pub const START: f64 = 65536.0;
    /// Steps with finite gradients after which it is doubled.
    pub const GROWTH_INTERVAL: usize = 2000;
    /// The smallest factor: gradients that are too large with it do not fit in f16 at all.
    pub const LEAST: f64 = 1.0 / 65536.0;

    /// That of a run on a model, which goes on with a stored one; `None` if gradients do not pass through f16.
    pub(super) fn of_run(model: &dyn FrozenModel, stored: Option<Self>) -> Option<Self> {
        model.scales_loss().then(|| stored.unwrap_or_default())
    }

    /// Judges a step that was read, before its update: it is skipped if its gradients are not finite, and then has no norm.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] if they are not and no smaller factor helps.
    pub(super) fn judge(&mut self, report: &mut StepReport) -> Result<()> {
        report.skipped = !report.grad_norm.is_none_or(f64::is_finite);
        self.count(!report.skipped);
        if self.is_exhausted() {
            return Err(Error::NotFinite { step: report.step, loss: report.loss });
        }
        if report.skipped {
            report.grad_norm = None;
        }
        Ok(())
    }

    /// Begins to count anew after an evaluation; whether anything had changed since the one before.
    pub(super) fn evaluated(&mut self) -> bool {
        std::mem::replace(&mut self.has_changed, false)
    }

    /// What there is to say at the end of a run of so many steps.
    pub(super) fn note(&self, steps: usize) -> Option<String> {
        (self.skipped > 0).then(|| {
            format!(
                "{} of {steps} steps changed nothing: a gradient of the scaled loss was too large for f16, and the scale, now {}, \
                 was halved",
                self.skipped, self.factor
            )
        })
    }

    /// What there is to say beside an error of a step.
    pub(super) fn advice(error: &Error) -> Option<&'static str> {
        matches!(error, Error::NotFinite { loss, .. } if !loss.is_finite()).then_some(
            "the model multiplies in f16, whose largest number is 65504: in bf16, which has the range of f32, the loss may stay \
             finite",
        )
    }

    /// Counts a step whose gradients were finite, or were not: then it is left out.
    fn count(&mut self, is_finite: bool) {
        if !is_finite {
            self.factor /= 2.0;
            self.good_steps = 0;
            self.skipped += 1;
            return;
        }
        self.has_changed = true;
        self.good_steps += 1;
        if self.good_steps == Self::GROWTH_INTERVAL {
            self.factor *= 2.0;
            self.good_steps = 0;
        }
    }

    /// Whether a factor so small helps no more.
    fn is_exhausted(&self) -> bool {
        self.factor < Self::LEAST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_is_halved_by_a_step_that_is_left_out_and_doubled_after_2000_good_ones() {
        let is = |factor, good_steps, skipped| LossScale {
            factor,
            good_steps,
            skipped,
            has_changed: good_steps > 0 || skipped > 0,
        };
        let mut scale = LossScale::default();
        assert_eq!(scale, is(65536.0, 0, 0));
        (0..1999).for_each(|_| scale.count(true));
        assert_eq!(scale, is(65536.0, 1999, 0));
        scale.count(false);
        assert_eq!(scale, is(32768.0, 0, 1));
        (0..2000).for_each(|_| scale.count(true));
        assert_eq!(scale, is(65536.0, 0, 1));
        (0..2001).for_each(|_| scale.count(true));
        assert_eq!(scale, is(131_072.0, 1, 1));
    }

    #[test]
    fn an_evaluation_knows_whether_anything_changed_since_the_one_before() {
        let mut scale = LossScale::default();
        scale.count(false);
        assert!(!scale.evaluated());
        scale.count(true);
        scale.count(false);
        assert!(scale.evaluated() && !scale.evaluated());
        // Earlier versions took each evaluation for one of something else.
        let stored = r#"{"factor": 2.0, "good_steps": 3, "skipped": 4}"#;
        let mut stored: LossScale = serde_json::from_str(stored).unwrap_or_default();
        assert!(stored.skipped == 4 && stored.evaluated());
    }

    #[test]
    fn it_ends_where_a_smaller_factor_helps_no_more() {
        let mut scale = LossScale::default();
        let mut steps = 0;
        while !scale.is_exhausted() {
            scale.count(false);
            steps += 1;
        }
        assert_eq!((steps, scale.skipped), (33, 33));
    }
}
