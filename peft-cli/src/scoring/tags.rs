//! Tagged sentences.

use peft_core::{
    Result,
    text::{Record, list_in_text},
};
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
    let list = match value {
        Value::Array(list) => list.clone(),
        Value::String(text) if text.trim_start().starts_with('[') => {
            list_in_text(text).ok_or_else(|| {
                let shown: String = text.chars().take(80).collect();
                row.error(format!(
                    "field `{field}`: found `{shown}`, expected a list of tags, as [\"O\", \"B-PER\"], or tags with \
                     blanks between"
                ))
            })?
        }
        // A table may have them with blanks between.
        Value::String(text) => text.split_whitespace().map(Value::from).collect(),
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{path::Path, sync::Arc};

    use serde_json::json;

    use super::*;

    fn of(value: Value) -> Result<(Vec<String>, usize), String> {
        let fields = json!({ "tags": value }).as_object().cloned().unwrap();
        let (row, mut missing) = (Record::new(Arc::from(Path::new("f")), 1, fields), 0);
        let found = tags(&row, "tags", &mut missing).map_err(|error| error.to_string())?;
        Ok((found, missing))
    }

    #[test]
    fn lists_of_tags_are_read_in_each_spelling() {
        let expected = Ok((vec!["B-A".to_owned(), "O".to_owned()], 1));
        for value in [json!(["B-A", null]), json!("[\"B-A\", null]"), json!(" ['B-A', None]")] {
            assert_eq!(of(value.clone()), expected, "{value}");
        }
        assert_eq!(of(json!("B-A O")), expected.map(|(tags, _)| (tags, 0)));
        for text in ["['B-A' 'O']", "[B-A, O]", "['B-A', 'O'"] {
            let said = of(json!(text)).unwrap_err();
            let says = format!("f, line 1: field `tags`: found `{text}`, expected a list of tags");
            assert!(said.contains(&says), "{said}");
        }
    }
}
