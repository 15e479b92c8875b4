//! The learning rate as a function of the step.

use std::{f64::consts::PI, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the learning rate changes after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// It stays constant.
    #[default]
    Constant,
    /// It falls linearly to 0.
    Linear,
    /// It falls to 0 along half a cosine.
    Cosine,
    /// It is multiplied by [`Schedule::EPOCH_FACTOR`] after each epoch, as in the tagging and question answering of
    /// P-tuning v2.
    Exponential,
}

impl Schedule {
    /// All schedules.
    pub const ALL: [Self; 4] = [Self::Constant, Self::Linear, Self::Cosine, Self::Exponential];

    /// What [`Schedule::Exponential`] multiplies by after each epoch.
    pub const EPOCH_FACTOR: f64 = 0.95;

    /// Returns the learning rate of a step, counted from 0, out of `total`, with the peak `lr`; `epochs` are complete
    /// before it.
    ///
    /// During the warm-up it is `lr * step / warmup`, so the very first step has size 0, as with
    /// the schedules of transformers; afterwards, with n = total, w = warmup, s = step, e = epochs:
    ///
    /// | schedule | learning rate |
    /// |---|---|
    /// | constant | lr |
    /// | linear | lr (n - s) / (n - w) |
    /// | cosine | lr (1 + cos(pi (s - w) / (n - w))) / 2 |
    /// | exponential | lr 0.95^e |
    pub fn lr(self, lr: f64, step: usize, epochs: usize, warmup: usize, total: usize) -> f64 {
        if step < warmup {
            return lr * step as f64 / warmup as f64;
        }
        let done = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
        match self {
            Self::Constant => lr,
            Self::Linear => lr * (1.0 - done).max(0.0),
            Self::Cosine => lr * 0.5 * (1.0 + (PI * done.min(1.0)).cos()),
            Self::Exponential => lr * Self::EPOCH_FACTOR.powf(epochs as f64),
        }
    }

    /// The name as flags spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::Exponential => "exponential",
        }
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|schedule| schedule.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::setting("schedule", format!("found `{name}`, expected one of {known}"))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn all(schedule: Schedule, warmup: usize, total: usize) -> Vec<f64> {
        // Epochs of two steps.
        (0..total).map(|step| schedule.lr(8.0, step, step / 2, warmup, total)).collect()
    }

    #[test]
    fn each_schedule_has_its_shape() {
        assert_eq!(all(Schedule::Constant, 0, 3), [8.0, 8.0, 8.0]);
        assert_eq!(all(Schedule::Constant, 2, 4), [0.0, 4.0, 8.0, 8.0]);
        assert_eq!(all(Schedule::Linear, 0, 4), [8.0, 6.0, 4.0, 2.0]);
        assert_eq!(all(Schedule::Linear, 2, 6), [0.0, 4.0, 8.0, 6.0, 4.0, 2.0]);
        let exponential = all(Schedule::Exponential, 1, 5);
        for (found, expected) in exponential.iter().zip([0.0, 8.0, 7.6, 7.6, 7.22]) {
            assert!((found - expected).abs() < 1e-12, "{exponential:?}");
        }
        let cosine = all(Schedule::Cosine, 0, 4);
        let half = 0.5f64.sqrt();
        for (found, expected) in cosine.iter().zip([8.0, 4.0 + 4.0 * half, 4.0, 4.0 - 4.0 * half]) {
            assert!((found - expected).abs() < 1e-12, "{cosine:?}");
        }
    }

    #[test]
    fn extremes_stay_in_range() {
        for schedule in Schedule::ALL {
            for (step, warmup, total) in [(0, 0, 0), (9, 0, 5), (4, 5, 5), (5, 5, 5), (0, 1, 1)] {
                let lr = schedule.lr(1.0, step, step, warmup, total);
                assert!((0.0..=1.0).contains(&lr), "{schedule:?} {step} {warmup} {total}: {lr}");
            }
            assert_eq!(schedule.name().parse::<Schedule>().unwrap(), schedule);
        }
        assert!("step".parse::<Schedule>().unwrap_err().to_string().contains("schedule"));
    }
}
