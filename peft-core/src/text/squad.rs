//! SQuAD's own files: one JSON document of articles, paragraphs and questions.
//!
//! ```text
//! {"data": [{"title", "paragraphs": [{"context", "qas": [{"id", "question", "answers"}]}]}]}
//! ```
//!
//! In SQuAD 2.0 a question has `is_impossible`, too; its `plausible_answers` are not read.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::record::{Record, describe};
use crate::error::{Error, Result};

/// Returns the questions of a document, each with its context; `None` if the document is not an
/// object with `data`.
///
/// # Errors
///
/// [`Error::File`] naming what in `data` is not as in SQuAD.
pub(super) fn records(path: &Arc<Path>, text: &str) -> Result<Option<Vec<Record>>> {
    let Ok(Value::Object(document)) = serde_json::from_str::<Value>(text) else { return Ok(None) };
    let Some(articles) = document.get("data").and_then(Value::as_array) else { return Ok(None) };
    let mut lines = key_lines(text, "question").into_iter();
    let mut records = Vec::new();
    for (a, article) in articles.iter().enumerate() {
        let place = format!("data[{a}]");
        for (p, paragraph) in list(path, article, &place, "paragraphs")?.iter().enumerate() {
            let place = format!("{place}.paragraphs[{p}]");
            for (q, question) in list(path, paragraph, &place, "qas")?.iter().enumerate() {
                let Value::Object(question) = question else {
                    let found = describe(question);
                    let message = format!("{place}.qas[{q}]: found {found}, expected an object");
                    return Err(Error::file(path, message));
                };
                // Each question has one such key, in the order of the document; one that lacks it
                // is rejected when it is encoded.
                let line = question.get("question").and_then(|_| lines.next()).unwrap_or(1);
                let mut fields = Map::new();
                fields.extend(
                    paragraph.get("context").map(|context| ("context".into(), context.clone())),
                );
                fields.extend(question.clone());
                records.push(Record::new(path.clone(), line, fields));
            }
        }
    }
    Ok(Some(records))
}

/// The array `key` of `object`, which is at `place` in the document.
fn list<'a>(path: &Path, object: &'a Value, place: &str, key: &str) -> Result<&'a Vec<Value>> {
    match object.get(key) {
        Some(Value::Array(values)) => Ok(values),
        Some(value) => {
            let found = describe(value);
            Err(Error::file(path, format!("{place}.{key}: found {found}, expected an array")))
        }
        None => Err(Error::file(path, format!("{place} has no `{key}`, unlike SQuAD's files"))),
    }
}

/// The lines, counted from 1, on which objects of a JSON text have a key of this name.
fn key_lines(text: &str, key: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let (mut line, mut at, mut found) = (1, 0, Vec::new());
    while at < bytes.len() {
        match bytes[at] {
            b'\n' => line += 1,
            b'"' => {
                let start = at + 1;
                at = start;
                while at < bytes.len() && bytes[at] != b'"' {
                    // An escaped quote does not end the string.
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                let inside = bytes.get(start..at).unwrap_or_default();
                let rest = bytes.get(at + 1..).unwrap_or_default();
                let next = rest.iter().find(|byte| !byte.is_ascii_whitespace());
                if inside == key.as_bytes() && next == Some(&b':') {
                    found.push(line);
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Vec<Record>>> {
        records(&Arc::from(Path::new("squad.json")), text)
    }

    #[test]
    fn questions_get_their_context_and_their_line() {
        let text = r#"{"version": "1.1", "data": [
            {"title": "t", "paragraphs": [{"qas": [
                {"id": "a",
                 "question": "the \"question\": why?", "answers": []},
                {"id": "b", "answers": [{"text": "question", "answer_start": 0}], "question": "x"}],
              "context": "c\nd"}]},
            {"paragraphs": [{"context": "e", "qas": [{"question": "y"}]}]}]}"#;
        let records = read(text).unwrap().unwrap();
        assert_eq!(records.iter().map(|r| r.line).collect::<Vec<_>>(), [4, 5, 7]);
        assert_eq!(records[0].text("question").unwrap(), "the \"question\": why?");
        assert_eq!(records[1].text("context").unwrap(), "c\nd");
        assert_eq!(records[1].text("id").unwrap(), "b");
        assert_eq!(records[2].text("context").unwrap(), "e");
    }

    #[test]
    fn other_documents_are_none_and_broken_ones_are_refused() {
        assert!(read("{\"a\": 1}").unwrap().is_none());
        assert!(read("{\"data\": 1}").unwrap().is_none());
        assert!(read("[1]").unwrap().is_none());
        assert!(read("{").unwrap().is_none());
        let refusal = |text| read(text).unwrap_err().to_string();
        assert_eq!(
            refusal(r#"{"data": [{"text": "a"}]}"#),
            "squad.json: data[0] has no `paragraphs`, unlike SQuAD's files"
        );
        assert_eq!(
            refusal(r#"{"data": [{"paragraphs": [{"qas": 3}]}]}"#),
            "squad.json: data[0].paragraphs[0].qas: found the number 3, expected an array"
        );
        let error = refusal(r#"{"data": [{"paragraphs": [{"qas": [3]}]}]}"#);
        assert!(error.contains("qas[0]: found the number 3, expected an object"), "{error}");
    }
}
