//! Values: random ones, and how far some are from others.

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

/// The values of tensors, one after the other.
pub fn numbers<'a>(tensors: impl IntoIterator<Item = &'a TensorData>) -> Vec<f64> {
    tensors.into_iter().flat_map(|tensor| tensor.iter::<f64>().collect::<Vec<_>>()).collect()
}

/// The length of the difference over that of what is expected.
///
/// # Panics
///
/// If there are more of one than of the other, or if one is not finite.
pub fn relative(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().chain(expected).all(|value| value.is_finite()));
    let off: f64 = found.iter().zip(expected).map(|(a, b)| (a - b).powi(2)).sum();
    (off / expected.iter().map(|x| x * x).sum::<f64>()).sqrt()
}
