//! A linear layer with torch's layout and initial values.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};
use peft_core::{
    NamedTensors, Result,
    contract::{
        init::{Distribution, tensor},
        params,
    },
};
use rand::Rng;

/// `x Wᵀ + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// W `[outputs, inputs]`.
    pub weight: Param<Tensor<2>>,
    /// b `[outputs]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// Draws W and b from U(-1/sqrt(inputs), 1/sqrt(inputs)), torch's default.
    pub(super) fn init(inputs: usize, outputs: usize, rng: &mut impl Rng, device: &Device) -> Self {
        let from = Distribution::Uniform { range: 1.0 / (inputs as f64).sqrt() };
        Self {
            weight: Param::from_tensor(tensor([outputs, inputs], from, rng, device)),
            bias: Param::from_tensor(tensor([outputs], from, rng, device)),
        }
    }

    /// # Shapes
    ///
    /// - input: `[P, inputs]`
    /// - output: `[P, outputs]`
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        input.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }

    /// The two tensors under the name of the layer: `NAME.weight`, `NAME.bias`.
    pub(super) fn state(&self, name: &str) -> [(String, TensorData); 2] {
        [
            (format!("{name}.weight"), self.weight.val().into_data()),
            (format!("{name}.bias"), self.bias.val().into_data()),
        ]
    }

    /// Loads what [`state`](Self::state) returns.
    pub(super) fn from_state(
        name: &str,
        [inputs, outputs]: [usize; 2],
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self> {
        let weight = format!("{name}.weight");
        Ok(Self {
            weight: params::from_named(&weight, [outputs, inputs], state, device)?,
            bias: params::from_named(&format!("{name}.bias"), [outputs], state, device)?,
        })
    }
}
