//! Adafactor: Shazeer & Stern 2018, arXiv 1804.04235, as Lester et al. 2021 use it to train
//! prompts: no momentum, no relative step size, and scaling by the parameter's size only if it is asked for.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{
    parameter_state::{ParameterState, decayed, require},
    sum::mean,
};
use crate::error::Result;

pub(super) const FULL: &str = "v";
pub(super) const ROWS: &str = "v_row";
pub(super) const COLUMNS: &str = "v_col";

/// Settings of Adafactor.
///
/// With the gradient g of step t (from 1):
///
/// ```text
/// d  = 1 - t^-decay
/// v <- d v + (1 - d) (g^2 + epsilon)          factored parameters: row and column means
/// u  = g / sqrt(v)
/// u <- u / max(1, rms(u) / clip_threshold)
/// p <- (1 - weight_decay) p - lr u            decay is not multiplied by lr
/// ```
///
/// and with `multiply_by_parameter_scale` lr max(rms(p), min_parameter_scale) in place of lr,
///
/// as in T5X (`t5x/adafactor.py`). A parameter is factored only if it has two dimensions of at
/// least `min_dim_size_to_factor` each: a prompt of 100 rows is not, one of 150 is. The step count
/// starts at 1; the published prompts continued from the 1,100,000 steps of pretraining, which
/// gives steps of the same size because of the clipping.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adafactor {
    /// Exponent of the decay of the second moment. Default 0.8.
    pub decay: f64,
    /// Maximum root mean square of an update, before multiplying by lr. Default 1.
    pub clip_threshold: f64,
    /// Fraction by which a parameter is reduced in each step, independent of lr. Default 0; 1e-5 in
    /// the paper.
    pub weight_decay: f64,
    /// Minimum size of both dimensions of a parameter whose second moment is stored as row and
    /// column means. Default 128.
    pub min_dim_size_to_factor: usize,
    /// Added to the squared gradient. Default 1e-30.
    pub epsilon: f64,
    /// Whether steps are relative to the parameter: the learning rate is multiplied by its root mean square. Default
    /// false, as Lester et al. train prompts; T5X trains models with it.
    // These two are left out where they say nothing, so that checkpoints from before them can be resumed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub multiply_by_parameter_scale: bool,
    /// Minimum of that root mean square. Default 1e-3.
    #[serde(skip_serializing_if = "is_default_scale")]
    pub min_parameter_scale: f64,
}

const MIN_PARAMETER_SCALE: f64 = 1e-3;

fn is_default_scale(value: &f64) -> bool {
    *value == MIN_PARAMETER_SCALE
}

impl Default for Adafactor {
    fn default() -> Self {
        Self {
            decay: 0.8,
            clip_threshold: 1.0,
            weight_decay: 0.0,
            min_dim_size_to_factor: 128,
            epsilon: 1e-30,
            multiply_by_parameter_scale: false,
            min_parameter_scale: MIN_PARAMETER_SCALE,
        }
    }
}

impl Adafactor {
    pub(super) fn validate(&self) -> Result<()> {
        let Self { decay, clip_threshold: clip, epsilon, min_parameter_scale: scale, .. } = *self;
        require("optimizer.decay", decay, decay > 0.0, "above 0")?;
        require("optimizer.clip_threshold", clip, clip > 0.0, "above 0")?;
        require("optimizer.epsilon", epsilon, epsilon >= 0.0, "at least 0")?;
        require("optimizer.min_parameter_scale", scale, scale >= 0.0, "at least 0")
    }

    /// The dimensions of a parameter whose second moment is factored.
    fn factored(&self, shape: &[usize]) -> Option<[usize; 2]> {
        match *shape {
            [rows, columns] if rows.min(columns) >= self.min_dim_size_to_factor => {
                Some([rows, columns])
            }
            _ => None,
        }
    }

    /// The next value of a parameter of the given shape.
    pub(super) fn update(
        &self,
        state: &mut ParameterState,
        shape: &[usize],
        param: Tensor<1>,
        grad: Tensor<1>,
        lr: f64,
    ) -> Tensor<1> {
        let [len] = param.dims();
        let decay = 1.0 - (state.steps as f64).powf(-self.decay);
        let mix = |old: Tensor<1>, new: Tensor<1>| old * decay + new * (1.0 - decay);
        let square = grad.clone() * grad.clone() + self.epsilon;
        let step = match self.factored(shape) {
            None => {
                let moment = mix(state.take(FULL, len, &param), square);
                state.put(FULL, moment.clone());
                grad / moment.sqrt()
            }
            Some([r, c]) => {
                let square: Tensor<2> = square.reshape([r, c]);
                let row_means = square.clone().mean_dim(1).reshape([r]);
                let column_means = square.mean_dim(0).reshape([c]);
                let rows = mix(state.take(ROWS, r, &param), row_means);
                let columns = mix(state.take(COLUMNS, c, &param), column_means);
                state.put(ROWS, rows.clone());
                state.put(COLUMNS, columns.clone());
                let rows: Tensor<2> = (rows.clone() / rows.mean()).sqrt().reshape([r, 1]);
                let columns: Tensor<2> = columns.sqrt().reshape([1, c]);
                (grad.reshape([r, c]) / rows / columns).reshape([len])
            }
        };
        let rms = mean(step.clone().square()).sqrt();
        let step = step / (rms / self.clip_threshold).clamp_min(1.0);
        let step = match self.multiply_by_parameter_scale {
            true => {
                let scale = mean(param.clone().square()).sqrt();
                step * scale.clamp_min(self.min_parameter_scale)
            }
            false => step,
        };
        decayed(param, self.weight_decay) - step * lr
    }
}

#[cfg(test)]
mod tests {
    use super::super::optimizer::{OptimizerConfig, tests::*};
    use super::*;

    fn config(weight_decay: f64) -> OptimizerConfig {
        OptimizerConfig::Adafactor(Adafactor { weight_decay, ..Adafactor::default() })
    }

    /// numpy in f64, with the equations in the type's documentation: `p = [1, -2, 0.5]`, the
    /// gradients and learning rates of `three_steps`, weight decay 1e-3.
    #[test]
    fn three_steps_equal_numpy() {
        let found = run(config(1e-3), &[3], vec![1.0, -2.0, 0.5], &three_steps());
        assert_near(&found, &[1.0639602086825577, -1.9924786153707654, 0.3012639238066], 1e-6);
    }

    /// As above, with closed forms: `p[i, j] = cos(0.05 i - 0.11 j)` and, in step k of 3,
    /// `g[i, j] = sin(0.1 i + 0.37 j (k + 1) + k) (1 + i / 64)`, in 128 rows and 130 columns.
    /// Values at (0, 0), (3, 7), (127, 129), (64, 1).
    #[test]
    fn only_large_matrices_are_factored() {
        let grid = |value: &dyn Fn(f64, f64) -> f64| -> Vec<f32> {
            (0..128 * 130).map(|at| value((at / 130) as f64, (at % 130) as f64) as f32).collect()
        };
        let start = grid(&|i, j| (0.05 * i - 0.11 * j).cos());
        let steps: Vec<_> = [0.1, 0.05, 0.2]
            .into_iter()
            .enumerate()
            .map(|(k, lr)| {
                let k = k as f64;
                let value =
                    |i: f64, j: f64| (0.1 * i + 0.37 * j * (k + 1.0) + k).sin() * (1.0 + i / 64.0);
                (grid(&value), lr)
            })
            .collect();
        let pick = |values: Vec<f32>| {
            [(0, 0), (3, 7), (127, 129), (64, 1)].map(|(i, j)| values[i * 130 + j])
        };
        let factored = run(config(1e-3), &[128, 130], start.clone(), &steps);
        let expected =
            [0.6799612850585288, 0.935236798380799, -0.14429476997275464, -1.1078169320750888];
        assert_near(&pick(factored), &expected, 1e-5);
        let full =
            [0.6925351226605775, 0.9519405032406958, -0.14184100810511163, -1.1281321620002671];
        for shape in [&[128 * 130][..], &[1, 128, 130], &[256, 65]] {
            let found = run(config(1e-3), shape, start.clone(), &steps);
            assert_near(&pick(found), &full, 1e-5);
        }
        let rule = Adafactor::default();
        assert_eq!(rule.factored(&[100, 768]), None);
        assert_eq!(rule.factored(&[150, 768]), Some([150, 768]));
    }
}
