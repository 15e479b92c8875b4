//! Fitting an MLP to given keys and values, such as those of real words.

use burn::{
    module::Param,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::{
    mlp::{PrefixMlp, Transform},
    parameters::on_device,
};
use crate::{
    contract::params,
    optim::{AdamW, Optimizer, OptimizerConfig},
};

/// How an MLP is fitted to given keys and values. The defaults are those of Li & Liang's code.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FitConfig {
    /// The number of steps, each over all virtual tokens. Default 500.
    pub steps: usize,
    /// Learning rate of Adam (0.9, 0.999, 1e-8). Default 1e-4.
    pub lr: f64,
}

impl Default for FitConfig {
    fn default() -> Self {
        Self { steps: 500, lr: 1e-4 }
    }
}

impl PrefixMlp {
    /// Fits the two layers to given keys and values by the mean squared error. The embedding keeps
    /// its random rows, which tell the virtual tokens apart.
    ///
    /// # Shapes
    ///
    /// - target: `[P, l * 2 * K * D]`
    #[must_use]
    pub fn fit(mut self, target: Tensor<2>, config: FitConfig) -> Self {
        let device = self.embedding.val().device();
        let plain = device.clone().without_autodiff();
        let (input, target) = (on_device(self.embedding.val(), &plain), on_device(target, &plain));
        let start = params::values(&self.transform).into_iter().map(|flat| flat.values).collect();
        let mut transform = params::replace(self.transform, start);
        // Without weight decay AdamW is Adam.
        let adam = OptimizerConfig::AdamW(AdamW::default()).with_weight_decay(0.0);
        let mut adam = Optimizer::new(adam);
        for _ in 0..config.steps {
            let error = transform.forward(input.clone()) - target.clone();
            let mut gradients = (error.clone() * error).mean().backward();
            let gradients = params::gradients(&transform, &mut gradients);
            let values = adam.step(&params::values(&transform), gradients, config.lr);
            transform = params::replace(transform, values);
        }
        let Transform { weight_in, bias_in, weight_out, bias_out } = transform;
        self.transform = Transform {
            weight_in: leaf(weight_in, &device),
            bias_in: leaf(bias_in, &device),
            weight_out: leaf(weight_out, &device),
            bias_out: leaf(bias_out, &device),
        };
        self
    }
}

fn leaf<const D: usize>(param: Param<Tensor<D>>, device: &Device) -> Param<Tensor<D>> {
    Param::from_tensor(on_device(param.val(), device))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        contract::{
            init::{Distribution, tensor},
            rng,
        },
        methods::prefix::{MlpInit, MlpSizes},
    };

    #[test]
    fn the_error_falls_and_the_embedding_stays() {
        let device = Device::default();
        let mut stream = rng::stream(3, 0, "test");
        let sizes = MlpSizes { virtual_tokens: 4, embedding: 6, hidden: 32, output: 10 };
        let mlp = PrefixMlp::init(sizes, MlpInit::Torch, &mut stream, &device);
        let target = tensor([4, 10], Distribution::Normal { std: 1.0 }, &mut stream, &device);
        let error =
            |mlp: &PrefixMlp| (mlp.forward() - target.clone()).square().mean().into_scalar::<f32>();
        let fitted = mlp.clone().fit(target.clone(), FitConfig { steps: 200, lr: 1e-2 });
        assert!(error(&fitted) < 0.01 * error(&mlp), "{} {}", error(&fitted), error(&mlp));
        assert_eq!(fitted.embedding.val().into_data(), mlp.embedding.val().into_data());
        let unfitted = mlp.clone().fit(target.clone(), FitConfig { steps: 0, lr: 1e-2 });
        assert_eq!(unfitted.state(), mlp.state());
    }

    #[test]
    fn the_defaults_are_those_of_the_papers_code() {
        let read: FitConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(read, FitConfig { steps: 500, lr: 1e-4 });
    }
}
