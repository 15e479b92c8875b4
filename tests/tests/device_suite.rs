//! A device of wgpu computes what the CPU computes: `peft selftest` with every family, in a build with fusion and autotune,
//! and the properties of the methods. The kernels that were chosen are on disk, and the next process takes them from there.
//!
//! `.ci/run` builds this binary alone, with the profile `suite`, and runs it over a software Vulkan driver, but for the
//! properties of the methods, which take too long there.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod methods;
// The other tests need more of it.
#[allow(dead_code)]
mod support;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use burn::tensor::{DType, Device};
use peft_models::LoadOptions;
use peft_tests::{Family, Shape, device, random_model_with};
use serde_json::Value;

use crate::support::{peft, succeed};

/// A folder for a program that has computed nothing yet: its cache is there, and what it says of each choice of a kernel.
struct Home(tempfile::TempDir);

impl Home {
    /// One measurement of each kernel is enough where none is fast, and similar sizes share their choice.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let decisions = dir.path().join("decisions");
        let settings = format!(
            "[autotune]\nlevel = \"minimal\"\nbench = {{ min_samples = 1, max_samples = 1 }}\n\
             decisions = {{ file = {decisions:?} }}\n"
        );
        fs::write(dir.path().join("cubecl.toml"), settings).unwrap();
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn peft(&self, args: &[&str]) -> Command {
        let mut command = peft(self.path());
        command.args(args).env("XDG_CACHE_HOME", self.path());
        command
    }

    /// Runs the self-test in a process for each list of families, at the same time.
    fn selftests(&self, lists: &[&[&str]]) -> Vec<Value> {
        let start = |families: &&[&str]| {
            let mut command = self.peft(&["selftest", "--device", "wgpu", "--json"]);
            command.args(families.iter().flat_map(|family| ["--family", family]));
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let processes: Vec<_> = lists.iter().map(start).collect();
        let end = |process: Child| {
            let output = process.wait_with_output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("{:?}, {error}: {told}", output.status))
        };
        processes.into_iter().map(end).inspect(print).collect()
    }

    /// How many choices were made by trying since this was asked last.
    fn tuned(&self) -> usize {
        let path = self.path().join("decisions");
        let text = fs::read_to_string(&path).unwrap_or_default();
        fs::remove_file(&path).ok();
        text.lines().filter(|line| line.contains("fastest_index")).count()
    }

    /// What `peft info` says of the cache.
    fn cache(&self) -> Value {
        let found = succeed(&mut self.peft(&["info", "--devices", "--json"])).stdout;
        serde_json::from_slice::<Value>(&found).unwrap()["kernel_cache"].take()
    }
}

fn checks(found: &Value) -> &[Value] {
    found["checks"].as_array().unwrap()
}

/// What is wrong, with what the self-test says of it.
fn wrong(found: &Value) -> Vec<String> {
    checks(found).iter().filter(|check| check["right"] != true).map(Value::to_string).collect()
}

fn print(found: &Value) {
    for check in checks(found) {
        let text = |key: &str| check[key].as_str().unwrap_or("-").to_string();
        println!(
            "{:9} {:18} {:8} {:.1e} of {:.1e}, {:.1} s",
            text("family"),
            text("check"),
            text("computed_in"),
            check["difference"].as_f64().unwrap_or(f64::NAN),
            check["tolerance"].as_f64().unwrap_or(f64::NAN),
            check["seconds"].as_f64().unwrap()
        );
    }
    println!("{} s", found["seconds"]);
}

/// A driver compiles the kernels of a process on one thread, and two processes may share the cache.
const HALVES: [&[&str]; 2] = [
    &["bert", "roberta", "gpt2", "t5", "t5-gated", "bart"],
    &["llama", "mistral", "qwen2", "qwen3"],
];

#[test]
fn every_family_is_right_and_the_next_process_tries_no_kernel() {
    let home = Home::new();
    let found = home.selftests(&HALVES);
    let wrong: Vec<String> = found.iter().flat_map(wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let all: Vec<&Value> = found.iter().flat_map(checks).collect();
    // Encoders generate nothing; gradients also with layers that run again, as runs, and with matrices in eight bits, as
    // forward passes.
    assert_eq!(all.len(), 10 * 5 - 2 + 10 * 2 + 10 * 2);
    let families: BTreeSet<&str> =
        all.iter().filter_map(|check| check["family"].as_str()).collect();
    assert_eq!(families.len(), 10, "{families:?}");
    let (tuned, cache) = (home.tuned(), home.cache());
    println!("{tuned} choices of kernels; {cache}");
    assert!(tuned > 100 && cache["bytes"].as_u64().unwrap() > 100_000, "{tuned}: {cache}");

    let again = home.selftests(&[&["gpt2"]]);
    assert_eq!((checks(&again[0]).len(), home.tuned()), (5 + 2 + 2, 0));
    assert_eq!(again[0]["right"], true, "{:#}", again[0]);
}

/// So training and generation pad their batches there, and `--recompute` is a tape.
#[test]
fn models_of_every_family_say_what_their_device_needs() {
    let shape = Shape { layers: 1, kv_heads: 2, head_dim: 4, positions: 16 };
    let options = LoadOptions { recompute: true, ..LoadOptions::default() };
    for family in Family::ALL.into_iter().chain(Family::ENCODER_DECODER) {
        for (device, needs) in [(device(), true), (Device::flex(), false)] {
            let loaded = random_model_with(family, shape, 3, &device, DType::F32, options);
            let (tunes, by_tape) = (loaded.model.tunes_to_shapes(), loaded.model.recomputes());
            assert_eq!((tunes, by_tape), (needs, needs), "{family:?}");
        }
    }
}

#[test]
fn the_cpu_and_wgpu_are_in_one_program() {
    let home = Home::new();
    let found = succeed(&mut home.peft(&["info", "--devices", "--json"])).stdout;
    let found: Value = serde_json::from_slice(&found).unwrap();
    println!("{found:#}");
    let devices = found["devices"].as_array().unwrap();
    assert!(devices.iter().any(|device| device["device"] == "cpu"), "{found}");
    let adapter = devices.iter().find(|device| device["device"] == "wgpu:0").unwrap();
    assert!(adapter["name"].as_str().is_some_and(|name| !name.is_empty()), "{adapter}");
    assert!(adapter["driver"].is_string() && adapter["error"].is_null(), "{adapter}");
    assert!(adapter["dtypes"].as_array().unwrap().contains(&"f32".into()), "{adapter}");
    // As DEVICES.md has it.
    let path = home.path().join("cubecl/peft.db");
    assert_eq!(found["kernel_cache"]["path"], path.to_str().unwrap());
}
