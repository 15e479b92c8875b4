//! Prompt tuning from end to end: load, encode, train, save, read back, score.
//!
//! ```sh
//! cargo run --release -p peft-cli -- demo --export try
//! cargo run --release --example train -- try/model try/train.jsonl try/test.jsonl try/adapter
//! ```
#![allow(clippy::print_stdout)]

use std::{
    env,
    path::{Path, PathBuf},
    process,
};

use burn::tensor::Device;
use peft_core::{
    Adapter, Result, Task, VirtualTokens,
    evaluate::Predictor,
    text::{EncoderConfig, ModelTokenizer, read_records},
    train::{
        Flow, Observer, RunContext, StepReport, TrainConfig, Trainable, TrainingData, adapter_of,
        train,
    },
};
use peft_models::generate::EndTokens;
use peft_prompt::{PromptConfig, PromptInit, PromptTuning};

const SEED: u64 = 0;

/// Prints the loss of every fiftieth step.
struct Losses;

impl Observer for Losses {
    fn step(&mut self, report: &StepReport) -> Flow {
        if report.step.is_multiple_of(50) {
            println!("step {:>3}  loss {:.4}", report.step, report.loss);
        }
        Flow::Continue
    }
}

fn main() -> Result<()> {
    let paths: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, train_file, test_file, out] = paths.as_slice() else {
        eprintln!("usage: train MODEL TRAIN.jsonl TEST.jsonl OUT");
        process::exit(2);
    };
    let device = Device::default();
    let loaded = peft_models::load(folder, &device)?;
    let model = loaded.model.as_ref();

    // A target is closed by the end token, so that the model learns where to stop.
    let tokenizer = ModelTokenizer::load(folder)?;
    let mut encoding = EncoderConfig::new(Task::CausalLm, model.spec().vocab_size);
    encoding.eos = EndTokens::of(&loaded.config)?.closing(tokenizer.end_id());
    let encoder = encoding.init(Some(tokenizer.tokenizer))?;
    let rows = |file: &Path| Ok(encoder.encode(&read_records(file)?)?.examples);
    let (train_rows, test_rows) = (rows(train_file)?, rows(test_file)?);

    let (prompt, init) = (PromptConfig::new(16), PromptInit::default());
    let prompt = PromptTuning::init(prompt, model, &init, SEED, &device.clone().autodiff())?;
    let config = TrainConfig {
        steps: Some(300),
        batch_size: 16,
        lr: 0.2,
        warmup_steps: 20,
        clip_norm: Some(1.0),
        seed: SEED,
        ..TrainConfig::new(Task::CausalLm)
    };
    let data = TrainingData { train: &train_rows, valid: &[] };
    // With a folder in it, the run writes checkpoints there and can be resumed.
    let run = RunContext::default();
    let outcome = train(model, Trainable::new(prompt, None), &data, &config, &run, &mut Losses)?;

    // A folder that `peft` and Python's peft read, too.
    let about = run.about(&config, outcome.metrics.as_ref())?;
    adapter_of(&outcome.trainable, model, &about)?.save(out)?;
    let prompt = Adapter::load(out)?.virtual_tokens(model.spec(), &device)?;
    for (name, tokens) in [("model alone", VirtualTokens::none()), ("with the prompt", prompt)] {
        let scores =
            Predictor::new(model, &tokens, None, Task::CausalLm)?.evaluate(&test_rows, None)?;
        println!("{name:<15}  perplexity {:.4}", scores.get("perplexity").unwrap_or(f64::NAN));
    }
    Ok(())
}
