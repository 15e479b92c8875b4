//! Each kernel against the same function written with Burn's operations, on the same inputs in f32, and against central
//! differences in f64.
//!
//! | file | what is tested |
//! |---|---|
//! | `rows` | kernels that work on each row by itself |
//! | `bf16` | linear layers and heads in bf16 |
//! | `stored` | linear layers whose matrices are in blocks of GGUF |
//! | `attention` | joined and separate attention |
//! | `switch` | whole models with kernels and without; what no kernel supports |

#![allow(clippy::unwrap_used)]

mod attention;
mod bf16;
mod rows;
mod stored;
mod switch;

use std::{cell::Cell, sync::LazyLock};

use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::contract::{
    init::{Distribution, draw},
    rng::stream,
};
use proptest::sample::{Select, select};
use rand::Rng;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// How far results may differ, relative to the largest of them or to 1.
const LIMIT: f64 = 1e-5;

/// What is tested: a function of inputs that are passed as flat lists, whatever their shapes.
type Body<'a> = &'a (dyn Fn(&[Tensor<1>]) -> Tensor<1> + Sync);

/// How an input reaches a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// On the plain device, like what depends on frozen weights alone.
    Plain,
    /// On the autodiff device, without needing a gradient.
    Idle,
    /// Trained.
    Tracked,
}

/// How an input lies in memory.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// In order.
    Dense,
    /// A view of two dimensions swapped.
    Swapped(usize, usize),
    /// A view of the middle third of a longer dimension.
    Narrowed(usize),
    /// A view of a dimension backwards.
    Flipped(usize),
}

fn layouts() -> Select<Layout> {
    use Layout::{Dense, Flipped, Narrowed, Swapped};
    select(vec![Dense, Swapped(1, 2), Swapped(0, 2), Narrowed(1), Narrowed(2), Flipped(1)])
}

/// Draws from N(0, 1), the same for the same seed and name.
fn normal(seed: u64, name: &str, count: usize) -> Vec<f32> {
    draw(Distribution::Normal { std: 1.0 }, count, &mut stream(seed, 0, name))
}

/// A frozen tensor.
fn frozen<const D: usize>(seed: u64, name: &str, shape: [usize; D], dtype: DType) -> Tensor<D> {
    let data = TensorData::new(normal(seed, name, shape.iter().product()), shape);
    Tensor::from_data(data.convert_dtype(dtype), (&Device::flex(), dtype))
}

/// An input in its shape.
fn shaped<const D: usize>(x: &Tensor<1>, shape: [usize; D], layout: Layout) -> Tensor<D> {
    match layout {
        Layout::Dense => x.clone().reshape(shape),
        Layout::Swapped(a, b) => {
            let mut stored = shape;
            stored.swap(a, b);
            x.clone().reshape(stored).swap_dims(a, b)
        }
        Layout::Flipped(axis) => x.clone().reshape(shape).flip([axis]),
        Layout::Narrowed(axis) => {
            let x = x.clone().reshape(shape);
            Tensor::cat(vec![x.clone().neg(), x.clone(), x], axis).narrow(
                axis,
                shape[axis],
                shape[axis],
            )
        }
    }
}

/// An output as a flat list; in the backward pass, its gradient is a view that is not in order.
fn flat<const D: usize>(output: Tensor<D>) -> Tensor<1> {
    let count: usize = output.dims().iter().product();
    output.swap_dims(0, D - 1).reshape([count])
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// The factors of the outputs in the loss.
fn factors(output: &Tensor<1>) -> Tensor<1> {
    frozen(0, "loss", output.dims(), output.dtype())
}

/// The output and the gradient of each input.
fn run(body: Body<'_>, inputs: &[Vec<f32>], roles: &[Role]) -> (Vec<f64>, Vec<Option<Vec<f64>>>) {
    let leaf = |(values, role): (&Vec<f32>, &Role)| {
        let on = |device: Device| Tensor::<1>::from_data(values.as_slice(), &device);
        match role {
            Role::Plain => on(Device::flex()),
            Role::Idle => on(Device::flex().autodiff()),
            Role::Tracked => on(Device::flex().autodiff()).require_grad(),
        }
    };
    let leaves: Vec<_> = inputs.iter().zip(roles).map(leaf).collect();
    let output = body(&leaves);
    let found = values(output.clone());
    if !roles.contains(&Role::Tracked) {
        assert!(!output.is_tracked());
        return (found, vec![None; leaves.len()]);
    }
    let factors = factors(&output);
    let gradients = (output * factors).sum().backward();
    (found, leaves.iter().map(|leaf| leaf.grad(&gradients).map(values)).collect())
}

/// The loss in f64.
fn loss(body: Body<'_>, inputs: &[Vec<f64>]) -> f64 {
    let leaf = |values: &Vec<f64>| {
        let data = TensorData::new(values.clone(), [values.len()]);
        Tensor::from_data(data, (&Device::flex(), DType::F64))
    };
    let output = body(&inputs.iter().map(leaf).collect::<Vec<_>>());
    let factors = factors(&output);
    values((output * factors).sum())[0]
}

fn scale_of(values: &[f64]) -> f64 {
    values.iter().fold(1.0, |scale, value| value.abs().max(scale))
}

fn assert_close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let limit = LIMIT * scale_of(expected);
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        // So that a NaN is not close to anything.
        let close = (found - expected).abs() <= limit;
        assert!(close, "{what} {at}: {found}, expected {expected} within {limit:e}");
    }
}

/// Checks a kernel of inputs of `counts` elements: output and gradients, with all inputs trained, with some, and
/// against differences.
fn check(seed: u64, counts: &[usize], kernel: Body<'_>, plain: Body<'_>) {
    // Each level of vector instructions in turn.
    LEVELS[(seed % 3) as usize].install(|| check_here(seed, counts, kernel, plain));
}

thread_local! {
    /// How many levels of vector instructions a thread pretends not to have.
    pub(super) static LEVELS_DOWN: Cell<usize> = const { Cell::new(0) };
}

/// Threads with all vector instructions, with none beyond AVX2, and with none.
static LEVELS: LazyLock<[ThreadPool; 3]> = LazyLock::new(|| {
    [0, 1, 2].map(|down| {
        let threads = ThreadPoolBuilder::new().num_threads(2);
        threads.start_handler(move |_| LEVELS_DOWN.set(down)).build().unwrap()
    })
});

#[test]
#[cfg(target_arch = "x86_64")]
fn levels_are_lower_on_the_threads_of_a_test() {
    use super::simd::Level;
    let found = LEVELS.each_ref().map(|threads| threads.install(Level::of_machine));
    let expected = match Level::of_machine() {
        Level::Portable => [Level::Portable; 3],
        best => [best, Level::Avx2, Level::Portable],
    };
    assert_eq!(found, expected);
}

fn check_here(seed: u64, counts: &[usize], kernel: Body<'_>, plain: Body<'_>) {
    let inputs = inputs(seed, counts);
    let all = vec![Role::Tracked; counts.len()];
    let (output, gradients) = run(kernel, &inputs, &all);
    let (expected_output, expected) = run(plain, &inputs, &all);
    assert_close("output", &output, &expected_output);
    for (gradient, expected) in gradients.iter().zip(&expected) {
        assert_close("gradient", gradient.as_ref().unwrap(), expected.as_ref().unwrap());
    }

    let mut choices = stream(seed, 1, "choices");
    let roles: Vec<Role> = counts
        .iter()
        .map(|_| [Role::Plain, Role::Idle, Role::Tracked][choices.random_range(0..3)])
        .collect();
    let (output, of_some) = run(kernel, &inputs, &roles);
    assert_close("output of constants", &output, &expected_output);
    for ((gradient, role), expected) in of_some.iter().zip(&roles).zip(&expected) {
        assert_eq!(gradient.is_some(), *role == Role::Tracked, "{roles:?}");
        if let Some(gradient) = gradient {
            assert_close("gradient beside constants", gradient, expected.as_ref().unwrap());
        }
    }

    let exact: Vec<Vec<f64>> =
        inputs.iter().map(|values| values.iter().copied().map(f64::from).collect()).collect();
    for (which, gradient) in gradients.iter().enumerate() {
        let gradient = gradient.as_ref().unwrap();
        for _ in 0..4 {
            let at = choices.random_range(0..gradient.len());
            let moved = |by: f64| {
                let mut inputs = exact.clone();
                inputs[which][at] += by;
                loss(plain, &inputs)
            };
            let [before, here, behind] = [-1e-5, 0.0, 1e-5].map(moved);
            let slope = (behind - before) / 2e-5;
            // At the bend of ReLU, any slope between those on its sides is right.
            let bend = ((behind - here) - (here - before)).abs() / 2e-5;
            let limit = LIMIT * scale_of(gradient) + bend;
            let found = gradient[at];
            assert!(
                (found - slope).abs() <= limit,
                "gradient of input {which} at {at}: {found}, by differences {slope} within {limit:e}"
            );
        }
    }
}

/// Checks that a NaN in any of the inputs shows wherever it shows with Burn's operations.
fn check_nan(seed: u64, counts: &[usize], kernel: Body<'_>, plain: Body<'_>) {
    let mut choices = stream(seed, 1, "NaN");
    for (which, count) in counts.iter().enumerate() {
        let mut inputs = inputs(seed, counts);
        inputs[which][choices.random_range(0..*count)] = f32::NAN;
        for (role, threads) in [Role::Plain, Role::Tracked].into_iter().zip([seed, seed / 3]) {
            let threads = &LEVELS[(threads % 3) as usize];
            let (found, _) = threads.install(|| run(kernel, &inputs, &vec![role; counts.len()]));
            let (expected, _) = run(plain, &inputs, &vec![role; counts.len()]);
            assert!(found.iter().any(|found| found.is_nan()), "input {which} of {inputs:?}");
            let hidden = found.iter().zip(&expected).position(|(f, e)| e.is_nan() && !f.is_nan());
            assert_eq!(hidden, None, "input {which} of {inputs:?}");
        }
    }
}

fn inputs(seed: u64, counts: &[usize]) -> Vec<Vec<f32>> {
    let draw = |(which, count): (usize, &usize)| normal(seed, &format!("input {which}"), *count);
    counts.iter().enumerate().map(draw).collect()
}
