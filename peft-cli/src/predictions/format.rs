//! Rows of output as lines of JSON or as a table.

use std::{collections::BTreeSet, path::Path};

use clap::ValueEnum;
use peft_core::{Error, Result, adapter::atomic};
use serde_json::{Map, Value};

use super::{given::INPUT, verbatim};
use crate::output;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A JSON object per line.
    Jsonl,
    /// Columns separated by tabs, below a row with their names. Nothing is quoted: tabs and ends of lines in a cell are
    /// blanks.
    Tsv,
    /// Columns separated by commas, in double quotes where needed.
    Csv,
}

/// Ends of names that ask for a format.
const NAMES: [(&str, Format); 5] = [
    ("jsonl", Format::Jsonl),
    ("ndjson", Format::Jsonl),
    ("json", Format::Jsonl),
    ("tsv", Format::Tsv),
    ("csv", Format::Csv),
];

/// Ends of names of what is not written.
const NOT_WRITTEN: [&str; 8] = ["parquet", "arrow", "xlsx", "xls", "ods", "gz", "zst", "zip"];

impl Format {
    /// As [`of`](Self::of); it is told where the name says something else than what was asked for.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of).
    pub fn told(asked: Option<Self>, flag: &str, output: Option<&Path>) -> Result<Self> {
        if let (Some(asked), Some(output)) = (asked, output)
            && let Some(end) = other_end(asked, output)
        {
            output::note(format!(
                "note: {flag} is {}, and is written as {}, as --format says, not as {end}",
                output.display(),
                asked.name()
            ));
        }
        Self::of(asked, flag, output)
    }

    /// The format that was asked for, else what the name of the file `output`, the value of `flag`, asks for.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for the name of what is not written, where nothing is asked and the file is no stream.
    pub fn of(asked: Option<Self>, flag: &str, output: Option<&Path>) -> Result<Self> {
        let (None, Some(output)) = (asked, output) else {
            return Ok(asked.unwrap_or(Self::Jsonl));
        };
        let end = end_of(output);
        if NOT_WRITTEN.contains(&&*end) && !atomic::is_stream(output) {
            let message = format!(
                "found {}, expected the name of a file of JSON lines (.jsonl) or of a table (.csv, .tsv)",
                output.display()
            );
            return Err(Error::setting(flag, message));
        }
        Ok(of_end(&end).unwrap_or(Self::Jsonl))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Tsv => "tsv",
            Self::Csv => "csv",
        }
    }

    /// Rows as a text of whole lines. A table has the columns of all of them. Objects have a column for each of their
    /// keys, as in `input.text`, the likeliest classes and the best answers for each of their places, as in
    /// `top.0.label`; other lists stand as JSON in one. A lone column of a table without quotes has that of the rows'
    /// numbers beside it: an empty line is no row.
    pub fn text(self, rows: Vec<Map<String, Value>>) -> String {
        let (separator, enclosed): (&str, fn(&str) -> String) = match self {
            Self::Jsonl => return rows.into_iter().map(line).collect(),
            Self::Tsv => ("\t", plain),
            Self::Csv => (",", quoted),
        };
        let rows: Vec<Map<String, Value>> =
            rows.into_iter().map(|row| flat(verbatim::as_texts(row))).collect();
        let names: BTreeSet<(usize, Vec<Part<'_>>, &String)> = rows
            .iter()
            .flat_map(|row| row.keys())
            .map(|name| (rank(name), parts(name), name))
            .collect();
        let is_alone = names.len() == 1;
        let line = |number: &str, mut cells: Vec<String>| {
            match cells.as_mut_slice() {
                [cell] if is_alone && self == Self::Tsv => {
                    *cell = format!("{number}{separator}{cell}")
                }
                [cell] if cell.is_empty() => *cell = "\"\"".into(),
                _ => {}
            }
            format!("{}\n", cells.join(separator))
        };
        let mut text = line(NUMBER, names.iter().map(|(.., name)| enclosed(name)).collect());
        for (at, fields) in rows.iter().enumerate() {
            let cells = names.iter().map(|(.., name)| match fields.get(*name) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => enclosed(text),
                Some(other) => enclosed(&other.to_string()),
            });
            text += &line(&(at + 1).to_string(), cells.collect());
        }
        text
    }
}

/// The column of the rows' numbers.
const NUMBER: &str = "row";

/// The end of a file's name, in lower case.
fn end_of(output: &Path) -> String {
    let end = output.extension().and_then(|end| end.to_str()).unwrap_or_default();
    end.to_lowercase()
}

fn of_end(end: &str) -> Option<Format> {
    NAMES.iter().find(|(name, _)| *name == end).map(|(_, format)| *format)
}

/// The end of a file's name, if that is one of something else.
fn other_end(asked: Format, output: &Path) -> Option<String> {
    let end = end_of(output);
    let is_other = of_end(&end).map_or(NOT_WRITTEN.contains(&&*end), |named| named != asked);
    (is_other && !atomic::is_stream(output)).then_some(end)
}

/// A part of a column's name: places come in the order of their numbers.
type Part<'a> = (Option<u64>, &'a str);

fn parts(name: &str) -> Vec<Part<'_>> {
    name.split('.').map(|part| (part.parse().ok(), part)).collect()
}

/// A row as a line of JSON.
pub fn line(fields: Map<String, Value>) -> String {
    format!("{}\n", verbatim::json(fields))
}

/// The columns that come first, in this order; the rows' own fields come last.
const FIRST: [&str; 15] = [
    "id",
    "adapter",
    "label",
    "labels",
    "score",
    "answer",
    "output",
    "output_ids",
    "has_answer",
    "start",
    "end",
    "start_position",
    "end_position",
    "tags",
    "probability",
];

fn rank(name: &str) -> usize {
    let is_of_row = name.strip_prefix(INPUT).is_some_and(|rest| rest.starts_with('.'));
    let place = FIRST.iter().position(|first| *first == name);
    place.unwrap_or(FIRST.len() + usize::from(is_of_row))
}

/// Lists of objects whose length was asked for, so that each of them may have columns of its own.
const PLACES: [&str; 2] = ["top", "answers"];

/// A row whose objects became fields of their own. Of probabilities those beside the names of the classes stay.
fn flat(row: Map<String, Value>) -> Map<String, Value> {
    let named = row.get("classes").is_some_and(Value::is_object);
    let mut found = Map::new();
    let mut add = |name: &str, fields: Map<String, Value>| {
        found.extend(fields.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
    };
    let mut others = Map::new();
    for (name, value) in row {
        match value {
            Value::Object(fields) => add(&name, fields),
            Value::Array(list) if PLACES.contains(&&*name) && list.iter().all(Value::is_object) => {
                for (place, value) in list.into_iter().enumerate() {
                    if let Value::Object(fields) = value {
                        add(&format!("{name}.{place}"), fields);
                    }
                }
            }
            _ if named && name == "probabilities" => {}
            value => _ = others.insert(name, value),
        }
    }
    found.extend(others);
    found
}

/// No program reads a table with one.
const NUL: char = '\0';

/// A text as a cell of a table that has no quotes.
fn plain(text: &str) -> String {
    text.replace("\r\n", " ").replace(['\t', '\n', '\r', NUL], " ")
}

/// A text as a cell: in double quotes where it has commas, quotes or ends of lines, or blanks around it.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) || text.trim() != text {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
    .replace(NUL, " ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(row: Value) -> Map<String, Value> {
        row.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn the_name_of_the_file_decides_where_nothing_is_asked() {
        let of = |asked, name: &str| {
            Format::of(asked, "--output", Some(Path::new(name))).map_err(|error| error.to_string())
        };
        for (name, format) in [
            ("a.TSV", Format::Tsv),
            ("a.csv", Format::Csv),
            ("a.jsonl", Format::Jsonl),
            ("a.json", Format::Jsonl),
            ("tsv", Format::Jsonl),
            ("a.txt", Format::Jsonl),
        ] {
            assert_eq!(of(None, name), Ok(format), "{name}");
        }
        assert_eq!(of(Some(Format::Tsv), "/dev/stdout"), Ok(Format::Tsv));
        // What is asked for wins; a name that says something else is told.
        for name in ["a.tsv", "a.csv.gz"] {
            assert_eq!(of(Some(Format::Jsonl), name), Ok(Format::Jsonl));
            assert!(other_end(Format::Jsonl, Path::new(name)).is_some(), "{name}");
        }
        assert_eq!(other_end(Format::Jsonl, Path::new("a.json")), None);
        assert_eq!(other_end(Format::Jsonl, Path::new("a.txt")), None);
        for name in ["a.parquet", "a.csv.gz"] {
            let error = of(None, name).err().unwrap_or_default();
            assert!(error.contains("(.csv, .tsv)"), "{error}");
        }
    }

    #[test]
    fn a_table_has_the_columns_of_all_rows() {
        let rows = vec![
            row(json!({"label": "x", "probability": 0.5, "probabilities": [0.5, 0.5],
                "classes": {"x": 0.5, "y": 0.5}, "input": {"text": "a\tb", "n": [1, "é"]}})),
            row(json!({"id": 7, "label": "\"y\"", "probability": 1.0,
                "top": [{"label": "y", "probability": 1.0}], "input": {"text": "say, \"b\""}})),
        ];
        let expected = "id\tlabel\tprobability\tclasses.x\tclasses.y\ttop.0.label\ttop.0.probability\tinput.n\tinput.text\n\
                        \tx\t0.5\t0.5\t0.5\t\t\t[1,\"é\"]\ta b\n\
                        7\t\"y\"\t1.0\t\t\ty\t1.0\t\tsay, \"b\"\n";
        assert_eq!(Format::Tsv.text(rows.clone()), expected);
        let expected = "id,label,probability,classes.x,classes.y,top.0.label,top.0.probability,input.n,input.text\n\
                        ,x,0.5,0.5,0.5,,,\"[1,\"\"é\"\"]\",a\tb\n\
                        7,\"\"\"y\"\"\",1.0,,,y,1.0,,\"say, \"\"b\"\"\"\n";
        assert_eq!(Format::Csv.text(rows), expected);
    }

    #[test]
    fn places_come_in_the_order_of_their_numbers() {
        let top: Vec<Value> = (0..11).map(|place| json!({ "label": place })).collect();
        let text = Format::Csv.text(vec![row(json!({ "top": top }))]);
        let expected: Vec<String> = (0..11).map(|place| format!("top.{place}.label")).collect();
        assert_eq!(text.lines().next(), Some(&*expected.join(",")));
    }

    #[test]
    fn a_lone_column_loses_no_row() {
        let rows = ["a\0b", "", " "].map(|text| row(json!({ "output": text }))).to_vec();
        assert_eq!(Format::Csv.text(rows.clone()), "output\na b\n\"\"\n\" \"\n");
        assert_eq!(Format::Tsv.text(rows.clone()), "row\toutput\n1\ta b\n2\t\n3\t \n");
        let dir = tempfile::tempdir().unwrap();
        for (name, format) in [("a.csv", Format::Csv), ("a.tsv", Format::Tsv)] {
            let path = dir.path().join(name);
            std::fs::write(&path, format.text(rows.clone())).unwrap();
            let found = peft_core::text::read_records(&path).unwrap();
            let found: Vec<&Value> = found.iter().map(|row| &row.fields["output"]).collect();
            assert_eq!(found, ["a b", "", " "], "{name}");
        }
    }
}
