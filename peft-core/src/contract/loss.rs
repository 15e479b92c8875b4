//! Losses over selected positions: cross entropy for classes, with weights and smoothed targets where
//! asked for, binary cross entropy and squared error for numbers.

use burn::tensor::{
    DType, Int, Tensor, TensorData,
    activation::{log_sigmoid, log_softmax},
};

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

/// The weighted sum of the cross entropies of smoothed targets, in nats: `[1]`. Divided by the sum of the
/// weights of the targets ([`weight_of_targets`]) it is torch's `CrossEntropyLoss` with `weight` and
/// `label_smoothing`:
///
/// ```text
/// Σ_i [ (1 - ε) w[t_i] (-ln p_i[t_i]) + ε / C Σ_c w[c] (-ln p_i[c]) ]
/// ```
///
/// # Shapes
///
/// - logits: `[M, C]`
/// - targets: M class indices
/// - weights: C numbers, one for each class; 1 if not given
///
/// # Errors
///
/// [`Error::Mismatch`] for a target that is not below C, or another number of weights.
pub fn smoothed_cross_entropy_sum(
    logits: Tensor<2>,
    targets: &[usize],
    weights: Option<&[f32]>,
    label_smoothing: f64,
) -> Result<Tensor<1>> {
    if weights.is_none() && label_smoothing == 0.0 {
        return cross_entropy_sum(logits, targets);
    }
    let [m, classes] = logits.dims();
    check_classes(targets, classes)?;
    let device = logits.device().without_autodiff();
    let log_p = log_softmax(logits, 1);
    let index: Vec<i64> = targets.iter().map(|target| *target as i64).collect();
    let index = Tensor::<2, Int>::from_data(TensorData::new(index, [m, 1]), &device);
    let mut of_targets = log_p.clone().gather(1, index);
    let mut of_all = log_p;
    if let Some(weights) = weights {
        if weights.len() != classes {
            return Err(Error::Mismatch(format!(
                "there are weights for {} classes, the head has {classes}",
                weights.len()
            )));
        }
        let own: Vec<f32> = targets.iter().map(|target| weights[*target]).collect();
        of_targets = of_targets.clone() * like(&of_targets, &own)?;
        let weights = TensorData::new(weights.to_vec(), [1, classes]);
        of_all = of_all.clone() * Tensor::from_data(weights, (&device, of_all.dtype()));
    }
    let smoothed = of_all.sum() * (label_smoothing / classes as f64);
    Ok((of_targets.sum() * (1.0 - label_smoothing) + smoothed).neg())
}

/// How much targets count together: the sum of the weights of their classes, or their number.
///
/// # Errors
///
/// [`Error::Mismatch`] for a target that has no weight.
pub fn weight_of_targets(targets: &[usize], weights: Option<&[f32]>) -> Result<f64> {
    let Some(weights) = weights else { return Ok(targets.len() as f64) };
    check_classes(targets, weights.len())?;
    Ok(targets.iter().map(|target| f64::from(weights[*target])).sum())
}

/// The sum over rows and classes of `-y ln σ(x) - (1 - y) ln σ(-x)`, in nats: `[1]`. Divided by the
/// number of values it is torch's `BCEWithLogitsLoss`.
///
/// # Shapes
///
/// - logits: `[M, C]`
/// - values: M times C numbers from 0 to 1, row by row
///
/// # Errors
///
/// [`Error::Mismatch`] for another number of values.
pub fn binary_cross_entropy_sum(logits: Tensor<2>, values: &[f32]) -> Result<Tensor<1>> {
    let values = like(&logits, values)?;
    let others = values.clone().neg() + 1.0;
    Ok((log_sigmoid(logits.clone()) * values + log_sigmoid(logits.neg()) * others).sum().neg())
}

/// The sum over rows and outputs of `(x - y)²`: `[1]`. Divided by the number of values it is torch's
/// `MSELoss`.
///
/// # Shapes
///
/// - outputs: `[M, C]`
/// - values: M times C numbers, row by row
///
/// # Errors
///
/// [`Error::Mismatch`] for another number of values.
pub fn squared_error_sum(outputs: Tensor<2>, values: &[f32]) -> Result<Tensor<1>> {
    let values = like(&outputs, values)?;
    let difference = outputs - values;
    Ok((difference.clone() * difference).sum())
}

/// Values in the shape of the outputs of a head.
fn like(outputs: &Tensor<2>, values: &[f32]) -> Result<Tensor<2>> {
    let [m, classes] = outputs.dims();
    if values.len() != m * classes {
        return Err(Error::Mismatch(format!(
            "the data has {} values for {m} rows, the head has {classes} outputs for each",
            values.len()
        )));
    }
    let device = outputs.device().without_autodiff();
    let data = TensorData::new(values.to_vec(), [m, classes]);
    Ok(Tensor::from_data(data, (&device, outputs.dtype())))
}

/// Upcasts logits to f32, unless their type is as wide already.
pub fn at_least_f32<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match tensor.dtype() {
        DType::F16 | DType::BF16 => tensor.cast(DType::F32),
        _ => tensor,
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

/// Returns the class with the highest logit at each position, still on the plain device.
///
/// # Shapes
///
/// - logits: `[M, C]`
/// - output: `[M, 1]`, class indices
pub fn predictions(logits: Tensor<2>) -> Tensor<2, Int> {
    logits.without_autodiff().argmax(1)
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

    /// Whether there are weights, ε, the sum, what the mean divides it by.
    const TORCH: [(bool, f64, f64, f64); 4] = [
        (false, 0.0, 5.7231951, 4.0),
        (true, 0.0, 4.656763, 4.5),
        (false, 0.1, 5.9148618, 4.0),
        (true, 0.3, 6.4115122, 4.5),
    ];

    /// Of torch 2.15: `CrossEntropyLoss(weight, label_smoothing, reduction="sum")` of these logits, and with
    /// `reduction="mean"` what it divides by.
    #[test]
    fn weights_and_smoothing_are_those_of_torch() {
        let logits = Tensor::<2>::from_data(
            [[1.0f32, 2.0, 0.5], [0.0, 0.0, 0.0], [-1.0, 3.0, 0.25], [4.0, -2.0, 1.5]],
            &Device::default(),
        );
        let (targets, all) = ([1, 2, 0, 0], [0.5f32, 2.0, 1.5]);
        for (weights, smoothing, sum, weight) in TORCH {
            let weights = weights.then_some(&all[..]);
            let found = smoothed_cross_entropy_sum(logits.clone(), &targets, weights, smoothing);
            let found = found.unwrap().into_scalar::<f64>();
            assert!((found - sum).abs() < 1e-5, "{found} {sum}");
            assert_eq!(weight_of_targets(&targets, weights).unwrap(), weight);
        }
        let plain = cross_entropy_sum(logits.clone(), &targets).unwrap().into_scalar::<f64>();
        assert!((plain - TORCH[0].2).abs() < 1e-5, "{plain}");
        let error = smoothed_cross_entropy_sum(logits, &targets, Some(&[1.0]), 0.0).unwrap_err();
        assert!(error.to_string().contains("weights for 1 classes, the head has 3"), "{error}");
        assert!(weight_of_targets(&[3], Some(&all)).is_err());
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

    /// By hand, at 1e3 too, where an unguarded exponential would overflow.
    #[test]
    fn losses_of_values_are_sums_of_each() {
        let softplus = |x: f64| (1.0 + x.exp()).ln();
        let values = [1.0, 0.0, 0.5, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0];
        let found = binary_cross_entropy_sum(logits(), &values).unwrap().into_scalar::<f64>();
        let rows = softplus(-1.0) + softplus(2.0) + softplus(0.5) - 0.25;
        let expected = rows + 3.0 * 2f64.ln() + softplus(1.0) + softplus(-3.0);
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        let found = squared_error_sum(logits(), &values).unwrap().into_scalar::<f64>();
        let expected = 4.0 + 1.0 + 4.0 + 4.0 + 999f64.powi(2);
        assert!((found - expected).abs() < 1.0, "{found} {expected}");
        let error = squared_error_sum(logits(), &values[1..]).unwrap_err().to_string();
        assert!(error.contains("8 values for 3 rows") && error.contains("3 outputs"), "{error}");
    }

    #[test]
    fn gradients_of_values_equal_finite_differences() {
        let device = Device::default();
        let (values, at) = ([1.0f32, 0.0, 0.3, 0.8], [0.4f64, -1.5, 0.0, 2.5]);
        type Loss = fn(Tensor<2>, &[f32]) -> Result<Tensor<1>>;
        for loss in [binary_cross_entropy_sum as Loss, squared_error_sum as Loss] {
            let of = |at: [f64; 4], device: &Device| {
                Tensor::<2>::from_data(TensorData::new(at.to_vec(), [2, 2]), (device, DType::F64))
            };
            let inputs = of(at, &device.clone().autodiff()).require_grad();
            let gradients = loss(inputs.clone(), &values).unwrap().backward();
            let found: Vec<f64> = inputs.grad(&gradients).unwrap().into_data().iter().collect();
            for (i, found) in found.into_iter().enumerate() {
                let moved = |by: f64| {
                    let mut at = at;
                    at[i] += by;
                    loss(of(at, &device), &values).unwrap().into_scalar::<f64>()
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((found - expected).abs() < 1e-6, "{i}: {found} {expected}");
            }
        }
    }

    #[test]
    fn predictions_are_the_largest_logits() {
        let found: Vec<i64> = predictions(logits()).into_data().iter().collect();
        assert_eq!((found[0], found[2]), (1, 2));
    }

    #[test]
    fn a_target_beyond_the_head_is_refused() {
        let error = cross_entropy_sum(logits(), &[0, 3, 0]).unwrap_err().to_string();
        assert!(error.contains("is 3") && error.contains("0 to 2"), "{error}");
    }
}
