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
    #[arg(long, help_heading = HEADING, value_name = "K", show_default = 0)]
    shots: Option<usize>,
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
        let needs = |flag: &str| Err(Error::setting(flag, "needs --shots, the number of examples"));
        match self.shots {
            // No examples is a number of them, too: then there is nothing to draw.
            Some(0) => Ok(()),
            Some(_) if self.shots_from.is_empty() => {
                let message = "needs the rows that examples are drawn from: --shots-from FILE";
                Err(Error::setting("--shots", message))
            }
            Some(_) => Ok(()),
            None if !self.shots_from.is_empty() => needs("--shots-from"),
            None if self.shot_separator.is_some() => needs("--shot-separator"),
            None if self.shots_seed.is_some() => needs("--shots-seed"),
            None => Ok(()),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shots.unwrap_or(0)
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
