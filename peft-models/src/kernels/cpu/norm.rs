//! LayerNorm (Ba et al. 2016, arXiv 1607.06450) and RMSNorm (Zhang & Sennrich 2019, arXiv 1910.07467) with a
//! frozen scale γ and shift β. With `x̂ = (x - mean) / σ`, where RMSNorm has no mean, and `g = γ dy`:
//!
//! ```text
//! y  = x̂ γ + β
//! dx = (g - mean(g) - x̂ mean(g x̂)) / σ         RMSNorm: dx = (g - x̂ mean(g x̂)) / σ
//! ```

use std::mem::MaybeUninit;

use burn::{backend::flex::FlexTensor, tensor::Tensor};

use super::{
    autodiff::{Inputs, Kernel, run},
    parallel::{change_rows, change_rows_with, elements},
    simd::{mul_add, sum_body, sum_pairs, vectorised},
    tensors::{floats, frozen, in_order, rows_of, sizes, tensor},
    unwritten::Unwritten,
};

/// LayerNorm if there is a shift β, else RMSNorm, over the last dimension. `None` if the weights
/// cannot be read in place.
///
/// # Shapes
///
/// - x: `[.., H]`
/// - scale, shift: `[H]`
pub(super) fn norm<const D: usize>(
    x: Tensor<D>,
    scale: &Tensor<1>,
    shift: Option<&Tensor<1>>,
    epsilon: f64,
) -> Option<Tensor<D>> {
    let shift = match shift {
        Some(shift) => Some(in_order(&frozen(shift)?)),
        None => None,
    };
    let kernel = Norm { scale: in_order(&frozen(scale)?), shift, epsilon: epsilon as f32 };
    Some(run(kernel, Inputs::One(x.into_dispatch())))
}

#[derive(Debug)]
struct Norm {
    scale: FlexTensor,
    shift: Option<FlexTensor>,
    epsilon: f32,
}

vectorised! {
    /// Normalises one row; returns its mean and 1 / σ.
    fn layer_norm_row<FMA>(
        x: &[f32], scale: &[f32], shift: &[f32], epsilon: f32, out: &mut [MaybeUninit<f32>],
    ) -> [f32; 2] {
        assert!([x, scale, shift].iter().all(|each| each.len() == out.len()), "one for each");
        let count = x.len() as f32;
        let mean = sum_body::<FMA>(x) / count;
        let squares = sum_pairs::<FMA>(x, x, |x, _, sum| {
            let centred = x - mean;
            mul_add::<FMA>(centred, centred, sum)
        });
        let inverse = 1.0 / (squares / count + epsilon).sqrt();
        for ((out, x), (scale, shift)) in out.iter_mut().zip(x).zip(scale.iter().zip(shift)) {
            out.write(mul_add::<FMA>((x - mean) * inverse, *scale, *shift));
        }
        [mean, inverse]
    }

    fn rms_norm_row<FMA>(
        x: &[f32], scale: &[f32], epsilon: f32, out: &mut [MaybeUninit<f32>],
    ) -> [f32; 2] {
        assert!([x, scale].iter().all(|each| each.len() == out.len()), "one for each");
        let squares = sum_pairs::<FMA>(x, x, |x, _, sum| mul_add::<FMA>(x, x, sum));
        let inverse = 1.0 / (squares / x.len() as f32 + epsilon).sqrt();
        for ((out, x), scale) in out.iter_mut().zip(x).zip(scale) {
            out.write(x * inverse * scale);
        }
        [0.0, inverse]
    }

    /// Computes one row of dx; `centred` says that the mean was subtracted.
    fn norm_gradient_row<FMA>(
        x: &[f32], scale: &[f32], gradient: &[f32], mean: f32, inverse: f32, centred: bool,
        out: &mut [MaybeUninit<f32>],
    ) {
        let count = x.len() as f32;
        assert!([x, scale, gradient].iter().all(|each| each.len() == out.len()), "one for each");
        for (out, (g, scale)) in out.iter_mut().zip(gradient.iter().zip(scale)) {
            out.write(g * scale);
        }
        // SAFETY: all of them were just written.
        let out = unsafe { out.assume_init_mut() };
        let along = sum_pairs::<FMA>(out, x, |g, x, sum| {
            mul_add::<FMA>(g, (x - mean) * inverse, sum)
        }) / count;
        let even = if centred { sum_body::<FMA>(out) / count } else { 0.0 };
        for (out, x) in out.iter_mut().zip(x) {
            let normed = (x - mean) * inverse;
            *out = (*out - mul_add::<FMA>(normed, along, even)) * inverse;
        }
    }
}

impl Kernel for Norm {
    fn forward(&self, inputs: &[FlexTensor], keep: bool) -> (FlexTensor, Vec<FlexTensor>) {
        let x = in_order(&inputs[0]);
        let (rows, width) = rows_of(&x);
        let (mut out, mut moments) = (Unwritten::new(rows * width), vec![[0.0; 2]; rows]);
        let scale = floats(&self.scale);
        change_rows_with(out.elements(), width, &mut moments, |range, out, moments| {
            let x = floats(&x)[elements(&range, width)].chunks_exact(width);
            for ((x, out), moments) in x.zip(out.chunks_exact_mut(width)).zip(moments) {
                *moments = match &self.shift {
                    Some(shift) => layer_norm_row(x, scale, floats(shift), self.epsilon, out),
                    None => rms_norm_row(x, scale, self.epsilon, out),
                };
            }
        });
        // SAFETY: each row was written.
        let out = tensor(unsafe { out.written() }, sizes(&x));
        let saved = || vec![x, tensor(moments.into_flattened(), [rows, 2])];
        (out, if keep { saved() } else { Vec::new() })
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        gradient: &FlexTensor,
        _: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let [x, moments] = saved else { return vec![None] };
        let gradient = in_order(gradient);
        let (rows, width) = rows_of(x);
        let (scale, centred) = (floats(&self.scale), self.shift.is_some());
        let mut out = Unwritten::new(rows * width);
        change_rows(out.elements(), width, |range, out| {
            let x = floats(x)[elements(&range, width)].chunks_exact(width);
            let gradient = floats(&gradient)[elements(&range, width)].chunks_exact(width);
            let moments = floats(moments)[elements(&range, 2)].chunks_exact(2);
            let rows = x.zip(gradient).zip(moments).zip(out.chunks_exact_mut(width));
            for (((x, gradient), moments), out) in rows {
                norm_gradient_row(x, scale, gradient, moments[0], moments[1], centred, out);
            }
        });
        // SAFETY: each row was written.
        vec![Some(tensor(unsafe { out.written() }, sizes(x)))]
    }
}
