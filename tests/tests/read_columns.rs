//! Where a classifier of whole rows is all that reads an encoder, its last layer computes a few columns: the same bits as
//! those columns have among all, and the same gradients.
#![cfg(feature = "cpu")]

use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_core::{
    FrozenModel, PaddingSide, Pooling, READ_COLUMNS, TokenBatch, VirtualTokens,
    evaluate::{Positions, outputs::sequence_states},
};
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

/// Rows of up to 3, 4, 5 and 7 tokens: fewer columns than are computed, as many, and more.
const SETS: [[&[u32]; 3]; 4] = [
    [&[5, 11, 2], &[3], &[4, 4]],
    [&[5, 11, 2, 9], &[3], &[4, 4]],
    [&[5, 11, 2, 9, 6], &[3], &[4, 4]],
    ROWS,
];

/// The number of columns that the model returned, and what a classifier reads with the gradient of every leaf.
fn pass(
    model: &dyn FrozenModel,
    mut batch: TokenBatch,
    kind: Kind,
    (pooling, dtype): (Pooling, DType),
    says_so: bool,
) -> (usize, Vec<TensorData>) {
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
    for (family, recompute) in [Family::Bert, Family::Roberta]
        .into_iter()
        .flat_map(|family| [false, true].map(|recompute| (family, recompute)))
    {
        let options = LoadOptions { recompute, ..LoadOptions::default() };
        for dtype in [DType::F32, DType::F64] {
            let loaded = random_model_with(family, SHAPE, 3, &Device::flex(), dtype, options);
            for (rows, kind) in SETS.into_iter().flat_map(|rows| KINDS.map(|kind| (rows, kind))) {
                for side in [PaddingSide::Right, PaddingSide::Left] {
                    for pooling in [Pooling::First, Pooling::FirstToken] {
                        check(loaded.model.as_ref(), &rows, (kind, side), (pooling, dtype));
                    }
                }
            }
        }
    }
}

fn check(
    model: &dyn FrozenModel,
    rows: &[&[u32]],
    (kind, side): (Kind, PaddingSide),
    how: (Pooling, DType),
) {
    let name = format!("{:?} {rows:?} {kind:?} {side:?} {how:?}", model.spec().model_type);
    let of = |says_so| pass(model, TokenBatch::new(rows, side), kind, how, says_so);
    let ((all, expected), (some, found)) = (of(false), of(true));
    let columns = rows.iter().map(|row| row.len()).max().unwrap();
    assert_eq!(all, columns, "{name}");
    // Rows padded on the left begin in columns of their own, but for a prompt in front of the padding.
    let is_prompt = matches!(kind, Kind::Prompt(_));
    let is_shared = side == PaddingSide::Right || is_prompt && how.0 == Pooling::First;
    let is_reduced = is_shared && columns + if is_prompt { P } else { 0 } > READ_COLUMNS;
    assert_eq!(some, if is_reduced { 1 } else { columns }, "{name}");
    // Without kernels, Burn adds in another order.
    let limit = if how.1 == DType::F32 { 0.0 } else { 1e-12 };
    for (expected, found) in expected.iter().zip(&found) {
        assert!(expected.iter::<f64>().any(|x| x != 0.0), "{name}");
        let off = difference(found, expected);
        assert!(off <= limit, "{name}: {off}");
    }
}

/// Also of a part of a batch, whose rows then begin in one column behind their padding; and nothing else can be read.
#[test]
fn other_positions_than_those_computed_are_refused() {
    let options = LoadOptions::default();
    let loaded = random_model_with(Family::Bert, SHAPE, 3, &Device::flex(), DType::F32, options);
    let model = loaded.model.as_ref();
    let rows: [&[u32]; 3] = [&[5, 11, 2, 9, 6, 7, 8], &[3, 4, 1], &[4, 4, 2]];
    let part = TokenBatch::new(&rows, PaddingSide::Left).part(1..3);
    let how = (Pooling::FirstToken, DType::F32);
    let of = |says_so| pass(model, part.clone(), Kind::Prompt(1), how, says_so);
    let ((_, expected), (some, found)) = (of(false), of(true));
    assert_eq!((some, &found), (1, &expected));

    let batch = TokenBatch::new(&rows, PaddingSide::Right).for_classifier(Pooling::First);
    let hidden = model.forward(&batch, &VirtualTokens::none()).unwrap();
    for refused in [
        sequence_states(model, &hidden, &batch, Pooling::FirstToken),
        Positions::all_tokens(&batch).states(model, &batch, &hidden, Pooling::First),
    ] {
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("read for a classifier"), "{message}");
    }
}

#[test]
fn other_models_compute_all_columns() {
    let encoders = [Family::Bert, Family::Roberta];
    for family in Family::ALL.into_iter().filter(|family| !encoders.contains(family)) {
        let options = LoadOptions::default();
        let loaded = random_model_with(family, SHAPE, 3, &Device::flex(), DType::F32, options);
        let model = loaded.model.as_ref();
        let how = (Pooling::First, DType::F32);
        let passes = [false, true].map(|says| {
            pass(model, batch(model, PaddingSide::Right), Kind::Prefix(1), how, says)
        });
        assert!(passes[0] == passes[1] && passes[0].0 > 1, "{family:?}");
    }
}
