//! Stochastic gradient descent with momentum.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::parameter_state::{ParameterState, decayed, require};
use crate::error::Result;

pub(super) const MOMENTUM: &str = "momentum_buffer";

/// Settings of gradient descent.
///
/// ```text
/// m <- momentum m + g
/// p <- p (1 - lr * weight_decay) - lr m
/// ```
///
/// As `torch.optim.SGD`, except for the weight decay: torch adds it to the gradient and so to the
/// momentum, which is the same only without momentum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Fraction of the last step that is added to the next one. Default 0.
    pub momentum: f64,
    /// Weight decay: each step reduces a parameter by the fraction lr times this. Default 0.
    pub weight_decay: f64,
}

impl Sgd {
    pub(super) fn validate(&self) -> Result<()> {
        let holds = (0.0..1.0).contains(&self.momentum);
        require("optimizer.momentum", self.momentum, holds, "from 0 to below 1")
    }

    /// The next value of a parameter.
    pub(super) fn update(
        &self,
        state: &mut ParameterState,
        param: Tensor<1>,
        grad: Tensor<1>,
        lr: f64,
    ) -> Tensor<1> {
        let [len] = param.dims();
        let step = if self.momentum == 0.0 {
            grad
        } else {
            let step = state.take(MOMENTUM, len, &param) * self.momentum + grad;
            state.put(MOMENTUM, step.clone());
            step
        };
        decayed(param, lr * self.weight_decay) - step * lr
    }
}

#[cfg(test)]
mod tests {
    use super::super::optimizer::{OptimizerConfig, tests::*};
    use super::*;

    /// torch 2.15.0: `torch.optim.SGD([p], lr, momentum)` on `p = [1, -2, 0.5]` in f32, with the
    /// gradients and learning rates of `three_steps`.
    #[test]
    fn three_steps_equal_torch() {
        let expected = [
            (0.0, [1.0750000476837158, -1.9950000047683716, 0.10000500082969666]),
            (0.9, [1.0003000497817993, -1.97160005569458, 0.10002300143241882]),
        ];
        for (momentum, expected) in expected {
            let config = OptimizerConfig::Sgd(Sgd { momentum, weight_decay: 0.0 });
            let found = run(config, &[3], vec![1.0, -2.0, 0.5], &three_steps());
            assert_near(&found, &expected, 2e-7);
        }
    }

    #[test]
    fn decay_is_decoupled() {
        let config = OptimizerConfig::Sgd(Sgd { momentum: 0.0, weight_decay: 0.5 });
        let found = run(config, &[1], vec![2.0], &[(vec![1.0], 0.1)]);
        assert_near(&found, &[2.0 * 0.95 - 0.1], 1e-6);
    }
}
