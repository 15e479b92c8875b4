//! The flags of examples.

use std::path::PathBuf;

use clap::Args;
use peft_core::{Error, Result, train::TrainConfig};

use crate::flags::help::FlagHelp;

/// What the flags stand under in help texts.
const HEADING: &str = "Examples in front of each row (few-shot)";

/// Flags of examples in front of each row.
#[derive(Args, Clone, Debug)]
pub struct ShotArgs {
    /// Put K rows of --shots-from, each with its target, in front of each row. Where the task has classes, all have as
    /// many of them as can be; rows that are scored are never drawn. All rows have the same examples, which a decoder
    /// reads once.
    #[arg(long, help_heading = HEADING, value_name = "K", default_value_t = 0)]
    pub shots: usize,
    /// Rows that the examples are drawn from, such as those to train on. Again for more of them.
    #[arg(long, help_heading = HEADING, value_name = "FILE")]
    pub shots_from: Vec<PathBuf>,
    /// Seed that draws them. With the same seed, more examples are the same ones and others.
    #[arg(long, help_heading = HEADING, value_name = "N", show_default = TrainConfig::default().seed)]
    pub shots_seed: Option<u64>,
    /// What stands behind each example.
    #[arg(
        long,
        help_heading = HEADING,
        value_name = "TEXT",
        allow_hyphen_values = true,
        show_default = "a blank line, that is two line breaks"
    )]
    pub shot_separator: Option<String>,
}

/// What stands behind each example where nothing is said.
const SEPARATOR: &str = "\n\n";

impl ShotArgs {
    /// Refuses flags without those that they need.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag.
    pub fn check(&self) -> Result<()> {
        match (self.shots, self.shots_from.is_empty()) {
            (0, false) => {
                Err(Error::setting("--shots-from", "needs --shots, the number of examples"))
            }
            (0, true) if self.shot_separator.is_some() => {
                Err(Error::setting("--shot-separator", "needs --shots, the number of examples"))
            }
            (0, true) if self.shots_seed.is_some() => {
                Err(Error::setting("--shots-seed", "needs --shots, the number of examples"))
            }
            (1.., true) => {
                let message = "needs the rows that examples are drawn from: --shots-from FILE";
                Err(Error::setting("--shots", message))
            }
            _ => Ok(()),
        }
    }

    /// The seed that draws them.
    pub fn seed(&self) -> u64 {
        self.shots_seed.unwrap_or(TrainConfig::default().seed)
    }

    /// What stands behind each example.
    pub fn separator(&self) -> &str {
        self.shot_separator.as_deref().unwrap_or(SEPARATOR)
    }
}
