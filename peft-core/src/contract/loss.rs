//! Cross entropy over selected positions.

use burn::tensor::{DType, Int, Tensor, TensorData, activation::log_softmax};

use crate::error::{Error, Result};

/// The sum of the negative log-likelihoods of the targets, in nats: `[1]`.
///
/// A sum, not a mean: the training loop weights micro-batches by their number of targets.
///
/// # Shapes
///
/// - logits: `[M, C]`
/// - targets: M class indices
///
/// # Errors
///
/// [`Error::Mismatch`] for a target that is not below C.
pub fn cross_entropy_sum(logits: Tensor<2>, targets: &[usize]) -> Result<Tensor<1>> {
    let [m, classes] = logits.dims();
    check_classes(targets, classes)?;
    let device = logits.device().without_autodiff();
    let index: Vec<i64> = targets.iter().map(|target| *target as i64).collect();
    let index = Tensor::<2, Int>::from_data(TensorData::new(index, [m, 1]), &device);
    Ok(log_softmax(logits, 1).gather(1, index).sum().neg())
}

/// Upcasts logits to f32, unless their type is as wide already.
pub fn at_least_f32(logits: Tensor<2>) -> Tensor<2> {
    match logits.dtype() {
        DType::F16 | DType::BF16 => logits.cast(DType::F32),
        _ => logits,
    }
}

/// Checks that all targets are below C.
///
/// # Errors
///
/// [`Error::Mismatch`] with the first target that is not.
pub fn check_classes(targets: &[usize], classes: usize) -> Result<()> {
    match targets.iter().find(|target| **target >= classes) {
        None => Ok(()),
        Some(target) => Err(Error::Mismatch(format!(
            "a target in the data is {target}, but the head has the classes 0 to {}",
            classes.saturating_sub(1)
        ))),
    }
}

/// Returns the class with the highest logit at each position.
///
/// # Shapes
///
/// - logits: `[M, C]`
/// - output: M class indices
pub fn predictions(logits: Tensor<2>) -> Vec<usize> {
    let classes = logits.without_autodiff().argmax(1).into_data();
    classes.iter::<i64>().map(|class| class as usize).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn logits() -> Tensor<2> {
        Tensor::from_data(
            [[1.0f32, 2.0, 0.5], [0.0, 0.0, 0.0], [-1.0, 3.0, 1e3]],
            &Device::default(),
        )
    }

    /// By hand: ln(e^1 + e^2 + e^0.5) - 1, ln 3, and 1003 - 1e3 - ... = 997 for a target far below the
    /// largest logit, where an unshifted softmax would overflow.
    #[test]
    fn cross_entropy_is_the_sum_of_negative_log_likelihoods() {
        let first = (1f64.exp() + 2f64.exp() + 0.5f64.exp()).ln() - 1.0;
        let found = cross_entropy_sum(logits(), &[0, 2, 1]).unwrap().into_scalar::<f64>();
        let expected = first + 3f64.ln() + 997.0;
        assert!((found - expected).abs() < 1e-3, "{found} {expected}");
    }

    #[test]
    fn predictions_are_the_largest_logits() {
        assert_eq!(predictions(logits())[0], 1);
        assert_eq!(predictions(logits())[2], 2);
    }

    #[test]
    fn a_target_beyond_the_head_is_refused() {
        let error = cross_entropy_sum(logits(), &[0, 3, 0]).unwrap_err().to_string();
        assert!(error.contains("is 3") && error.contains("0 to 2"), "{error}");
    }
}
