//! `validation.json`, which is written whenever a step is the best so far, from predictions that were made to score it.

use std::path::Path;

use peft_core::{
    Error, Result,
    adapter::atomic,
    formats::read,
    metrics::{Metrics, Score},
};
use serde::{Deserialize, Serialize};

/// What the best step predicts for the validation rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// The step.
    pub step: usize,
    /// Its scores.
    pub metrics: Metrics,
    /// The rows that something is predicted for: questions, not their windows.
    pub rows: usize,
    /// How many of them are wrong, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<usize>,
    /// The classes one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<ByClass>,
    /// The types of entities one by one, all of them together last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<Named>,
    /// Some of the rows, those with errors first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

/// Scores with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// What they are of.
    pub name: String,
    /// Precision, from 0 to 1.
    pub precision: f64,
    /// Recall, from 0 to 1.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
    /// How many there are.
    pub support: usize,
}

/// Classes one by one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByClass {
    /// The scores of each.
    pub scores: Vec<Named>,
    /// Their averages.
    pub averages: Vec<Named>,
    /// How many of each class (first index) are predicted to be of each (second index); none where there are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<usize>>,
    /// The right class, another that is predicted, and how often: the most frequent pairs.
    pub confused: Vec<(String, String, usize)>,
}

/// A row with what is predicted for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Its file, by its name.
    pub file: String,
    /// Its line, counted from 1.
    pub line: usize,
    /// The row, as the model reads it.
    pub text: String,
    /// What should be predicted.
    pub expected: String,
    /// What is.
    pub predicted: String,
    /// Whether that is right, where it can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_right: Option<bool>,
}

impl Validation {
    /// Reads the file; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::File`].
    pub fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let found = serde_json::from_slice(&read::bytes(path)?);
        found.map(Some).map_err(|error| {
            Error::file(
                path,
                format!(
                    "found something else than the predictions of a run's validation rows ({error}): it may be removed, and \
                     the page about the run then goes without them"
                ),
            )
        })
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|error| Error::file(path, error.to_string()))?;
        atomic::write_file(path, format!("{text}\n").as_bytes())
    }
}

impl Named {
    pub(super) fn new(name: impl Into<String>, score: &Score) -> Self {
        let Score { precision, recall, f1, support } = *score;
        Self { name: name.into(), precision, recall, f1, support }
    }
}
