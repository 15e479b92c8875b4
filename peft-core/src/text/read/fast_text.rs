//! fastText's lines: `__label__positive the play was good`.
//!
//! A line is a record with `text` and `label`. Labels stand in front of the text or behind it. If a line of the file
//! has several, the label of every line is a list.

use std::path::Path;

use serde_json::{Map, Value};

use super::{
    input::{Input, strip_end},
    options::Notes,
};
use crate::{
    error::{Error, Result},
    text::record::Record,
};

/// What labels begin with.
const MARK: &str = "__label__";

/// Whether a line begins or ends with a label.
pub(super) fn is_labelled(line: &str) -> bool {
    let mut words = line.split_whitespace();
    [words.next(), words.next_back()].into_iter().flatten().any(is_label)
}

/// Whether a word is a label.
pub(super) fn is_label(word: &str) -> bool {
    word.len() > MARK.len() && word.starts_with(MARK)
}

/// The labels of a line without their mark, and its text.
fn parts(line: &str) -> (Vec<&str>, &str) {
    let mut text = line.trim();
    let (mut labels, mut behind) = (Vec::new(), Vec::new());
    while let Some(word) = text.split_whitespace().next().filter(|word| is_label(word)) {
        labels.push(&word[MARK.len()..]);
        text = text[word.len()..].trim_start();
    }
    while let Some(word) = text.split_whitespace().next_back().filter(|word| is_label(word)) {
        behind.push(&word[MARK.len()..]);
        text = text[..text.len() - word.len()].trim_end();
    }
    labels.extend(behind.into_iter().rev());
    (labels, text)
}

/// The lines of a file, read one at a time.
pub(super) struct FastTextRecords {
    input: Input,
    lists: bool,
}

impl FastTextRecords {
    /// The lines of the file `path`, which `input` has open.
    ///
    /// # Errors
    /// As [`next`](Self::next): all lines are looked at for how many labels they have.
    pub fn new(path: &Path, input: Input, notes: &mut Notes) -> Result<Self> {
        let mut ahead = Self { input: Input::open(path)?, lists: false };
        while let Some((_, line)) = ahead.line()? {
            ahead.lists |= parts(&line).0.len() > 1;
        }
        let found = if ahead.lists { "lists of labels" } else { "a label" };
        let path = input.path.display();
        notes.say(format!(
            "{path}: read as fastText's lines: {found} in `label`, the rest in `text`"
        ));
        Ok(Self { input, lists: ahead.lists })
    }

    /// The next line that is not blank; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read, [`Error::Data`] at a line without a label or without a text, with
    /// labels within its text, or that is not text.
    pub fn next(&mut self) -> Result<Option<Record>> {
        let Some((number, line)) = self.line()? else { return Ok(None) };
        let (labels, text) = parts(&line);
        let wrong = match labels.as_slice() {
            [] => Some("has no label, as in `__label__name text`, and lines before it have one"),
            _ if text.is_empty() => Some("has no text beside its labels"),
            _ if text.split_whitespace().any(is_label) => {
                Some("has a label in the middle of its text, expected it in front or behind")
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(Error::data(&self.input.path, number, wrong));
        }
        let label = match self.lists {
            true => labels.into(),
            false => labels[0].into(),
        };
        let fields = [("text".to_owned(), text.into()), ("label".to_owned(), label)];
        let fields: Map<String, Value> = fields.into_iter().collect();
        Ok(Some(Record::new(self.input.path.clone(), number, fields)))
    }

    fn line(&mut self) -> Result<Option<(usize, String)>> {
        loop {
            let (number, mut line) = (self.input.line, String::new());
            if !self.input.read_line(&mut line)? {
                return Ok(None);
            }
            strip_end(&mut line);
            if !line.trim().is_empty() {
                return Ok(Some((number, line)));
            }
        }
    }
}

/// Refuses a line of plain text that begins with a label.
///
/// # Errors
/// [`Error::Data`] at the line.
pub(super) fn refuse_label(path: &Path, number: usize, line: &str) -> Result<()> {
    match line.split_whitespace().next().is_some_and(is_label) {
        false => Ok(()),
        true => Err(Error::data(
            path,
            number,
            "begins with a label of fastText, but the first line of the file has none: give every line one, or none",
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::text::read::{
        options::ReadOptions,
        records::tests::{failure, lines, notes, read},
    };
    use serde_json::json;

    fn found(content: &str) -> Vec<Value> {
        let records = read("a.txt", content).unwrap();
        records.into_iter().map(|record| Value::Object(record.fields)).collect()
    }

    #[test]
    fn labels_are_told_from_texts() {
        let content =
            "__label__pos the play , it was good\n\n it  was bad\t__label__neg \n__label__1\tgood";
        assert_eq!(
            found(content),
            [
                json!({"text": "the play , it was good", "label": "pos"}),
                json!({"text": "it  was bad", "label": "neg"}),
                json!({"text": "good", "label": "1"}),
            ]
        );
        let (records, said) = notes("a.train", content, &ReadOptions::default());
        assert_eq!(lines(&records.unwrap()), [1, 3, 4]);
        assert!(said[0].ends_with("fastText's lines: a label in `label`, the rest in `text`"));
        assert_eq!(
            found("__label__a x\n__label__a __label__b y __label__c\n"),
            [json!({"text": "x", "label": ["a"]}), json!({"text": "y", "label": ["a", "b", "c"]}),]
        );
        assert_eq!(found("the mark __label__ is __label__x here\n")[0]["label"], Value::Null);
    }

    #[test]
    fn lines_that_do_not_fit_are_placed() {
        let of = |content: &str| failure("a.txt", content);
        assert!(
            of("__label__a x\ny\n").contains("line 2: has no label, as in `__label__name text`")
        );
        assert!(of("__label__a x\n__label__b\n").contains("line 2: has no text beside"));
        assert!(of("__label__a x __label__b y\n").contains("line 1: has a label in the middle"));
        assert!(of("x\n__label__a y\n").contains("line 2: begins with a label of fastText"));
    }

    #[test]
    fn columns_that_are_named_are_columns() {
        let columns = Some(vec!["label".to_owned(), "text".to_owned()]);
        let options = ReadOptions { columns, ..ReadOptions::default() };
        let (records, _) = notes("a.txt", "__label__a\tx\n__label__b\ty\n", &options);
        assert_eq!(records.unwrap()[0].text("label").unwrap(), "__label__a");
    }
}
