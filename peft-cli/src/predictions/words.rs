//! The words of a text, for tags.

use std::ops::Range;

use peft_core::{
    Task,
    text::{FieldNames, Record, Role, list_in_text},
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
    /// The field of each row that holds a text, if one does.
    texts: Vec<Option<String>>,
}

impl Worded {
    /// Splits the texts of rows to be tagged that have no words; `named` are names of the fields that hold words or a
    /// text.
    pub fn new(given: Vec<Record>, task: Task, named: &[FieldNames]) -> Self {
        let field = |record: &Record| text_field(record, named).filter(|_| task == Task::TokenCls);
        let texts: Vec<Option<String>> = given.iter().map(field).collect();
        let worded = |(record, field): (&Record, &Option<String>)| {
            let mut record = record.clone();
            if let Some((field, text)) =
                field.as_ref().and_then(|f| Some((f, text_of(&record, f)?)))
            {
                let words: Vec<Value> =
                    words(text).into_iter().map(|word| text[word].into()).collect();
                // A field that was named is read under its name.
                let is_named = [Role::Text, Role::Tokens]
                    .iter()
                    .any(|role| named.iter().any(|names| names.get(*role) == Some(field.as_str())));
                let to = if is_named { field } else { Role::Tokens.name() };
                record.fields.insert(to.into(), words.into());
            }
            record
        };
        let splits = texts.iter().any(Option::is_some);
        let split = splits.then(|| given.iter().zip(&texts).map(worded).collect());
        Self { given, split, texts }
    }

    /// The rows to encode.
    pub fn encoded(&self) -> &[Record] {
        self.split.as_deref().unwrap_or(&self.given)
    }

    /// The text of a row whose words were made of it.
    pub fn text(&self, row: usize) -> Option<&str> {
        text_of(&self.given[row], self.texts[row].as_deref()?)
    }
}

/// The field of a row that holds a text instead of words: one that was named, otherwise `text` where there are no words.
fn text_field(record: &Record, named: &[FieldNames]) -> Option<String> {
    if record.is_ids() {
        return None;
    }
    // A table has a list of words as text, too.
    let is_list = |text: &str| list_in_text(text).is_some();
    let is_text = |name: &&str| text_of(record, name).is_some_and(|text| !is_list(text));
    let of_role = |role| named.iter().filter_map(move |names: &FieldNames| names.get(role));
    if let Some(name) = of_role(Role::Text).chain(of_role(Role::Tokens)).find(is_text) {
        return Some(name.to_string());
    }
    let of_words = |key: &String| {
        let usual = ["tokens", "words"].iter().any(|name| key.eq_ignore_ascii_case(name));
        usual || of_role(Role::Tokens).any(|name| name == key)
    };
    let text = Role::Text.name();
    (!record.fields.keys().any(of_words) && text_of(record, text).is_some()).then(|| text.into())
}

fn text_of<'r>(record: &'r Record, field: &str) -> Option<&'r str> {
    record.fields.get(field)?.as_str()
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

    #[test]
    fn a_field_that_is_named_may_hold_a_text_or_words() {
        let fields = json!({"sentence": "in Oslo", "marked": "[1] in", "listed": "[\"a b\"]", "tokens": ["x"]});
        let fields = fields.as_object().cloned().unwrap_or_default();
        let row = Record::new(Arc::from(Path::new("a")), 1, fields);
        for (role, name, words) in [
            (Role::Text, "sentence", Some(json!(["in", "Oslo"]))),
            (Role::Tokens, "sentence", Some(json!(["in", "Oslo"]))),
            (Role::Text, "marked", Some(json!(["[", "1", "]", "in"]))),
            (Role::Text, "listed", None),
        ] {
            let named = [FieldNames::from_iter([(role, name.to_string())])];
            let found = Worded::new(vec![row.clone()], Task::TokenCls, &named);
            let read = &found.encoded()[0].fields[name];
            assert_eq!(words.as_ref().unwrap_or(&row.fields[name]), read);
            assert_eq!(found.text(0).is_some(), words.is_some());
            assert_eq!(found.encoded()[0].fields["tokens"], json!(["x"]));
        }
    }
}
