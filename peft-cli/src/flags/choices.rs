//! Values of flags that are chosen by name.

use std::str::FromStr;

use peft_core::{
    Error, PaddingSide, Pooling, PrefixPositions, ProblemType, Result, Task,
    optim::{OptimizerConfig, Schedule},
    train::Mixing,
};
use peft_models::{Compute, WeightFormat};

use crate::nearest::{alike, did_you_mean};

/// What is chosen by one of some names.
pub trait Named: FromStr<Err = Error> {
    /// The names.
    fn names() -> Vec<&'static str>;
}

impl Named for Task {
    fn names() -> Vec<&'static str> {
        Self::ALL.map(Self::name).to_vec()
    }
}

impl Named for ProblemType {
    fn names() -> Vec<&'static str> {
        Self::ALL.map(Self::name).to_vec()
    }
}

impl Named for WeightFormat {
    fn names() -> Vec<&'static str> {
        Self::ALL.map(Self::name).to_vec()
    }
}

impl Named for Compute {
    fn names() -> Vec<&'static str> {
        Self::ALL.map(Self::name).to_vec()
    }
}

impl Named for Schedule {
    fn names() -> Vec<&'static str> {
        Self::ALL.map(Self::name).to_vec()
    }
}

/// The optimizer of a name, with its usual settings.
///
/// # Errors
///
/// [`Error::Setting`], which names the one that was probably meant.
pub fn parse_optimizer(name: &str) -> Result<OptimizerConfig> {
    OptimizerConfig::from_name(name)
        .map_err(|error| with_meant(error, name, &["adamw", "adafactor", "sgd"]))
}

/// Parses the value of a flag for clap, which names the flag in its own message.
///
/// # Errors
///
/// Returns a message that says what is wrong with the value.
pub fn parse_value<T: Named>(text: &str) -> std::result::Result<T, String> {
    parse_named(text).map_err(|error| match error {
        Error::Setting { message, .. } => message,
        other => other.to_string(),
    })
}

/// Parses the value of a setting that is chosen by name.
///
/// # Errors
///
/// [`Error::Setting`], which names the one that was probably meant.
pub fn parse_named<T: Named>(text: &str) -> Result<T> {
    text.parse().map_err(|error| with_meant(error, text, &T::names()))
}

/// An error about a value, with the name that was probably meant.
fn with_meant(error: Error, found: &str, names: &[&str]) -> Error {
    match error {
        Error::Setting { setting, message } => {
            let meant = did_you_mean(alike(found, names.iter().copied()));
            Error::Setting { setting, message: format!("{message}{meant}") }
        }
        other => other,
    }
}

/// Parses a number that must be at least 1, for clap.
///
/// # Errors
///
/// Returns a message that says what was found.
pub fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("found 0, expected at least 1".into()),
        Ok(number) => Ok(number),
        Err(_) => {
            let from = if text.starts_with('-') { " from 1" } else { "" };
            Err(format!("found `{text}`, expected a whole number{from}"))
        }
    }
}

/// The names of a setting's values.
#[derive(Debug)]
pub struct Choices<T: 'static> {
    flag: &'static str,
    names: &'static [(&'static str, T)],
}

/// `--padding`.
pub const PADDING: Choices<PaddingSide> = Choices {
    flag: "--padding",
    names: &[("right", PaddingSide::Right), ("left", PaddingSide::Left)],
};

/// `--pooling`.
pub const POOLING: Choices<Pooling> = Choices {
    flag: "--pooling",
    names: &[("first", Pooling::First), ("first_token", Pooling::FirstToken)],
};

/// `--prefix-positions`.
pub const PREFIX_POSITIONS: Choices<PrefixPositions> = Choices {
    flag: "--prefix-positions",
    names: &[("shifted", PrefixPositions::Shifted), ("unshifted", PrefixPositions::Unshifted)],
};

/// `--task-mixing`.
pub const MIXING: Choices<Mixing> = Choices {
    flag: "--task-mixing",
    names: &[
        ("all", Mixing::All),
        ("turns", Mixing::Turns),
        ("drawn", Mixing::Drawn { temperature: 1.0 }),
    ],
};

impl<T: Copy + PartialEq> Choices<T> {
    /// The value of this name.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] listing the names.
    pub fn parse(&self, name: &str) -> Result<T> {
        let found = self.names.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = self.names.iter().map(|(known, _)| *known).collect();
            let message = format!("found {name:?}, expected {}", known.join(" or "));
            with_meant(Error::setting(self.flag, message), name, &known)
        })
    }

    /// The name of a value.
    pub fn name(&self, value: T) -> &'static str {
        self.names.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
    }
}
