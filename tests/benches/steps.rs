//! One training step of each method, as `peft train` makes it: virtual tokens, forward, backward, AdamW.
//!
//! `cargo bench --workspace --features peft-tests/bench --bench steps -- [FILTER] [--quick]`
//!
//! The model has the shape of the small GPT-2 of `bench/models.py`; a step takes 8 rows of 64 tokens, all labelled.
#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use burn::tensor::{DType, Device};
use criterion::{BenchmarkId, Criterion, Throughput};
use peft_cli::allocator::keep_freed_memory;
use peft_core::{
    FrozenModel, PeftMethod, Task,
    contract::rng::stream,
    data::{Example, Target},
    train::{Flow, Observer, RunContext, StepReport, TrainConfig, Trainable, TrainingData, train},
};
use peft_models::{ModelConfig, Weights, kernels::set_enabled};
use peft_prefix::{PrefixConfig, PrefixInit, PrefixTuning};
use peft_prompt::{PromptConfig, PromptInit, PromptTuning};
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};
use rand::Rng;
use serde_json::json;

const VOCABULARY: usize = 8000;

/// B.
const ROWS: usize = 8;

/// T.
const TOKENS: usize = 64;

fn main() {
    keep_freed_memory();
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let model = model();
    let device = Device::flex().autodiff();
    for p in [20, 100] {
        let config = PromptConfig::new(p);
        let method =
            PromptTuning::init(config, &*model, &PromptInit::random(), 0, &device).unwrap();
        steps(&mut criterion, &*model, &format!("prompt tuning, P {p}"), &method);
    }
    let config = PrefixConfig::new(20);
    let method = PrefixTuning::init(config, &*model, &PrefixInit::Random, 0, &device).unwrap();
    steps(&mut criterion, &*model, "prefix tuning with the MLP, P 20", &method);
    let (config, init) = (PTuningV2Config::new(16), PTuningV2Init::Random { std: 0.02 });
    let method = PTuningV2::init(config, &*model, &init, 0, &device).unwrap();
    steps(&mut criterion, &*model, "P-tuning v2, P 16", &method);
    criterion.final_summary();
}

fn model() -> Arc<dyn FrozenModel> {
    let config = json!({
        "model_type": "gpt2", "n_embd": 384, "vocab_size": VOCABULARY, "n_positions": 1024, "n_layer": 6,
        "n_head": 6, "architectures": ["GPT2LMHeadModel"],
    });
    let config = ModelConfig::from_value(config, Path::new("(random)/config.json")).unwrap();
    let weights = Weights::random(0, 0.02, &Device::flex(), DType::F32);
    peft_models::build(config, weights).unwrap().model
}

/// Measures steps with the kernels and without. Throughput is of tokens.
fn steps<M: PeftMethod>(
    criterion: &mut Criterion,
    model: &dyn FrozenModel,
    name: &str,
    method: &M,
) {
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements((ROWS * TOKENS) as u64));
    for (body, enabled) in [("kernels", true), ("burn", false)] {
        set_enabled(enabled);
        group.bench_function(BenchmarkId::new(body, name), |bencher| {
            bencher.iter_custom(|steps| run(model, method.clone(), steps as usize));
        });
    }
    set_enabled(true);
    group.finish();
}

/// When each step of a run ended.
#[derive(Default)]
struct Ends(Vec<Instant>);

impl Observer for Ends {
    fn step(&mut self, _: &StepReport) -> Flow {
        self.0.push(Instant::now());
        Flow::Continue
    }
}

/// Makes a step that is not counted, and then so many that are.
fn run<M: PeftMethod>(model: &dyn FrozenModel, method: M, steps: usize) -> Duration {
    let mut random = stream(0, 0, "rows");
    let mut row = |line| {
        let ids: Vec<u32> =
            (0..TOKENS).map(|_| random.random_range(0..VOCABULARY as u32)).collect();
        let targets = ids.iter().copied().map(i64::from).collect();
        Example::new(ids, Target::Tokens(targets), line)
    };
    let rows: Vec<Example> = (1..=ROWS).map(&mut row).collect();
    let config = TrainConfig {
        steps: Some(steps + 1),
        batch_size: ROWS,
        ..TrainConfig::new(Task::CausalLm)
    };
    let data = TrainingData { train: &rows, valid: &[] };
    let mut ends = Ends::default();
    train(model, Trainable::new(method, None), &data, &config, &RunContext::default(), &mut ends)
        .unwrap();
    ends.0[steps] - ends.0[0]
}
