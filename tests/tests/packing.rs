//! Packed rows: what a model computes for their examples is what it computes for each in a row of its own, and so are
//! the loss and the gradients of what is trained.
//!
//! Gradients are computed on the CPU, in f32 and f64; the rest on the tests' device.
#![cfg(feature = "cpu")]

use std::{fs, path::Path};

use burn::tensor::{DType, Device, TensorData};
use peft_core::{
    Content, Error, FrozenModel, PaddingSide, Pooling, Task, TokenBatch, VirtualTokens,
    data::{Example, IGNORE, Target, packed_batch, token_batch},
    evaluate::Positions,
};
use peft_models::LoadOptions;
use peft_tests::{
    Family, Shape, device,
    leaves::{Kind, Leaves},
    random_model, random_model_with,
    strategies::{cases, decoder, ids, shape},
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    comparison::difference,
    support::{peft, read_lines, root, succeed, tiny_model},
};

/// With keys and values in the last layer only, in the others the first token of an example sees itself alone.
const KINDS: [Kind; 3] = [Kind::Prompt(1), Kind::Prefix(1), Kind::LastLayer];
const SIDES: [PaddingSide; 2] = [PaddingSide::Left, PaddingSide::Right];

/// Rows that learn all their tokens, the first one too, but for every third row, which learns its last token.
fn examples(rows: &[Vec<u32>]) -> Vec<Example> {
    let example = |(index, ids): (usize, &Vec<u32>)| {
        let last = ids.len() - 1;
        let learnt = |token: usize| index % 3 != 2 || token == last;
        let target = |(token, id): (usize, &u32)| {
            if learnt(token) { i64::from(*id) } else { IGNORE }
        };
        let targets = ids.iter().enumerate().map(target).collect();
        Example::new(ids.clone(), Target::Tokens(targets), index + 1)
    };
    rows.iter().enumerate().map(example).collect()
}

/// The loss of a batch and the gradient of every leaf.
fn pass(
    model: &dyn FrozenModel,
    kind: Kind,
    p: usize,
    (device, dtype): (&Device, DType),
    batch: &TokenBatch,
    examples: &[&Example],
) -> Vec<TensorData> {
    let mut leaves = Leaves::new(device.clone().autodiff(), dtype);
    let virtual_tokens = model.prefill(&leaves.virtual_tokens(model, kind, p)).unwrap();
    let after_prompt = virtual_tokens.last_hidden.is_some();
    let (positions, targets) = Positions::labelled(Task::CausalLm, examples, after_prompt);
    let hidden = model.forward(batch, &virtual_tokens).unwrap();
    let states = positions.states(model, batch, &hidden, Pooling::First).unwrap();
    let loss = model.lm_cross_entropy(states, &targets, 0.1).unwrap();
    let mut found = vec![loss.clone().into_data()];
    let gradients = loss.backward();
    found.extend(leaves.gradients(&gradients));
    found
}

/// How many examples each packed row takes: `sizes` over and over.
fn counts(mut examples: usize, sizes: &[usize]) -> Vec<usize> {
    let mut counts = Vec::new();
    for size in sizes.iter().cycle() {
        let count = (*size).min(examples);
        counts.push(count);
        examples -= count;
        if examples == 0 {
            break;
        }
    }
    counts
}

proptest! {
    #![proptest_config(cases(24))]

    /// 13. The hidden states of an example are those it has alone, with virtual tokens that all rows share or one set
    /// for each packed row.
    #[test]
    fn p13_an_example_of_a_packed_row_is_answered_as_alone(
        family in decoder(), shape in shape(), rows in vec(ids(1..9), 1..7),
        sizes in vec(1..4usize, 1..3), p in 0..6usize, seed: u64,
    ) {
        let loaded = random_model(family, shape, seed);
        let model = loaded.model.as_ref();
        let examples = examples(&rows);
        let examples: Vec<&Example> = examples.iter().collect();
        let counts = counts(rows.len(), &sizes);
        for kind in KINDS {
            let dtype = model.spec().dtype;
            let mut leaves = Leaves::new(device().autodiff(), dtype);
            let virtual_tokens = match p {
                0 => VirtualTokens::none(),
                _ => leaves.virtual_tokens(model, kind, p),
            };
            for side in SIDES {
                let batch = packed_batch(&examples, &counts, side);
                prop_assert_eq!((batch.rows(), batch.num_examples()), (counts.len(), rows.len()));
                let hidden = model.forward(&batch, &virtual_tokens).unwrap().tokens;
                for (index, example) in examples.iter().enumerate() {
                    let block = batch.example(index);
                    let own = hidden.clone().narrow(0, block.row, 1).narrow(1, block.start, block.len);
                    let alone = token_batch(&[example], side);
                    let alone = model.forward(&alone, &virtual_tokens).unwrap().tokens;
                    let found = difference(&own.into_data(), &alone.into_data());
                    prop_assert!(found < 2e-5, "{family:?} {kind:?} {side:?}: {found:e}");
                }
            }
        }
    }

    /// 13. So are the loss and the gradients: with kernels (f32 on the CPU) and without (f64).
    #[test]
    fn p13_packed_rows_have_the_loss_and_the_gradients_of_their_examples(
        family in decoder(), kind in select(KINDS.to_vec()), side in select(SIDES.to_vec()),
        rows in vec(ids(1..30), 1..8), sizes in vec(1..5usize, 1..3), p in 1..6usize, seed: u64,
        recompute: bool,
    ) {
        let shape = Shape { layers: 3, kv_heads: 2, head_dim: 4, positions: 64 };
        let options = LoadOptions { recompute, ..LoadOptions::default() };
        let examples = examples(&rows);
        let examples: Vec<&Example> = examples.iter().collect();
        let batches = [
            packed_batch(&examples, &counts(rows.len(), &sizes), side),
            token_batch(&examples, side),
        ];
        for (dtype, limit) in [(DType::F32, 2e-4), (DType::F64, 1e-10)] {
            let device = Device::flex();
            let loaded = random_model_with(family, shape, seed, &device, dtype, options);
            let of = |batch| {
                pass(loaded.model.as_ref(), kind, p, (&device, dtype), batch, &examples)
            };
            let [packed, alone] = batches.each_ref().map(of);
            prop_assert!(packed.len() > 1);
            for (at, (packed, alone)) in packed.iter().zip(&alone).enumerate() {
                let found = difference(packed, alone);
                prop_assert!(found < limit, "{dtype:?}: {at} differs by {found:e}");
            }
        }
    }

    /// 13. The limit of positions is that of each example.
    #[test]
    fn p13_the_limit_counts_each_example(
        family in decoder(), lengths in vec(1..12usize, 1..6), p in 1..4usize, seed: u64,
    ) {
        let loaded = random_model(family, Shape { positions: 10, ..Shape::default() }, seed);
        let rows: Vec<Vec<u32>> = lengths.iter().map(|length| vec![1; *length]).collect();
        let examples = examples(&rows);
        let examples: Vec<&Example> = examples.iter().collect();
        let batch = packed_batch(&examples, &[rows.len()], PaddingSide::Right);
        let model = loaded.model.as_ref();
        let dtype = model.spec().dtype;
        let mut leaves = Leaves::new(device().autodiff(), dtype);
        let longest = lengths.iter().max().unwrap();
        match model.forward(&batch, &leaves.virtual_tokens(model, Kind::Prefix(1), p)) {
            Ok(_) => prop_assert!(p + longest <= 10),
            Err(Error::TooLong { virtual_tokens, tokens, limit: 10, .. }) => {
                prop_assert!(virtual_tokens == p && tokens + p > 10 && lengths.contains(&tokens));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn only_decoders_read_packed_rows_and_none_continues_them() {
    let batch = TokenBatch::packed(&[vec![&[1, 2], &[3]]], PaddingSide::Right);
    let none = VirtualTokens::none();
    for family in [Family::Bert, Family::T5] {
        let loaded = random_model(family, Shape::default(), 1);
        let decoder = TokenBatch::new(&[&[1]], PaddingSide::Right);
        let error = loaded.model.forward(&batch.clone().with_decoder(decoder), &none);
        assert!(error.unwrap_err().to_string().contains("give each example a row of its own"));
    }
    let loaded = random_model(Family::Gpt2, Shape::default(), 1);
    let cache = loaded.model.begin(&batch, &none).unwrap();
    assert!(matches!(cache.virtual_tokens.content, Content::None));
    let error = loaded.model.forward_cached(&batch, cache).unwrap_err().to_string();
    assert!(error.contains("packed rows") && error.contains("not continued"), "{error}");
}

/// A run of the program on all rows at once, 12 steps of them.
fn train(model: &str, method: &str, out: &Path, kernels: &str, flags: &[&str]) -> String {
    let mut command = peft(&root());
    let rows = "tests/vectors/training/llama-prefix/rows.jsonl";
    command.env("PEFT_KERNELS", kernels);
    command.args(["train", "--task=causal-lm", "--steps=12", "--eval-every=4", "--batch-size=500"]);
    command.args(["--train", rows, "--valid", rows, "--model", &tiny_model(model)]);
    command.args(["--method", method, "--num-virtual-tokens=3", "--lr=0.01", "--out"]);
    let output = succeed(command.arg(out).args(flags));
    String::from_utf8(output.stderr).unwrap()
}

/// Those of the steps, then those of the evaluations.
fn losses(out: &Path) -> Vec<f64> {
    let lines = ["metrics.jsonl", "evaluations.jsonl"].map(|name| read_lines(&out.join(name)));
    let found: Vec<f64> =
        lines.iter().flatten().map(|line| line["loss"].as_f64().unwrap()).collect();
    assert_eq!(found.len(), 15);
    found
}

#[test]
fn the_program_learns_the_same_from_packed_rows() {
    let dir = tempfile::tempdir().unwrap();
    for (model, method, kernels) in [
        ("gpt2", "prompt", ""),
        ("gpt2", "ptv2", "off"),
        ("llama", "prefix", ""),
        ("llama", "prompt", "off"),
        ("mistral-window", "ptv2", ""),
    ] {
        let [alone, packed] =
            ["alone", "packed"].map(|name| dir.path().join(model).join(name).join(method));
        train(model, method, &alone, kernels, &[]);
        let flags = ["--packing", "--max-length=40", "--log-every=0"];
        let said = train(model, method, &packed, kernels, &flags);
        for (packed, alone) in losses(&packed).iter().zip(losses(&alone)) {
            let near = (packed - alone).abs() < 2e-4 * alone;
            assert!(near, "{model} {method} {kernels}: {packed} is not {alone}");
        }
        assert!(
            said.contains("packed rows of up to ") && said.contains("of 500 packed rows"),
            "{said}"
        );
        let settings = fs::read_to_string(packed.join("run.toml")).unwrap();
        assert!(settings.contains("packing = true"), "{settings}");
    }
}

#[test]
fn a_run_is_resumed_as_packed_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    train("gpt2", "ptv2", &out, "", &["--packing"]);
    for (flags, says) in [
        (["--packing=false", "--steps=20"], "packing (then true, now null)"),
        (["--max-length=64", "--steps=20"], "packed_length (then null, now 64)"),
    ] {
        let mut command = peft(&root());
        let output = command.args(["train", "--resume", "--out"]).arg(&out).args(flags).output();
        let output = output.unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(says), "{message}");
    }
}
