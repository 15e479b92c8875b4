//! How much memory a run is expected to take, before it begins.
//!
//! | part | what it is |
//! |---|---|
//! | what is there already | the program's memory, half of what was freed since left out, and the model's file, if steps read it there |
//! | what a step keeps for its gradients | `kept` numbers for each layer and token of the largest batch; with `--recompute` the hidden states of each layer, and `kept` of one |
//! | what it computes with meanwhile | the feed-forward layer of one layer with its gradients, or the logits that are computed at once |
//! | logits of an evaluation | those that are computed at once, three times |
//! | weights in fewer bits | what each thread has upcast |
//! | what is kept of frozen layers | the states that enter the first layer with virtual tokens, of each row (`--cache-frozen`) |
//! | products in bf16 | copies of the matrices, one for each direction, and the largest left side |
//! | what is trained | the parameters, their gradients, two moments, and copies |
//!
//! `kept`, as the CPU kernels keep it, is `2 H + (N + 2 K) D + F` numbers a token, with a gated feed-forward layer
//! `2 H + (N + 2 K) D + 2 F`: the inputs of both norms, queries, keys and values, and the input of the activation.
//! docs/PERFORMANCE.md compares the sum with what runs took.

use std::path::Path;

use peft_core::{Site, SiteSpec, Topology, data::Example, train::TrainConfig};
use peft_models::{Compute, Loaded, WeightFormat, kernels::logit_rows_at_once};

use crate::{output, screen::memory};

/// Bytes of a number.
const F32: u64 = 4;
const BF16: u64 = 2;
/// Numbers for each trained parameter: its value, its gradient, two moments, the best step, and a copy meanwhile.
const COPIES: u64 = 6;
/// The most logits that an evaluation computes at once, and how often it has them in memory.
const EVALUATED: u64 = 1 << 24;
const EVALUATED_COPIES: u64 = 3;
/// Numbers of a matrix that a thread upcasts at most, and in how many sizes it has them in memory.
const UPCAST: u64 = 1 << 20;
const UPCAST_SIZES: u64 = 2;
/// A step takes one part more in so many: what lies between tensors, and small ones.
const PIECES: u64 = 5;
/// Bytes of the program itself and of its threads, once it computes.
const PROGRAM: u64 = 20 << 20;

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
    /// The first layer that something trained reaches; `None` if there is none, as for a head alone.
    pub first_layer: Option<usize>,
    /// Bytes of the hidden states that enter that layer, as far as they are kept.
    pub kept_states: u64,
    /// The parameters that are trained.
    pub trained: usize,
    /// The number of packed rows and the tokens of the longest, if rows are packed.
    pub packed: Option<(usize, usize)>,
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
        let expected = (there + run.bytes()).max(memory::peak()?);
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

/// The largest batch, padded: rows, tokens a row on both sides, and targets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Batch {
    rows: u64,
    tokens: u64,
    decoder_tokens: u64,
    targets: u64,
}

impl Run<'_> {
    /// The bytes that a step adds to what is there.
    fn bytes(&self) -> u64 {
        let (train, evaluated) = (self.training_batch(), self.batch(self.valid));
        let vocabulary = self.vocabulary();
        // Some slices of a batch are computed at a time, each with logits of its own, and each leaves gradients of the virtual tokens.
        let slices = self.slices(train);
        let workers = (self.base.model.lanes().workers() as u64).min(slices);
        let at_once = self.logit_rows(train).saturating_mul(workers).min(train.targets);
        let of_loss = at_once * vocabulary + 2 * train.targets * self.hidden();
        let of_scores = EVALUATED.min(evaluated.targets * vocabulary) * EVALUATED_COPIES;
        // A decoder's prompt is computed once, for all of them.
        let prompt = self.kept(Batch::default());
        let of_rows = self.kept(train) - prompt + of_loss.max(self.computed(train));
        let step = prompt + of_rows * workers / slices;
        let step = step.max(of_scores.max(self.computed(evaluated)));
        let trained = (COPIES + slices - 1) * self.trained as u64;
        let kept = self.kept_states + self.rounded(train);
        F32 * (trained + self.upcast() + step + step / PIECES) + kept
    }

    /// How many slices a batch is divided into.
    fn slices(&self, batch: Batch) -> u64 {
        let is_in_front = self.base.model.spec().topology != Topology::DecoderOnly;
        let in_front = if is_in_front { self.prompt } else { 0 };
        let positions = batch.rows * (batch.tokens + batch.decoder_tokens + in_front as u64);
        let slices =
            self.base.model.lanes().slices(usize::try_from(positions).unwrap_or(usize::MAX));
        (slices as u64).clamp(1, batch.rows.max(1))
    }

    /// Of how many rows a slice of a batch has the logits in memory at a time.
    fn logit_rows(&self, batch: Batch) -> u64 {
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let rows = batch.targets.div_ceil(self.slices(batch));
        logit_rows_at_once(size(rows), size(self.vocabulary())) as u64
    }

    /// Numbers of weights in fewer bits that all threads have upcast at a time.
    fn upcast(&self) -> u64 {
        if !is_narrow(self.base, self.format) {
            return 0;
        }
        let widest = self.vocabulary().max(self.inner()).max(3 * self.hidden());
        let threads = rayon::current_num_threads() as u64;
        UPCAST_SIZES * (threads * UPCAST).min(widest * self.hidden())
    }

    /// Bytes of matrices and of inputs that are rounded for products.
    fn rounded(&self, batch: Batch) -> u64 {
        if !self.compute.is_rounded() {
            return 0;
        }
        let spec = self.base.model.spec();
        let embedding = (spec.vocab_size * spec.hidden_size) as u64;
        // A language model multiplies with its embedding, or with as large a head.
        let matrices = match self.vocabulary() {
            0 => (self.base.report.num_parameters as u64).saturating_sub(embedding),
            _ => self.base.report.num_parameters as u64,
        };
        let directions = if self.first_layer.is_some() { 2 } else { 1 };
        let positions = self.stacks(batch).map(|(_, positions, _)| positions).max().unwrap_or(0);
        BF16 * (directions * matrices
            + (positions * self.inner()).max(self.logit_rows(batch) * self.vocabulary()))
    }

    /// The size of the vocabulary, if logits of it are computed.
    fn vocabulary(&self) -> u64 {
        match self.config.task.is_language_model() {
            true => self.base.model.spec().vocab_size as u64,
            false => 0,
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

    /// Numbers that a step keeps for its gradients.
    fn kept(&self, batch: Batch) -> u64 {
        self.stacks(batch)
            .map(|(site, positions, cross)| {
                let layer = self.kept_of_layer(site, positions) + cross;
                let first = self.first_layer.unwrap_or(site.num_layers);
                let layers = site.num_layers.saturating_sub(first) as u64;
                match self.recompute {
                    true if layers > 0 => layers * positions * self.hidden() + layer,
                    _ => layers * layer,
                }
            })
            .sum()
    }

    /// Numbers that a layer computes with beside what it keeps.
    fn computed(&self, batch: Batch) -> u64 {
        let widest = 3 * self.inner() + 3 * self.hidden();
        self.stacks(batch).map(|(_, positions, _)| positions * widest).max().unwrap_or(0)
    }

    /// Each stack of layers with its positions, and what its layers keep of an encoder's output.
    fn stacks(&self, batch: Batch) -> impl Iterator<Item = (&SiteSpec, u64, u64)> {
        let spec = self.base.model.spec();
        let prompt = self.prompt as u64;
        let encoded = batch.rows * (batch.tokens + prompt);
        let causal = batch.rows * batch.tokens + prompt;
        let decoded = batch.rows * batch.decoder_tokens;
        spec.sites.iter().filter_map(move |site| match (site.site, spec.topology) {
            (Site::EncoderSelf, _) => Some((site, encoded, 0)),
            (Site::DecoderSelf, Topology::EncoderDecoder) => {
                let heads = (site.num_heads * site.head_dim) as u64;
                let cross = decoded * (heads + self.hidden());
                Some((site, decoded, cross + encoded * site.kv_width() as u64))
            }
            (Site::DecoderSelf, _) => Some((site, causal, 0)),
            (Site::Cross, _) => None,
        })
    }

    fn kept_of_layer(&self, site: &SiteSpec, positions: u64) -> u64 {
        let joined = (site.num_heads * site.head_dim + site.kv_width()) as u64;
        let inner = if self.is_gated() { 2 * self.inner() } else { self.inner() };
        positions * (2 * self.hidden() + joined + inner)
    }

    fn hidden(&self) -> u64 {
        self.base.model.spec().hidden_size as u64
    }

    /// The width of the feed-forward layers, F.
    fn inner(&self) -> u64 {
        let keys = ["intermediate_size", "n_inner", "d_ff", "encoder_ffn_dim"];
        let found = keys.iter().find_map(|key| self.base.config.optional_size(key).ok()?);
        found.map_or(4 * self.hidden(), |size| size as u64)
    }

    /// Whether a second product gates what the first one makes.
    fn is_gated(&self) -> bool {
        let spec = self.base.model.spec();
        let of_t5 = || self.base.config.text("feed_forward_proj", "relu").unwrap_or_default();
        match spec.topology {
            Topology::DecoderOnly => spec.model_type != "gpt2",
            Topology::EncoderOnly => false,
            Topology::EncoderDecoder => of_t5().starts_with("gated"),
        }
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
            first_layer: Some(0),
            kept_states: 0,
            trained: 7,
            packed: None,
            train,
            valid: &[],
        }
    }

    #[test]
    fn the_largest_batch_and_its_layers_count() {
        let llama = json!({"model_type": "llama", "architectures": ["LlamaForCausalLM"],
            "num_key_value_heads": 1, "tie_word_embeddings": true});
        let llama = model(llama);
        let config = TrainConfig { batch_size: 2, ..TrainConfig::new(Task::CausalLm) };
        let train = rows(&[3, 9, 4]);
        let own = run(&llama, &config, &train);
        let batch = own.batch(&train);
        assert_eq!(batch, Batch { rows: 2, tokens: 9, decoder_tokens: 0, targets: 18 });
        // A causal prompt passes through the layers once; keys and values are of 1 head of 2, of size 8.
        let of_layer = (2 * 9 + 5) * (2 * H + (2 + 2) * 8 + 2 * F);
        assert_eq!(own.kept(batch), 3 * of_layer);
        assert_eq!(Run { first_layer: Some(2), ..own }.kept(batch), of_layer);
        assert_eq!(Run { first_layer: None, ..own }.kept(batch), 0);
        let less = Run { recompute: true, ..own };
        assert_eq!(less.kept(batch), of_layer + 3 * (2 * 9 + 5) * H);
        assert!(less.bytes() < own.bytes() && own.bytes() > F32 * 3 * of_layer);
        assert_eq!(Run { kept_states: 1000, ..own }.bytes(), own.bytes() + 1000);
        let packed = Run { packed: Some((1, 40)), ..own }.training_batch();
        assert_eq!(packed, Batch { rows: 1, tokens: 40, decoder_tokens: 0, targets: 40 });
        let budget = TrainConfig { batch_tokens: Some(30), ..config.clone() };
        assert_eq!(run(&llama, &budget, &train).batch(&train).rows, 3);
    }

    #[test]
    fn a_prompt_stands_in_front_of_each_row_of_an_encoder() {
        let bert = model(json!({"model_type": "bert", "architectures": ["BertModel"]}));
        let config = TrainConfig { batch_size: 2, ..TrainConfig::new(Task::TokenCls) };
        let train = rows(&[9, 9]);
        let own = run(&bert, &config, &train);
        let of_layer = 2 * (9 + 5) * (2 * H + 3 * H + F);
        assert_eq!(own.kept(own.batch(&train)), 3 * of_layer);
        // Only what has fewer bits than f32 is upcast.
        let narrow = Run { format: WeightFormat::Int8, ..own };
        assert_eq!((own.upcast(), narrow.upcast()), (0, 2 * 3 * H * H));
    }
}
