//! The answers of a row, found in its context.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    error::Result,
    text::{
        fields::{FieldNames, Role},
        list_text::value_in_text,
        record::Record,
    },
};

/// An answer as it appears in the context.
pub(super) struct Answer {
    pub text: String,
    /// The byte of the context at which it begins.
    pub start: usize,
    /// The byte behind it.
    pub end: usize,
}

/// The answers of a record, each checked against the context; none if the question has no answer.
pub(super) fn answers(record: &Record, fields: &FieldNames) -> Result<Vec<Answer>> {
    let field = fields.name(Role::Answers);
    let impossible = is_impossible(record)?;
    let parts: Vec<(Value, Value)> = match record.value(field) {
        // `null` stands for an empty list in tables. A field that is missing may be misspelled.
        Some(Value::Null) => Vec::new(),
        None if impossible == Some(true) => Vec::new(),
        _ => parts(record, field)?,
    };
    match (parts.len(), impossible) {
        (0, Some(false)) => {
            let message = format!("field `{field}`: found none, but `{IMPOSSIBLE}` is false");
            return Err(record.error(message));
        }
        (found, Some(true)) if found > 0 => {
            let message = format!("field `{field}`: found {found}, but `{IMPOSSIBLE}` is true");
            return Err(record.error(message));
        }
        (0, _) => return Ok(Vec::new()),
        _ => {}
    }
    let context = record.text(fields.name(Role::Context))?;
    let parts = parts.iter().enumerate();
    parts.map(|(i, (text, start))| answer(record, field, context, i, text, start)).collect()
}

/// Whether a record says anything of its answers, be it that there are none.
pub(in crate::text::encode) fn says_answers(record: &Record, field: &str) -> bool {
    let is_blank = |value: &Value| value.as_str().is_some_and(|text| text.trim().is_empty());
    match record.value(field) {
        Some(value) => !is_blank(value),
        None => {
            record.value(&format!("{field}.text")).is_some()
                || is_impossible(record).is_ok_and(|said| said == Some(true))
        }
    }
}

/// The field by which SQuAD 2.0 says that a question has no answer.
const IMPOSSIBLE: &str = "is_impossible";

/// Whether the record says that its question has no answer, if it says anything.
fn is_impossible(record: &Record) -> Result<Option<bool>> {
    match record.optional(IMPOSSIBLE) {
        None => Ok(None),
        Some(value) => match (value.as_bool(), value.as_u64()) {
            (Some(said), _) => Ok(Some(said)),
            (_, Some(number @ (0 | 1))) => Ok(Some(number == 1)),
            _ => Err(record.unexpected(IMPOSSIBLE, value, "true or false")),
        },
    }
}

/// A value of a field, which tables have as text where it is a list or an object.
fn unpacked(value: &Value) -> Cow<'_, Value> {
    let parsed = value.as_str().and_then(value_in_text);
    parsed.map_or(Cow::Borrowed(value), Cow::Owned)
}

/// The texts of a record's answers with their starts.
fn parts(record: &Record, field: &str) -> Result<Vec<(Value, Value)>> {
    // A table may have each list in a column of its own, as `flatten` of `datasets` leaves them.
    let column = |key: &str| record.value(&format!("{field}.{key}"));
    let columns = record.value(field).is_none() && column("text").is_some();
    let whole = if columns { Cow::Owned(Value::Null) } else { unpacked(record.get(field)?) };
    match &*whole {
        Value::Object(_) | Value::Null => {
            let own = |key: &str| if columns { column(key) } else { whole.get(key) };
            let list = |key: &str| match own(key).map(unpacked).as_deref() {
                Some(Value::Array(values)) => Ok(values.clone()),
                Some(Value::Null) => Ok(Vec::new()),
                Some(other) => {
                    let expected = match other {
                        Value::String(_) => {
                            "an array, in a table as JSON ([\"a\", \"b\"], [1, 2]) or as Python writes a list"
                        }
                        _ => "an array",
                    };
                    Err(record.unexpected(&format!("{field}.{key}"), other, expected))
                }
                None => Err(record.error(format!("field `{field}` has no `{key}`"))),
            };
            let (texts, starts) = (list("text")?, list("answer_start")?);
            if texts.len() != starts.len() {
                return Err(record.error(format!(
                    "field `{field}`: found {} texts and {} starts, expected equally many",
                    texts.len(),
                    starts.len()
                )));
            }
            Ok(texts.into_iter().zip(starts).collect())
        }
        Value::Array(answers) => answers
            .iter()
            .enumerate()
            .map(|(i, answer)| {
                let key = |key: &str| {
                    answer.get(key).ok_or_else(|| {
                        let expected = format!("an object with `{key}`");
                        record.unexpected(&format!("{field}[{i}]"), answer, &expected)
                    })
                };
                Ok((key("text")?.clone(), key("answer_start")?.clone()))
            })
            .collect(),
        other => {
            let expected = "{\"text\": [...], \"answer_start\": [...]} or a list of answers; of columns of their own, in \
                            which a table has them, make one such object";
            Err(record.unexpected(field, other, expected))
        }
    }
}

/// Answer number `i`, found in the context.
fn answer(
    record: &Record,
    field: &str,
    context: &str,
    i: usize,
    text: &Value,
    start: &Value,
) -> Result<Answer> {
    let found = |what: &str| format!("field `{field}`: answer {i}: {what}");
    let Some(text) = text.as_str().filter(|text| !text.trim().is_empty()) else {
        let expected = "a text (the list is empty where there is no answer)";
        return Err(record.unexpected(&format!("{field}.text"), text, expected));
    };
    let Some(start) = start.as_u64().and_then(|start| usize::try_from(start).ok()) else {
        let expected = "the number of a character (0, 1, 2, ...)";
        return Err(record.unexpected(&format!("{field}.answer_start"), start, expected));
    };
    let byte = context.char_indices().nth(start).map(|(byte, _)| byte).ok_or_else(|| {
        let (characters, hint) = (context.chars().count(), counted_otherwise(context, text, start));
        record.error(found(&format!(
            "answer_start is {start}, the context has {characters} characters{hint}"
        )))
    })?;
    let Some((from, to)) = place(&context[byte..], text) else {
        let there: String = context[byte..].chars().take(text.chars().count()).collect();
        let hint = counted_otherwise(context, text, start);
        return Err(record.error(found(&format!(
            "the context has `{there}` at character {start}, expected `{text}`{hint}"
        ))));
    };
    Ok(Answer { text: text.to_owned(), start: byte + from, end: byte + to })
}

/// What is said of an answer that starts where other programs count other things than characters; nothing otherwise.
fn counted_otherwise(context: &str, answer: &str, start: usize) -> &'static str {
    let is_at = |byte: usize| context.get(byte..).is_some_and(|rest| place(rest, answer).is_some());
    let mut units = 0;
    let of_units = context.char_indices().find_map(|(byte, letter)| {
        let is_here = units == start;
        units += letter.len_utf16();
        is_here.then_some(byte)
    });
    match of_units {
        Some(byte) if is_at(byte) => {
            "; it is there in UTF-16, as JavaScript and Java count: count characters, as Python does"
        }
        _ if is_at(start) => "; it is there in bytes: count characters, as Python does",
        _ => "",
    }
}

/// The bytes of an answer at the beginning of `context`, without the white space at its ends. Written
/// in other letters, large for small, it is the same answer, as in the scores.
fn place(context: &str, answer: &str) -> Option<(usize, usize)> {
    let trimmed = answer.trim();
    let leading = answer.len() - answer.trim_start().len();
    let mut letters = context.chars();
    let mut from = 0;
    for _ in answer[..leading].chars() {
        let letter = letters.next()?;
        letter.is_whitespace().then_some(())?;
        from += letter.len_utf8();
    }
    let mut to = from;
    for wanted in trimmed.chars() {
        let letter = letters.next()?;
        let same = letter == wanted || letter.to_lowercase().eq(wanted.to_lowercase());
        same.then_some(())?;
        to += letter.len_utf8();
    }
    Some((from, to))
}
