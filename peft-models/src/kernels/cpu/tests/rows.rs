//! Linear layers, activations, norms, rotary positions, cross entropy.

use burn::tensor::{
    Tensor,
    activation::{gelu, gelu_approximate, relu, silu},
    module::{layer_norm, linear},
};
use peft_core::contract::loss::smoothed_cross_entropy_sum;
use proptest::{collection::vec, option, prelude::*, sample::select};
use rand::Rng;

use super::{super::layer_weights::LayerWeights, *};
use crate::{
    kernels::{Nonlinearity, cpu},
    weights::{Matrix, WeightFormat},
};

/// Mostly small and odd; some large enough for several cores.
fn widths() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 1usize..41, 1 => 600usize..700]
}

/// Few rows and more: products of up to three rows are dot products.
fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![5 => 1usize..12, 1 => 50usize..90]
}

/// Some of more terms than are added at a time.
fn inputs() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 1usize..41, 1 => 150usize..170, 1 => 257usize..300]
}

fn nonlinearities() -> impl Strategy<Value = Nonlinearity> {
    use Nonlinearity::{Gelu, GeluTanh, Relu, Silu};
    select(vec![Gelu, GeluTanh, Silu, Relu])
}

fn apply<const D: usize>(function: Nonlinearity, x: Tensor<D>) -> Tensor<D> {
    match function {
        Nonlinearity::Gelu => gelu(x),
        Nonlinearity::GeluTanh => gelu_approximate(x),
        Nonlinearity::Silu => silu(x),
        Nonlinearity::Relu => relu(x),
    }
}

/// A frozen matrix `[rows, columns]` in one of its formats, in order or as GPT-2 stores it.
pub(super) fn matrix(seed: u64, [rows, columns]: [usize; 2], (transposed, format): Kept) -> Matrix {
    let values = if transposed {
        frozen(seed, "matrix", [columns, rows], DType::F32).transpose()
    } else {
        frozen(seed, "matrix", [rows, columns], DType::F32)
    };
    Matrix::new(values, format)
}

/// Several weights `[output, columns]` as kernels take them, and all of them as one matrix.
fn side_by_side(weights: &[Matrix]) -> (LayerWeights, impl Fn(DType) -> Tensor<2> + '_) {
    let frozen = LayerWeights::of(weights, None).unwrap();
    let whole = |dtype| Tensor::cat(weights.iter().map(|weight| weight.full(dtype)).collect(), 0);
    (frozen, whole)
}

/// How a matrix is stored: whether it is transposed, and its format.
pub(super) type Kept = (bool, WeightFormat);

pub(super) fn kept() -> impl Strategy<Value = Kept> {
    (any::<bool>(), select(WeightFormat::ALL.to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn linear_layers(
        b in 1usize..4, s in lengths(), input in inputs(), outputs in vec(widths(), 1..4),
        has_bias: bool, kept in kept(), function in option::of(nonlinearities()),
        layout in layouts(), seed: u64,
    ) {
        let weights: Vec<_> =
            (0..).zip(&outputs).map(|(i, output)| matrix(seed ^ i, [*output, input], kept)).collect();
        let (weights, whole) = side_by_side(&weights);
        let output: usize = outputs.iter().sum();
        let parts = |x: &[Tensor<1>]| {
            let bias = has_bias.then(|| frozen(seed, "bias", [output], x[0].dtype()));
            (shaped(&x[0], [b, s, input], layout), bias)
        };
        let kernel = |x: &[Tensor<1>]| {
            let (x, bias) = parts(x);
            flat(cpu::linear::linear(x, weights.clone(), bias.as_ref(), function).unwrap())
        };
        let plain = |x: &[Tensor<1>]| {
            let (x, bias) = parts(x);
            let dtype = x.dtype();
            let y = linear(x, whole(dtype).transpose(), bias);
            flat(match function {
                Some(function) => apply(function, y),
                None => y,
            })
        };
        check(seed, &[b * s * input], &kernel, &plain);
        check_nan(seed, &[b * s * input], &kernel, &plain);
    }

    #[test]
    fn linear_layers_onto_residuals(
        b in 1usize..4, s in lengths(), input in inputs(), output in widths(),
        has_bias: bool, kept in kept(), layout in layouts(), of_residual in layouts(), seed: u64,
    ) {
        let weight = matrix(seed, [output, input], kept);
        let parts = |x: &[Tensor<1>]| {
            let bias = has_bias.then(|| frozen(seed, "bias", [output], x[0].dtype()));
            let residual = shaped(&x[1], [b, s, output], of_residual);
            (shaped(&x[0], [b, s, input], layout), bias, residual)
        };
        let kernel = |x: &[Tensor<1>]| {
            let (x, bias, residual) = parts(x);
            let weight = LayerWeights::of(std::slice::from_ref(&weight), None).unwrap();
            flat(cpu::linear::linear_onto(x, weight, bias.as_ref(), residual).unwrap())
        };
        let plain = |x: &[Tensor<1>]| {
            let (x, bias, residual) = parts(x);
            let dtype = x.dtype();
            flat(residual + linear(x, weight.full(dtype).transpose(), bias))
        };
        let counts = [b * s * input, b * s * output];
        check(seed, &counts, &kernel, &plain);
        check_nan(seed, &counts, &kernel, &plain);
    }

    #[test]
    fn activations(
        [b, s] in [1usize..4, 1usize..41], h in widths(), function in nonlinearities(),
        spread in select(vec![0.1, 1.0, 5.0]), layout in layouts(), seed: u64,
    ) {
        let x = |x: &[Tensor<1>]| shaped(&x[0], [b, s, h], layout).mul_scalar(spread);
        let kernel = |list: &[Tensor<1>]| {
            flat(cpu::activation::activation(x(list), function))
        };
        let plain = |list: &[Tensor<1>]| flat(apply(function, x(list)));
        check(seed, &[b * s * h], &kernel, &plain);
        check_nan(seed, &[b * s * h], &kernel, &plain);
    }

    #[test]
    fn gated_products(
        [b, s] in [1usize..4, 1usize..41], f in widths(), layout in layouts(), seed: u64,
    ) {
        let kernel = |x: &[Tensor<1>]| {
            flat(cpu::activation::gated(shaped(&x[0], [b, s, 2 * f], layout)))
        };
        let plain = |x: &[Tensor<1>]| {
            let x = shaped(&x[0], [b, s, 2 * f], layout);
            flat(silu(x.clone().narrow(2, 0, f)) * x.narrow(2, f, f))
        };
        check(seed, &[b * s * 2 * f], &kernel, &plain);
        check_nan(seed, &[b * s * 2 * f], &kernel, &plain);
    }

    #[test]
    fn norms(
        [b, s] in [1usize..4, 1usize..41], h in widths(), has_shift: bool,
        epsilon in select(vec![1e-5, 1e-6, 1e-12]), layout in layouts(), seed: u64,
    ) {
        let parts = |x: &[Tensor<1>]| {
            // Neighbours differ: if all are nearly equal, rounding errors grow without limit.
            let apart = Tensor::<1>::from_data([-2.0, 2.0], &Device::flex());
            let apart = apart.cast(x[0].dtype()).repeat_dim(0, h.div_ceil(2)).narrow(0, 0, h);
            let x = shaped(&x[0], [b, s, h], layout).mul_scalar(0.3) + apart.unsqueeze();
            let scale = frozen(seed, "scale", [h], x.dtype());
            let shift = frozen(seed, "shift", [h], x.dtype());
            (x, scale, has_shift.then_some(shift))
        };
        let kernel = |x: &[Tensor<1>]| {
            let (x, scale, shift) = parts(x);
            flat(cpu::norm::norm(x, &scale, shift.as_ref(), epsilon).unwrap())
        };
        let plain = |x: &[Tensor<1>]| {
            let (x, scale, shift) = parts(x);
            flat(match shift {
                Some(shift) => layer_norm(x, scale, Some(shift), epsilon),
                None => {
                    let mean = x.clone().square().mean_dim(2);
                    x / mean.add_scalar(epsilon).sqrt() * scale.unsqueeze()
                }
            })
        };
        check(seed, &[b * s * h], &kernel, &plain);
        check_nan(seed, &[b * s * h], &kernel, &plain);
    }

    #[test]
    fn rotations(
        [b, s] in [1usize..4, 1usize..41], half in 1usize..20, heads in 1usize..5,
        others in 0usize..4, layout in layouts(), seed: u64,
    ) {
        let (d, all) = (2 * half, heads + others);
        let parts = |x: &[Tensor<1>]| {
            // Both halves of a table are alike.
            let [cos, sin] = ["cos", "sin"].map(|name| {
                let half: Tensor<4> = frozen(seed, name, [b, 1, s, half], x[0].dtype());
                Tensor::cat(vec![half.clone(), half], 3)
            });
            (shaped(&x[0], [b, s, all * d], layout), cos, sin)
        };
        let kernel = |x: &[Tensor<1>]| {
            let (x, cos, sin) = parts(x);
            flat(cpu::rotate::rotate(x, &cos, &sin, heads).unwrap())
        };
        let plain = |x: &[Tensor<1>]| {
            let (x, cos, sin) = parts(x);
            let x = x.reshape([b, s, all, d]);
            let own = x.clone().narrow(2, 0, heads);
            let (left, right) = (own.clone().narrow(3, 0, half), own.clone().narrow(3, half, half));
            let swapped = Tensor::cat(vec![right.neg(), left], 3);
            let rotated = own * cos.swap_dims(1, 2) + swapped * sin.swap_dims(1, 2);
            // Burn has no empty slices.
            let parts = match others {
                0 => vec![rotated],
                _ => vec![rotated, x.narrow(2, heads, others)],
            };
            flat(Tensor::cat(parts, 2).reshape([b, s, all * d]))
        };
        check(seed, &[b * s * all * d], &kernel, &plain);
        check_nan(seed, &[b * s * all * d], &kernel, &plain);
    }

    #[test]
    fn cross_entropies(
        // Some outputs at a time, of more than 2048 rows some rows at a time, and both.
        [m, h, v] in prop_oneof![
            6 => [1usize..41, 1usize..41, 1usize..80],
            1 => [1usize..41, 1usize..41, 600usize..700],
            1 => [100usize..200, 1usize..5, 2700usize..3200],
            1 => [4097usize..4300, 1usize..5, 2usize..8],
            1 => [2049usize..2100, 1usize..3, 530usize..540],
        ],
        kept in kept(), swapped: bool, has_bias: bool, smoothing in prop_oneof![Just(0.0), 0.01..0.9],
        seed: u64,
    ) {
        let mut choices = stream(seed, 0, "targets");
        let targets: Vec<usize> = (0..m).map(|_| choices.random_range(0..v)).collect();
        let layout = if swapped { Layout::Swapped(0, 1) } else { Layout::Dense };
        let head = matrix(seed, [v, h], kept);
        let bias = |x: &[Tensor<1>]| has_bias.then(|| frozen(seed, "bias", [v], x[0].dtype()));
        let kernel = |x: &[Tensor<1>]| {
            let head = LayerWeights::of(std::slice::from_ref(&head), None).unwrap();
            let (hidden, bias) = (shaped(&x[0], [m, h], layout), bias(x));
            cpu::cross_entropy::cross_entropy(hidden, head, bias.as_ref(), &targets, smoothing)
                .unwrap()
        };
        let plain = |x: &[Tensor<1>]| {
            let hidden = shaped(&x[0], [m, h], layout);
            let logits = linear(hidden, head.full(x[0].dtype()).transpose(), bias(x));
            smoothed_cross_entropy_sum(logits, &targets, None, smoothing).unwrap()
        };
        check(seed, &[m * h], &kernel, &plain);
        check_nan(seed, &[m * h], &kernel, &plain);
    }
}
