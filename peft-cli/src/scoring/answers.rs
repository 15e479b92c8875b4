//! Answers to questions, as SQuAD's scripts compare them.

use std::collections::HashMap;

use peft_core::{
    Error, Result,
    metrics::Attempt,
    text::{Record, label_text, value_in_text},
};
use serde_json::Value;

use super::{
    Kind,
    counts::{self, Count},
    fields::{self, FieldArgs},
    ids,
    source::{Source, blocks},
};
use crate::output::note;

/// A predicted answer with those that are right.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// What was answered; empty where the question is taken to have no answer.
    pub prediction: String,
    /// The right answers; none where there is none.
    pub answers: Vec<String>,
    /// By how much no answer scores above this one, if that is known.
    pub null_score_diff: Option<f64>,
}

impl Question {
    /// What SQuAD 2.0's script makes of it.
    pub fn attempt(&self) -> Attempt {
        Attempt::of_text(&self.prediction, &self.answers, self.null_score_diff.unwrap_or(0.0))
    }
}

/// Reads both sides. References are SQuAD's own file, rows with `answers`, or lines in groups; predictions an object of
/// answers by id, as SQuAD's scripts read it, rows, or lines.
///
/// # Errors
///
/// [`Error::Mismatch`] if they are not equally many, [`Error::Data`] for rows without answers.
pub fn read(
    predictions: &Source,
    references: Option<&Source>,
    args: &FieldArgs,
) -> Result<Vec<Question>> {
    let own = references.is_none();
    let references = references.unwrap_or(predictions);
    let answers = match references {
        Source::Rows(_, rows) => {
            let field = fields::reference(rows, Kind::Answer, args, own)?;
            rows.iter().map(|row| answers(row, &field)).collect::<Result<Vec<_>>>()?
        }
        Source::Lines(_, lines) => groups(predictions, references, lines)?,
    };
    if let (Some(rows), Some(by_id)) = (references.rows(), by_id(predictions, references)?) {
        return joined(predictions, rows, answers, by_id);
    }
    let count = answers.len();
    if !Count::of(predictions).may_be(count) {
        return Err(counts::differ(predictions, references, &count.to_string(), "questions"));
    }
    let order = ids::order(predictions, references, args)?;
    let ordered = |at: usize| answers[order.as_ref().map_or(at, |order| order[at])].clone();
    match predictions {
        Source::Lines(_, lines) => Ok(lines
            .iter()
            .take(count)
            .enumerate()
            .map(|(at, line)| Question {
                prediction: line.clone(),
                answers: ordered(at),
                null_score_diff: None,
            })
            .collect()),
        Source::Rows(_, rows) => {
            let field = fields::prediction(rows, Kind::Answer, args)?;
            let question = |(at, row): (usize, &Record)| {
                let texts = fields::texts(row, &field)?;
                let null_score_diff = row.optional("null_score_diff").and_then(Value::as_f64);
                let prediction = texts.into_iter().next().unwrap_or_default();
                Ok(Question { prediction, answers: ordered(at), null_score_diff })
            };
            rows.iter().enumerate().map(question).collect()
        }
    }
}

/// The right answers of a row; none if it says that there is none.
fn answers(row: &Record, field: &str) -> Result<Vec<String>> {
    let is_impossible = row.optional("is_impossible").is_some_and(|value| {
        value.as_bool().unwrap_or_else(|| matches!(value.as_str(), Some("true" | "True" | "1")))
    });
    match row.value(field) {
        _ if is_impossible => Ok(Vec::new()),
        Some(Value::Null) => Ok(Vec::new()),
        // A table has lists and objects as text.
        Some(Value::String(text)) if text.trim_start().starts_with(['[', '{']) => {
            let texts = value_in_text(text).as_ref().and_then(fields::texts_of);
            texts.ok_or_else(|| {
                row.error(format!(
                    "field `{field}`: found a list or an object that is neither JSON nor as Python writes it, expected answers"
                ))
            })
        }
        _ => fields::texts(row, field),
    }
}

/// The answers of lines: a line each, or groups that blank lines separate.
fn groups(predictions: &Source, references: &Source, lines: &[String]) -> Result<Vec<Vec<String>>> {
    let blocks = blocks(lines);
    let are_lines = counts::are_same_lines(predictions, references);
    if blocks.len() > 1 && Count::of(predictions).may_be(blocks.len()) && !are_lines {
        return Ok(blocks.into_iter().map(|(_, block)| block.to_vec()).collect());
    }
    let count = counts::of_both(predictions, references)?;
    // A blank line is a question without an answer.
    let answer = |line: &String| if line.trim().is_empty() { vec![] } else { vec![line.clone()] };
    Ok(lines.iter().take(count).map(answer).collect())
}

/// The answers by id, if the predictions are one object of them, in which a reference's id is a key. Null is no answer.
///
/// # Errors
///
/// [`Error::Data`] naming an id whose answer is a list or an object.
fn by_id<'s>(
    predictions: &'s Source,
    references: &Source,
) -> Result<Option<HashMap<&'s str, String>>> {
    let Some([row]) = predictions.rows() else { return Ok(None) };
    let is_key =
        |reference: &Record| ids::id_text(reference).is_some_and(|id| row.fields.contains_key(&id));
    if !references.rows().unwrap_or_default().iter().any(is_key) {
        return Ok(None);
    }
    let text = |(id, value): (&'s String, &Value)| -> Result<(&'s str, String)> {
        let text = match value {
            Value::Null => Some(String::new()),
            Value::String(text) => Some(text.clone()),
            value => label_text(value),
        };
        let expected = "the text of one answer, or null for none";
        let wrong = || format!("field `{id}`: found a list or an object, expected {expected}");
        Ok((id.as_str(), text.ok_or_else(|| row.error(wrong()))?))
    };
    row.fields.iter().map(text).collect::<Result<_>>().map(Some)
}

/// Each question with its answer by id. One that is not answered counts as answered with nothing.
fn joined(
    predictions: &Source,
    rows: &[Record],
    answers: Vec<Vec<String>>,
    by_id: HashMap<&str, String>,
) -> Result<Vec<Question>> {
    let mut missing = 0;
    let mut questions = Vec::with_capacity(rows.len());
    for (row, answers) in rows.iter().zip(answers) {
        let id = ids::id_text(row)
            .ok_or_else(|| row.error("has no `id`, by which it would be answered"))?;
        let prediction = by_id.get(id.as_str()).cloned().unwrap_or_else(|| {
            missing += 1;
            String::new()
        });
        questions.push(Question { prediction, answers, null_score_diff: None });
    }
    if missing > 0 {
        let path = predictions.path().display();
        note(format!(
            "note: {path}: {missing} questions are not answered, and count as answered with nothing"
        ));
    }
    Ok(questions)
}

/// Refuses questions without an answer where the metric knows none.
///
/// # Errors
///
/// [`Error::Mismatch`] naming the metric that does.
pub fn check_answerable(questions: &[Question]) -> Result<()> {
    match questions.iter().position(|question| question.answers.is_empty()) {
        Some(at) => Err(Error::Mismatch(format!(
            "question {} has no answer, which SQuAD 1.1's script does not know: use the metric squad_v2",
            at + 1
        ))),
        None => Ok(()),
    }
}
