//! Activation functions, by the names that configs give them.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use burn::tensor::{Tensor, activation};
use peft_core::Result;

use crate::{
    class_defaults::text,
    config::ModelConfig,
    kernels::{self, Nonlinearity},
};

/// The nonlinearity of a feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x Φ(x)`, with the error function.
    Gelu,
    /// GELU, clamped to [-10, 10].
    ClippedGelu,
    /// GELU through tanh.
    GeluTanh,
    /// `x σ(1.702 x)`.
    QuickGelu,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)²`.
    ReluSquared,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `max(x, 0.01 x)`.
    LeakyRelu,
    /// `x σ(x)`, also called swish.
    Silu,
    /// `x min(max(x + 3, 0), 6) / 6`.
    HardSwish,
    /// `x tanh(ln(1 + e^x))`.
    Mish,
    /// `tanh x`.
    Tanh,
    /// `σ(x)`.
    Sigmoid,
    /// `(1 + erf((x - μ) / (σ √2))) / 2` with μ = 1 / √2 and σ = 0.282095 (Ma et al. 2022, arXiv
    /// 2209.10655).
    Laplace,
    /// `√(ln(1 + e^x))`.
    SqrtSoftplus,
    /// `x`.
    Linear,
}

/// Their names in transformers. Those that mean [`GeluTanh`](Activation::GeluTanh) differ there by rounding. Two names
/// are missing: `prelu` and `xielu` have parameters of their own.
const NAMES: [(&str, Activation); 22] = [
    ("gelu", Activation::Gelu),
    ("gelu_10", Activation::ClippedGelu),
    ("gelu_accurate", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_python", Activation::Gelu),
    ("gelu_python_tanh", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("hardswish", Activation::HardSwish),
    ("laplace", Activation::Laplace),
    ("leaky_relu", Activation::LeakyRelu),
    ("linear", Activation::Linear),
    ("mish", Activation::Mish),
    ("quick_gelu", Activation::QuickGelu),
    ("relu", Activation::Relu),
    ("relu2", Activation::ReluSquared),
    ("relu6", Activation::Relu6),
    ("sigmoid", Activation::Sigmoid),
    ("silu", Activation::Silu),
    ("sqrtsoftplus", Activation::SqrtSoftplus),
    ("swish", Activation::Silu),
    ("tanh", Activation::Tanh),
];

impl Activation {
    /// The activation that a config names under `key`.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Config`] naming an unknown one, or if the value is null.
    pub fn from_config(config: &ModelConfig, key: &str, default: &str) -> Result<Self> {
        let found = text(config, key, default)?;
        NAMES.iter().find(|(name, _)| *name == found).map(|(_, known)| *known).ok_or_else(|| {
            let known = NAMES.map(|(name, _)| name).join(", ");
            config.error(key, format!("found {found:?}, expected one of {known}"))
        })
    }

    /// What kernels call it, if there is one.
    pub fn nonlinearity(self) -> Option<Nonlinearity> {
        match self {
            Self::Gelu => Some(Nonlinearity::Gelu),
            Self::GeluTanh => Some(Nonlinearity::GeluTanh),
            Self::Silu => Some(Nonlinearity::Silu),
            Self::Relu => Some(Nonlinearity::Relu),
            _ => None,
        }
    }

    /// `f(gate) up` of rows `[gate | up]`.
    ///
    /// # Shapes
    ///
    /// - gate_up: `[B, S, 2 F]`
    /// - output: `[B, S, F]`
    pub fn gated(self, gate_up: Tensor<3>) -> Tensor<3> {
        if self == Self::Silu
            && let Some(y) = kernels::gated_silu(&gate_up)
        {
            return y;
        }
        let half = gate_up.dims()[2] / 2;
        let gate = gate_up.clone().narrow(2, 0, half);
        self.forward(gate) * gate_up.narrow(2, half, half)
    }

    /// Applies it element by element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        if let Some(function) = self.nonlinearity()
            && let Some(y) = kernels::activate(&x, function)
        {
            return y;
        }
        match self {
            Self::Gelu => gelu(x),
            Self::ClippedGelu => gelu(x).clamp(-10.0, 10.0),
            Self::GeluTanh => activation::gelu_approximate(x),
            Self::QuickGelu => x.clone() * activation::sigmoid(x.mul_scalar(1.702)),
            Self::Relu => activation::relu(x),
            Self::ReluSquared => activation::relu(x).square(),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::LeakyRelu => activation::leaky_relu(x, 0.01),
            Self::Silu => activation::silu(x),
            Self::HardSwish => x.clone() * x.add_scalar(3.0).clamp(0.0, 6.0).div_scalar(6.0),
            Self::Mish => x.clone() * activation::softplus(x, 1.0).tanh(),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => activation::sigmoid(x),
            Self::Laplace => {
                let scaled = x.sub_scalar(FRAC_1_SQRT_2).div_scalar(0.282_095 * SQRT_2);
                scaled.erf().add_scalar(1.0).mul_scalar(0.5)
            }
            Self::SqrtSoftplus => activation::softplus(x, 1.0).sqrt(),
            Self::Linear => x,
        }
    }
}

/// GELU. Burn's own has the gradient of GELU through tanh on every device but flex.
fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match kernels::unavailable(&x.device()) {
        None => activation::gelu(x),
        Some(_) => gelu_by_erf(x),
    }
}

/// GELU of operations whose gradients are exact.
fn gelu_by_erf<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let phi = x.clone().div_scalar(SQRT_2).erf().add_scalar(1.0).mul_scalar(0.5);
    x * phi
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use burn::tensor::Device;
    use serde_json::json;

    use super::*;

    fn named(name: &str) -> Result<Activation> {
        let config = json!({ "hidden_act": name });
        let config = ModelConfig::from_value(config, Path::new("config.json")).unwrap();
        Activation::from_config(&config, "hidden_act", "gelu")
    }

    /// The values of torch at -4, -1.5, -0.3, 0.4, 2 and 12.
    #[test]
    fn each_name_is_the_function_of_transformers() {
        let x = [-4.0f32, -1.5, -0.3, 0.4, 2.0, 12.0];
        for (name, expected) in EXPECTED {
            let x = Tensor::<1>::from_data(x, &Device::default());
            let found: Vec<f32> = named(name).unwrap().forward(x).into_data().try_to_vec().unwrap();
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 2e-6 * (1.0 + expected.abs()),
                    "{name}: {found} {expected}"
                );
            }
        }
        assert_eq!(EXPECTED.map(|(name, _)| name), NAMES.map(|(name, _)| name));
    }

    /// On GPUs, too, whose gradients of GELU were off by a thousandth: `x Φ(x)` has the derivative `Φ(x) + x φ(x)`. The
    /// values are torch's.
    #[test]
    fn gelu_has_the_gradient_of_gelu() {
        let x = [-4.0f32, -1.5, -0.3, 0.4, 2.0, 12.0];
        let expected = [-0.0005036497, -0.1274692, 0.2676722, 0.8027298, 1.085232, 1.0];
        for function in [gelu::<1>, gelu_by_erf::<1>] {
            let x = Tensor::<1>::from_data(x, &Device::default().autodiff()).require_grad();
            let gradients = function(x.clone()).sum().backward();
            let found: Vec<f32> = x.grad(&gradients).unwrap().into_data().try_to_vec().unwrap();
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 2e-6, "{found} {expected}");
            }
        }
    }

    #[test]
    fn those_with_parameters_are_refused_with_the_known_ones() {
        for name in ["prelu", "xielu", "gelu_newer"] {
            let error = named(name).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("quick_gelu, relu, relu2"), "{error}");
        }
    }

    #[rustfmt::skip]
    const EXPECTED: [(&str, [f32; 6]); 22] = [
        ("gelu", [-0.0001264811, -0.1002109, -0.1146266, 0.2621687, 1.9545, 12.0]),
        ("gelu_10", [-0.0001264811, -0.1002109, -0.1146266, 0.2621687, 1.9545, 10.0]),
        ("gelu_accurate", [-7.021427e-05, -0.1004284, -0.1146291, 0.2621612, 1.954598, 12.0]),
        ("gelu_fast", [-7.021427e-05, -0.1004284, -0.1146291, 0.2621612, 1.954598, 12.0]),
        ("gelu_new", [-7.021427e-05, -0.1004284, -0.1146291, 0.2621612, 1.954598, 12.0]),
        ("gelu_python", [-0.0001267195, -0.1002108, -0.1146266, 0.2621687, 1.9545, 12.0]),
        ("gelu_python_tanh", [-7.021427e-05, -0.1004284, -0.1146291, 0.2621612, 1.954598, 12.0]),
        ("gelu_pytorch_tanh", [-7.021427e-05, -0.1004284, -0.1146291, 0.2621612, 1.954598, 12.0]),
        ("hardswish", [-0.0, -0.375, -0.135, 0.2266667, 1.666667, 12.0]),
        ("laplace", [0.0, 0.0, 0.0001784265, 0.1381508, 0.9999977, 1.0]),
        ("leaky_relu", [-0.04, -0.015, -0.003, 0.4, 2.0, 12.0]),
        ("linear", [-4.0, -1.5, -0.3, 0.4, 2.0, 12.0]),
        ("mish", [-0.07259175, -0.2980998, -0.1511332, 0.2890305, 1.943959, 12.0]),
        ("quick_gelu", [-0.004414724, -0.1083378, -0.1125159, 0.2655669, 1.935659, 12.0]),
        ("relu", [0.0, 0.0, 0.0, 0.4, 2.0, 12.0]),
        ("relu2", [0.0, 0.0, 0.0, 0.16, 4.0, 144.0]),
        ("relu6", [0.0, 0.0, 0.0, 0.4, 2.0, 6.0]),
        ("sigmoid", [0.01798621, 0.1824255, 0.4255575, 0.5986876, 0.880797, 0.9999938]),
        ("silu", [-0.07194484, -0.2736383, -0.1276672, 0.2394751, 1.761594, 11.99993]),
        ("sqrtsoftplus", [0.1347217, 0.4487909, 0.7445503, 0.9555183, 1.458399, 3.464103]),
        ("swish", [-0.07194484, -0.2736383, -0.1276672, 0.2394751, 1.761594, 11.99993]),
        ("tanh", [-0.9993293, -0.9051483, -0.2913126, 0.379949, 0.9640276, 1.0]),
    ];
}
