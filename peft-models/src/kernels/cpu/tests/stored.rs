//! Linear layers and heads whose matrices are as a GGUF file stores them.

use burn::tensor::{Int, module::linear};
use bytes::Bytes;
use peft_core::formats::gguf::TensorType;
use proptest::{collection::vec, prelude::*};
use rand::{Rng, RngCore};

use super::{super::layer_weights::LayerWeights, *};
use crate::{kernels::cpu, weights::Matrix};

/// Where the scales of half precision are in a block.
fn scales(kind: TensorType) -> &'static [usize] {
    match kind {
        TensorType::Q4_1 | TensorType::Q5_1 | TensorType::Q4K | TensorType::Q5K => &[0, 2],
        TensorType::Q2K => &[80, 82],
        TensorType::Q3K => &[108],
        TensorType::Q6K => &[208],
        _ => &[0],
    }
}

/// Any blocks whose scales are about 0.01.
fn stored(seed: u64, kind: TensorType, [rows, columns]: [usize; 2]) -> Matrix {
    let mut random = stream(seed, 2, "blocks");
    let mut bytes = vec![0; kind.bytes_of(rows * columns)];
    random.fill_bytes(&mut bytes);
    for block in bytes.chunks_mut(kind.block_bytes()) {
        match kind {
            TensorType::F16 | TensorType::Bf16 => block[1] = block[1] & 0x83 | 0x38,
            _ => {
                for at in scales(kind) {
                    block[at + 1] = block[at + 1] & 0x83 | 0x20;
                }
            }
        }
    }
    let bytes = Bytes::from(bytes);
    Matrix::Stored { kind, sizes: [rows, columns], bytes, device: Device::flex() }
}

fn kinds() -> Select<TensorType> {
    select(TensorType::ALL.into_iter().filter(|kind| *kind != TensorType::F32).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn linear_layers_of_stored_matrices(
        s in prop_oneof![5 => 1usize..12, 1 => 50usize..90], blocks in 1usize..4,
        outputs in vec((kinds(), prop_oneof![6 => 1usize..41, 1 => 600usize..700]), 1..4),
        has_bias: bool, seed: u64,
    ) {
        // Columns of all types: a multiple of the largest block.
        let input = blocks * outputs.iter().map(|(kind, _)| kind.block_len().max(32)).max().unwrap();
        let weights: Vec<Matrix> = (0..)
            .zip(&outputs)
            .map(|(i, (kind, output))| stored(seed ^ i, *kind, [*output, input]))
            .collect();
        let output: usize = outputs.iter().map(|(_, output)| output).sum();
        let bias = |dtype| has_bias.then(|| frozen(seed, "bias", [output], dtype));
        let kernel = |x: &[Tensor<1>]| {
            let frozen = LayerWeights::of(&weights, None).unwrap();
            let x = x[0].clone().reshape([s, input]);
            let bias = bias(x.dtype());
            flat(cpu::linear::linear(x, frozen, bias.as_ref(), None).unwrap())
        };
        let plain = |x: &[Tensor<1>]| {
            let dtype = x[0].dtype();
            let whole = Tensor::cat(weights.iter().map(|weight| weight.full(dtype)).collect(), 0);
            flat(linear(x[0].clone().reshape([s, input]), whole.transpose(), bias(dtype)))
        };
        check(seed, &[s * input], &kernel, &plain);
    }

    #[test]
    fn rows_of_stored_matrices_are_those_of_the_whole(
        kind in kinds(), rows in 1usize..50, blocks in 1usize..4, seed: u64,
    ) {
        let columns = blocks * kind.block_len();
        let matrix = stored(seed, kind, [rows, columns]);
        let whole: Vec<f32> = matrix.full(DType::F32).try_into_vec_as().unwrap();
        let mut choices = stream(seed, 1, "rows");
        let chosen: Vec<usize> = (0..6).map(|_| choices.random_range(0..rows)).collect();
        let ids: Vec<i32> = chosen.iter().map(|row| *row as i32).collect();
        let ids = Tensor::<1, Int>::from_data(ids.as_slice(), &Device::flex()).reshape([2, 3]);
        let found: Vec<f32> = matrix.rows(ids, DType::F32).try_into_vec_as().unwrap();
        let expected = chosen.iter().flat_map(|row| &whole[row * columns..(row + 1) * columns]);
        let bits = |x: &f32| x.to_bits();
        prop_assert!(found.iter().map(bits).eq(expected.map(bits)));
    }
}
