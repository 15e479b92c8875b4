//! Where a classifier of whole rows is all that reads an encoder, its last layer computes a few columns: the same bits as
//! those columns have among all, and the same gradients.
#![cfg(feature = "cpu")]

use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{FrozenModel, PaddingSide, Pooling, evaluate::outputs::sequence_states};
use peft_models::LoadOptions;
use peft_tests::{
    Family, Shape,
    leaves::{Kind, Leaves},
    passes::{P, ROWS, batch},
    random_model_with,
};

use crate::comparison::difference;

const SHAPE: Shape = Shape { layers: 3, kv_heads: 2, head_dim: 4, positions: 64 };
const KINDS: [Kind; 5] = [
    Kind::Prompt(1),
    Kind::Prompt(ROWS.len()),
    Kind::Prefix(1),
    Kind::Prefix(ROWS.len()),
    Kind::LastLayer,
];

/// The number of columns that the model returned, and what a classifier reads with the gradient of every leaf.
fn pass(
    model: &dyn FrozenModel,
    kind: Kind,
    (side, pooling, dtype): (PaddingSide, Pooling, DType),
    says_so: bool,
) -> (usize, Vec<TensorData>) {
    let mut batch = batch(model, side);
    if says_so {
        batch = batch.for_classifier(pooling);
    }
    let mut leaves = Leaves::new(Device::flex().autodiff(), dtype);
    let virtual_tokens = leaves.virtual_tokens(model, kind, P);
    let hidden = model.forward(&batch, &virtual_tokens).unwrap();
    let states: Tensor<2> = sequence_states(model, &hidden, &batch, pooling).unwrap();
    let mut found = vec![states.clone().inner().into_data()];
    // Not a plain sum: its gradient is the same everywhere, and a norm at the end would cancel it.
    let loss = (states.clone() * states.add_scalar(1.0).square()).sum();
    found.extend(leaves.gradients(&loss.backward()));
    (hidden.tokens.dims()[1], found)
}

#[test]
fn a_classifier_reads_what_it_reads_among_all_columns() {
    let columns = ROWS.map(<[u32]>::len).into_iter().max().unwrap();
    let mut fewer = 0;
    for (family, recompute) in [Family::Bert, Family::Roberta]
        .into_iter()
        .flat_map(|family| [false, true].map(|recompute| (family, recompute)))
    {
        let options = LoadOptions { recompute, ..LoadOptions::default() };
        for dtype in [DType::F32, DType::F64] {
            let loaded = random_model_with(family, SHAPE, 3, &Device::flex(), dtype, options);
            let model = loaded.model.as_ref();
            for (kind, side, pooling) in KINDS.into_iter().flat_map(|kind| {
                [PaddingSide::Right, PaddingSide::Left].into_iter().flat_map(move |side| {
                    [Pooling::First, Pooling::FirstToken].map(|pooling| (kind, side, pooling))
                })
            }) {
                let name = format!("{family:?} {kind:?} {side:?} {pooling:?} {dtype:?} {recompute}");
                let (all, expected) = pass(model, kind, (side, pooling, dtype), false);
                let (some, found) = pass(model, kind, (side, pooling, dtype), true);
                assert_eq!(all, columns, "{name}");
                // Rows padded on the left begin in columns of their own, but for a prompt in front of the padding.
                let is_prompt = matches!(kind, Kind::Prompt(_)) && pooling == Pooling::First;
                let is_shared = side == PaddingSide::Right || is_prompt;
                assert_eq!(some, if is_shared { 1 } else { columns }, "{name}");
                fewer += usize::from(is_shared);
                // Without kernels, Burn adds in another order.
                let limit = if dtype == DType::F32 { 0.0 } else { 1e-12 };
                for (expected, found) in expected.iter().zip(&found) {
                    assert!(expected.iter::<f64>().any(|x| x != 0.0), "{name}");
                    let off = difference(expected, found);
                    assert!(off <= limit, "{name}: {off}");
                }
            }
        }
    }
    assert!(fewer > 0);
}

#[test]
fn other_models_compute_all_columns() {
    for family in Family::ALL.into_iter().filter(|family| ![Family::Bert, Family::Roberta].contains(family)) {
        let options = LoadOptions::default();
        let loaded = random_model_with(family, SHAPE, 3, &Device::flex(), DType::F32, options);
        let how = (PaddingSide::Right, Pooling::First, DType::F32);
        let passes = [false, true].map(|says| pass(loaded.model.as_ref(), Kind::Prefix(1), how, says));
        assert!(passes[0] == passes[1] && passes[0].0 > 1, "{family:?}");
    }
}
