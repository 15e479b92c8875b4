//! Reads data files: JSON lines, CSV and TSV become [`Record`]s.

use std::path::Path;
use std::sync::Arc;

use csv::{ReaderBuilder, StringRecord};
use serde_json::{Map, Value};

use super::{
    record::{Record, describe},
    squad,
};
use crate::error::{Error, Result};

/// Reads all records of a data file, in the file's order.
///
/// The extension, in upper or lower case, gives the format:
/// - `.jsonl`, `.json`: one JSON object per line; or, for `.json` only, one document in SQuAD's own
///   format, which gives one record per question;
/// - `.csv`: a header row, fields in double quotes where needed (RFC 4180), any line endings;
/// - `.tsv`: a header row, fields separated by tabs, no quoting: a quote is a quote.
///
/// The text is UTF-8, with or without a byte-order mark. Blank lines are skipped.
///
/// # Errors
/// [`Error::Read`] if the file cannot be read, [`Error::File`] for an unknown extension or no
/// records at all, [`Error::Data`] naming the line of anything malformed.
pub fn read_records(path: &Path) -> Result<Vec<Record>> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    let parse = match extension.as_str() {
        "jsonl" => json_lines,
        "json" => json,
        "csv" => csv,
        "tsv" => tsv,
        "" => return Err(Error::file(path, format!("found no extension, expected {ACCEPTED}"))),
        other => {
            return Err(Error::file(
                path,
                format!("found extension .{other}, expected {ACCEPTED}"),
            ));
        }
    };
    let bytes = std::fs::read(path).map_err(Error::read(path))?;
    let records = parse(&Arc::from(path), utf8(path, &bytes)?)?;
    if records.is_empty() {
        return Err(Error::file(path, "holds no records"));
    }
    Ok(records)
}

const ACCEPTED: &str = ".jsonl, .json, .csv or .tsv";

/// The file's text without its byte-order mark.
fn utf8<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (before, rest) = bytes.split_at(error.valid_up_to());
        let found = rest.first().map_or_else(String::new, |byte| format!(" (byte 0x{byte:02x})"));
        let message = format!("found text that is not UTF-8{found}, expected UTF-8");
        Error::data(path, 1 + line_ends(before), message)
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn line_ends(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

fn json(path: &Arc<Path>, text: &str) -> Result<Vec<Record>> {
    match squad::records(path, text)? {
        Some(records) => Ok(records),
        None => json_lines(path, text),
    }
}

fn json_lines(path: &Arc<Path>, text: &str) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for (line, row) in numbered(text).filter(|(_, row)| !row.trim().is_empty()) {
        let value: Value = serde_json::from_str(row).map_err(|error| {
            if records.is_empty() && row.trim_start().starts_with('[') {
                let message =
                    "the file begins as one JSON array; expected one JSON object per line";
                return Error::data(path, line, message);
            }
            // serde_json counts lines within the row it was given, which is always 1, so only the
            // column is of use.
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or(&message);
            let column = error.column();
            Error::data(path, line, format!("not a JSON object: {message} at column {column}"))
        })?;
        match value {
            Value::Object(fields) => {
                let mut record = Record::new(path.clone(), line, fields);
                if record.is_conversation() {
                    record.ordered = serde_json::from_str(row).map(Arc::new).ok();
                }
                records.push(record);
            }
            other => {
                let message = format!("found {}, expected a JSON object", describe(&other));
                return Err(Error::data(path, line, message));
            }
        }
    }
    Ok(records)
}

fn tsv(path: &Arc<Path>, text: &str) -> Result<Vec<Record>> {
    let mut rows = numbered(text).filter(|(_, row)| !row.is_empty());
    let Some((line, header)) = rows.next() else { return Ok(Vec::new()) };
    let header = Header::new(path, line, header.split('\t'))?;
    rows.map(|(line, row)| header.record(line, row.split('\t'))).collect()
}

fn csv(path: &Arc<Path>, text: &str) -> Result<Vec<Record>> {
    // Flexible, because the crate's own message about a row's length gives a line that is off after
    // blank lines or CRLF. The header is treated as a row like the others.
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let (mut header, mut records) = (None, Vec::new());
    let (mut row, mut lines) = (StringRecord::new(), LineCounter { text, at: 0, line: 1 });
    loop {
        let from = byte_offset(&reader);
        let more = reader
            .read_record(&mut row)
            .map_err(|error| Error::data(path, lines.advance(from), error.to_string()))?;
        if !more {
            return Ok(records);
        }
        let line = lines.advance(from);
        let source = &text[lines.at..byte_offset(&reader)];
        if ends_inside_quotes(source) {
            let message = "a quoted field is not closed before the file ends";
            return Err(Error::data(path, line, message));
        }
        match &header {
            None => header = Some(Header::new(path, line, row.iter())?),
            Some(header) => records.push(header.record(line, row.iter())?),
        }
    }
}

fn byte_offset(reader: &csv::Reader<&[u8]>) -> usize {
    usize::try_from(reader.position().byte()).unwrap_or(usize::MAX)
}

/// Tracks the line number of a CSV file from one record to the next.
struct LineCounter<'a> {
    text: &'a str,
    /// A byte position, and the line it is on.
    at: usize,
    line: usize,
}

impl LineCounter<'_> {
    /// Returns the line of the first record that begins at byte `from` or after blank lines there.
    fn advance(&mut self, from: usize) -> usize {
        let bytes = self.text.as_bytes();
        let blank = bytes[from..].iter().take_while(|&&b| b == b'\r' || b == b'\n').count();
        self.line += line_ends(&bytes[self.at..from + blank]);
        self.at = from + blank;
        self.line
    }
}

/// Whether the text of one CSV record stops within a quoted field. The csv crate takes the end of
/// the file for the closing quote, so one forgotten quote would swallow the rest of the rows.
fn ends_inside_quotes(record: &str) -> bool {
    let (mut quoted, mut field_start) = (false, true);
    for byte in record.bytes() {
        if byte == b'"' && (quoted || field_start) {
            // A doubled quote leaves the field and enters it again at once.
            quoted = !quoted;
            field_start = !quoted;
        } else {
            field_start = !quoted && matches!(byte, b',' | b'\r' | b'\n');
        }
    }
    quoted
}

/// The lines of a text with their numbers, without their ends (LF or CRLF).
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(i, row)| (i + 1, row))
}

/// The names in the first row of a CSV or TSV file.
struct Header {
    path: Arc<Path>,
    names: Vec<String>,
}

impl Header {
    fn new<'a>(
        path: &Arc<Path>,
        line: usize,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Self> {
        let names: Vec<String> = names.map(str::to_owned).collect();
        for (i, name) in names.iter().enumerate() {
            if name.is_empty() {
                let message = format!("column {} of the header row has no name", i + 1);
                return Err(Error::data(path, line, message));
            }
            if names[..i].contains(name) {
                let message = format!("the header row names `{name}` twice");
                return Err(Error::data(path, line, message));
            }
        }
        Ok(Self { path: path.clone(), names })
    }

    fn record<'a>(&self, line: usize, values: impl Iterator<Item = &'a str>) -> Result<Record> {
        let values: Vec<&str> = values.collect();
        if values.len() != self.names.len() {
            let message = format!(
                "found {} fields, expected the header's {}: {}",
                values.len(),
                self.names.len(),
                self.names.join(", ")
            );
            return Err(Error::data(&self.path, line, message));
        }
        let fields: Map<String, Value> =
            self.names.iter().cloned().zip(values.into_iter().map(Value::from)).collect();
        Ok(Record::new(self.path.clone(), line, fields))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(name: &str, content: impl AsRef<[u8]>) -> Result<Vec<Record>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        read_records(&path)
    }

    fn failure(name: &str, content: impl AsRef<[u8]>) -> String {
        let message = read(name, content).unwrap_err().to_string();
        message.split_once(name).unwrap().1.to_owned()
    }

    fn lines(records: &[Record]) -> Vec<usize> {
        records.iter().map(|record| record.line).collect()
    }

    #[test]
    fn json_lines_skip_blanks_and_count_them() {
        let records =
            read("a.jsonl", "\u{feff}{\"a\": 1}\n\n  \t\r\n{\"a\": \"x\\ny\"}\r\n{}").unwrap();
        assert_eq!(lines(&records), [1, 4, 5]);
        assert_eq!(records[1].text("a").unwrap(), "x\ny");
        assert_eq!(read("a.JSON", "{\"a\": 1}").unwrap().len(), 1);
    }

    #[test]
    fn json_lines_refuse_all_but_objects() {
        assert_eq!(
            failure("a.jsonl", "{}\n\n[1, 2]\n"),
            ", line 3: found an array of 2 values, expected a JSON object"
        );
        assert!(failure("a.jsonl", "{}\n3\n").contains(", line 2: found the number 3"));
        let broken = failure("a.jsonl", "{}\n{\"a\": 1,}\n");
        assert!(broken.starts_with(", line 2: not a JSON object: trailing comma"), "{broken}");
        assert!(broken.ends_with("at column 9"), "{broken}");
        assert!(failure("a.jsonl", "{\"a\": 1} {\"b\": 2}").contains("trailing characters"));
        assert!(failure("a.jsonl", "{\"a\": NaN}").contains("line 1"));
        assert!(failure("a.json", "[\n{\"a\": 1},\n{\"a\": 2}\n]").contains("one JSON array"));
        let deep = format!("{{\"a\": {}1{}}}", "[".repeat(9999), "]".repeat(9999));
        assert!(failure("a.jsonl", deep).contains("recursion limit"));
    }

    #[test]
    fn csv_lines_are_those_of_an_editor() {
        let text =
            "\u{feff}text,label\r\n\r\n\"a, \"\"b\"\"\",0\r\n\r\n\"two\r\nlines\",1\r\nlast,2";
        let records = read("a.csv", text).unwrap();
        assert_eq!(lines(&records), [3, 5, 7]);
        assert_eq!(records[0].text("text").unwrap(), "a, \"b\"");
        assert_eq!(records[1].text("text").unwrap(), "two\r\nlines");
        assert_eq!(records[2].text("label").unwrap(), "2");
        let late = read("a.csv", "\n\ntext\n\nx\n").unwrap();
        assert_eq!(lines(&late), [5]);
    }

    #[test]
    fn csv_rows_of_another_length_are_refused() {
        assert_eq!(
            failure("a.csv", "a,b\r\n\r\n\r\n1,2\r\n1,2,3\r\n"),
            ", line 5: found 3 fields, expected the header's 2: a, b"
        );
        assert!(failure("a.csv", "a,b\n1\n").contains("line 2: found 1 fields"));
        assert!(failure("a.csv", "a,,b\n1,2,3\n").contains("line 1: column 2"));
        assert!(failure("a.csv", "\na,b,a\n1,2,3\n").contains("line 2: the header row names `a`"));
    }

    #[test]
    fn csv_quotes_that_never_close_are_refused() {
        assert_eq!(
            failure("a.csv", "a,b\n1,x\n2,\"he said\n3,y\n"),
            ", line 3: a quoted field is not closed before the file ends"
        );
        assert!(failure("a.csv", "a,b\n1,\"x\"\"\n").contains("not closed"));
        assert_eq!(read("a.csv", "a,b\n1,x\"y\n2,\"\"\n").unwrap().len(), 2);
    }

    #[test]
    fn tsv_has_no_quotes() {
        let records = read("a.tsv", "a\tb\r\n\"x\ty\"\r\n\r\n\t\n").unwrap();
        assert_eq!(lines(&records), [2, 4]);
        assert_eq!(records[0].text("a").unwrap(), "\"x");
        assert_eq!(records[0].text("b").unwrap(), "y\"");
        assert_eq!(records[1].text("b").unwrap(), "");
        assert!(failure("a.tsv", "a\tb\n1\n").contains("line 2: found 1 fields"));
        assert!(
            failure("a.tsv", "a\ta\n1\t2\n").contains("line 1: the header row names `a` twice")
        );
    }

    #[test]
    fn what_is_not_utf8_is_placed() {
        assert!(failure("a.jsonl", b"{}\n{\"a\": \"\xe9\"}\n").contains(", line 2: found text"));
        assert!(failure("a.csv", b"a\nb\nc\xff\n").contains(", line 3: found text"));
        assert!(failure("a.tsv", b"\xff\xfea\0").contains("line 1: found text that is not UTF-8"));
    }

    #[test]
    fn files_without_records_are_refused() {
        for (name, content) in
            [("a.jsonl", ""), ("a.json", "\n \n"), ("a.csv", "a,b\n"), ("a.tsv", "a\tb\n")]
        {
            assert_eq!(failure(name, content), ": holds no records");
        }
        assert_eq!(failure("a.csv", ""), ": holds no records");
        assert_eq!(failure("a.tsv", "\u{feff}"), ": holds no records");
    }

    #[test]
    fn unknown_extensions_are_refused_before_reading() {
        let message = read_records(Path::new("no/such.parquet")).unwrap_err().to_string();
        assert!(
            message.ends_with("found extension .parquet, expected .jsonl, .json, .csv or .tsv")
        );
        assert!(read_records(Path::new("rows")).unwrap_err().to_string().contains("no extension"));
        assert!(matches!(read_records(Path::new("no/such.csv")), Err(Error::Read { .. })));
    }

    proptest! {
        /// Whatever a CSV writer makes of some fields is read back, with the right line numbers.
        #[test]
        fn csv_round_trip(rows in prop::collection::vec(
            prop::array::uniform2("[ab,\"\n\r\té]{0,6}"), 1..8), crlf: bool) {
            let end = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
            let mut writer = csv::WriterBuilder::new()
                .terminator(end).quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            writer.write_record(["x", "y"]).unwrap();
            rows.iter().for_each(|row| writer.write_record(row).unwrap());
            let records = read("a.csv", writer.into_inner().unwrap()).unwrap();
            prop_assert_eq!(records.len(), rows.len());
            let mut line = 2;
            for (record, row) in records.iter().zip(&rows) {
                prop_assert_eq!(record.line, line);
                prop_assert_eq!(record.text("x").unwrap(), &row[0]);
                prop_assert_eq!(record.text("y").unwrap(), &row[1]);
                line += 1 + row.iter().map(|field| line_ends(field.as_bytes())).sum::<usize>();
            }
        }

        /// No bytes make the readers panic.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            for name in ["a.csv", "a.tsv", "a.jsonl"] {
                let _ = read(name, &bytes);
            }
        }

        /// No text of the relevant characters makes the CSV reader panic.
        #[test]
        fn any_quoting_is_read_or_refused(text in "\u{feff}?[a,\"\n\r\té]{0,30}") {
            let _ = read("a.csv", &text);
            let _ = read("a.tsv", &text);
        }
    }
}
