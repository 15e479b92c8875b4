//! Linear layers and heads in bf16 against the same in f64 with inputs and weights that were rounded before, with every
//! instruction of the machine.

use burn::tensor::{activation::gelu, module::linear};
use peft_core::contract::loss::smoothed_cross_entropy_sum;
use proptest::{collection::vec, option, prelude::*};
use rand::Rng;

use super::{
    super::{
        bf16::{Instructions, round},
        cross_entropy::cross_entropy,
        layer_weights::{Bf16Copies, LayerWeights, Multiplier},
        linear as layer,
    },
    rows::{Kept, kept, matrix},
    *,
};
use crate::{kernels::Nonlinearity, weights::Matrix};

/// Rounded to bf16, in f64.
fn rounded<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    let shape = tensor.dims();
    let rounded: Vec<f64> = tensor.into_data().iter::<f32>().map(|x| f64::from(round(x))).collect();
    Tensor::from_data(TensorData::new(rounded, shape), (&Device::flex(), DType::F64))
}

fn wide<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    tensor.cast(DType::F64)
}

fn assert_within<const D: usize>(what: &str, found: Tensor<D>, expected: Tensor<D>, limit: f64) {
    let (found, expected) = (values(found), values(expected));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let close = (found - expected).abs() <= limit;
        assert!(close, "{what} {at}: {found}, expected {expected} within {limit:e}");
    }
}

/// The largest magnitude, at least 1.
fn scale<const D: usize>(tensor: &Tensor<D>) -> f64 {
    scale_of(&values(tensor.clone()))
}

fn weights(seed: u64, outputs: &[usize], input: usize, kept: Kept) -> Vec<Matrix> {
    (0..).zip(outputs).map(|(i, output)| matrix(seed ^ i, [*output, input], kept)).collect()
}

fn trained<const D: usize>(seed: u64, name: &str, shape: [usize; D]) -> Tensor<D> {
    let data = TensorData::new(normal(seed, name, shape.iter().product()), shape);
    Tensor::<D>::from_data(data, &Device::flex().autodiff()).require_grad()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn linear_layers(
        m in 1usize..50, input in 1usize..150, outputs in vec(1usize..80, 1..4),
        has_bias: bool, kept in kept(), form in option::of(any::<bool>()), seed: u64,
    ) {
        let matrices = weights(seed, &outputs, input, kept);
        let output: usize = outputs.iter().sum();
        let whole = matrices.iter().map(|matrix| rounded(matrix.full(DType::F32))).collect();
        let whole: Tensor<2> = Tensor::cat(whole, 0);
        let bias = has_bias.then(|| frozen(seed, "bias", [output], DType::F32));
        let x = trained(seed, "x", [m, input]);
        // Onto a residual, with an activation, or neither.
        let residual = trained(seed, "residual", [m, output]);
        let (is_onto, is_activated) = (form == Some(true), form == Some(false));
        let dy = frozen::<2>(seed, "dy", [m, output], DType::F32);

        let z = linear(rounded(x.clone().inner()), whole.clone().transpose(), bias.clone().map(wide));
        let one = Tensor::ones_like(&z);
        let (expected, dz) = if is_onto {
            (z + wide(residual.clone().inner()), wide(dy.clone()))
        } else if is_activated {
            let z = Tensor::from_inner(z).require_grad();
            let y = gelu(z.clone());
            let slope = z.grad(&(y.clone() * Tensor::from_inner(one)).sum().backward()).unwrap();
            (y.inner(), wide(dy.clone()) * slope)
        } else {
            (z, wide(dy.clone()))
        };
        for &instructions in Instructions::all_of_machine() {
            let copies = Bf16Copies::with(instructions);
            let own = || LayerWeights::of(&matrices, Some(&copies)).unwrap();
            let y = match is_onto {
                true => layer::linear_onto(x.clone(), own(), bias.as_ref(), residual.clone()),
                false => {
                    let function = is_activated.then_some(Nonlinearity::Gelu);
                    layer::linear(x.clone(), own(), bias.as_ref(), function)
                }
            };
            let y = y.unwrap();
            let limit = LIMIT * scale(&expected);
            assert_within("output", y.clone().inner(), expected.clone(), limit);
            let gradients = (y * Tensor::from_inner(dy.clone())).sum().backward();
            let dx = x.grad(&gradients).unwrap();
            // Where dz depends on z, it may be rounded to the other side: half a unit of eight bits.
            let (dz, slack) = match is_activated {
                true => (dz.clone(), 1.0 / 256.0),
                false => (rounded(dz.clone().cast(DType::F32)), 0.0),
            };
            let sums = scale(&dz.clone().abs().matmul(whole.clone().abs()));
            let limit = (slack + LIMIT) * sums;
            assert_within("gradient", dx, dz.matmul(whole.clone()), limit);
            if is_onto {
                let found = residual.grad(&gradients).unwrap();
                assert_within("gradient of the residual", wide(found), wide(dy.clone()), 0.0);
            }
        }
    }

    #[test]
    fn cross_entropy_of_a_head(
        m in 1usize..60, h in 1usize..70, v in 2usize..150, kept in kept(), has_bias: bool,
        smoothing in prop_oneof![Just(0.0), 0.01..0.9], seed: u64,
    ) {
        let head = weights(seed, &[v], h, kept);
        let mut choices = stream(seed, 0, "targets");
        let targets: Vec<usize> = (0..m).map(|_| choices.random_range(0..v)).collect();
        let bias = has_bias.then(|| frozen(seed, "bias", [v], DType::F32));
        let whole = rounded(head[0].full(DType::F32));
        let hidden = trained(seed, "hidden", [m, h]);
        let states = Tensor::from_inner(rounded(hidden.clone().inner())).require_grad();
        let tracked = |tensor: Tensor<1>| Tensor::from_inner(wide(tensor));
        let logits = linear(
            states.clone(),
            Tensor::from_inner(whole.clone().transpose()),
            bias.clone().map(tracked),
        );
        let expected = smoothed_cross_entropy_sum(logits, &targets, None, smoothing).unwrap();
        let gradient = states.grad(&expected.clone().backward()).unwrap();
        for &instructions in Instructions::all_of_machine() {
            let copies = Bf16Copies::with(instructions);
            let own = LayerWeights::of(&head, Some(&copies)).unwrap();
            let loss =
                cross_entropy(hidden.clone(), own, bias.as_ref(), &targets, smoothing).unwrap();
            let expected = expected.clone().inner();
            let limit = LIMIT * scale(&expected);
            assert_within("loss", loss.clone().inner(), expected, limit);
            let found = hidden.grad(&loss.backward()).unwrap();
            // Probabilities are rounded, and the mean of a smoothed target is of the weights as they are.
            let limit = (1.0 / 256.0 + LIMIT) * scale(&whole);
            assert_within("gradient", found, gradient.clone(), limit);
        }
    }
}

/// Of copies that several threads need at once, one is made.
#[test]
fn copies_are_made_once() {
    let matrices = weights(3, &[70, 40], 90, (false, crate::WeightFormat::F32));
    let Some(copies) = Bf16Copies::new() else { return };
    let places: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let own = LayerWeights::of(&matrices, Some(&copies)).unwrap();
                    match own.forward() {
                        Multiplier::Bf16(_, side) => std::ptr::from_ref(side) as usize,
                        Multiplier::InPlace(_) => 0,
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(places[0] != 0 && places.iter().all(|place| *place == places[0]));
}
