//! The flags of generation.

use std::fmt::Display;

use clap::{Args, ValueEnum};
use peft_models::generate::{Beams, EarlyStopping, GenerateConfig, Sampling};

use crate::flags::help::FlagHelp;

/// New tokens where neither a flag nor the model says how many.
pub const MAX_NEW_TOKENS: usize = 64;

/// Flags that say how text is continued. What no flag says, the model's files may.
#[derive(Args, Clone, Debug, Default)]
pub struct DecodingArgs {
    /// Largest number of new tokens.
    #[arg(long, value_name = "N", show_default = or_of_model(MAX_NEW_TOKENS))]
    pub max_new_tokens: Option<usize>,
    /// New tokens before the text may end.
    #[arg(long, value_name = "N", show_default = or_of_model(defaults().min_new_tokens))]
    pub min_new_tokens: Option<usize>,
    /// End the text where TEXT appears among the new text, not where it begins in the prompt; may be given several
    /// times. `output` is cut before it, `output_ids` includes its tokens.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub stop: Vec<String>,
    /// Make tokens that have occurred less likely, with X above 1.
    #[arg(
        long,
        value_name = "X",
        allow_negative_numbers = true,
        show_default = or_of_model(format!("{}, no penalty", defaults().repetition_penalty))
    )]
    pub repetition_penalty: Option<f32>,
    /// Write the same N tokens in a row only once, those of a text that is continued included.
    #[arg(long, value_name = "N", show_default = or_of_model("0, no limit"))]
    pub no_repeat_ngram_size: Option<usize>,
    /// Take the likeliest token each time, even where generation_config.json asks for sampling or beams.
    #[arg(long, conflicts_with_all = ["temperature", "top_k", "top_p", "seed", "num_beams"])]
    pub greedy: bool,
    /// Texts per row, in a list: with beam search its N best, with sampling N draws.
    #[arg(long, value_name = "N", show_default = defaults().num_return_sequences)]
    pub num_return_sequences: Option<usize>,
    /// Sample with this temperature: below 1 likely tokens become likelier, 1 is the model's own distribution.
    #[arg(
        long,
        value_name = "X",
        allow_negative_numbers = true,
        help_heading = "Sampling (with any of these)"
    )]
    pub temperature: Option<f32>,
    /// Sample from the K likeliest tokens.
    #[arg(long, value_name = "K", help_heading = "Sampling (with any of these)")]
    pub top_k: Option<usize>,
    /// Sample from the smallest set of likeliest tokens whose probabilities add up to P.
    #[arg(
        long,
        value_name = "P",
        allow_negative_numbers = true,
        help_heading = "Sampling (with any of these)"
    )]
    pub top_p: Option<f32>,
    /// Seed of the sampling.
    #[arg(
        long,
        value_name = "N",
        help_heading = "Sampling (with any of these)",
        show_default = Sampling::default().seed
    )]
    pub seed: Option<u64>,
    /// Search with B beams.
    #[arg(
        long,
        value_name = "B",
        help_heading = "Beam search",
        show_default = or_of_model("1, no search")
    )]
    pub num_beams: Option<usize>,
    /// Favour longer texts above 0, shorter ones below.
    #[arg(
        long,
        value_name = "X",
        allow_negative_numbers = true,
        help_heading = "Beam search",
        show_default = Beams::new(1).length_penalty
    )]
    pub length_penalty: Option<f32>,
    /// When to end a search that has B finished texts: at once (true), when no unfinished one could be better
    /// if it ended now (false), or at any length (never).
    #[arg(
        long,
        value_enum,
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "WHEN",
        help_heading = "Beam search",
        show_default = "false"
    )]
    pub early_stopping: Option<EarlyStoppingName>,
}

/// The value of `--early-stopping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EarlyStoppingName {
    /// When no unfinished text could be better if it ended now.
    False,
    /// At once.
    True,
    /// When no unfinished text could be better at any length.
    Never,
}

/// A default that the model's own file goes before.
fn or_of_model(value: impl Display) -> String {
    format!("that of generation_config.json, else {value}")
}

/// The defaults of generation; the length is always given.
fn defaults() -> GenerateConfig {
    GenerateConfig::new(1)
}

impl From<EarlyStoppingName> for EarlyStopping {
    fn from(name: EarlyStoppingName) -> Self {
        match name {
            EarlyStoppingName::False => Self::Heuristic,
            EarlyStoppingName::True => Self::Always,
            EarlyStoppingName::Never => Self::Never,
        }
    }
}
