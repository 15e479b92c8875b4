//! The settings of a training run: flags, or a TOML file with the same names, or both (flags win).

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use peft_core::{Error, PrefixPositions, Result, Site, Task};
use peft_models::WeightFormat;
use serde::{Deserialize, Serialize};

/// A method's name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum MethodName {
    /// Prompt tuning.
    Prompt,
    /// Prefix tuning.
    Prefix,
    /// P-tuning v2.
    Ptv2,
    /// The task head alone: the baseline that a method has to beat.
    Head,
}

impl MethodName {
    /// The methods that train virtual tokens, in the order of the papers.
    pub const ALL: [Self; 3] = [Self::Prompt, Self::Prefix, Self::Ptv2];

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Prefix => "prefix",
            Self::Ptv2 => "ptv2",
            Self::Head => "head",
        }
    }
}

/// Defines the settings once: as flags, as keys of a TOML file, and how two sources are merged.
macro_rules! settings {
    ($($(#[$attribute:meta])* $name:ident: $type:ty,)*) => {
        /// Settings of a training run. Everything is optional here; what is required is checked when
        /// the run starts.
        #[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Settings {
            $($(#[$attribute])*
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $name: Option<$type>,)*
        }

        impl Settings {
            /// These settings, and `other` where they say nothing.
            #[must_use]
            pub fn or(self, mut other: Self) -> Self {
                // Steps and epochs are two ways to say the same.
                if self.steps.is_some() || self.epochs.is_some() {
                    (other.steps, other.epochs) = (None, None);
                }
                // So are rows and tokens of a batch.
                if self.batch_size.is_some() || self.batch_tokens.is_some() {
                    (other.batch_size, other.batch_tokens) = (None, None);
                }
                // An adapter is a start of its own.
                if self.init_adapter.is_some() && other.init_adapter.is_none() {
                    (other.init, other.init_text, other.num_virtual_tokens) = (None, None, None);
                }
                Self { $($name: self.$name.or(other.$name),)* }
            }
        }
    };
}

settings! {
    /// The frozen base model: its folder, or org/name on the Hugging Face Hub.
    #[arg(long, value_name = "MODEL", help_heading = "What to train")]
    model: PathBuf,
    /// Method.
    #[arg(long, value_enum, help_heading = "What to train")]
    method: MethodName,
    /// Task: causal-lm, seq2seq-lm, seq-cls, token-cls or qa.
    #[arg(long, help_heading = "What to train")]
    task: Task,
    /// Training rows: .jsonl, .tsv or .csv.
    #[arg(long, value_name = "FILE", help_heading = "What to train")]
    train: PathBuf,
    /// Validation rows; the checkpoint that is best on them is kept.
    #[arg(long, value_name = "FILE", help_heading = "What to train")]
    valid: PathBuf,
    /// The run's folder, and afterwards the adapter.
    #[arg(long, value_name = "DIR", help_heading = "What to train")]
    out: PathBuf,

    /// P. Default: 20, for ptv2 16.
    #[arg(long, value_name = "P", help_heading = "Method")]
    num_virtual_tokens: usize,
    /// Initial virtual tokens. prompt: vocab (default), random, scaled, labels, text. prefix and ptv2:
    /// random (default), zero, words.
    #[arg(long, value_name = "HOW", help_heading = "Method")]
    init: String,
    /// The text of `--init text` and the words of `--init words`.
    #[arg(long, value_name = "TEXT", help_heading = "Method")]
    init_text: String,
    /// Start from an adapter (a folder, or org/name on the Hub), its P included.
    #[arg(long, value_name = "ADAPTER", help_heading = "Method")]
    init_adapter: PathBuf,
    /// Layers that get virtual tokens (ptv2), such as 0-3,11. Default: all.
    #[arg(long, value_name = "LIST", help_heading = "Method")]
    layers: String,
    /// Attention sites of an encoder-decoder that get a prefix: encoder, decoder, cross. Default: all three.
    #[arg(long, value_name = "LIST", help_heading = "Method")]
    sites: String,
    /// Positions after a prefix on an encoder-decoder: unshifted (default) or shifted, as PEFT has them.
    #[arg(long, value_name = "RULE", help_heading = "Method")]
    prefix_positions: String,
    /// Let the relative position bias of a T5 reach over the prefix, as in PEFT. Default: false.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Method")]
    relative_bias: bool,
    /// Make the prefix by an MLP that is folded away afterwards. Default: true for prefix, false for ptv2.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Method")]
    prefix_projection: bool,
    /// Width of that MLP. Default: 512.
    #[arg(long, value_name = "N", help_heading = "Method")]
    prefix_hidden_size: usize,
    /// Dropout on the keys and values. Default: 0.
    #[arg(long, value_name = "RATE", help_heading = "Method")]
    prefix_dropout: f64,

    /// Training steps (one update each).
    #[arg(long, value_name = "N", help_heading = "Training")]
    steps: usize,
    /// Training epochs, instead of steps. Default: 3, where neither is given.
    #[arg(long, value_name = "N", conflicts_with = "steps", help_heading = "Training")]
    epochs: usize,
    /// Rows a batch. Default: 32.
    #[arg(long, value_name = "B", help_heading = "Training")]
    batch_size: usize,
    /// Tokens a batch at most (of sources and targets, padding included), instead of rows: rows of similar
    /// length come together, and each step costs about the same.
    #[arg(long, value_name = "N", conflicts_with = "batch_size", help_heading = "Training")]
    batch_tokens: usize,
    /// Batches that make one step. Default: 1.
    #[arg(long, value_name = "K", help_heading = "Training")]
    accumulation: usize,
    /// Learning rate. Default: by method and optimizer, see docs/RECIPES.md.
    #[arg(long, value_name = "LR", allow_negative_numbers = true, help_heading = "Training")]
    lr: f64,
    /// Weight decay, on everything that is trained. Default: 0.
    #[arg(long, value_name = "WD", allow_negative_numbers = true, help_heading = "Training")]
    weight_decay: f64,
    /// Optimizer: adamw (default), adafactor, sgd.
    #[arg(long, value_name = "NAME", help_heading = "Training")]
    optimizer: String,
    /// Schedule after warm-up: linear (default), constant, cosine.
    #[arg(long, value_name = "NAME", help_heading = "Training")]
    schedule: String,
    /// Steps of linear warm-up. Default: 0.
    #[arg(long, value_name = "N", help_heading = "Training")]
    warmup_steps: usize,
    /// Largest norm of all gradients together. Default: no clipping.
    #[arg(long, value_name = "NORM", allow_negative_numbers = true, help_heading = "Training")]
    clip_norm: f64,
    /// Keep only the inputs of each layer for the way back, and run each layer again there: saves most of the
    /// memory of activations, costs 30 to 55 % more time a step. CPU only. Default: false.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Training")]
    recompute: bool,
    /// Keep the frozen matrices of the base in f32 (default), bf16 (half the memory) or int8 (a quarter); the
    /// same for eval, predict and generate. CPU only.
    #[arg(long, value_name = "FORMAT", help_heading = "Training")]
    base_weights: WeightFormat,
    /// The one seed of the run. Default: 0.
    #[arg(long, value_name = "N", help_heading = "Training")]
    seed: u64,
    /// Steps between evaluations on the validation rows. Default: once an epoch, 50 times at most.
    #[arg(long, value_name = "N", help_heading = "Training")]
    eval_every: usize,
    /// Steps between checkpoints. Default: at every evaluation, and when interrupted.
    #[arg(long, value_name = "N", help_heading = "Training")]
    checkpoint_every: usize,
    /// Metric that chooses the best checkpoint. Default: accuracy, f1 or loss, by task.
    #[arg(long, value_name = "NAME", help_heading = "Training")]
    best_metric: String,
    /// Evaluations without improvement before stopping early. Default: never.
    #[arg(long, value_name = "N", help_heading = "Training")]
    patience: usize,

    /// Tokens kept of a row. Default: all; too long a row is an error. qa: tokens of a window onto the context.
    #[arg(long, value_name = "T", help_heading = "Data")]
    max_length: usize,
    /// seq2seq-lm: tokens kept of a target. Default: all.
    #[arg(long, value_name = "T", help_heading = "Data")]
    max_target_length: usize,
    /// qa: tokens that windows onto a long context share. Default: 128, half a window at most.
    #[arg(long, value_name = "N", help_heading = "Data")]
    doc_stride: usize,
    /// qa: tokens of an answer, at most. Default: 30.
    #[arg(long, value_name = "N", help_heading = "Data")]
    max_answer_length: usize,
    /// Makes the input from a row's fields: "{premise} so {hypothesis}".
    #[arg(long, value_name = "TEXT", help_heading = "Data")]
    source_template: String,
    /// Makes the target from a row's fields.
    #[arg(long, value_name = "TEXT", help_heading = "Data")]
    target_template: String,
    /// Class names in order, separated by commas. Default: those in the rows, sorted.
    #[arg(long, value_name = "LIST", help_heading = "Data")]
    labels: String,
    /// Side of the padding: right (default) or left.
    #[arg(long, value_name = "SIDE", help_heading = "Data")]
    padding: String,
    /// What an encoder's classifier reads: first (default, as PEFT) or first_token.
    #[arg(long, value_name = "WHICH", help_heading = "Data")]
    pooling: String,
    /// Take batches in the file's order: no shuffling, no grouping by length.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Data")]
    no_shuffle: bool,
    /// A JSON line for each step. Default: metrics.jsonl in the run's folder.
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    metrics_file: PathBuf,
}

impl Settings {
    /// Reads a TOML file.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::File`]; the latter names line, key and what was expected.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::read(path))?;
        let found: Self = toml::from_str(&text)
            .map_err(|error| Error::file(path, error.to_string().trim().to_string()))?;
        if found.steps.is_some() && found.epochs.is_some() {
            return Err(Error::file(path, "holds both `steps` and `epochs`, expected one of them"));
        }
        Ok(found)
    }

    /// As a TOML file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// A required setting.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag.
    pub fn required<'a, T>(&self, value: &'a Option<T>, flag: &str) -> Result<&'a T> {
        value.as_ref().ok_or_else(|| Error::setting(flag, "is required (as a flag or in --config)"))
    }
}

/// Parses a list of layers such as `0-3,11`.
///
/// # Errors
///
/// [`Error::Setting`] naming the part that is no number or range.
pub fn parse_layers(list: &str) -> Result<Vec<usize>> {
    let bad = |part: &str| {
        Error::setting(
            "--layers",
            format!("found {part:?}, expected numbers and ranges such as 0-3,11"),
        )
    };
    let mut layers = Vec::new();
    for part in list.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| bad(part))?;
        let last: usize = last.trim().parse().map_err(|_| bad(part))?;
        if first > last || last > 10_000 {
            return Err(bad(part));
        }
        layers.extend(first..=last);
    }
    layers.sort_unstable();
    layers.dedup();
    Ok(layers)
}

/// Parses a list of attention sites such as `encoder,cross`.
///
/// # Errors
///
/// [`Error::Setting`] naming the part that is no site.
pub fn parse_sites(list: &str) -> Result<Vec<Site>> {
    list.split(',').map(|name| name.trim().parse()).collect()
}

/// Parses the rule of positions after a prefix.
///
/// # Errors
///
/// [`Error::Setting`] naming the rules there are.
pub fn parse_positions(rule: &str) -> Result<PrefixPositions> {
    match rule {
        "shifted" => Ok(PrefixPositions::Shifted),
        "unshifted" => Ok(PrefixPositions::Unshifted),
        _ => Err(Error::setting(
            "--prefix-positions",
            format!("found {rule:?}, expected shifted or unshifted"),
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file() {
        let flags = Settings { lr: Some(0.5), ..Settings::default() };
        let file: Settings = toml::from_str("lr = 0.1\nsteps = 7\nmethod = \"ptv2\"").unwrap();
        let merged = flags.or(file);
        assert_eq!(
            (merged.lr, merged.steps, merged.method),
            (Some(0.5), Some(7), Some(MethodName::Ptv2))
        );
        let epochs = Settings { epochs: Some(2), ..Settings::default() }.or(merged.clone());
        assert_eq!((epochs.epochs, epochs.steps), (Some(2), None));
        let again: Settings = toml::from_str(&merged.to_toml()).unwrap();
        assert_eq!(again, merged);
    }

    #[test]
    fn layers_are_numbers_and_ranges() {
        assert_eq!(parse_layers("0-2, 5,1").unwrap(), [0, 1, 2, 5]);
        for bad in ["", "a", "3-1", "1-", "0-99999999"] {
            assert!(parse_layers(bad).unwrap_err().to_string().contains("--layers"), "{bad}");
        }
    }
}
