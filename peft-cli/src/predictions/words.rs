//! The words of a text, for tags.

use std::ops::Range;

use peft_core::{
    Task,
    text::{FieldNames, Record, Role},
};
use serde_json::Value;

/// The words of a text as ranges of bytes: what white space separates, with the marks at its ends apart, as in the
/// usual sets of tagged words. `(Oslo),` is the four words `(`, `Oslo`, `)` and `,`.
pub fn words(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for piece in text.split_whitespace() {
        // It is a part of the text.
        let start = piece.as_ptr() as usize - text.as_ptr() as usize;
        let is_word = |c: char| c.is_alphanumeric();
        let (from, to) = match (piece.find(is_word), piece.rfind(is_word)) {
            (Some(first), Some(last)) => {
                (first, last + piece[last..].chars().next().map_or(0, char::len_utf8))
            }
            _ => (0, 0),
        };
        let marks = |part: Range<usize>| {
            let chars = piece[part.clone()].char_indices();
            chars.map(move |(at, c)| {
                let at = start + part.start + at;
                at..at + c.len_utf8()
            })
        };
        found.extend(marks(0..from));
        found.extend((from < to).then(|| start + from..start + to));
        found.extend(marks(to..piece.len()));
    }
    found
}

/// Rows as they were given, and as they are encoded: to be tagged, those that hold a text have its words.
#[derive(Debug)]
pub struct Worded {
    /// As they were given.
    pub given: Vec<Record>,
    split: Option<Vec<Record>>,
}

impl Worded {
    /// Splits the texts of rows to be tagged that have no words; `named` are names of the field that holds words.
    pub fn new(given: Vec<Record>, task: Task, named: &[FieldNames]) -> Self {
        let of_words = |key: &String| {
            let usual = ["tokens", "words"].iter().any(|name| key.eq_ignore_ascii_case(name));
            usual || named.iter().any(|names| names.get(Role::Tokens) == Some(key.as_str()))
        };
        let is_text = |record: &Record| {
            !record.is_ids() && !record.fields.keys().any(of_words) && text_of(record).is_some()
        };
        let splits = task == Task::TokenCls && given.iter().any(is_text);
        let worded = |record: &Record| {
            let mut record = record.clone();
            if let Some(text) = text_of(&record).filter(|_| is_text(&record)) {
                let words: Vec<Value> =
                    words(text).into_iter().map(|word| text[word].into()).collect();
                record.fields.insert(Role::Tokens.name().into(), words.into());
            }
            record
        };
        let split = splits.then(|| given.iter().map(worded).collect());
        Self { given, split }
    }

    /// The rows to encode.
    pub fn encoded(&self) -> &[Record] {
        self.split.as_deref().unwrap_or(&self.given)
    }

    /// The text of a row whose words were made of it.
    pub fn text(&self, row: usize) -> Option<&str> {
        let split = self.split.as_ref()?;
        let is_split = split[row].fields.len() > self.given[row].fields.len();
        text_of(&self.given[row]).filter(|_| is_split)
    }
}

fn text_of(record: &Record) -> Option<&str> {
    record.fields.get(Role::Text.name())?.as_str()
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use serde_json::json;

    use super::*;

    fn parts(text: &str) -> Vec<&str> {
        words(text).into_iter().map(|word| &text[word]).collect()
    }

    #[test]
    fn marks_at_the_ends_of_a_word_stand_apart() {
        assert_eq!(parts("(Oslo),  isn't é. "), ["(", "Oslo", ")", ",", "isn't", "é", "."]);
        assert_eq!(parts("U.S.A. 3.5 …"), ["U.S.A", ".", "3.5", "…"]);
        assert_eq!(parts(" \n"), [""; 0]);
    }

    #[test]
    fn only_rows_of_text_are_split_and_only_to_be_tagged() {
        let rows = |task| {
            let row = |row: Value| {
                let fields = row.as_object().cloned().unwrap_or_default();
                Record::new(Arc::from(Path::new("a")), 1, fields)
            };
            let rows = [
                json!({"text": "in Oslo"}),
                json!({"text": "a b", "words": ["a b"]}),
                json!({"text": "x", "input_ids": [1]}),
            ];
            Worded::new(rows.map(row).to_vec(), task, &[])
        };
        let tagged = rows(Task::TokenCls);
        assert_eq!(tagged.encoded()[0].fields["tokens"], json!(["in", "Oslo"]));
        assert_eq!([0, 1, 2].map(|row| tagged.text(row)), [Some("in Oslo"), None, None]);
        assert!(!tagged.given[0].has("tokens"));
        assert!(rows(Task::SeqCls).split.is_none());
    }
}
