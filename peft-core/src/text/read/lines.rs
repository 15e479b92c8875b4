//! Files of plain text: each line is a row with the field `text`.

use serde_json::{Map, Value};

use super::{
    fast_text::refuse_label,
    input::{Input, strip_end},
    options::Notes,
};
use crate::{error::Result, text::record::Record};

/// The lines of a file, read one at a time.
pub(super) struct LineRecords(Input);

impl LineRecords {
    /// The lines of a file.
    pub fn new(input: Input, notes: &mut Notes) -> Self {
        notes.say(format!("{}: read as plain text, each line as a row", input.path.display()));
        Self(input)
    }

    /// The next line that is not blank, as it is in the file; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Read`](crate::Error::Read) if the file cannot be read, [`Error::Data`](crate::Error::Data) at a line
    /// that is not text, or begins with a label of fastText.
    pub fn next(&mut self) -> Result<Option<Record>> {
        loop {
            let line = self.0.line;
            let mut text = String::new();
            if !self.0.read_line(&mut text)? {
                return Ok(None);
            }
            strip_end(&mut text);
            if !text.trim().is_empty() {
                refuse_label(&self.0.path, line, &text)?;
                let fields = Map::from_iter([("text".to_owned(), Value::String(text))]);
                return Ok(Some(Record::new(self.0.path.clone(), line, fields)));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{
        options::ReadOptions,
        records::tests::{lines, notes},
    };

    #[test]
    fn lines_are_kept_as_they_are() {
        let (found, said) =
            notes("a.txt", " The sea, it is \n\n\nblue; \r\n", &ReadOptions::default());
        let found = found.unwrap();
        let texts: Vec<&str> = found.iter().map(|record| record.text("text").unwrap()).collect();
        assert_eq!(texts, [" The sea, it is ", "blue; "]);
        assert_eq!(lines(&found), [1, 4]);
        assert!(said[0].ends_with("a.txt: read as plain text, each line as a row"), "{said:?}");
    }

    /// The first bytes of a file, by which it is judged, may not reach to the end of its first line.
    #[test]
    fn a_cr_in_a_long_first_line_is_text() {
        let long = "by the wall ".repeat(10_000);
        let read = |text: String| notes("a.text", text, &ReadOptions::default()).0.unwrap();
        let found = read(format!("The sea\ris {long}\nblue\n"));
        assert_eq!(lines(&found), [1, 2]);
        assert!(found[0].text("text").unwrap().starts_with("The sea\ris by"));
        // As far as the file goes, there is no LF.
        assert_eq!(lines(&read(format!("The sea\ris {long}\rblue\r"))), [1, 2, 3]);
    }
}
