//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864), in the half-split layout.

use burn::tensor::{Int, Tensor};

/// The rotation of a model: `angle(p, i) = p * base^(-2i / D)`.
#[derive(Clone, Debug)]
pub struct Rotary {
    /// `[D / 2]`.
    inverse_frequencies: Vec<f64>,
}

/// Cosines and sines for the positions of one pass, shared by its layers.
#[derive(Clone, Debug)]
pub struct RotaryTable {
    /// `[B, 1, S, D]`.
    cos: Tensor<4>,
    /// `[B, 1, S, D]`.
    sin: Tensor<4>,
}

impl Rotary {
    /// The rotation of heads of size D = `head_dim` with base `base` (`rope_theta`).
    pub fn new(head_dim: usize, base: f64) -> Self {
        let inverse_frequencies =
            (0..head_dim / 2).map(|i| base.powf(-((2 * i) as f64) / head_dim as f64)).collect();
        Self { inverse_frequencies }
    }

    /// Angles for `positions` `[B, S]`, in the type of `like`.
    pub fn table(&self, positions: Tensor<2, Int>, like: &Tensor<3>) -> RotaryTable {
        let [b, s] = positions.dims();
        let half = self.inverse_frequencies.len();
        let device = positions.device();
        let options = (&device, like.dtype());
        let frequencies = Tensor::<1>::from_data(self.inverse_frequencies.as_slice(), options)
            .reshape([1, 1, half]);
        let angles = positions.float().cast(like.dtype()).reshape([b, s, 1]) * frequencies;
        let both = Tensor::cat(vec![angles.clone(), angles], 2).reshape([b, 1, s, 2 * half]);
        RotaryTable { cos: both.clone().cos(), sin: both.sin() }
    }
}

impl RotaryTable {
    /// Rotates queries or keys `[B, heads, S, D]`.
    pub fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let turned = Tensor::cat(
            vec![x.clone().narrow(3, half, half).neg(), x.clone().narrow(3, 0, half)],
            3,
        );
        x * self.cos.clone() + turned * self.sin.clone()
    }
}
