//! Passes that begin with the states of others, and states that do not depend on what is computed beside them.

use burn::tensor::{DType, Device};
use peft_core::{
    LayerStates, Mode, PaddingSide, PeftMethod, Site, TokenBatch, VirtualTokens,
    data::{Example, token_batch},
};
use peft_models::{LoadOptions, WeightFormat};
use peft_tests::{Family, Shape, VOCAB, random_model_with};

use super::{SHAPE, model, ptv2, rows};
use crate::lanes::task_of;

/// A pass that begins with the states of another computes the same, bit for bit.
#[test]
fn a_pass_goes_on_where_another_stopped() {
    for family in [Family::ALL.as_slice(), &Family::ENCODER_DECODER].concat() {
        let loaded = model(family, false);
        let model = loaded.model.as_ref();
        let rows = rows(task_of(model));
        let rows: Vec<&Example> = rows.iter().collect();
        let batch = token_batch(&rows, PaddingSide::Left);
        for first in 1..=SHAPE.layers {
            let tokens = match first {
                // In no layer of the stack that reads the rows.
                3 if model.spec().is_encoder_decoder() => {
                    ptv2(model, None, Some(vec![Site::Cross])).virtual_tokens(Mode::Evaluate)
                }
                3 => VirtualTokens::none(),
                _ => ptv2(model, Some((first..3).collect()), None).virtual_tokens(Mode::Evaluate),
            };
            let whole = model.forward(&batch, &tokens).unwrap();
            let states = model.states_below(&batch, &tokens, first).unwrap().unwrap();
            let from = LayerStates { layer: first, states };
            let found = model.forward_from(&batch, &tokens, from).unwrap();
            assert_eq!(found.tokens.into_data(), whole.tokens.into_data(), "{family:?} {first}");
        }
    }
}

/// The states of a row are the same, bit for bit, whatever rows are beside it, how far it is padded, and on however many
/// threads.
#[test]
fn rows_are_alike_in_every_pass_of_enough_positions() {
    let wide = Shape { layers: 2, kv_heads: 3, head_dim: 32, positions: 256 };
    let formats = [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::Int8];
    let f32_alone = |shape| (shape, WeightFormat::F32);
    let cases = [f32_alone(SHAPE)].into_iter().chain(formats.map(|format| (wide, format)));
    let cases: Vec<(Shape, WeightFormat)> = cases.collect();
    let pools = [1, 2, 5]
        .map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    for (family, (shape, weights)) in
        Family::ALL.into_iter().flat_map(|family| cases.iter().map(move |case| (family, *case)))
    {
        let options = LoadOptions { weights, ..LoadOptions::default() };
        let loaded = random_model_with(family, shape, 5, &Device::flex(), DType::F32, options);
        let model = loaded.model.as_ref();
        let least = model.lanes().alike_from().unwrap();
        let h = model.spec().hidden_size;
        let states = |rows: &[Vec<u32>]| -> Vec<f32> {
            let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
            let batch = TokenBatch::new(&rows, PaddingSide::Right);
            let found = model.states_below(&batch, &VirtualTokens::none(), 1).unwrap().unwrap();
            found.narrow(0, 0, 1).into_data().iter().take(rows[0].len() * h).collect()
        };
        let row = |index: usize, length: usize| -> Vec<u32> {
            (0..length).map(|at| ((index * 31 + at * 7) % VOCAB) as u32).collect()
        };
        let fits = |length: &usize| *length < shape.positions;
        // One query more than a block of attention has, among them.
        for length in [1, 2, 7, 17, 40, 65, 80, 129].into_iter().filter(fits) {
            // Of one token, only with others like it.
            let others = [1, 2, 5, 20, 39, 41, 48, 66, 100, 130].into_iter().filter(fits);
            let beside: Vec<usize> = if length == 1 { vec![1] } else { others.collect() };
            let alone = vec![row(0, length); least.div_ceil(length)];
            let expected = states(&alone);
            for (index, count) in [1, 2, 7, 30].into_iter().enumerate() {
                let mut rows = vec![row(0, length)];
                // At least so many positions.
                rows.extend(
                    (0..count.max(least))
                        .map(|at| row(at + 1, beside[(at + index) % beside.len()])),
                );
                let found = pools[index % pools.len()].install(|| states(&rows));
                assert!(
                    found == expected,
                    "{family:?}, {weights}: {length} tokens and {count} rows"
                );
            }
        }
    }
}
