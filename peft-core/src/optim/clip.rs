//! Clipping by the global norm of all gradients.
//!
//! Burn's own clipping treats each parameter separately and so changes the direction of the step.

use burn::tensor::Tensor;

use super::sum::sum;

/// Added to a norm before it divides, as in torch.
const EPSILON: f64 = 1e-6;

/// The 2-norm of all gradients, as if they were one vector, `[1]`, still on their device; `None` if there are none.
pub fn global_norm(grads: &[Option<Tensor<1>>]) -> Option<Tensor<1>> {
    let squares: Vec<_> = grads.iter().flatten().map(|grad| sum(grad.clone().square())).collect();
    (!squares.is_empty()).then(|| Tensor::cat(squares, 0).sum().sqrt())
}

/// Scales all gradients by `max_norm / (norm + 1e-6)` if that is below 1, as `torch.nn.utils.clip_grad_norm_` does, where
/// `norm` is their [`global_norm`].
pub fn clip_to_norm(grads: &mut [Option<Tensor<1>>], norm: f64, max_norm: f64) {
    let scale = max_norm / (norm + EPSILON);
    // A NaN norm must reach the parameters, as in torch.
    if scale < 1.0 || scale.is_nan() {
        for grad in grads.iter_mut().flatten() {
            *grad = grad.clone() * scale;
        }
    }
}

/// As [`clip_to_norm`], with a norm that nobody has read: for a device that reading would stop. The scale is rounded as the
/// device rounds.
pub fn clip_to_unread_norm(grads: &mut [Option<Tensor<1>>], norm: &Tensor<1>, max_norm: f64) {
    let scale = (norm.clone() + EPSILON).recip() * max_norm;
    // Of a NaN this is false, so that it stays.
    let scale = scale.clone().mask_fill(scale.greater_equal_elem(1.0), 1.0);
    for grad in grads.iter_mut().flatten() {
        *grad = grad.clone() * scale.clone();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::optimizer::tests::*;
    use super::*;

    /// The norm, and what is left of the gradients; with a norm that was read, or was not.
    fn clipped(max_norm: f64, is_read: bool) -> (f64, Vec<f32>, Vec<f32>) {
        let grad = |values: Vec<f32>| Some(flat("g", &[values.len()], values).values);
        let mut grads = vec![grad(vec![3.0, 4.0]), None, grad(vec![12.0])];
        let unread = global_norm(&grads).unwrap();
        let norm = unread.clone().into_scalar::<f64>();
        match is_read {
            true => clip_to_norm(&mut grads, norm, max_norm),
            false => clip_to_unread_norm(&mut grads, &unread, max_norm),
        }
        assert!(grads[1].is_none());
        let read = |at: usize| grads[at].clone().unwrap().into_data().try_to_vec::<f32>().unwrap();
        (norm, read(0), read(2))
    }

    /// torch 2.15.0: `clip_grad_norm_` to 2 of the gradients [3, 4] and [12].
    #[test]
    fn a_long_gradient_is_scaled_as_torch_scales_it() {
        for (is_read, tolerance) in [(true, 1e-7), (false, 3e-7)] {
            let (norm, a, b) = clipped(2.0, is_read);
            assert!((norm - 13.0).abs() < 1e-6);
            assert_near(&a, &[0.4615384340286255, 0.615384578704834], tolerance);
            assert_near(&b, &[1.846153736114502], tolerance);
        }
    }

    #[test]
    fn a_short_gradient_is_left_alone() {
        for is_read in [true, false] {
            assert_eq!(clipped(20.0, is_read), (13.0, vec![3.0, 4.0], vec![12.0]));
        }
        assert!(global_norm(&[None]).is_none());
    }

    #[test]
    fn a_norm_that_is_no_number_reaches_all_gradients() {
        for is_read in [true, false] {
            let mut grads =
                [vec![1.0], vec![f32::NAN]].map(|values| Some(flat("g", &[1], values).values));
            let norm = global_norm(&grads).unwrap();
            match is_read {
                true => clip_to_norm(&mut grads, norm.into_scalar::<f64>(), 1.0),
                false => clip_to_unread_norm(&mut grads, &norm, 1.0),
            }
            let all = |grad: &Option<Tensor<1>>| grad.clone().unwrap().into_scalar::<f32>();
            assert!(grads.iter().all(|grad| all(grad).is_nan()));
        }
    }
}
