//! What steps share.

use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    text::{
        labels::label_text,
        record::{Record, describe},
    },
};

/// Sets a field of a row. What is known of its file no longer concerns it.
pub(super) fn put(record: &mut Record, name: &str, value: Value) {
    record.fields.insert(name.to_owned(), value);
    record.ordered = None;
}

/// An element of a list as a row of its own, for templates: below `item`.
pub(super) fn as_item(record: &Record, element: &Value) -> Record {
    let fields = Map::from_iter([("item".to_owned(), element.clone())]);
    Record::new(record.path.clone(), record.line, fields)
}

/// A text with its parts replaced, one pair after the other.
pub(super) fn replaced(text: &str, pairs: &[[String; 2]]) -> String {
    let replace = |text: String, [from, to]: &[String; 2]| match from.is_empty() {
        true => text,
        false => text.replace(from, to),
    };
    pairs.iter().fold(text.to_owned(), replace)
}

/// A whole number from 0, as a number or in a text; `None` if the field is missing.
pub(super) fn index(row: &Record, name: &str) -> Result<Option<usize>> {
    let Some(value) = row.optional(name) else { return Ok(None) };
    let number = label_text(value).and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| -> Error {
        row.error(format!(
            "field `{name}`: found {}, expected a whole number from 0",
            describe(value)
        ))
    })
}
