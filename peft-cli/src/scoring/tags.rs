//! Tagged sentences.

use peft_core::{Result, text::Record};
use serde_json::Value;

use super::{
    Kind, counts,
    fields::{self, FieldArgs},
    ids,
    source::Source,
};
use crate::output::note;

/// Tags by sentence: predicted ones and those that are right.
pub type Sentences = (Vec<Vec<String>>, Vec<Vec<String>>);

/// Reads both sides: rows with a list of tags, CoNLL files, or lines of tags with blanks between them.
///
/// # Errors
///
/// [`Error::Mismatch`](peft_core::Error::Mismatch) if there are not as many sentences,
/// [`Error::Data`](peft_core::Error::Data) for a sentence with another number of tags.
pub fn read(
    predictions: &Source,
    references: Option<&Source>,
    args: &FieldArgs,
) -> Result<Sentences> {
    let own = references.is_none();
    let references = references.unwrap_or(predictions);
    let count = counts::of_both(predictions, references)?;
    let (found, places) =
        sentences(predictions, count, |rows| fields::prediction(rows, Kind::Tags, args))?;
    let (mut wanted, _) =
        sentences(references, count, |rows| fields::reference(rows, Kind::Tags, args, own))?;
    if let Some(order) = ids::order(predictions, references, args)? {
        wanted = order.into_iter().map(|at| wanted[at].clone()).collect();
    }
    for ((found, wanted), line) in found.iter().zip(&wanted).zip(&places) {
        if found.len() != wanted.len() {
            let message = format!(
                "found {} tags, expected the {} of its reference",
                found.len(),
                wanted.len()
            );
            return Err(peft_core::Error::data(predictions.path(), *line, message));
        }
    }
    Ok((found, wanted))
}

/// The sentences of a file, and their lines.
fn sentences(
    source: &Source,
    count: usize,
    field: impl Fn(&[Record]) -> Result<String>,
) -> Result<(Vec<Vec<String>>, Vec<usize>)> {
    match source {
        Source::Lines(_, lines) => {
            let split = |line: &String| line.split_whitespace().map(str::to_owned).collect();
            Ok((lines.iter().take(count).map(split).collect(), (1..=count).collect()))
        }
        Source::Rows(path, rows) => {
            let field = field(rows)?;
            let mut missing = 0;
            let of = |row: &Record| tags(row, &field, &mut missing);
            let sentences = rows.iter().map(of).collect::<Result<_>>()?;
            if missing > 0 {
                note(format!("note: {}: {missing} words without a tag count as O", path.display()));
            }
            Ok((sentences, rows.iter().map(|row| row.line).collect()))
        }
    }
}

/// The tags of a row: names, or numbers that the file or its data set has names for. A word that was cut off has none
/// (`null`), which is O.
fn tags(row: &Record, field: &str, missing: &mut usize) -> Result<Vec<String>> {
    let value = row.get(field)?;
    let text = value.as_str().map(str::trim_start);
    let list = match (value, text.map(serde_json::from_str::<Vec<Value>>)) {
        (Value::Array(list), _) => list.clone(),
        (_, Some(Ok(list))) => list,
        // A table may have them with blanks between.
        (Value::String(text), _) => text.split_whitespace().map(Value::from).collect(),
        _ => return Err(row.error(format!("field `{field}`: expected a list of tags"))),
    };
    let names = row.class_names(field).map_or(&[] as &[String], |known| &known.names);
    let tag = |value: &Value| -> Result<String> {
        let name = |number: u64| names.get(usize::try_from(number).ok()?).cloned();
        match value {
            Value::Null => {
                *missing += 1;
                Ok("O".to_owned())
            }
            Value::String(tag) => Ok(tag.trim().to_owned()),
            Value::Number(number) => number.as_u64().and_then(name).ok_or_else(|| {
                row.error(format!(
                    "field `{field}`: found the number {number}, expected the name of a tag"
                ))
            }),
            _ => Err(row.error(format!("field `{field}`: expected a list of tags"))),
        }
    };
    list.iter().map(tag).collect()
}
