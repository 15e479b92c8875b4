//! How much memory a run is expected to take, before it begins.
//!
//! | part | what it is |
//! |---|---|
//! | what is there already | the program's memory, half of what was freed since left out, and the model's file, if steps read it there |
//! | what is kept of frozen layers | the states that enter the first layer with virtual tokens, of each row, as far as memory has them (`--cache-frozen`) |
//! | the step itself | see `peft_models::cost::StepSize`, which `peft plan` asks too |
//!
//! docs/PERFORMANCE.md compares the sum with what runs took.

use std::path::Path;

use peft_core::{data::Example, train::TrainConfig};
use peft_models::{
    Compute, Loaded, Outline, WeightFormat,
    cost::{Batch, Executor, StepSize},
    outline_of,
};

use crate::{output, screen::memory};

/// Bytes of a number.
const F32: u64 = 4;
/// Bytes of the program itself and of its threads, once it computes.
pub(crate) const PROGRAM: u64 = 20 << 20;

/// What decides how much memory a step takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    /// The base model.
    pub base: &'a Loaded,
    /// The settings of the loop.
    pub config: &'a TrainConfig,
    /// How they are kept.
    pub format: WeightFormat,
    /// In which type they are multiplied.
    pub compute: Compute,
    /// What there was once it was loaded.
    pub after_loading: AfterLoading,
    /// Whether layers are computed again in the backward pass.
    pub recompute: bool,
    /// The virtual tokens that pass through the layers with the rows, or before them: those of a prompt.
    pub prompt: usize,
    /// P, wherever they enter.
    pub virtual_tokens: usize,
    /// The first layer that something trained reaches; `None` if there is none, as for a head alone.
    pub first_layer: Option<usize>,
    /// Bytes of the hidden states that enter that layer, as far as they are kept in memory.
    pub kept_states: u64,
    /// The parameters that are trained.
    pub trained: usize,
    /// Those whose gradients each slice of a batch has: of a head, and of virtual tokens that nothing makes.
    pub in_slices: usize,
    /// Numbers of the virtual tokens that are made of them, by an MLP or LSTM, or as a decoder's prompt.
    pub made: usize,
    /// The number of packed rows and the tokens of the longest, if rows are packed.
    pub packed: Option<(usize, usize)>,
    /// How many replicas on the CPU share a step, the first among them.
    pub replicas: usize,
    /// The rows.
    pub train: &'a [Example],
    /// The rows to validate on.
    pub valid: &'a [Example],
}

/// The memory of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// The bytes that the program is expected to have at its peak.
    pub expected: u64,
    /// The most that it can have on this machine now.
    pub most: u64,
}

impl Memory {
    /// What is said of it.
    pub(super) fn fact(&self) -> (&'static str, String) {
        ("memory", format!("about {} expected", output::bytes(self.expected)))
    }

    /// That of a run; `None` where the system does not say what there is.
    pub(super) fn of(run: &Run<'_>) -> Option<Self> {
        let resident = memory::resident()?;
        let there = resident - run.free_again()?.min(resident) + run.read_by_steps() + PROGRAM;
        let outline = outline_of(&run.base.config).ok()?;
        let step = run.step(&outline).memory().total() + run.kept_states;
        let expected = (there + step).max(memory::peak()?);
        Some(Self { expected, most: resident + memory::available()? })
    }
}

/// The memory of the program once the model was loaded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AfterLoading {
    /// Its own.
    own: Option<u64>,
    /// By how much its own has grown with the model.
    grown: u64,
    /// The files of the model that are mapped.
    mapped: u64,
}

impl AfterLoading {
    /// `before` is its own memory before the model at `path` was loaded.
    pub(super) fn of(path: &Path, before: Option<u64>) -> Self {
        let own = memory::own();
        let grown = own.unwrap_or(0).saturating_sub(before.unwrap_or(0));
        Self { own, grown, mapped: memory::mapped(path).unwrap_or(0) }
    }

    /// Whether the weights stay in their file: a copy is at least as large as the file, or has fewer bits.
    fn are_views(&self, format: WeightFormat) -> bool {
        !format.is_rounded() && self.grown < self.mapped
    }
}

/// Whether the frozen matrices of a model have fewer bits in memory than f32.
pub(super) fn is_narrow(base: &Loaded, format: WeightFormat) -> bool {
    // A GGUF file may be the only one of a folder.
    let is_gguf = base.config.path().extension().is_some_and(|end| end == "gguf");
    format.is_rounded() || (format == WeightFormat::Auto && is_gguf)
}

impl Run<'_> {
    /// What decides how much memory a step takes.
    fn step<'a>(&self, outline: &'a Outline) -> StepSize<'a> {
        StepSize {
            outline,
            parameters: self.base.report.num_parameters,
            is_language_model: self.config.task.is_language_model(),
            batch: self.training_batch(),
            evaluated: self.batch(self.valid),
            prompt: self.prompt,
            virtual_tokens: self.virtual_tokens,
            first_layer: self.first_layer,
            trained: self.trained,
            in_slices: self.in_slices,
            moments: self.config.optimizer.moments(),
            made: self.made,
            recompute: self.recompute,
            narrow: is_narrow(self.base, self.format),
            compute: self.compute,
            executor: Executor::Kernels { threads: self.base.model.lanes().workers() },
            batches: self.config.accumulation,
            replicas: self.replicas,
        }
    }

    /// Bytes of the model's file that steps read and that are not in memory yet.
    fn read_by_steps(&self) -> u64 {
        let loaded = self.after_loading;
        if loaded.are_views(self.format) { loaded.mapped } else { 0 }
    }

    /// Bytes that loading the model and reading the rows took and that are free again, without having been given back:
    /// half of them, as measured, are where a step finds room.
    fn free_again(&self) -> Option<u64> {
        let loaded = self.after_loading;
        let of_rows = memory::own()?.saturating_sub(loaded.own?);
        let of_row = |row: &Example| {
            (size_of::<Example>() + F32 as usize * row.num_tokens() + 8 * row.labelled()) as u64
        };
        let rows: u64 = self.train.iter().chain(self.valid).map(of_row).sum();
        let weights = match self.format {
            WeightFormat::Int8 => 1,
            WeightFormat::Bf16 => 2,
            WeightFormat::F32 | WeightFormat::Auto => F32,
        };
        let weights = weights * self.base.report.num_parameters as u64;
        Some((of_rows.saturating_sub(rows) + loaded.grown.saturating_sub(weights)) / 2)
    }

    /// The largest batch to train on.
    fn training_batch(&self) -> Batch {
        let batch = self.batch(self.train);
        let Some((count, longest)) = self.packed else { return batch };
        let sum = |of: fn(&Example) -> usize| self.train.iter().map(of).sum::<usize>() as u64;
        let (rows, tokens) = (self.config.batch_size.min(count) as u64, longest as u64);
        let labelled = sum(Example::labelled) as f64 / sum(Example::num_tokens).max(1) as f64;
        let targets = ((rows * tokens) as f64 * labelled) as u64;
        Batch { rows, tokens, targets, ..batch }
    }

    /// The largest batch of some rows.
    fn batch(&self, rows: &[Example]) -> Batch {
        let longest = |length: fn(&Example) -> usize| rows.iter().map(length).max().unwrap_or(0);
        let tokens = longest(|row| row.input_ids.len()) as u64;
        let decoder_tokens = longest(Example::decoder_len) as u64;
        let count = match self.config.batch_tokens {
            Some(budget) => budget as u64 / (tokens + decoder_tokens).max(1),
            None => self.config.batch_size as u64,
        };
        let count = count.clamp(1, rows.len().max(1) as u64);
        let targets = count * longest(Example::labelled) as u64;
        Batch { rows: count, tokens, decoder_tokens, targets }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{DType, Device};
    use peft_core::{Task, data::Target};
    use peft_models::{ModelConfig, Weights, build};
    use serde_json::{Value, json};

    use super::*;

    const H: u64 = 16;
    const F: u64 = 24;

    fn model(mut fields: Value) -> Loaded {
        for (key, value) in
            [("vocab_size", 40), ("num_hidden_layers", 3), ("num_attention_heads", 2)]
        {
            fields[key] = json!(value);
        }
        (fields["hidden_size"], fields["intermediate_size"]) = (json!(H), json!(F));
        (fields["max_position_embeddings"], fields["type_vocab_size"]) = (json!(64), json!(2));
        let config = ModelConfig::from_value(fields, Path::new("config.json")).unwrap();
        build(config, Weights::random(1, 0.1, &Device::default(), DType::F32)).unwrap()
    }

    /// Rows of so many tokens, each of them a target.
    fn rows(lengths: &[usize]) -> Vec<Example> {
        let row =
            |length: &usize| Example::new(vec![1; *length], Target::Tokens(vec![1; *length]), 1);
        lengths.iter().map(row).collect()
    }

    fn run<'a>(base: &'a Loaded, config: &'a TrainConfig, train: &'a [Example]) -> Run<'a> {
        Run {
            base,
            config,
            format: WeightFormat::F32,
            compute: Compute::F32,
            after_loading: AfterLoading::default(),
            recompute: false,
            prompt: 5,
            virtual_tokens: 5,
            first_layer: Some(0),
            kept_states: 0,
            trained: 7,
            in_slices: 7,
            made: 0,
            packed: None,
            replicas: 1,
            train,
            valid: &[],
        }
    }

    #[test]
    fn the_largest_batch_and_its_layers_count() {
        let llama = json!({"model_type": "llama", "architectures": ["LlamaForCausalLM"],
            "num_key_value_heads": 1, "tie_word_embeddings": true});
        let llama = model(llama);
        let outline = outline_of(&llama.config).unwrap();
        let config = TrainConfig { batch_size: 2, ..TrainConfig::new(Task::CausalLm) };
        let train = rows(&[3, 9, 4]);
        let own = run(&llama, &config, &train);
        let batch = own.batch(&train);
        assert_eq!(batch, Batch { rows: 2, tokens: 9, decoder_tokens: 0, targets: 18 });
        // A causal prompt passes through the layers once; keys and values are of 1 head of 2, of size 8.
        let of_layer = (2 * 9 + 5) * (2 * H + (2 + 2) * 8 + 2 * F);
        let kept = |run: Run<'_>| run.step(&outline).memory().kept;
        assert_eq!(kept(own), F32 * 3 * of_layer);
        assert_eq!(kept(Run { first_layer: Some(2), ..own }), F32 * of_layer);
        assert_eq!(kept(Run { first_layer: None, ..own }), 0);
        let packed = Run { packed: Some((1, 40)), ..own }.training_batch();
        assert_eq!(packed, Batch { rows: 1, tokens: 40, decoder_tokens: 0, targets: 40 });
        let budget = TrainConfig { batch_tokens: Some(30), ..config.clone() };
        assert_eq!(run(&llama, &budget, &train).batch(&train).rows, 3);
        // Replicas have a batch each.
        let accumulated = TrainConfig { accumulation: 4, ..config.clone() };
        let gradients = |replicas: usize| {
            let run = Run { replicas, ..run(&llama, &accumulated, &train) };
            run.step(&outline).memory().gradients
        };
        assert!(gradients(4) > 2 * gradients(1));
    }
}
