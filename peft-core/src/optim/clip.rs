//! Clipping by the global norm of all gradients.

use burn::tensor::Tensor;

use super::sum::sum;

/// The 2-norm of all gradients, as if they were one vector; 0 if there are none.
pub fn global_norm(grads: &[Option<Tensor<1>>]) -> f64 {
    let squares: Vec<_> = grads.iter().flatten().map(|grad| sum(grad.clone().square())).collect();
    if squares.is_empty() {
        return 0.0;
    }
    Tensor::cat(squares, 0).sum().sqrt().into_scalar::<f64>()
}

/// Scales all gradients by `max_norm / (norm + 1e-6)` if that is below 1, as
/// `torch.nn.utils.clip_grad_norm_` does, and returns the norm before clipping.
///
/// Burn's own clipping treats each parameter separately and so changes the direction of the step.
pub fn clip_global_norm(grads: &mut [Option<Tensor<1>>], max_norm: f64) -> f64 {
    let norm = global_norm(grads);
    let scale = max_norm / (norm + 1e-6);
    // A NaN norm must reach the parameters, as in torch.
    if scale < 1.0 || scale.is_nan() {
        for grad in grads.iter_mut().flatten() {
            *grad = grad.clone() * scale;
        }
    }
    norm
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::optimizer::tests::*;
    use super::*;

    fn clipped(max_norm: f64) -> (f64, Vec<f32>, Vec<f32>) {
        let grad = |values: Vec<f32>| Some(flat("g", &[values.len()], values).values);
        let mut grads = vec![grad(vec![3.0, 4.0]), None, grad(vec![12.0])];
        let norm = clip_global_norm(&mut grads, max_norm);
        assert!(grads[1].is_none());
        let read = |at: usize| grads[at].clone().unwrap().into_data().try_to_vec::<f32>().unwrap();
        (norm, read(0), read(2))
    }

    /// torch 2.15.0: `clip_grad_norm_` to 2 of the gradients [3, 4] and [12].
    #[test]
    fn a_long_gradient_is_scaled_as_torch_scales_it() {
        let (norm, a, b) = clipped(2.0);
        assert!((norm - 13.0).abs() < 1e-6);
        assert_near(&a, &[0.4615384340286255, 0.615384578704834], 1e-7);
        assert_near(&b, &[1.846153736114502], 1e-7);
    }

    #[test]
    fn a_short_gradient_is_left_alone() {
        assert_eq!(clipped(20.0), (13.0, vec![3.0, 4.0], vec![12.0]));
        assert_eq!(global_norm(&[None]), 0.0);
    }
}
