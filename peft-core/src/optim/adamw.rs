//! AdamW: Loshchilov & Hutter 2019, arXiv 1711.05101, computed as in torch.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::parameter_state::{ParameterState, decayed, require};
use crate::error::Result;

pub(super) const MEAN: &str = "exp_avg";
pub(super) const SQUARE: &str = "exp_avg_sq";

/// Settings of AdamW.
///
/// With the gradient g of step t (from 1):
///
/// ```text
/// p <- p (1 - lr * weight_decay)
/// m <- m + (g - m) (1 - beta1)
/// v <- v beta2 + g^2 (1 - beta2)
/// p <- p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
/// ```
///
/// the operations of `torch.optim.AdamW`, in the same order. Unlike in Burn, eps defaults to
/// torch's value and weight decay to 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamW {
    /// Decay rates of the running mean and the running mean square. Default (0.9, 0.999).
    pub betas: (f64, f64),
    /// Added to the root of the mean square. Default 1e-8.
    pub eps: f64,
    /// Weight decay: each step reduces a parameter by the fraction lr times this. Default 0.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0 }
    }
}

impl AdamW {
    pub(super) fn validate(&self) -> Result<()> {
        for beta in [self.betas.0, self.betas.1] {
            require("optimizer.betas", beta, (0.0..1.0).contains(&beta), "from 0 to below 1")?;
        }
        require("optimizer.eps", self.eps, self.eps >= 0.0, "at least 0")
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
        let (beta1, beta2) = self.betas;
        let steps = state.steps as f64;
        let mean = state.take(MEAN, len, &param);
        let square = state.take(SQUARE, len, &param);
        let mean = mean.clone() + (grad.clone() - mean) * (1.0 - beta1);
        let square = square * beta2 + grad.clone() * grad * (1.0 - beta2);
        let root = square.clone().sqrt() / (1.0 - beta2.powf(steps)).sqrt() + self.eps;
        let step = mean.clone() / root * (lr / (1.0 - beta1.powf(steps)));
        state.put(MEAN, mean);
        state.put(SQUARE, square);
        decayed(param, lr * self.weight_decay) - step
    }

    /// As [`update`](Self::update), in one pass over values in the memory of the host.
    pub(super) fn update_on_host(
        &self,
        state: &mut ParameterState,
        param: Tensor<1>,
        grad: Tensor<1>,
        lr: f64,
    ) -> Tensor<1> {
        if param.dtype() != DType::F32 || grad.dtype() != DType::F32 {
            return self.update(state, param, grad, lr);
        }
        let ([len], device) = (param.dims(), param.device());
        let mean = state.take(MEAN, len, &param);
        let square = state.take(SQUARE, len, &param);
        let mut all = [param, mean, square].map(Tensor::into_data);
        let grad = grad.into_data();
        let steps = state.steps as f64;
        let slices =
            (all.each_mut().map(|data| data.as_mut_slice::<f32>()), grad.as_slice::<f32>());
        let in_one_pass = if let ([Ok(params), Ok(means), Ok(squares)], Ok(grads)) = slices {
            let (beta1, beta2) = self.betas;
            let [towards, keep, add] = [1.0 - beta1, beta2, 1.0 - beta2].map(|x| x as f32);
            let correction = (1.0 - beta2.powf(steps)).sqrt() as f32;
            let (eps, rate) = (self.eps as f32, (lr / (1.0 - beta1.powf(steps))) as f32);
            // Times 1 changes nothing.
            let decay = (1.0 - lr * self.weight_decay) as f32;
            let each = params.iter_mut().zip(means).zip(squares).zip(grads);
            for (((param, mean), square), grad) in each {
                *mean += (grad - *mean) * towards;
                *square = *square * keep + grad * grad * add;
                let root = square.sqrt() / correction + eps;
                *param = *param * decay - *mean / root * rate;
            }
            true
        } else {
            // Memory that does not begin at a multiple of four bytes.
            false
        };
        let tensor = |data| Tensor::from_data(data, (&device, DType::F32));
        let [param, mean, square] = all.map(tensor);
        state.put(MEAN, mean);
        state.put(SQUARE, square);
        if in_one_pass { param } else { self.update(state, param, tensor(grad), lr) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::optimizer::{Optimizer, OptimizerConfig, tests::*};
    use super::*;
    use crate::contract::params::Flat;

    /// torch 2.15.0: `torch.optim.AdamW([p], lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)` on
    /// `p = [1, -2, 0.5]` in f32, with the gradients and learning rates of `three_steps`.
    #[test]
    fn three_steps_equal_torch() {
        let config = OptimizerConfig::AdamW(AdamW { weight_decay: 0.01, ..AdamW::default() });
        let expected = [
            [0.8989999890327454, -1.8980000019073486, 0.49950000643730164],
            [0.8526613712310791, -1.883734107017517, 0.5364518165588379],
            [0.8831389546394348, -1.8676890134811401, 0.40762197971343994],
        ];
        for (count, expected) in expected.iter().enumerate() {
            let found = run(config, &[3], vec![1.0, -2.0, 0.5], &three_steps()[..=count]);
            assert_near(&found, expected, 3e-7);
        }
    }

    /// On the host the same bits, also of a parameter that somebody else holds.
    #[test]
    fn one_pass_gives_the_bits_of_the_operations() {
        for weight_decay in [0.0, 0.01] {
            let rule = AdamW { weight_decay, betas: (0.87, 0.993), eps: 1e-7 };
            let config = OptimizerConfig::AdamW(rule);
            let number = |at: usize| ((at * 7919) % 1009) as f32 / 1009.0 - 0.5;
            let start = flat("p", &[1000], (0..1000).map(number).collect());
            let [mut plain, mut host] = [start.clone(), start];
            let (mut by_plain, mut by_host) =
                (Optimizer::new(config), Optimizer::new(config).on_host());
            for step in 0..4 {
                let scale = [1.0, 1e-6, 300.0, 0.0][step];
                let grad = (0..1000).map(|at| scale * number(at * 31 + step)).collect();
                let grad = flat("g", &[1000], grad).values;
                let next = |optimizer: &mut Optimizer, param: &Flat| {
                    optimizer.step(std::slice::from_ref(param), vec![Some(grad.clone())], 0.03)
                };
                plain.values = next(&mut by_plain, &plain).remove(0);
                host.values = next(&mut by_host, &host).remove(0);
                let bits = |param: &Flat| param.values.clone().into_data();
                assert_eq!(bits(&plain), bits(&host), "{weight_decay}, step {step}");
                assert_eq!(by_plain.state().unwrap(), by_host.state().unwrap());
            }
        }
    }
}
