//! Rows of output as lines of JSON or as a table.

use std::{collections::BTreeSet, path::Path};

use clap::ValueEnum;
use serde_json::{Map, Value};

use super::given::INPUT;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A JSON object per line.
    Jsonl,
    /// Columns separated by tabs, below a row with their names.
    Tsv,
}

impl Format {
    /// The format that was asked for, or that the name of the file asks for.
    pub fn of(asked: Option<Self>, output: Option<&Path>) -> Self {
        let extension = output.and_then(Path::extension).and_then(|name| name.to_str());
        asked.unwrap_or(match extension {
            Some(name) if name.eq_ignore_ascii_case("tsv") => Self::Tsv,
            _ => Self::Jsonl,
        })
    }
}

/// The columns that come first, in this order; the rows' own fields come last.
const FIRST: [&str; 13] = [
    "id",
    "adapter",
    "label",
    "labels",
    "score",
    "answer",
    "has_answer",
    "start",
    "end",
    "start_position",
    "end_position",
    "tags",
    "probability",
];

/// A table with the columns of all rows. Objects have a column for each of their keys, as in `input.text`; lists stand as
/// JSON in one.
pub fn table(rows: Vec<Map<String, Value>>) -> String {
    let rows: Vec<Map<String, Value>> = rows.into_iter().map(flat).collect();
    let names: BTreeSet<(usize, &String)> =
        rows.iter().flat_map(|row| row.keys()).map(|name| (rank(name), name)).collect();
    let line = |cells: &mut dyn Iterator<Item = String>| {
        format!("{}\n", cells.collect::<Vec<_>>().join("\t"))
    };
    let mut text = line(&mut names.iter().map(|(_, name)| enclosed(name)));
    for row in &rows {
        text +=
            &line(&mut names.iter().map(|(_, name)| row.get(*name).map_or_else(String::new, cell)));
    }
    text
}

fn rank(name: &str) -> usize {
    let is_of_row = name.strip_prefix(INPUT).is_some_and(|rest| rest.starts_with('.'));
    let place = FIRST.iter().position(|first| *first == name);
    place.unwrap_or(FIRST.len() + usize::from(is_of_row))
}

/// A row whose objects became fields of their own. Of probabilities those beside the names of the classes stay.
fn flat(row: Map<String, Value>) -> Map<String, Value> {
    let named = row.get("classes").is_some_and(Value::is_object);
    let mut found = Map::new();
    for (name, value) in row {
        match value {
            Value::Object(fields) => {
                found.extend(
                    fields.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)),
                );
            }
            _ if named && name == "probabilities" => {}
            value => _ = found.insert(name, value),
        }
    }
    found
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => enclosed(text),
        other => other.to_string(),
    }
}

/// A text as a cell: in double quotes where it has tabs or ends of lines, or begins with a quote itself.
fn enclosed(text: &str) -> String {
    match text.contains(['\t', '\n', '\r']) || text.starts_with('"') {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(row: Value) -> Map<String, Value> {
        row.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn the_name_of_the_file_decides_where_nothing_is_asked() {
        let of = |name: &str| Format::of(None, Some(Path::new(name)));
        assert_eq!(
            (of("a.TSV"), of("a.jsonl"), of("tsv")),
            (Format::Tsv, Format::Jsonl, Format::Jsonl)
        );
        assert_eq!(Format::of(Some(Format::Jsonl), Some(Path::new("a.tsv"))), Format::Jsonl);
    }

    #[test]
    fn a_table_has_the_columns_of_all_rows() {
        let rows = vec![
            row(json!({"label": "x", "probability": 0.5, "probabilities": [0.5, 0.5],
                "classes": {"x": 0.5, "y": 0.5}, "input": {"text": "a\tb", "n": [1, "é"]}})),
            row(
                json!({"id": 7, "label": "\"y\"", "probability": 1.0, "input": {"text": "say \"b\""}}),
            ),
        ];
        let expected = "id\tlabel\tprobability\tclasses.x\tclasses.y\tinput.n\tinput.text\n\
                        \tx\t0.5\t0.5\t0.5\t[1,\"é\"]\t\"a\tb\"\n\
                        7\t\"\"\"y\"\"\"\t1.0\t\t\t\tsay \"b\"\n";
        assert_eq!(table(rows), expected);
    }
}
