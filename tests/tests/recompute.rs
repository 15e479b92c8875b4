//! Gradient checkpointing, which runs layers again in the backward pass: the same numbers on every family and for
//! every kind of virtual tokens, bit for bit in f32 on models with a single stack, and the same adapter from the
//! program.
#![cfg(feature = "cpu")]

use std::{fs, path::Path};

use burn::tensor::{DType, Device, TensorData};
use peft_core::{PaddingSide, Site, TokenBatch, Topology};
use peft_models::LoadOptions;
use peft_tests::{
    Family, Shape,
    leaves::{Kind, Leaves},
    random_model_with,
};

use crate::{
    comparison::difference,
    support::{ADAPTER_FILES, peft, root, succeed, tiny_model},
};

const SHAPE: Shape = Shape { layers: 3, kv_heads: 2, head_dim: 4, positions: 64 };
const P: usize = 3;
const ROWS: [&[u32]; 3] = [&[5, 11, 2, 20, 7, 9, 1], &[3, 3, 8], &[12]];
const DECODER_ROWS: [&[u32]; 3] = [&[4, 6], &[1, 2, 3, 4, 5], &[9, 9, 9]];

/// Hidden states and the gradient of every leaf.
fn pass(family: Family, kind: Kind, dtype: DType, recompute: bool) -> Vec<TensorData> {
    let options = LoadOptions { recompute, ..LoadOptions::default() };
    let loaded = random_model_with(family, SHAPE, 3, &Device::flex(), dtype, options);
    let model = loaded.model.as_ref();
    let mut batch = TokenBatch::new(&ROWS, PaddingSide::Left);
    if model.spec().topology == Topology::EncoderDecoder {
        batch = batch.with_decoder(TokenBatch::new(&DECODER_ROWS, PaddingSide::Right));
    }
    let mut leaves = Leaves::new(Device::flex().autodiff(), dtype);
    let virtual_tokens = leaves.virtual_tokens(model, kind, P);
    let hidden = model.forward(&batch, &virtual_tokens).unwrap().tokens;
    let mut found = vec![hidden.clone().inner().into_data()];
    // Not a plain sum: its gradient is the same everywhere, and a norm at the end would cancel it.
    let loss = (hidden.clone() * hidden.add_scalar(1.0).square()).sum();
    let gradients = loss.backward();
    found.extend(leaves.gradients(&gradients));
    found
}

#[test]
fn numbers_are_the_same() {
    for family in Family::ALL.into_iter().chain(Family::ENCODER_DECODER) {
        let b = ROWS.len();
        let mut kinds = vec![
            Kind::Prompt(1),
            Kind::Prompt(b),
            Kind::Prefix(1),
            Kind::Prefix(b),
            Kind::LastLayer,
        ];
        if Family::ENCODER_DECODER.contains(&family) {
            kinds.extend([Site::EncoderSelf, Site::DecoderSelf, Site::Cross].map(Kind::OneSite));
        }
        for kind in kinds {
            for dtype in [DType::F32, DType::F64] {
                let plain = pass(family, kind, dtype, false);
                let again = pass(family, kind, dtype, true);
                assert!(plain.len() > 1);
                for (at, (plain, again)) in plain.iter().zip(&again).enumerate() {
                    assert!(plain.iter::<f64>().any(|x| x != 0.0), "{family:?} {kind:?} {at}");
                    // Every layer of a decoder adds to the gradient of the encoder's output, in another order.
                    // Without kernels, Burn adds in another order where it records no graph.
                    let limit = match dtype {
                        DType::F64 => 1e-12,
                        _ if Family::ENCODER_DECODER.contains(&family) => 1e-5,
                        _ => 0.0,
                    };
                    let difference = difference(again, plain);
                    assert!(
                        difference <= limit,
                        "{family:?} {kind:?} {dtype:?}: {at} differs by {difference:e}"
                    );
                }
            }
        }
    }
}

/// Runs the program, which must succeed.
fn train(out: &Path, flags: &[&str]) {
    let mut command = peft(&root());
    command.args(["train", "--out"]).arg(out).args(flags);
    succeed(&mut command);
}

#[test]
fn a_run_may_be_resumed_with_checkpointing() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, switched) = (dir.path().join("plain"), dir.path().join("switched"));
    let model = tiny_model("llama");
    let start = [
        "--model",
        &model,
        "--train=tests/vectors/training/llama-prefix/rows.jsonl",
        "--method=prefix",
        "--task=causal-lm",
        "--num-virtual-tokens=3",
        "--prefix-hidden-size=8",
        "--steps=6",
        "--batch-size=4",
        "--checkpoint-every=2",
    ];
    train(&plain, &start);
    train(&switched, &start);
    // As if the run had been killed before its last checkpoint.
    let mut checkpoints: Vec<_> = fs::read_dir(switched.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    checkpoints.sort();
    assert!(checkpoints.len() > 1, "{checkpoints:?}");
    fs::remove_dir_all(checkpoints.pop().unwrap()).unwrap();
    train(&switched, &["--resume", "--recompute"]);
    let settings = fs::read_to_string(switched.join("run.toml")).unwrap();
    assert!(settings.contains("recompute = true"), "{settings}");
    for name in ADAPTER_FILES {
        let read = |dir: &Path| fs::read(dir.join(name)).unwrap();
        assert!(read(&plain) == read(&switched), "{name} differs");
    }
}

#[cfg(feature = "wgpu")]
#[test]
fn other_backends_refuse_it() {
    let options = LoadOptions { recompute: true, ..LoadOptions::default() };
    let model = root().join(tiny_model("gpt2"));
    let error = peft_models::load_with(&model, &peft_tests::device(), options).unwrap_err();
    assert!(error.to_string().contains("recompute"), "{error}");
}
