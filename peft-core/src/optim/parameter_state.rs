//! What the update rules share: running averages, weight decay, and the check of a setting.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use crate::error::{Error, Result};

/// The state of an optimizer for one parameter.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParameterState {
    /// The number of updates so far.
    pub(super) steps: u64,
    /// Running averages by name.
    pub(super) moments: BTreeMap<&'static str, Tensor<1>>,
}

impl ParameterState {
    /// Takes out a running average, initially zero; it must be put back.
    pub(super) fn take(&mut self, name: &'static str, len: usize, like: &Tensor<1>) -> Tensor<1> {
        self.moments
            .remove(name)
            .unwrap_or_else(|| Tensor::zeros([len], (&like.device(), like.dtype())))
    }

    pub(super) fn put(&mut self, name: &'static str, moment: Tensor<1>) {
        self.moments.insert(name, moment);
    }
}

/// A parameter without this part of itself, which is weight decay.
pub(super) fn decayed(param: Tensor<1>, part: f64) -> Tensor<1> {
    if part == 0.0 { param } else { param * (1.0 - part) }
}

/// Returns an error unless `holds` and the value is finite.
pub(super) fn require(setting: &str, value: f64, holds: bool, expected: &str) -> Result<()> {
    if holds && value.is_finite() {
        return Ok(());
    }
    Err(Error::setting(setting, format!("found {value}, expected a number {expected}")))
}
