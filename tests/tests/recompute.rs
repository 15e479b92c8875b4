//! Gradient checkpointing, which runs layers again in the backward pass: the same numbers on every family and for
//! every kind of virtual tokens, bit for bit in f32 on models with a single stack, and the same adapter from the
//! program.
#![cfg(feature = "cpu")]

use std::{fs, path::Path};

use burn::tensor::{DType, Device, TensorData};
use peft_cli::selftest::trainables::Method;
use peft_core::{FrozenModel, LayerTape, PaddingSide, Site, TokenBatch};
use peft_models::LoadOptions;
use peft_tests::{
    Family, Shape,
    altered::{Alteration, Altered},
    leaves::{Kind, Leaves},
    passes::{P, ROWS, WITH_LONG_ROW, batch, families},
    random_model_with,
};

use crate::{
    comparison::difference,
    short_run::short_run,
    support::{ADAPTER_FILES, lose_last_checkpoint, peft, root, succeed, tiny_model},
};

const SHAPE: Shape = Shape { layers: 3, kv_heads: 2, head_dim: 4, positions: 64 };

/// Hidden states and the gradient of every leaf.
fn pass(family: Family, kind: Kind, dtype: DType, recompute: bool) -> Vec<TensorData> {
    let options = LoadOptions { recompute, ..LoadOptions::default() };
    let loaded = random_model_with(family, SHAPE, 3, &Device::flex(), dtype, options);
    let model = loaded.model.as_ref();
    let batch = batch(model, PaddingSide::Left);
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

/// What virtual tokens a family takes.
fn kinds(family: Family) -> Vec<Kind> {
    let b = ROWS.len();
    let mut kinds =
        vec![Kind::Prompt(1), Kind::Prompt(b), Kind::Prefix(1), Kind::Prefix(b), Kind::LastLayer];
    if Family::ENCODER_DECODER.contains(&family) {
        kinds.extend([Site::EncoderSelf, Site::DecoderSelf, Site::Cross].map(Kind::OneSite));
    }
    kinds
}

#[test]
fn numbers_are_the_same() {
    for family in families() {
        for kind in kinds(family) {
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
    lose_last_checkpoint(&switched);
    train(&switched, &["--resume", "--recompute"]);
    let settings = fs::read_to_string(switched.join("run.toml")).unwrap();
    assert!(settings.contains("recompute = true"), "{settings}");
    for name in ADAPTER_FILES {
        let read = |dir: &Path| fs::read(dir.join(name)).unwrap();
        assert!(read(&plain) == read(&switched), "{name} differs");
    }
}

/// A pass that is cut behind each layer, as on devices other than the CPU; with a tape it is so here, too.
#[test]
fn a_tape_gives_the_gradients_of_a_recorded_pass() {
    for family in families() {
        for kind in kinds(family) {
            let pass = |is_taped: bool| {
                let options = LoadOptions::default();
                let loaded =
                    random_model_with(family, SHAPE, 3, &Device::flex(), DType::F64, options);
                let model = loaded.model.as_ref();
                let batch = batch(model, PaddingSide::Left);
                let mut leaves = Leaves::new(Device::flex().autodiff(), DType::F64);
                let mut virtual_tokens = leaves.virtual_tokens(model, kind, P);
                // As training does: a decoder's prompt is prefilled, and what is read of it has a graph of its own.
                let is_causal_prompt = family.is_causal() && matches!(kind, Kind::Prompt(_));
                let made = is_causal_prompt.then(|| model.prefill(&virtual_tokens).unwrap());
                if let Some(made) = &made {
                    virtual_tokens = made.leaves();
                }
                let tape = LayerTape::default();
                let hidden = match is_taped {
                    true => model.forward_taped(&batch, &virtual_tokens, &tape).unwrap(),
                    false => model.forward(&batch, &virtual_tokens).unwrap(),
                };
                assert_eq!(tape.is_empty(), !is_taped, "{family:?} {kind:?}");
                let hidden = hidden.tokens;
                let loss = (hidden.clone() * hidden.add_scalar(1.0).square()).sum();
                let mut all = if is_taped { tape.backward(&loss) } else { vec![loss.backward()] };
                assert!(tape.is_empty() && (all.len() > 1) == is_taped);
                match made {
                    Some(_) => {
                        let mut sum: Vec<Vec<f64>> = Vec::new();
                        for gradients in &mut all {
                            let parts = virtual_tokens.clone().take_gradients(gradients);
                            sum.resize(parts.len(), Vec::new());
                            for (sum, part) in sum.iter_mut().zip(parts) {
                                let Some(part) = part else { continue };
                                let part: Vec<f64> = part.into_data().iter().collect();
                                sum.resize(part.len(), 0.0);
                                sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
                            }
                        }
                        sum
                    }
                    None => leaves.sums(&all),
                }
            };
            let (recorded, taped) = (pass(false), pass(true));
            assert_eq!(recorded.len(), taped.len());
            for (at, (recorded, taped)) in recorded.iter().zip(&taped).enumerate() {
                assert_eq!(recorded.len(), taped.len(), "{family:?} {kind:?} {at}");
                let largest = recorded.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
                for (expected, found) in recorded.iter().zip(taped) {
                    let off = (found - expected).abs();
                    assert!(off <= 1e-10 * largest, "{family:?} {kind:?} {at}: {found} {expected}");
                }
            }
        }
    }
}

/// Virtual tokens whose graph is their own are recorded with the layers: it could not be gone through for each.
#[test]
fn virtual_tokens_with_a_graph_are_recorded() {
    let options = LoadOptions::default();
    let device = Device::flex();
    let loaded = random_model_with(Family::Gpt2, SHAPE, 3, &device, DType::F32, options);
    let mut leaves = Leaves::new(device.autodiff(), DType::F32);
    let made = leaves.virtual_tokens(loaded.model.as_ref(), Kind::Prompt(1), P);
    let made = loaded.model.prefill(&made).unwrap();
    assert!(!made.are_leaves() && made.leaves().are_leaves());
    let tape = LayerTape::default();
    let batch = TokenBatch::new(&ROWS, PaddingSide::Right);
    let hidden = loaded.model.forward_taped(&batch, &made, &tape).unwrap().tokens;
    assert!(tape.is_empty());
    leaves.gradients(&hidden.square().sum().backward());
}

/// Training is told to use a tape.
#[derive(Debug)]
struct Taped;

impl Alteration for Taped {
    fn recomputes(&self) -> bool {
        true
    }
}

/// Losses and norms of the gradients in a run whose layers are in one graph, and in one by a tape.
fn both_runs(family: Family, method: Method, dtype: DType) -> [Vec<f64>; 2] {
    let options = LoadOptions::default();
    let loaded = random_model_with(family, WITH_LONG_ROW, 3, &Device::flex(), dtype, options);
    let model = loaded.model.as_ref();
    let run = |model: &dyn FrozenModel| short_run(method, family, model, 8);
    let runs = [run(model), run(&Altered::new(model, Taped))];
    assert!(runs.iter().all(|run| run.len() == 16));
    runs
}

/// In f64, where rounding has no time to grow: what differs in all steps would be another gradient.
#[test]
fn training_by_a_tape_is_training() {
    for family in families() {
        for method in Method::ALL {
            let [recorded, taped] = both_runs(family, method, DType::F64);
            for (own, tape) in recorded.iter().zip(&taped) {
                let off = (own - tape).abs();
                assert!(off < 1e-6 * own, "{family:?} {method:?}: {taped:?} {recorded:?}");
            }
        }
    }
}

#[test]
fn training_by_a_tape_in_f32_begins_as_training() {
    for family in families() {
        for method in Method::ALL {
            let [recorded, taped] = both_runs(family, method, DType::F32);
            // Loss and norm of three steps: with gradients as large as some families have, what rounding alone moves grows from
            // step to step.
            for (own, tape) in recorded.iter().zip(&taped).take(6) {
                let off = (own - tape).abs();
                assert!(off < 1e-3 * own, "{family:?} {method:?}: {taped:?} {recorded:?}");
            }
        }
    }
}
