//! Products in bf16: near the numbers of f32 on every family and for every kind of virtual tokens, always the same ones,
//! refused where they cannot be made, and the same setting through the program.
#![cfg(feature = "cpu")]

use std::{fs, path::Path, process::Command};

use burn::tensor::{DType, Device};
use peft_models::{Compute, LoadOptions, WeightFormat, kernels};
use peft_tests::{
    Family, Shape,
    leaves::Kind,
    numbers,
    passes::{KINDS, Pass, ROWS, families},
    random_model_with, relative,
};
use rayon::ThreadPoolBuilder;
use serde_json::{Value, json};

use crate::{
    less_memory::{self, loss, write_rows},
    support::{lose_last_checkpoint, peft, read_json, refused_with, root, succeed, tiny_model},
};

const SHAPE: Shape = Shape { layers: 3, kv_heads: 2, head_dim: 16, positions: 64 };

const IN_BF16: LoadOptions =
    LoadOptions { recompute: false, weights: WeightFormat::Auto, compute: Compute::Bf16 };

/// Whether this machine multiplies in bf16; says so if it does not.
fn is_possible() -> bool {
    let missing = kernels::why_no_bf16(&Device::flex());
    if let Some(missing) = &missing {
        eprintln!("skipped: bf16, {missing}");
    }
    missing.is_none()
}

fn pass(family: Family, kind: Kind, options: LoadOptions) -> Pass {
    Pass::of(&random_model_with(family, SHAPE, 3, &Device::flex(), DType::F32, options), kind)
}

/// Values have 8 bits: one that is rounded is off by up to 1 in 512. How much that matters depends on the model: the
/// random weights are large, and a softmax magnifies what is off, most where scores are not scaled, as T5's. So what
/// rounding the weights alone does, with products in f32, is the measure: with inputs and gradients rounded too, in
/// each product, it may be some times as much.
#[test]
fn numbers_are_near_those_of_f32() {
    if !is_possible() {
        return;
    }
    let mut largest = [0.0f64; 2];
    for family in families() {
        for kind in KINDS {
            let of = |options| pass(family, kind, options);
            let exact = of(LoadOptions::default());
            let found = of(IN_BF16);
            let weights = of(LoadOptions { weights: WeightFormat::Bf16, ..LoadOptions::default() });
            // Hidden states and the loss, then gradients.
            let parts = |pass: &Pass| {
                [numbers([&pass.hidden].into_iter().chain(&pass.loss)), numbers(&pass.gradients)]
            };
            let (exact, found, weights) = (parts(&exact), parts(&found), parts(&weights));
            for which in 0..2 {
                let off = relative(&found[which], &exact[which]);
                let measure = relative(&weights[which], &exact[which]);
                println!("{family:?} {kind:?} {which}: {off:.4}, of weights alone {measure:.4}");
                largest[which] = largest[which].max(off / measure);
                let name = ["outputs", "gradients"][which];
                assert!(off > 0.0, "{family:?} {kind:?}: not in bf16");
                assert!(off < 6.0 * measure, "{family:?} {kind:?}, {name}: {off}, {measure}");
                let small = which == 0 && Family::ALL.contains(&family);
                assert!(!small || off < 0.05, "{family:?} {kind:?}: off by {off}");
            }
        }
    }
    println!("outputs and gradients are off by up to {largest:.2?} times what weights alone do");
}

#[test]
fn numbers_are_always_the_same() {
    if !is_possible() {
        return;
    }
    let kinds = [Kind::Prefix(1), Kind::Prefix(ROWS.len())];
    for (family, kind) in families().flat_map(|family| kinds.map(|kind| (family, kind))) {
        let run = |threads: usize, recompute| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| pass(family, kind, LoadOptions { recompute, ..IN_BF16 }))
        };
        let expected = run(1, false);
        for threads in [1, 2, 5] {
            assert_eq!(run(threads, false), expected, "{family:?} on {threads} threads");
        }
        // Gradients of an encoder's output are added in another order.
        if !Family::ENCODER_DECODER.contains(&family) {
            assert_eq!(run(2, true), expected, "{family:?} with gradient checkpointing");
        }
    }
}

#[test]
fn models_in_other_types_refuse_it() {
    let options = LoadOptions { compute: Compute::Bf16, ..LoadOptions::default() };
    let config = json!({
        "model_type": "gpt2", "n_embd": 8, "vocab_size": 11, "n_positions": 8, "n_layer": 1, "n_head": 1,
    });
    let config = peft_models::ModelConfig::from_value(config, Path::new("config.json")).unwrap();
    let weights = peft_models::Weights::random(1, 0.1, &Device::flex(), DType::F64);
    let error = peft_models::build_with(config, weights, options).unwrap_err().to_string();
    assert!(error.contains("dtype") && error.contains("expected f32"), "{error}");
    assert!(!is_possible() || error.contains("F64"), "{error}");
}

fn train(dir: &Path, out: &str, more: &[&str]) -> Command {
    less_memory::train(dir, out, &[&["--steps", "6"], more].concat())
}

fn refused(command: &mut Command, code: i32, expected: &[&str]) {
    let message = refused_with(command, code);
    for expected in expected {
        assert!(message.contains(expected), "{expected:?} in {message}");
    }
}

#[test]
fn a_run_in_bf16_says_so_and_goes_on_in_it() {
    if !is_possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    write_rows(&path.join("rows.jsonl"));
    succeed(&mut train(path, "f32", &[]));
    let said = succeed(&mut train(path, "bf16", &["--dtype", "bf16"]));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains(" --dtype bf16"), "{said}");
    let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
    assert!(read("bf16/run.toml").contains("dtype = \"bf16\""));
    let own: Value = serde_json::from_str(&read("bf16/burn_peft.json")).unwrap();
    assert_eq!(own["recipe"]["dtype"], "bf16", "{own}");
    let loss = |adapter, compute| loss(path, adapter, ["--dtype", compute]);
    let exact = loss("f32", "f32");
    for [adapter, compute] in [["f32", "bf16"], ["bf16", "bf16"], ["bf16", "f32"]] {
        let found = loss(adapter, compute);
        assert!(found != exact && (found - exact).abs() < 0.02, "{adapter} {compute}: {found}");
    }
    // By its earlier name, as a flag and in a run's file.
    succeed(&mut train(path, "again", &["--compute", "bf16"]));
    let file = path.join("again/run.toml");
    let earlier = fs::read_to_string(&file).unwrap().replace("dtype =", "compute =");
    fs::write(&file, earlier).unwrap();
    succeed(peft(&root()).args(["train", "--resume", "--out"]).arg(path.join("again")));
    let adapter = |out: &str| fs::read(path.join(out).join("adapter_model.safetensors")).unwrap();
    assert!(adapter("bf16") == adapter("again"));
    refused(
        peft(&root()).args(["train", "--resume", "--dtype", "f32", "--out"]).arg(path.join("bf16")),
        1,
        &["dtype (then \"bf16\", now \"f32\")"],
    );
}

/// Without kernels, as on a GPU: Burn's own operations, in f16 with a scaled loss whose factor is stored.
#[test]
fn runs_without_kernels_go_on_in_their_type() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    write_rows(&path.join("rows.jsonl"));
    let steps = ["--checkpoint-every", "2"];
    let off = |command: &mut Command| succeed(command.env("PEFT_KERNELS", "off"));
    off(&mut train(path, "f32", &steps));
    let lines = |out: &str| -> Vec<Value> {
        let text = fs::read_to_string(path.join(out).join("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let losses = |out: &str| -> Vec<f64> {
        lines(out).iter().filter_map(|line| line["loss"].as_f64()).collect()
    };
    let adapter = |out: &str| fs::read(path.join(out).join("adapter_model.safetensors")).unwrap();
    for dtype in ["bf16", "f16"] {
        let flags = [&steps[..], &["--dtype", dtype]].concat();
        off(&mut train(path, dtype, &flags));
        // A step of f16 that is left out puts those behind it off.
        let limit = if dtype == "f16" { 0.1 } else { 0.02 };
        for (found, exact) in losses(dtype).iter().zip(losses("f32")) {
            assert!((found - exact).abs() < limit * exact, "{dtype}: {found} {exact}");
        }
        assert_ne!(losses(dtype), losses("f32"));
        let scaled = lines(dtype).iter().any(|line| line["loss_scale"].is_number());
        assert_eq!(scaled, dtype == "f16");
        let cut = format!("{dtype}-cut");
        off(&mut train(path, &cut, &flags));
        let checkpoint = lose_last_checkpoint(&path.join(&cut));
        let state = read_json(&checkpoint.join("state.json"));
        let factor = &state["progress"]["loss_scale"]["factor"];
        assert_eq!(factor.is_number(), dtype == "f16", "{state}");
        off(peft(&root()).args(["train", "--resume", "--out"]).arg(path.join(&cut)));
        assert!(adapter(&cut) == adapter(dtype), "{dtype}");
        // Analysed where kernels multiply in neither.
        let mut inspect = peft(&root());
        inspect.arg("inspect").arg(path.join(dtype)).args(["--analyse", "--model"]);
        inspect.arg(tiny_model("gpt2")).env("PEFT_KERNELS", "avx2");
        let said = String::from_utf8(succeed(&mut inspect).stderr).unwrap();
        assert!(said.contains(&format!("note: the run was in {dtype}, which ")), "{said}");
    }
}

/// A run that goes on with other kernels than it began with: told, as long as it makes steps.
#[test]
fn other_kernels_on_resuming_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    write_rows(&dir.path().join("rows.jsonl"));
    succeed(&mut train(dir.path(), "out", &["--checkpoint-every", "2"]));
    let resume = |kernels: &str, cut: bool| {
        if cut {
            lose_last_checkpoint(&out);
        }
        let mut command = peft(&root());
        command.args(["train", "--resume", "--out"]).arg(&out).env("PEFT_KERNELS", kernels);
        String::from_utf8(succeed(&mut command).stderr).unwrap()
    };
    assert!(!resume("on", true).contains("this run began with"));
    assert!(!resume("off", false).contains("this run began with"), "no step is made");
    // Also once more: it is no run of one kind any more.
    for _ in 0..2 {
        let said = resume("off", true);
        assert!(said.contains("note: this run began with the kernels for "), "{said}");
        assert!(said.contains(" and goes on with Burn's operations on the CPU: "), "{said}");
    }
    assert!(!resume("on", true).contains("this run began with"));
    // An earlier version did not say what it began with: nobody is taken for that.
    let result = out.join("result.json");
    let read = || serde_json::from_slice::<Value>(&fs::read(&result).unwrap()).unwrap();
    let mut earlier = read();
    let before = earlier.as_object_mut().unwrap().remove("computed_by");
    assert!(before.is_some_and(|before| before.is_string()));
    fs::write(&result, earlier.to_string()).unwrap();
    for kernels in ["off", "on"] {
        assert!(!resume(kernels, true).contains("this run began with"));
        assert!(read()["computed_by"].is_null(), "{}", read());
    }
}

#[test]
fn it_is_refused_where_it_cannot_be_done() {
    let dir = tempfile::tempdir().unwrap();
    write_rows(&dir.path().join("rows.jsonl"));
    let unknown = ["found \"fp8\", expected f32, bf16, f16"];
    refused(&mut train(dir.path(), "out", &["--dtype", "fp8"]), 2, &unknown);
    let f16 = ["--dtype: found f16", "the kernels of the CPU do not", "PEFT_KERNELS=off"];
    refused(&mut train(dir.path(), "out", &["--dtype", "f16"]), 2, &f16);
    let mut both = train(dir.path(), "out", &["--dtype", "bf16", "--base-weights", "int8"]);
    let twice = ["--base-weights: found int8, and bf16 for --dtype", "leave one of the two out"];
    refused(both.env("PEFT_KERNELS", "off"), 2, &twice);
    let fewer = ["--dtype", "found bf16", "PEFT_KERNELS leaves out both"];
    let mut command = train(dir.path(), "out", &["--dtype", "bf16"]);
    refused(command.env("PEFT_KERNELS", "avx2"), 2, &fewer);
    let unknown = ["PEFT_KERNELS", "found \"0\", expected off, avx2, portable or on"];
    refused(command.env("PEFT_KERNELS", "0"), 2, &unknown);
    assert!(!dir.path().join("out").exists());
}

/// The losses of six steps, with the kernels that the environment asks for.
fn losses(dir: &Path, kernels: &str) -> Vec<f64> {
    succeed(train(dir, kernels, &["--lr", "0.1"]).env("PEFT_KERNELS", kernels));
    let lines = fs::read_to_string(dir.join(kernels).join("metrics.jsonl")).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["loss"].as_f64().unwrap()).collect()
}

#[test]
fn fewer_vector_instructions_compute_the_same() {
    let dir = tempfile::tempdir().unwrap();
    write_rows(&dir.path().join("rows.jsonl"));
    let expected = losses(dir.path(), "on");
    assert_eq!(expected.len(), 6);
    for (kernels, shown) in [("avx2", ["AVX2", "portable"]), ("portable", ["portable"; 2])] {
        for (found, expected) in losses(dir.path(), kernels).iter().zip(&expected) {
            assert!((found - expected).abs() <= 1e-5 * expected, "{kernels}: {found}, {expected}");
        }
        let mut info = peft(&root());
        let told = succeed(info.args(["info", "--devices"]).env("PEFT_KERNELS", kernels)).stdout;
        let told = String::from_utf8(told).unwrap();
        let line = told.lines().find(|line| line.starts_with("kernels")).unwrap();
        assert!(shown.iter().any(|shown| line.contains(shown)), "{line}");
    }
}
