//! A device of wgpu computes what the CPU computes: `peft selftest` with every family, in a build with fusion and autotune,
//! and what that leaves out of the methods. The kernels that were chosen are on disk, and the next process takes them from
//! there.
//!
//! `.ci/run` builds this binary alone, with the profile `suite`, and runs it over a software Vulkan driver, where nearly all
//! the time goes into compiling kernels.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

// The other tests need more of it.
#[allow(dead_code)]
mod support;

use std::{collections::BTreeSet, fs, path::Path, process::Command, sync::Mutex, thread};

use burn::tensor::{DType, Device, TensorData};
use peft_cli::selftest::difference::{Part, worst};
use peft_core::{Mode, PeftMethod, VirtualTokens, contract::params};
use peft_models::LoadOptions;
use peft_prefix::{PrefixConfig, PrefixInit, PrefixTuning};
use peft_prompt::{EncoderConfig, PromptConfig, PromptInit, PromptTuning};
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};
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

    /// Runs the self-test of some families in a process, which may abort in its driver when all is done.
    fn selftest(&self, families: &[&str]) -> Value {
        let mut command = self.peft(&["selftest", "--device", "wgpu", "--json"]);
        command.args(families.iter().flat_map(|family| ["--family", family]));
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let found = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{:?}, {error}: {told}", output.status));
        print(&found);
        found
    }

    /// The same of each list, two processes at a time; they come in any order.
    fn selftests(&self, lists: &[&[&str]]) -> Vec<Value> {
        let (waiting, found) = (Mutex::new(lists.iter()), Mutex::new(Vec::new()));
        let next = || waiting.lock().unwrap().next();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some(families) = next() {
                        let of_families = self.selftest(families);
                        found.lock().unwrap().push(of_families);
                    }
                });
            }
        });
        found.into_inner().unwrap()
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

/// A driver compiles the kernels of a process on one thread, and processes share the choices on disk. Families together have
/// many kernels in common; what takes longest is first.
const GROUPS: [&[&str]; 5] = [
    &["llama", "mistral", "qwen2", "qwen3"],
    &["t5", "t5-gated"],
    &["bart"],
    &["gpt2"],
    &["bert", "roberta"],
];

#[test]
fn every_family_is_right_and_the_next_process_tries_no_kernel() {
    let home = Home::new();
    let found = home.selftests(&GROUPS);
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
    assert!(tuned > 50 && cache["bytes"].as_u64().unwrap() > 100_000, "{tuned}: {cache}");

    // Without generation: of families the fewest checks, and each of them would try kernels.
    let again = home.selftest(&["bert"]);
    assert_eq!((checks(&again).len(), home.tuned()), (4 + 2 + 2, 0));
    assert_eq!(again["right"], true, "{again:#}");
}

/// The smallest models.
const TINY: Shape = Shape { layers: 1, kv_heads: 2, head_dim: 4, positions: 16 };

/// Virtual tokens of a method as it is, in training and folded; the gradients of all that it trains, and what is stored.
fn numbers_of<M: PeftMethod>(at: &'static str, method: &M) -> Vec<Part> {
    let in_training = method.virtual_tokens(Mode::Train { seed: 1, step: 2 });
    let gradients = {
        let each = in_training.values().into_iter().map(Some).collect();
        let mut gradients = in_training.dot(each).unwrap().backward();
        let all = params::gradients(method, &mut gradients).into_iter();
        all.map(|gradient| gradient.unwrap().into_data())
    };
    let folded = method.fold();
    let tokens = [
        method.virtual_tokens(Mode::Evaluate),
        in_training.clone(),
        folded.virtual_tokens(Mode::Evaluate),
    ];
    let values = |tokens: VirtualTokens| tokens.values().into_iter().map(|flat| flat.into_data());
    let stored = [method.state(), folded.state()].into_iter().flat_map(|state| state.into_values());
    let part = |data: TensorData| Part { at, values: data.iter().collect() };
    tokens.into_iter().flat_map(values).chain(gradients).chain(stored).map(part).collect()
}

/// What the self-test leaves out: encoders of prompts, the projection of P-tuning v2, dropout, and what is folded and stored.
#[test]
fn what_makes_virtual_tokens_makes_those_of_the_cpu() {
    const P: usize = 3;
    const M: usize = 8;
    let [found, expected] = [device(), Device::flex()].map(|device| {
        let options = LoadOptions::default();
        let loaded = random_model_with(Family::Gpt2, TINY, 3, &device, DType::F32, options);
        let (model, device) = (loaded.model.as_ref(), device.autodiff());
        let lstm = EncoderConfig::Lstm { hidden_size: Some(M), num_layers: 2, dropout: 0.2 };
        let encoders = [("MLP", EncoderConfig::mlp().with_hidden_size(Some(M))), ("LSTM", lstm)];
        let mut all = Vec::new();
        for (at, encoder) in encoders {
            let config = PromptConfig::new(P).with_encoder(Some(encoder));
            let init = PromptInit::normal();
            let method = PromptTuning::init(config, model, &init, 5, &device).unwrap();
            all.extend(numbers_of(at, &method));
        }
        let config = PrefixConfig::new(P).with_hidden_size(M).with_dropout(0.2);
        let method = PrefixTuning::init(config, model, &PrefixInit::Random, 5, &device).unwrap();
        all.extend(numbers_of("prefix", &method));
        let config = PTuningV2Config::new(P)
            .with_prefix_projection(true)
            .with_hidden_size(M)
            .with_dropout(0.2);
        let init = PTuningV2Init::Random { std: 0.7 };
        let method = PTuningV2::init(config, model, &init, 5, &device).unwrap();
        all.extend(numbers_of("projection", &method));
        all
    });
    // Of each method virtual tokens three times, gradients, and two states.
    assert!(expected.len() > 4 * 6, "{}", expected.len());
    let worst = worst(&found, &expected);
    println!("{worst:?}");
    assert!(worst.difference < 1e-3, "{worst:?}");
}

/// So training and generation pad their batches there, and `--recompute` is a tape.
#[test]
fn models_of_every_family_say_what_their_device_needs() {
    let options = LoadOptions { recompute: true, ..LoadOptions::default() };
    for family in Family::ALL.into_iter().chain(Family::ENCODER_DECODER) {
        for (device, needs) in [(device(), true), (Device::flex(), false)] {
            let loaded = random_model_with(family, TINY, 3, &device, DType::F32, options);
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
