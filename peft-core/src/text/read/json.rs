//! JSON: one object after another (JSON Lines, or pretty-printed), an array of objects, or one document.

use std::{mem, sync::Arc};

use serde_json::Value;

use super::{
    format,
    input::{Input, utf8},
    json_document::{self, Document},
    options::Notes,
};
use crate::{
    error::{Error, Result},
    text::{
        json_value::{Extent, Step, parse, repaired},
        record::{Record, describe},
    },
};

/// The records of a JSON file, read one at a time.
pub(super) struct JsonRecords {
    input: Input,
    place: Place,
}

/// Where in the file the next record is.
enum Place {
    /// Nothing is read yet.
    Start,
    /// Between objects.
    Objects,
    /// In an array that began on this line; whether an element came before.
    Array { line: usize, comma: bool },
    /// In a document that holds all rows.
    Document(std::vec::IntoIter<Record>),
}

impl JsonRecords {
    /// The records of a file that holds JSON.
    pub fn new(input: Input) -> Self {
        Self { input, place: Place::Start }
    }

    /// The next record, `None` at the end of the file.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read, [`Error::Data`] at the line of what is not JSON, or no object.
    pub fn next(&mut self, notes: &mut Notes) -> Result<Option<Record>> {
        match &mut self.place {
            Place::Start => self.first(notes),
            Place::Objects => self.object(),
            Place::Array { line, comma } => {
                let (line, comma) = (*line, mem::replace(comma, true));
                self.element(line, comma)
            }
            Place::Document(records) => Ok(records.next()),
        }
    }

    fn first(&mut self, notes: &mut Notes) -> Result<Option<Record>> {
        if self.peek()? == Some(b'[') {
            self.place = Place::Array { line: self.input.line, comma: false };
            self.input.consume(1);
            return self.next(notes);
        }
        self.place = Place::Objects;
        let Some((line, text)) = self.value()? else { return Ok(None) };
        // Only a value that is alone in the file may hold all rows of it.
        if self.peek()?.is_none() {
            let is_line = format::is_json_lines(&self.input.path) && !text.contains('\n');
            match json_document::read(&self.input.path, (line, is_line), &text, notes)? {
                Document::Row => {}
                Document::Rows(records) => {
                    self.place = Place::Document(records.into_iter());
                    return self.next(notes);
                }
                Document::Array(line, array) => {
                    self.input = Input::of_bytes(&self.input.path, line, array.into_bytes());
                    self.place = Place::Start;
                    return self.next(notes);
                }
            }
        }
        self.record(line, &text).map(Some)
    }

    fn object(&mut self) -> Result<Option<Record>> {
        let Some((line, text)) = self.value()? else { return Ok(None) };
        self.record(line, &text).map(Some)
    }

    fn element(&mut self, begun: usize, comma: bool) -> Result<Option<Record>> {
        let mut next = self.peek()?;
        if comma && next == Some(b',') {
            self.input.consume(1);
            next = self.peek()?;
        } else if comma && !matches!(next, Some(b']') | None) {
            let message = "expected a comma or `]` between the elements of the array";
            return Err(Error::data(&self.input.path, self.input.line, message));
        }
        match next {
            Some(b']') => {
                self.input.consume(1);
                self.place = Place::Objects;
                match self.peek()? {
                    None => Ok(None),
                    Some(_) => {
                        let message = "found more behind the array that holds the rows";
                        Err(Error::data(&self.input.path, self.input.line, message))
                    }
                }
            }
            Some(_) => self.object(),
            None => {
                let message = "the array that begins here is not closed before the file ends";
                Err(Error::data(&self.input.path, begun, message))
            }
        }
    }

    /// The next byte that is not white space, which stays in the input.
    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let bytes = self.input.fill()?;
            let space = bytes.iter().take_while(|byte| byte.is_ascii_whitespace());
            let (blank, lines) =
                space.fold((0, 0), |(n, lines), &byte| (n + 1, lines + usize::from(byte == b'\n')));
            let next = bytes.get(blank).copied();
            let end = bytes.is_empty();
            self.input.consume(blank);
            self.input.line += lines;
            if next.is_some() || end {
                return Ok(next);
            }
        }
    }

    /// The text of the next value, and its line.
    fn value(&mut self) -> Result<Option<(usize, String)>> {
        let Some(first) = self.peek()? else { return Ok(None) };
        let line = self.input.line;
        let mut extent = matches!(first, b'{' | b'[').then(Extent::default);
        let mut value = Vec::new();
        loop {
            let bytes = self.input.fill()?;
            if bytes.is_empty() {
                break;
            }
            // What is neither object nor array is refused anyway: its line is enough.
            let end = bytes.iter().position(|&byte| match &mut extent {
                Some(extent) => extent.push(byte) != Step::On,
                None => byte == b'\n',
            });
            let taken = end.map_or(bytes.len(), |end| end + 1);
            value.extend_from_slice(&bytes[..taken]);
            self.input.line += bytes[..taken].iter().filter(|&&byte| byte == b'\n').count();
            self.input.consume(taken);
            if end.is_some() {
                break;
            }
        }
        // Where a string is not closed, the line ends without it.
        value.pop_if(|last| *last == b'\n');
        Ok(Some((line, utf8(&self.input.path, line, &value)?.to_owned())))
    }

    fn record(&self, line: usize, text: &str) -> Result<Record> {
        let path = &self.input.path;
        match parse(text) {
            Ok(Value::Object(fields)) => {
                let mut record = Record::new(path.clone(), line, fields).with_numbers_of(text);
                if record.is_conversation() {
                    record.ordered = serde_json::from_str(&repaired(text)).map(Arc::new).ok();
                }
                Ok(record)
            }
            Ok(other) => {
                let way_out = match other {
                    Value::Array(_) => {
                        "; pandas writes one for each row with `to_json(path, orient=\"records\", lines=True)`"
                    }
                    _ => "",
                };
                let message =
                    format!("found {}, expected a JSON object{way_out}", describe(&other));
                Err(Error::data(path, line, message))
            }
            Err(error) => Err(malformed(path, line, text, &error)),
        }
    }
}

/// What is wrong with a text that begins on line `line`.
fn malformed(path: &std::path::Path, line: usize, text: &str, error: &serde_json::Error) -> Error {
    let begins = text.trim_start();
    if !begins.starts_with(['{', '[']) {
        let start: String = begins.lines().next().unwrap_or_default().chars().take(40).collect();
        let message = format!("found `{start}`, expected a JSON object");
        return Error::data(path, line, message);
    }
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or(&message);
    let (column, line) = (error.column(), line + error.line().saturating_sub(1));
    Error::data(path, line, format!("not a JSON object: {message} at column {column}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::records::tests::{failure, lines, read};

    #[test]
    fn json_lines_skip_blanks_and_count_them() {
        let records =
            read("a.jsonl", "\u{feff}{\"a\": 1}\n\n  \t\r\n{\"a\": \"x\\ny\"}\r\n{}").unwrap();
        assert_eq!(lines(&records), [1, 4, 5]);
        assert_eq!(records[1].text("a").unwrap(), "x\ny");
        assert_eq!(read("a.JSON", "{\"a\": 1}").unwrap().len(), 1);
    }

    #[test]
    fn objects_may_take_several_lines_or_share_one() {
        let text = "{\n  \"a\": 1\n}\n{\n  \"a\": {\"b\": [\n2]}\n}\n{\"a\": 3} {\"a\": 4}";
        for name in ["a.json", "a.jsonl", "a.csv", "a"] {
            assert_eq!(lines(&read(name, text).unwrap()), [1, 4, 8, 8], "{name}");
        }
    }

    #[test]
    fn an_array_holds_rows() {
        for text in ["[{\"a\": 1}, {\"a\": 2}]", " [\n{\"a\": 1},\n{\"a\": 2}\n]\n"] {
            let records = read("a.jsonl", text).unwrap();
            assert_eq!(records[1].fields["a"], 2);
            assert_eq!(lines(&records), if text.starts_with('[') { [1, 1] } else { [2, 3] });
        }
        assert_eq!(failure("a.json", "[]"), ": holds no records");
        assert_eq!(
            failure("a.json", "[\n{\"a\": 1},\n{\"a\": 2}\n"),
            ", line 1: the array that begins here is not closed before the file ends"
        );
        assert!(failure("a.json", "[{\"a\": 1} {\"a\": 2}]").contains("line 1: expected a comma"));
        assert!(failure("a.json", "[{\"a\": 1}]\n{}").contains("line 2: found more behind"));
        assert!(failure("a.json", "[[1, 2]]").contains("found an array of 2 values, expected a"));
    }

    #[test]
    fn all_but_objects_are_refused() {
        assert_eq!(
            failure("a.jsonl", "{}\n\n[1, 2]\n"),
            ", line 3: found an array of 2 values, expected a JSON object; pandas writes one for each row with \
             `to_json(path, orient=\"records\", lines=True)`"
        );
        assert!(failure("a.jsonl", "{}\n3\n").contains(", line 2: found the number 3"));
        assert!(failure("a.jsonl", "{}\nx y\n").contains(", line 2: found `x y`, expected a JSON"));
        let broken = failure("a.jsonl", "{}\n{\"a\": 1,}\n");
        assert!(broken.starts_with(", line 2: not a JSON object: trailing comma"), "{broken}");
        assert!(broken.ends_with("at column 9"), "{broken}");
        let deep = format!("{{\"a\": {}1{}}}", "[".repeat(9999), "]".repeat(9999));
        assert!(failure("a.jsonl", deep).contains("recursion limit"));
    }

    #[test]
    fn an_object_that_is_not_closed_is_placed() {
        let unclosed = failure("a.jsonl", "{}\n{\"a\": 1\n{\"a\": 2}\n{\"a\": 3}\n");
        assert!(
            unclosed.starts_with(", line 3: not a JSON object: expected `,` or `}`"),
            "{unclosed}"
        );
        let unclosed = failure("a.jsonl", "{}\n{\"a\": \"b}\n{\"a\": 2}\n");
        assert!(
            unclosed.contains("line 2: not a JSON object: EOF while parsing a string"),
            "{unclosed}"
        );
        let last = failure("a.jsonl", "{}\n{\"a\": 1");
        assert!(last.contains("line 2: not a JSON object: EOF"), "{last}");
    }

    #[test]
    fn what_python_writes_is_read() {
        let records = read("a.jsonl", "{\"a\": NaN, \"b\": \"\\ud83d\"}\n{\"a\": 1}").unwrap();
        assert_eq!(records[0].text("b").unwrap(), "\u{fffd}");
        let error = records[0].text("a").unwrap_err().to_string();
        assert!(error.ends_with("line 1: field `a` is null (NaN counts as null)"), "{error}");
    }
}
