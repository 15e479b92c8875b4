//! CSV and TSV: rows of columns, below a row with their names.
//!
//! CSV follows RFC 4180: fields in double quotes where needed. TSV has no quoting, as GLUE's files and the
//! `datasets` script that reads them (`csv.QUOTE_NONE`): a quote is a quote.
//!
//! | file | what it is |
//! |---|---|
//! | `rows` | the rows of a file |
//! | `first_row` | what the first of them is |

mod first_row;
mod rows;

use std::{collections::VecDeque, path::Path};

use self::{
    first_row::{header, in_another_order, is_other_header, named_in_place, numbered_header},
    rows::{IN_QUOTES, Rows},
};
use super::{
    dialect::{Dialect, separator},
    header::{Header, looks_like_data},
    input::Input,
    options::{Notes, ReadOptions},
};
use crate::{
    error::{Error, Result},
    text::record::Record,
};

/// The records of a CSV or TSV file, read one at a time.
pub(super) struct DelimitedRecords {
    rows: Rows,
    header: Option<Header>,
    /// Rows that were read to understand the header.
    waiting: VecDeque<(usize, Vec<String>)>,
    /// The line of the file's own header, as long as no row has repeated a part of it.
    own_header: Option<usize>,
}

impl DelimitedRecords {
    /// The records of a file; reads its header, unless the options name the columns.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read, [`Error::Data`] at the line of what is malformed,
    /// [`Error::Setting`] if the file has not as many columns as are named.
    pub fn new(
        input: Input,
        dialect: Dialect,
        options: &ReadOptions,
        notes: &mut Notes,
    ) -> Result<Self> {
        let path = input.path.clone();
        say_dialect(dialect, &path, notes);
        let delimiter = char::from(dialect.delimiter).to_string();
        let mut rows = Rows::new(input, dialect);
        let mut first = rows.next(notes)?;
        if first.as_ref().is_some_and(|(_, row)| separator(&row.join(&delimiter)).is_some()) {
            rows.columns = None;
            first = rows.next(notes)?;
        }
        let Some((line, first)) = first else {
            let waiting = VecDeque::new();
            return Ok(Self { rows, header: None, waiting, own_header: None });
        };
        let next = rows.next(notes)?;
        let is_headless = |names: &&Vec<String>| {
            let next = next.as_ref().map(|(_, row)| row);
            names.len() == first.len() && looks_like_data(&first, next).is_some()
        };
        let usual = || options.without_header.as_ref().filter(is_headless);
        let columns = options.columns.as_ref().or_else(usual);
        let is_remembered = options.remembered && options.columns.is_some();
        let header = match columns {
            Some(columns) if columns.len() != first.len() => {
                let (found, expected) = (first.len(), columns.len());
                let (names, whose) = match is_remembered {
                    true => ("names of training", "; give those of this file"),
                    false => ("names", ""),
                };
                let message = format!(
                    "found {expected} {names} ({}), but line {line} of {} has {found} columns{whose}",
                    columns.join(", "),
                    path.display()
                );
                return Err(Error::setting("columns", message));
            }
            Some(columns) => Header::new(&path, columns),
            None => {
                let numbered = numbered_header(&path, line, &first, next.as_ref(), notes);
                if numbered.is_some() {
                    rows.columns = Some(first.len() + 1);
                }
                let named =
                    || header(&path, line, &first, next.as_ref().map(|(_, row)| row), notes);
                let header = numbered.unwrap_or_else(named);
                match may_be_lines(&path) {
                    true => header.or_hint(as_lines(&path, line, &first)),
                    false => header,
                }
            }
        };
        let mut waiting: VecDeque<_> = next.into_iter().collect();
        // Columns may be named as the file's own header names them, in other letters, or but for those without a name.
        if let Some(names) = columns {
            let is_named = |(cell, name): (&String, &String)| {
                name.is_empty() || cell.trim().to_lowercase() == name.to_lowercase()
            };
            let is_header = first.iter().zip(names).all(is_named);
            if is_header && names.iter().any(|name| !name.is_empty()) {
                notes.say(format!("line {line} of {} is its header", path.display()));
            } else if in_another_order(&first, names) {
                let message = format!(
                    "found the names {}, but line {line} of {} is a header with them in another order: {}",
                    names.join(", "),
                    path.display(),
                    first.join(", ")
                );
                return Err(Error::setting("columns", message));
            } else if let Some(why) =
                is_remembered.then(|| is_other_header(&first, waiting.front(), names)).flatten()
            {
                let message = format!(
                    "line {line} of {} ({}) looks like a header: {why}, and training had {}; give the names of this \
                     file's columns, those of that line if it is a header",
                    path.display(),
                    first.join(", "),
                    names.join(", ")
                );
                return Err(Error::setting("columns", message));
            } else if let Some(name) = named_in_place(&first, names) {
                let message = format!(
                    "line {line} of {} ({}) looks like a header, since `{name}` stands where the column of this name is",
                    path.display(),
                    first.join(", ")
                );
                notes.say(format!("{message}; it is read as a row"));
                waiting.push_front((line, first));
            } else {
                options.say_remembered(&path, notes);
                if is_remembered {
                    notes.say(format!(
                        "line {line} of {} is read as a row: {}",
                        path.display(),
                        first.join(", ")
                    ));
                }
                waiting.push_front((line, first));
            }
        }
        let own_header = columns.is_none().then_some(line);
        Ok(Self { rows, header: Some(header), waiting, own_header })
    }

    /// The next record, `None` at the end of the file.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read, [`Error::Data`] at the line of what is malformed.
    pub fn next(&mut self, notes: &mut Notes) -> Result<Option<Record>> {
        let Some(header) = &self.header else { return Ok(None) };
        let row = match self.waiting.pop_front() {
            Some(row) => Some(row),
            None => self.rows.next(notes)?,
        };
        if let (Some(first), Some((line, values))) = (self.own_header, &row)
            && let Some(cell) = header.repeated_by(values)
        {
            self.own_header = None;
            notes.say(format!(
                "line {line} of {} has `{cell}` where line {first}, which is taken as the header, has it: if that is a \
                 row, set `columns` to the names of the columns",
                self.rows.input.path.display()
            ));
        }
        let record = row.map(|(line, values)| header.record(line, values)).transpose();
        record.map_err(|error| match error {
            Error::Data { path, line, message } if self.rows.within => {
                let message = format!("{message}; a field begins with a quote: {IN_QUOTES}");
                Error::Data { path, line, message }
            }
            Error::Data { path, line, message } if self.rows.are_split_at_tabs() => {
                let leave_out = header.fields().filter(|_| is_plain_tsv(&path)).map_or_else(
                    String::new,
                    |fields| {
                        format!(
                            "; to leave such rows out: awk -F'\\t' 'NF == {fields}' '{}' > rows.tsv",
                            path.display()
                        )
                    },
                );
                Error::Data { path, line, message: format!("{message}{leave_out}") }
            }
            other => other,
        })
    }
}

/// Whether a file is called as one that other programs split at tabs, too, not a compressed one.
fn is_plain_tsv(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| extension == "tsv" || extension == "tab")
}

/// Whether the name of a file leaves open whether it is a table or text.
fn may_be_lines(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("txt"))
}

/// How to read a file that was taken as a table as lines.
fn as_lines(path: &Path, line: usize, first: &[String]) -> String {
    format!(
        "{} is read as a table, whose columns line {line} names ({}); name it .text to read each line as a row",
        path.display(),
        first.join(", ")
    )
}

/// Says what is unusual.
fn say_dialect(dialect: Dialect, path: &Path, notes: &mut Notes) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let has_tabs_by_name = [".tsv", ".tab"].iter().any(|end| name.contains(end));
    let path = path.display();
    if dialect.quotes && (dialect.delimiter != b',' || has_tabs_by_name) {
        let delimiter = char::from(dialect.delimiter).escape_debug();
        notes.say(format!("{path}: the columns are separated by `{delimiter}`"));
    }
    if dialect.skip_space {
        notes.say(format!("{path}: blanks behind the separators are left out"));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::records::tests::{failure, lines, notes, read, read_with};
    use super::*;
    use proptest::prelude::*;

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
        // A CR within a field is text, with quotes in the row and without.
        for row in ["\"0\",a\rb", "0,a\rb"] {
            let records = read("a.csv", format!("label,text\n{row}\n")).unwrap();
            assert_eq!(records[0].text("text").unwrap(), "a\rb", "{row}");
        }
        let old_mac = read("a.csv", "text,label\ra,1\r\rb,2").unwrap();
        assert_eq!(lines(&old_mac), [2, 4]);
        assert_eq!(old_mac[0].text("label").unwrap(), "1");
    }

    #[test]
    fn csv_of_old_macs_may_have_line_feeds_in_quotes() {
        let records = read("a.csv", "text,label\r\"a\nb\",x\rc,y\r").unwrap();
        assert_eq!(lines(&records), [2, 3]);
        assert_eq!(records[0].text("text").unwrap(), "a\nb");
        assert_eq!(records[1].text("label").unwrap(), "y");
        let error = failure("a.csv", "text,label\ra,\"x\rb,y\rc,\"z\rd,y\r");
        assert!(error.starts_with(", line 2: a field in quotes goes on over several"), "{error}");
    }

    /// The first bytes of a file, by which it is judged, may not reach to the end of its first line.
    #[test]
    fn a_cr_in_a_long_header_is_text() {
        let long = "long ".repeat(20_000);
        let records = read("a.csv", format!("te\rxt,{long}\na\rb,1\n")).unwrap();
        assert_eq!(lines(&records), [2]);
        assert_eq!(records[0].text("te\rxt").unwrap(), "a\rb");
    }

    #[test]
    fn csv_rows_of_another_length_are_refused() {
        let error = failure("a.csv", "a,b\r\n\r\n\r\n1,2\r\n1,2,3\r\n");
        let expected =
            ", line 5: found 3 fields, expected the header's 2: a, b; a field with a separator";
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(
            failure("a.csv", "a,b\n1\n"),
            ", line 2: found 1 fields, expected the header's 2: a, b"
        );
    }

    #[test]
    fn numbers_of_rows_that_the_header_does_not_name_are_left_out() {
        let default = ReadOptions::default();
        let of_r = "\"text\",\"label\"\n\"1\",\"a, b\",\"x\"\n\"7\",\"c\",\"\"\n";
        let (records, said) = notes("a.csv", of_r, &default);
        let records = records.unwrap();
        assert_eq!(records[0].text("text").unwrap(), "a, b");
        assert_eq!(records[1].text("label").unwrap(), "");
        assert_eq!(lines(&records), [2, 3]);
        assert!(
            said[0].ends_with("rows have a number in front of the 2 columns that line 1 names, as R writes it; it is not read"),
            "{said:?}"
        );
        let tabs = read("a.tsv", "text\tlabel\n1\ta\tx\n2\tb\ty\n").unwrap();
        assert_eq!((tabs[1].text("text").unwrap(), tabs[1].text("label").unwrap()), ("b", "y"));
        // Only if every row has one.
        for row in ["b,y", "b,2,y", "3,b,c,y"] {
            let error = failure("a.csv", format!("text,label\n1,a,x\n{row}\n"));
            assert!(error.starts_with(", line 3: found "), "{error}");
            assert!(
                error.contains(
                    "expected a number of the row, as on line 2, and the header's 2: text, label; if rows have no numbers, a \
                     field with a separator in it needs quotes"
                ),
                "{error}"
            );
        }
        let error = failure("a.csv", "text\n1,000 people\n");
        assert!(error.starts_with(", line 2: found 2 fields, expected the header's 1"), "{error}");
        let error = failure("a.csv", "text,label\nhello, world,x\n");
        assert!(error.starts_with(", line 2: found 3 fields, expected the header's 2"), "{error}");
        // A separator at the end of each row.
        let ends = read("a.csv", "id,text\n1,a,\n2,b,\n").unwrap();
        assert_eq!(ends[0].text("id").unwrap(), "1");
    }

    #[test]
    fn lines_above_the_header_are_refused_with_the_way_out() {
        for title in ["# made by hand", "My data, 2024"] {
            let error = failure("a.csv", format!("{title}\ntext,label,id\na,1,2\n"));
            assert!(
                error.starts_with(", line 2: found 3 fields, expected the header's"),
                "{error}"
            );
            let way_out = "the header is expected in the first line: if line 1 is a title or a comment, remove it";
            assert!(error.ends_with(way_out), "{error}");
        }
    }

    #[test]
    fn csv_quotes_that_never_close_are_refused() {
        assert_eq!(
            failure("a.csv", "a,b\n1,x\n2,\"he said\n3,y\n"),
            ", line 3: a quoted field is not closed before the file ends"
        );
        assert!(failure("a.csv", "a,b\n1,\"x\"\"\n").contains("not closed"));
        let records = read("a.csv", "a,b\n1,x\"y\n2,\"\"\n3,\"x\"y\n").unwrap();
        let found: Vec<&str> = records.iter().map(|record| record.text("b").unwrap()).collect();
        assert_eq!(found, ["x\"y", "", "xy"]);
    }

    #[test]
    fn quotes_that_would_swallow_rows_are_refused() {
        let error = failure("a.csv", "text,label\na,\"x\nb,y\nc,\"z\nd,y\n");
        assert!(error.starts_with(", line 2: a field in quotes goes on over several"), "{error}");
        assert!(failure("a.csv", "a,b\n1,\"x\ny\" \"z\"\n").contains(", line 2: a field in"));
        let kept = "a,b\n1,\"x\n\"\"y\"\"\"\n2,\"x\ny\" ,\n";
        assert_eq!(read("a.csv", kept).unwrap().len(), 2);
        let (records, said) = notes("a.csv", "a,b\n1,\"x\" y\n", &ReadOptions::default());
        assert_eq!(records.unwrap()[0].text("b").unwrap(), "x y");
        assert!(said[0].contains(", line 2: text follows the closing quote"), "{said:?}");
    }

    #[test]
    fn other_separators_are_read_and_said() {
        let (records, said) = notes("a.csv", "text;label\n\"a;b\";1\n", &ReadOptions::default());
        assert_eq!(records.unwrap()[0].text("text").unwrap(), "a;b");
        assert!(said[0].ends_with("a.csv: the columns are separated by `;`"), "{said:?}");
        let (records, said) =
            notes("a.csv", "text, label\n\"a, b\", \"1\"\n", &ReadOptions::default());
        let records = records.unwrap();
        assert_eq!(records[0].text("text").unwrap(), "a, b");
        assert_eq!(records[0].text("label").unwrap(), "1");
        assert!(said[0].ends_with("blanks behind the separators are left out"), "{said:?}");
        assert_eq!(read("a.csv", "text,label\na, 1\n").unwrap()[0].text("label").unwrap(), " 1");
    }

    #[test]
    fn tsv_has_no_quotes() {
        let text = "a\tb\r\n\"x\ty\"\r\n\r\n\t\n";
        let records = read("a.tsv", text).unwrap();
        assert_eq!(lines(&records), [2, 4]);
        assert_eq!(records[0].text("a").unwrap(), "\"x");
        assert_eq!(records[0].text("b").unwrap(), "y\"");
        assert_eq!(records[1].text("b").unwrap(), "");
        let error = failure("a.tsv", "a\tb\n1\n");
        assert!(error.starts_with(", line 2: found 1 fields"), "{error}");
        assert!(error.contains("; to leave such rows out: awk -F'\\t' 'NF == 2' '"), "{error}");
        assert!(error.ends_with("a.tsv' > rows.tsv"), "{error}");
        let (_, said) =
            notes("a.tsv", "a\tb\nx\t\"he said \"\"no\"\"\"\n", &ReadOptions::default());
        assert!(said[0].contains("line 2: quotes are read as part of the text"), "{said:?}");
    }

    #[test]
    fn tsv_quotes_that_may_enclose_fields_are_told() {
        let split = "text\tlabel\n\"I will go.\t1\nAnd so will you.\"\t0\n";
        let (records, said) = notes("a.tsv", split, &ReadOptions::default());
        assert_eq!(records.unwrap()[1].text("text").unwrap(), "And so will you.\"");
        assert!(
            said[0].contains(", line 2: a field begins with a quote that closes on line 3, as in CSV: in a .tsv file"),
            "{said:?}"
        );
        let error = failure("a.tsv", "text\tlabel\n\"a\nb\"\t1\n");
        assert!(
            error.starts_with(", line 2: found 1 fields") && error.contains("name the file .csv"),
            "{error}"
        );
        // As in GLUE: quotes stand anywhere, and one that begins a field need not have a second one.
        for text in [
            "label\ttext\n1\tsay \"a\"\n0\t\"b\n1\tc\"\n",
            "label\ttext\n1\t\"a\n0\tb\n",
            "label\ttext\n1\t\"a\n0\tb \"c\" d\n1\te\"\n",
            "label\ttext\n1\t\"a\n\"0\tb\"\n",
        ] {
            assert!(read("a.tsv", text).is_ok(), "{text}");
        }
    }

    #[test]
    fn quotes_behind_backslashes_are_refused() {
        for text in ["\"say \\\"a\\\", b\",1", "\"say \\\"a\\\"\",1"] {
            let error = failure("a.csv", format!("text,label\n{text}\n"));
            assert!(
                error.starts_with(", line 2: a quote in a field is written with a backslash"),
                "{error}"
            );
        }
        let records = read("a.csv", "text,label\n\"C:\\\",1\na\\\"b,0\n").unwrap();
        assert_eq!(records[0].text("text").unwrap(), "C:\\");
        assert_eq!(records[1].text("text").unwrap(), "a\\\"b");
    }

    #[test]
    fn lines_without_a_row_are_skipped() {
        for text in
            ["text,label\na,1\n   \n\t\n", "text,label\na,1\n\x1a", "sep=,\ntext,label\na,1"]
        {
            let records = read("a.csv", text).unwrap();
            assert_eq!((records.len(), records[0].text("label").unwrap()), (1, "1"), "{text}");
        }
        let excel = read("a.csv", "sep=;\r\ntext;label\r\n\"a; b\";1\r\n").unwrap();
        assert_eq!((excel[0].text("text").unwrap(), excel[0].line), ("a; b", 3));
    }

    #[test]
    fn lines_of_text_that_look_like_a_table_are_told() {
        let (records, said) = notes("a.txt", "Dogs, cats\nBirds, mice\n", &ReadOptions::default());
        let error = records.unwrap()[0].text("text").unwrap_err().to_string();
        let way_out =
            "whose columns line 1 names (Dogs, cats); name it .text to read each line as a row";
        assert!(error.ends_with(way_out) && said.len() == 1, "{error} {said:?}");
    }

    #[test]
    fn a_header_that_looks_like_a_row_is_said() {
        let text = "1\tthe play was good\n0\tit was bad\n";
        let (records, said) = notes("two.tsv", text, &ReadOptions::default());
        assert!(
            said[0].contains("two.tsv is taken as the header, but looks like a row (`1`)"),
            "{said:?}"
        );
        let error = records.unwrap()[0].text("text").unwrap_err().to_string();
        assert!(
            error.contains("field `text` is missing") && error.contains("set `columns`"),
            "{error}"
        );
    }

    /// Names for files without a header, of which others have one.
    #[test]
    fn names_are_for_a_file_without_a_header() {
        let usual = ReadOptions {
            without_header: Some(["source", "label", "", "sentence"].map(str::to_owned).into()),
            ..ReadOptions::default()
        };
        let read = |text: &str| read_with("cola.tsv", text, &usual).unwrap();
        let rows = read("gj04\t1\t\tthe play was good\ngj04\t0\t*\tthe play good was\n");
        assert_eq!(lines(&rows), [1, 2]);
        assert_eq!(rows[0].text("sentence").unwrap(), "the play was good");
        // A header, be it of other columns or as many.
        let rows = read("index\tsentence\n0\tthe play was good\n");
        assert_eq!(
            (lines(&rows), rows[0].text("sentence").unwrap()),
            (vec![2], "the play was good")
        );
        let rows = read("a\tlabel\tb\tsentence\nx\t1\ty\tthe play\n");
        assert_eq!((lines(&rows), rows[0].text("a").unwrap()), (vec![2], "x"));
    }

    #[test]
    fn columns_may_be_named() {
        let named = |names: &str| ReadOptions {
            columns: Some(names.split(',').map(str::to_owned).collect()),
            ..ReadOptions::default()
        };
        let text = "gj04\t1\t\tthe play was good\ngj04\t0\t*\tthe play good was\n";
        let records = read_with("cola.tsv", text, &named("source,label,,sentence")).unwrap();
        assert_eq!(lines(&records), [1, 2]);
        assert_eq!(records[1].text("sentence").unwrap(), "the play good was");
        assert!(!records[1].has(""));
        let with_header = read_with("a.csv", "text,label\na,1\n", &named("text,label")).unwrap();
        assert_eq!(lines(&with_header), [2]);
        // In other letters, or with a column that is not named.
        for (text, names) in [("Text,LABEL\na,1\n", "text,label"), ("id,text\n7,a\n", ",text")] {
            let records = read_with("a.csv", text, &named(names)).unwrap();
            assert_eq!(lines(&records), [2], "{text}");
        }
        assert_eq!(lines(&read_with("a.csv", "1,a\n2,b\n", &named(",text")).unwrap()), [1, 2]);
        let error = read_with("a.csv", "label,Text\n1,a\n", &named("text,label")).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("columns: found the names text, label, but line 1 of"), "{error}");
        assert!(error.ends_with("is a header with them in another order: label, Text"), "{error}");
        let (_, said) = notes("a.tsv", "text,label\na,1\n", &ReadOptions::default());
        assert!(said[0].ends_with("a.tsv: the columns are separated by `,`"), "{said:?}");
        let remembered = ReadOptions { remembered: true, ..named("text,label") };
        let (_, said) = notes("a.csv", "a,1\n", &remembered);
        assert!(said[0].ends_with("a.csv: the columns are called text, label as in training; `columns` calls them otherwise"), "{said:?}");
        let (_, said) = notes("a.csv", "text,label\na,1\n", &remembered);
        assert!(said.iter().all(|note| !note.contains("as in training")), "{said:?}");
        assert!(said[0].ends_with("is its header"), "{said:?}");
        let (_, said) = notes("a.csv", "the sea,is\nblue,1\n", &remembered);
        assert!(said[1].ends_with("a.csv is read as a row: the sea, is"), "{said:?}");
        for (text, why) in [
            (
                "id,text\n7,good play\n8,bad play\n",
                "line 1 of a.csv (id, text) looks like a header: `text` is a name",
            ),
            (
                "id,sentence\n7,good play\n",
                "(id, sentence) looks like a header: `id` stands above 7, and training had",
            ),
        ] {
            let error = read_with("a.csv", text, &remembered).unwrap_err().to_string();
            let file = error.split_once("line 1 of ").unwrap().1.rsplit_once("a.csv").unwrap();
            let error = error.replace(file.0, "");
            assert!(error.contains(why), "{error}");
            // What it says to do.
            let names = text.split_once('\n').unwrap().0;
            assert_eq!(lines(&read_with("a.csv", text, &named(names)).unwrap())[0], 2);
        }
        // The header of a file that has other columns than that of training.
        let error = read_with(
            "a.csv",
            "id,text\n7,a\n",
            &ReadOptions { remembered: true, ..named("label,text") },
        );
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with("columns: line 1 of") && error.contains("looks like a header"),
            "{error}"
        );
        let (records, said) = notes("a.csv", "id,text\n7,a\n", &named("label,text"));
        assert!(
            records.unwrap().len() == 2 && said[0].ends_with("it is read as a row"),
            "{said:?}"
        );
        let wider = ReadOptions { remembered: true, ..named("a,label,text") };
        let error = read_with("a.csv", "id,text\n7,a\n", &wider).unwrap_err().to_string();
        assert!(error.contains("found 3 names of training"), "{error}");
        let error = read_with("a.csv", "a,1\n", &named("text")).unwrap_err().to_string();
        assert!(error.contains("columns: found 1 names (text), but line 1 of"), "{error}");
        assert!(error.ends_with("a.csv has 2 columns"), "{error}");
    }

    proptest! {
        /// Whatever a CSV writer makes of some fields is read back, with the right line numbers.
        #[test]
        fn csv_round_trip(rows in prop::collection::vec(
            prop::array::uniform2("[ab,\"\n\r\té]{0,6}"), 1..8), end in 0..3, always: bool) {
            // That of Windows, of Unix, and of old Macs.
            let line_end = if end == 2 { b'\r' } else { b'\n' };
            let end = if end == 0 { csv::Terminator::CRLF } else { csv::Terminator::Any(line_end) };
            let style = if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
            let mut writer = csv::WriterBuilder::new()
                .terminator(end).quote_style(style).from_writer(Vec::new());
            writer.write_record(["x", "y"]).unwrap();
            rows.iter().for_each(|row| writer.write_record(row).unwrap());
            let records = read("a.csv", writer.into_inner().unwrap()).unwrap();
            prop_assert_eq!(records.len(), rows.len());
            let mut line = 2;
            for (record, row) in records.iter().zip(&rows) {
                prop_assert_eq!(record.line, line);
                prop_assert_eq!(record.text("x").unwrap(), &row[0]);
                prop_assert_eq!(record.text("y").unwrap(), &row[1]);
                line += 1 + row.concat().bytes().filter(|&byte| byte == line_end).count();
            }
        }

        /// No text of the relevant characters makes the readers panic.
        #[test]
        fn any_quoting_is_read_or_refused(text in "\u{feff}?[a,;\"\n\r\té ]{0,30}") {
            let _ = read("a.csv", &text);
            let _ = read("a.tsv", &text);
        }
    }
}
