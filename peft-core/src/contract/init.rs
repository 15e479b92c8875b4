//! Random tensors from our own generator, so that a seed gives the same values on every device.

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// A distribution for initial values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// N(0, std²).
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// U[-range, range).
    Uniform {
        /// Half the width of the interval.
        range: f64,
    },
}

/// Draws `count` values.
pub fn draw(from: Distribution, count: usize, rng: &mut impl Rng) -> Vec<f32> {
    (0..count)
        .map(|_| match from {
            Distribution::Normal { std } => {
                let normal: f64 = StandardNormal.sample(rng);
                (normal * std) as f32
            }
            Distribution::Uniform { range } => ((rng.random::<f64>() * 2.0 - 1.0) * range) as f32,
        })
        .collect()
}

/// Draws a tensor.
pub fn tensor<const D: usize>(
    shape: [usize; D],
    from: Distribution,
    rng: &mut impl Rng,
    device: &Device,
) -> Tensor<D> {
    let values = draw(from, shape.iter().product(), rng);
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Multiplies by a dropout mask: zero with probability `rate`, else `1 / (1 - rate)`.
pub fn dropout<const D: usize>(tensor: Tensor<D>, rate: f64, rng: &mut impl Rng) -> Tensor<D> {
    if rate == 0.0 {
        return tensor;
    }
    let shape = tensor.dims();
    let keep = (1.0 / (1.0 - rate)) as f32;
    let mask: Vec<f32> = (0..shape.iter().product())
        .map(|_| if rng.random::<f64>() < rate { 0.0 } else { keep })
        .collect();
    let device = tensor.device().without_autodiff();
    let dtype = tensor.dtype();
    tensor * Tensor::from_data(TensorData::new(mask, shape), (&device, dtype))
}
