//! Changes to rows before a task reads them: lists that become rows, words for labels, lists that become text.
//!
//! | file | what it is |
//! |---|---|
//! | `steps/operation.rs` | what a step can be |
//! | `steps/parts.rs` | what steps share: fields set, numbers read, texts replaced |
//! | `steps/lists.rs` | steps on lists: rows of their own, joined, without repetitions, longer by some elements, one of them |
//! | `steps/texts.rs` | steps on texts: from a template, parts replaced, a word marked, `name[value]` taken apart |
//! | `steps/labels.rs` | steps on labels: words for them, rows chosen by them |

mod labels;
mod lists;
mod operation;
mod parts;
mod texts;

use serde_json::Value;

use super::record::{Record, describe};
use crate::error::{Error, Result};

use operation::Operation;

/// What changes the rows of a file, one step after the other.
///
/// A step whose field a row lacks does nothing to it, so that one list of steps can serve several layouts of a data set,
/// and rows without targets.
///
/// # Examples
///
/// The questions of a paragraph become rows, and its labels words:
///
/// ```
/// use std::path::Path;
///
/// use peft_core::text::{Record, Steps};
/// use serde_json::json;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let steps = Steps::parse(&json!([
///     {"each": {"list": "questions", "as": "question"}},
///     {"words": {"field": "question.label", "as": "label", "words": {"false": "no", "true": "yes"}}},
/// ]))?;
/// let fields = json!({"paragraph": "p", "questions": [{"text": "a", "label": true}, {"text": "b", "label": false}]});
/// let row = Record::new(Path::new("rows.jsonl").into(), 1, fields.as_object().cloned().unwrap_or_default());
/// let rows = steps.apply(row, true)?;
/// assert_eq!((rows.len(), rows[0].text("label")?, rows[1].text("question.text")?), (2, "yes", "b"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps(Vec<Operation>);

impl Steps {
    /// The steps of a list of objects with one key each, the name of the operation.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the step, counted from 1, and what is wrong with it.
    pub fn parse(list: &Value) -> Result<Self> {
        let Value::Array(steps) = list else {
            return Err(wrong("", format!("found {}, expected a list", describe(list))));
        };
        let parse = |(index, step): (usize, &Value)| {
            let step: Operation = serde_json::from_value(step.clone())
                .map_err(|error| wrong(&format!(" {}", index + 1), error.to_string()))?;
            step.check().map_err(|message| wrong(&format!(" {}", index + 1), message))?;
            Ok(step)
        };
        Ok(Self(steps.iter().enumerate().map(parse).collect::<Result<_>>()?))
    }

    /// The list that [`parse`](Self::parse) reads.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(&self.0).unwrap_or_default()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows that a row becomes: one, several, or none if it is left out. Some steps are for rows to train on alone.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] at the record's line, naming the field that a step cannot use.
    pub fn apply(&self, record: Record, training: bool) -> Result<Vec<Record>> {
        self.apply_watched(record, training, &mut Vec::new())
    }

    /// As [`apply`](Self::apply); also takes the steps out of `idle` for which a row has the field, and marks those that a
    /// row reached.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub fn apply_watched(
        &self,
        record: Record,
        training: bool,
        idle: &mut Vec<IdleStep>,
    ) -> Result<Vec<Record>> {
        let mut rows = vec![record];
        for (place, step) in self.0.iter().enumerate() {
            let mut next = Vec::with_capacity(rows.len());
            idle.retain_mut(|idle| {
                let is_this = idle.place == place;
                idle.reached |= is_this && !rows.is_empty();
                !(is_this && rows.iter().any(|row| row.has(&idle.field)))
            });
            for row in rows {
                step.apply(row, training, &mut next)?;
            }
            rows = next;
        }
        Ok(rows)
    }

    /// The steps that do nothing to rows without a field: all of them, before a row is seen.
    pub fn idle(&self) -> Vec<IdleStep> {
        let idle = |(place, step): (usize, &Operation)| {
            Some(IdleStep { place, field: step.field()?.to_owned(), reached: false })
        };
        self.0.iter().enumerate().filter_map(idle).collect()
    }
}

/// A step that did nothing so far, since no row had its field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleStep {
    /// Its place among the steps, from 0.
    pub place: usize,
    /// The field.
    pub field: String,
    /// Whether a row came to it: steps before it may leave all of them out.
    pub reached: bool,
}

fn wrong(place: &str, message: String) -> Error {
    Error::setting("task_steps", format!("step{place}: {message}"))
}
