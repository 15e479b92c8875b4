//! Elementwise activation functions and their derivatives.
//!
//! ```text
//! gelu       x Φ(x)                                 Φ(x) + x φ(x)
//! gelu tanh  x (1 + t) / 2, t = tanh(c (x + a x³))  (1 + t) / 2 + x (1 - t²) c (1 + 3 a x²) / 2
//! silu       x σ(x)                                 σ(x) (1 + x (1 - σ(x)))
//! gated      silu(g) u, of [g | u]
//! ```

use std::mem::MaybeUninit;

use burn::{backend::flex::FlexTensor, tensor::Tensor};

use super::{
    super::Nonlinearity,
    autodiff::{Inputs, Kernel, run},
    parallel::{elements, make_rows},
    simd::{exp, mul_add, normal_cdf, sigmoid, tanh, vectorised},
    tensors::{floats, in_order, rows_of, sizes, tensor},
};

/// √(2 / π).
const C: f32 = 0.797_884_6;
const A: f32 = 0.044_715;
/// 1 / √(2 π).
const PEAK: f32 = 0.398_942_3;

/// `f(x)`.
#[inline(always)]
fn value<const FMA: bool>(function: Nonlinearity, x: f32) -> f32 {
    match function {
        Nonlinearity::Gelu => x * normal_cdf::<FMA>(x),
        Nonlinearity::GeluTanh => {
            let t = tanh::<FMA>(C * x * mul_add::<FMA>(A * x, x, 1.0));
            0.5 * x * (1.0 + t)
        }
        Nonlinearity::Silu => x * sigmoid::<FMA>(x),
        // Written so that NaN stays NaN.
        Nonlinearity::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
    }
}

/// `f'(x)`.
#[inline(always)]
fn slope<const FMA: bool>(function: Nonlinearity, x: f32) -> f32 {
    match function {
        Nonlinearity::Gelu => {
            let density = PEAK * exp::<FMA>(-0.5 * x * x);
            mul_add::<FMA>(x, density, normal_cdf::<FMA>(x))
        }
        Nonlinearity::GeluTanh => {
            let t = tanh::<FMA>(C * x * mul_add::<FMA>(A * x, x, 1.0));
            let inner = C * mul_add::<FMA>(3.0 * A * x, x, 1.0);
            0.5 * (1.0 + t) + 0.5 * x * mul_add::<FMA>(-t, t, 1.0) * inner
        }
        Nonlinearity::Silu => {
            let s = sigmoid::<FMA>(x);
            s * mul_add::<FMA>(x, 1.0 - s, 1.0)
        }
        Nonlinearity::Relu => {
            if x > 0.0 {
                1.0
            } else {
                0.0
            }
        }
    }
}

/// `out = f(x)`.
pub(super) fn values(function: Nonlinearity, x: &[f32], out: &mut [f32]) {
    match function {
        Nonlinearity::Gelu => gelu(x, out),
        Nonlinearity::GeluTanh => gelu_tanh(x, out),
        Nonlinearity::Silu => silu(x, out),
        Nonlinearity::Relu => relu(x, out),
    }
}

/// `out = f(x)`, and `f'(x)` in place of x: that takes less time together than apart.
pub(super) fn values_and_slopes(
    function: Nonlinearity,
    x: &mut [f32],
    out: &mut [MaybeUninit<f32>],
) {
    assert_eq!(x.len(), out.len(), "a value for each");
    match function {
        Nonlinearity::Gelu => gelu_and_slope(x, out),
        Nonlinearity::GeluTanh => gelu_tanh_and_slope(x, out),
        Nonlinearity::Silu => silu_and_slope(x, out),
        Nonlinearity::Relu => relu_and_slope(x, out),
    }
}

/// `out = gradient f'(x)`.
pub(super) fn gradients(function: Nonlinearity, x: &[f32], gradient: &[f32], out: &mut [f32]) {
    match function {
        Nonlinearity::Gelu => gelu_gradient(x, gradient, out),
        Nonlinearity::GeluTanh => gelu_tanh_gradient(x, gradient, out),
        Nonlinearity::Silu => silu_gradient(x, gradient, out),
        Nonlinearity::Relu => relu_gradient(x, gradient, out),
    }
}

#[inline(always)]
fn map(x: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = f(*x);
    }
}

/// Without a closure: one of this size would not be compiled into the loop, and so not for its vectors.
macro_rules! both_in_place {
    ($fma:expr, $function:ident, $x:ident, $out:ident) => {
        for (out, x) in $out.iter_mut().zip($x) {
            out.write(value::<{ $fma }>(Nonlinearity::$function, *x));
            *x = slope::<{ $fma }>(Nonlinearity::$function, *x);
        }
    };
}

#[inline(always)]
fn map_pairs(x: &[f32], y: &[f32], out: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    for (out, (x, y)) in out.iter_mut().zip(x.iter().zip(y)) {
        *out = f(*x, *y);
    }
}

// One loop per function, so that none asks which one it is at every element.
vectorised! {
    fn gelu<FMA>(x: &[f32], out: &mut [f32]) {
        map(x, out, |x| value::<FMA>(Nonlinearity::Gelu, x));
    }
    fn gelu_tanh<FMA>(x: &[f32], out: &mut [f32]) {
        map(x, out, |x| value::<FMA>(Nonlinearity::GeluTanh, x));
    }
    fn silu<FMA>(x: &[f32], out: &mut [f32]) {
        map(x, out, |x| value::<FMA>(Nonlinearity::Silu, x));
    }
    fn relu<FMA>(x: &[f32], out: &mut [f32]) {
        map(x, out, |x| value::<FMA>(Nonlinearity::Relu, x));
    }
    fn gelu_and_slope<FMA>(x: &mut [f32], out: &mut [MaybeUninit<f32>]) {
        both_in_place!(FMA, Gelu, x, out);
    }
    fn gelu_tanh_and_slope<FMA>(x: &mut [f32], out: &mut [MaybeUninit<f32>]) {
        both_in_place!(FMA, GeluTanh, x, out);
    }
    fn silu_and_slope<FMA>(x: &mut [f32], out: &mut [MaybeUninit<f32>]) {
        both_in_place!(FMA, Silu, x, out);
    }
    fn relu_and_slope<FMA>(x: &mut [f32], out: &mut [MaybeUninit<f32>]) {
        both_in_place!(FMA, Relu, x, out);
    }
    fn gelu_gradient<FMA>(x: &[f32], gradient: &[f32], out: &mut [f32]) {
        map_pairs(x, gradient, out, |x, g| g * slope::<FMA>(Nonlinearity::Gelu, x));
    }
    fn gelu_tanh_gradient<FMA>(x: &[f32], gradient: &[f32], out: &mut [f32]) {
        map_pairs(x, gradient, out, |x, g| g * slope::<FMA>(Nonlinearity::GeluTanh, x));
    }
    fn silu_gradient<FMA>(x: &[f32], gradient: &[f32], out: &mut [f32]) {
        map_pairs(x, gradient, out, |x, g| g * slope::<FMA>(Nonlinearity::Silu, x));
    }
    fn relu_gradient<FMA>(x: &[f32], gradient: &[f32], out: &mut [f32]) {
        map_pairs(x, gradient, out, |x, g| g * slope::<FMA>(Nonlinearity::Relu, x));
    }
    fn gated_silu<FMA>(gate: &[f32], up: &[f32], out: &mut [f32]) {
        map_pairs(gate, up, out, |g, u| u * value::<FMA>(Nonlinearity::Silu, g));
    }
    /// The gradients of gate and up, from that of `silu(gate) up`.
    fn gated_silu_gradient<FMA>(
        gate: &[f32], up: &[f32], gradient: &[f32], to_gate: &mut [f32], to_up: &mut [f32],
    ) {
        map_pairs(gate, up, to_gate, |g, u| u * slope::<FMA>(Nonlinearity::Silu, g));
        for (to, g) in to_gate.iter_mut().zip(gradient) {
            *to *= g;
        }
        map_pairs(gate, gradient, to_up, |g, d| d * value::<FMA>(Nonlinearity::Silu, g));
    }
}

/// `f(x)`, elementwise.
pub(super) fn activation<const D: usize>(x: Tensor<D>, function: Nonlinearity) -> Tensor<D> {
    run(Elementwise(function), Inputs::One(x.into_dispatch()))
}

#[derive(Debug)]
struct Elementwise(Nonlinearity);

impl Kernel for Elementwise {
    fn forward(&self, inputs: &[FlexTensor], keep: bool) -> (FlexTensor, Vec<FlexTensor>) {
        let x = in_order(&inputs[0]);
        let (rows, width) = rows_of(&x);
        let out = make_rows(rows, width, |range, out| {
            values(self.0, &floats(&x)[elements(&range, width)], out);
        });
        let out = tensor(out, sizes(&x));
        (out, if keep { vec![x] } else { Vec::new() })
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        gradient: &FlexTensor,
        _: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let (x, gradient) = (&saved[0], in_order(gradient));
        let (rows, width) = rows_of(x);
        let out = make_rows(rows, width, |range, out| {
            let own = elements(&range, width);
            gradients(self.0, &floats(x)[own.clone()], &floats(&gradient)[own], out);
        });
        vec![Some(tensor(out, sizes(x)))]
    }
}

/// `silu(g) u` of rows `[g | u]`: SwiGLU's product (Shazeer 2020, arXiv 2002.05202).
///
/// # Shapes
///
/// - gate_up: `[B, S, 2 F]`
/// - output: `[B, S, F]`
pub(super) fn gated(gate_up: Tensor<3>) -> Tensor<3> {
    run(Gated, Inputs::One(gate_up.into_dispatch()))
}

#[derive(Debug)]
struct Gated;

impl Kernel for Gated {
    fn forward(&self, inputs: &[FlexTensor], keep: bool) -> (FlexTensor, Vec<FlexTensor>) {
        let x = in_order(&inputs[0]);
        let (rows, width) = rows_of(&x);
        let half = width / 2;
        let out = make_rows(rows, half, |range, out| {
            let x = floats(&x)[elements(&range, width)].chunks_exact(width);
            for (x, out) in x.zip(out.chunks_exact_mut(half)) {
                let (gate, up) = x.split_at(half);
                gated_silu(gate, up, out);
            }
        });
        let mut shape = sizes(&x);
        if let Some(last) = shape.last_mut() {
            *last = half;
        }
        (tensor(out, shape), if keep { vec![x] } else { Vec::new() })
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        gradient: &FlexTensor,
        _: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let (x, gradient) = (&saved[0], in_order(gradient));
        let (rows, width) = rows_of(x);
        let half = width / 2;
        let out = make_rows(rows, width, |range, out| {
            let x = floats(x)[elements(&range, width)].chunks_exact(width);
            let gradient = floats(&gradient)[elements(&range, half)].chunks_exact(half);
            for ((x, gradient), out) in x.zip(gradient).zip(out.chunks_exact_mut(width)) {
                let ((gate, up), (to_gate, to_up)) = (x.split_at(half), out.split_at_mut(half));
                gated_silu_gradient(gate, up, gradient, to_gate, to_up);
            }
        });
        vec![Some(tensor(out, sizes(x)))]
    }
}
