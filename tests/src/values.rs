//! Random values.

use burn::tensor::TensorData;
use peft_core::contract::{
    init::{Distribution, draw},
    rng,
};

/// Values from N(0, std²) in f32, the same for the same seed and name.
pub fn random_values<const D: usize>(
    shape: [usize; D],
    std: f64,
    seed: u64,
    name: &str,
) -> TensorData {
    let mut stream = rng::stream(seed, 0, name);
    TensorData::new(draw(Distribution::Normal { std }, shape.iter().product(), &mut stream), shape)
}
