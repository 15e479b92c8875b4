//! A run that a callback stops, and a metric of one's own: the share of answers whose first word is right.
//!
//! ```sh
//! cargo run --release --example callback -- try/model try/train.jsonl try/test.jsonl
//! ```
#![allow(clippy::print_stdout)]

use std::{env, error::Error, path::PathBuf, process};

use burn::tensor::Device;
use peft_core::{
    Mode, PeftMethod, Task,
    text::{EncoderConfig, ModelTokenizer, read_records},
    train::{Flow, Observer, RunContext, StepReport, TrainConfig, Trainable, TrainingData, train},
};
use peft_models::generate::{EndTokens, greedy};
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};

const SEED: u64 = 0;

/// Stops once the mean of the losses, in which older ones fade, is low enough.
struct StopAt {
    loss: f64,
    mean: Option<f64>,
}

impl Observer for StopAt {
    fn step(&mut self, report: &StepReport) -> Flow {
        let mean = self.mean.map_or(report.loss, |mean| 0.9 * mean + 0.1 * report.loss);
        self.mean = Some(mean);
        if mean > self.loss { Flow::Continue } else { Flow::Stop }
    }
}

fn first_word(text: &str) -> Option<&str> {
    text.split_whitespace().next()
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let paths: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, train_file, test_file] = paths.as_slice() else {
        eprintln!("usage: callback MODEL TRAIN.jsonl TEST.jsonl");
        process::exit(2);
    };
    let device = Device::default();
    let loaded = peft_models::load(folder, &device)?;
    let model = loaded.model.as_ref();
    let tokenizer = ModelTokenizer::load(folder)?;
    let end_tokens = EndTokens::of(&loaded.config)?;

    let mut encoding = EncoderConfig::new(Task::CausalLm, model.spec().vocab_size);
    encoding.eos = end_tokens.closing(tokenizer.end_id());
    let to_learn = encoding.clone().init(Some(tokenizer.tokenizer.clone()))?;
    let train_rows = to_learn.encode(&read_records(train_file)?)?.examples;

    let init = PTuningV2Init::default();
    let config = PTuningV2Config::new(16);
    let method = PTuningV2::init(config, model, &init, SEED, &device.clone().autodiff())?;
    let config = TrainConfig {
        steps: Some(300),
        batch_size: 16,
        lr: 0.3,
        warmup_steps: 20,
        clip_norm: Some(1.0),
        seed: SEED,
        ..TrainConfig::new(Task::CausalLm)
    };
    let data = TrainingData { train: &train_rows, valid: &[] };
    let mut stop = StopAt { loss: 0.15, mean: None };
    let trainable = Trainable::new(method, None);
    let outcome = train(model, trainable, &data, &config, &RunContext::default(), &mut stop)?;
    println!("{} of {} steps", outcome.last_step, outcome.total_steps);

    // Rows to answer: their sources alone.
    encoding.targets = false;
    let records = read_records(test_file)?;
    let to_answer = encoding.init(Some(tokenizer.tokenizer.clone()))?.encode(&records)?.examples;
    let rows: Vec<&[u32]> = to_answer.iter().map(|example| example.input_ids.as_slice()).collect();
    let virtual_tokens = outcome.trainable.method.virtual_tokens(Mode::Evaluate);
    let answers = greedy(model, &rows, &virtual_tokens, 10, end_tokens.ids())?;
    let mut right = 0;
    for (record, answer) in records.iter().zip(&answers) {
        let answer = tokenizer.tokenizer.decode(answer, true)?;
        let expected = record.fields["target"].as_str().and_then(first_word);
        right += usize::from(first_word(&answer) == expected);
    }
    println!("first word right: {right} of {}", records.len());
    Ok(())
}
