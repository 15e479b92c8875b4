//! One JSON document that holds all rows of a file.
//!
//! | layout | such as |
//! |---|---|
//! | a list below a key | `{"version": "1", "data": [{"text": "a"}, {"text": "b"}]}` |
//! | lists as columns | `{"text": ["a", "b"], "label": [0, 1]}` |
//! | objects as columns, pandas' `to_json()` | `{"text": {"0": "a", "1": "b"}}` |
//! | rows by their keys, pandas' `orient="index"` | `{"0": {"text": "a"}, "1": {"text": "b"}}` |
//! | columns and rows, pandas' `orient="split"` | `{"columns": ["text"], "data": [["a"], ["b"]]}` |
//! | SQuAD's own | `{"data": [{"paragraphs": [...]}]}` |

use std::{path::Path, sync::Arc};

use serde_json::{Map, Value};

use super::options::Notes;
use crate::{
    error::{Error, Result},
    text::{
        json_value::{parse, parts, repaired},
        ordered::Ordered,
        record::Record,
        squad,
    },
};

/// Keys below which files keep their rows, whatever else stands beside them.
const LISTS: &[&str] = &[
    "data",
    "rows",
    "records",
    "examples",
    "instances",
    "items",
    "samples",
    "train",
    "valid",
    "validation",
    "dev",
    "test",
];

/// Keys of a row that hold a list: an object with one of them is a row, not a file of columns.
const LISTS_OF_A_ROW: &[&str] = &["input_ids", "tokens", "words", "messages", "conversations"];

/// What a document turns out to be.
pub(super) enum Document {
    /// These rows.
    Rows(Vec<Record>),
    /// A list of rows, which begins on this line: its text.
    Array(usize, String),
    /// A row itself.
    Row,
}

/// The rows of a document that begins on line `line`. The only line of a file of lines is a row, unless it has SQuAD's
/// layout.
///
/// # Errors
/// [`Error::File`] if it has several lists of rows, or columns of different lengths; the errors of a row in it.
pub(super) fn read(
    path: &Arc<Path>,
    (line, is_line): (usize, bool),
    text: &str,
    notes: &mut Notes,
) -> Result<Document> {
    // What is no JSON is told when it is read as a row.
    let Ok(Value::Object(document)) = parse(text) else { return Ok(Document::Row) };
    if list(&document, "data").is_some_and(|articles| articles.iter().any(is_article)) {
        // Its lines are counted from the beginning of the file.
        let text = "\n".repeat(line - 1) + &repaired(text);
        return Ok(squad::records(path, &text)?.map_or(Document::Row, Document::Rows));
    }
    if is_line {
        let has_rows = !matches!(key_of_rows(path, &document), Ok(None));
        let is_column =
            |(key, value): (&String, &Value)| value.is_array() && !is_list_of_a_row(key, value);
        if has_rows || !document.is_empty() && document.iter().all(is_column) {
            let path = path.display();
            notes
                .say(format!("{path}: its only line is a row; name it .json if it holds all rows"));
        }
        return Ok(Document::Row);
    }
    if let Some(columns) = list(&document, "columns")
        && let Some(rows) = list(&document, "data")
        && rows.iter().all(Value::is_array)
    {
        return split(path, columns, rows, notes).map(Document::Rows);
    }
    if let Some(key) = key_of_rows(path, &document)? {
        let (_, at) = parts(text)
            .into_iter()
            .rfind(|(found, _)| found.as_deref() == Some(key))
            .unwrap_or_default();
        let line = line + text[..at.start].matches('\n').count();
        notes.say(format!("{}: the rows are those in `{key}`", path.display()));
        return Ok(Document::Array(line, text[at].to_owned()));
    }
    if is_rows_by_key(&document) {
        notes.say(format!("{}: each key of the document is that of a row", path.display()));
        return Ok(Document::Array(line, as_array(text)));
    }
    if document.len() > 1 && are_alike(&document) {
        notes.say(format!(
            "{}: its {} objects of the same fields are read as one row; if each is a row, write them as a list",
            path.display(),
            document.len()
        ));
    }
    let Some(mut rows) = columns(path, &document, notes)? else { return Ok(Document::Row) };
    if rows.iter().any(Record::is_conversation) {
        keep_order(&mut rows, text);
    }
    Ok(Document::Rows(rows))
}

/// Gives rows that were columns their objects with keys in the file's order, which chat templates print.
fn keep_order(rows: &mut [Record], text: &str) {
    let Ok(Ordered::Object(columns)) = serde_json::from_str(&repaired(text)) else { return };
    let mut fields: Vec<Vec<(String, Ordered)>> = vec![Vec::new(); rows.len()];
    for (name, column) in columns {
        let values: Vec<Ordered> = match column {
            Ordered::Array(values) => values,
            Ordered::Object(mut values) => {
                values.sort_by_key(|(key, _)| key.parse::<u64>().unwrap_or(u64::MAX));
                values.into_iter().map(|(_, value)| value).collect()
            }
            _ => Vec::new(),
        };
        for (row, value) in fields.iter_mut().zip(values) {
            row.push((name.clone(), value));
        }
    }
    for (row, fields) in rows.iter_mut().zip(fields) {
        row.ordered = Some(Arc::new(Ordered::Object(fields)));
    }
}

/// Whether each value of a document is a row: they are objects of the same fields below numbers, or below at least
/// three keys.
fn is_rows_by_key(document: &Map<String, Value>) -> bool {
    /// Keys of which some are numbers are those of rows; a row may have two objects that are alike.
    const ROWS: usize = 3;
    /// Keys that fields have, and rows do not.
    const FIELDS: &[&str] = &[
        "text",
        "sentence",
        "sentence1",
        "sentence2",
        "premise",
        "hypothesis",
        "question",
        "context",
        "passage",
        "document",
        "source",
        "target",
        "prompt",
        "completion",
        "instruction",
        "input",
        "output",
        "chosen",
        "rejected",
    ];
    let is_number = |key: &String| key.parse::<u64>().is_ok();
    let rows: Vec<&Map<String, Value>> = document.values().filter_map(Value::as_object).collect();
    let Some(first) = rows.first().filter(|_| rows.len() == document.len()) else { return false };
    let of_numbers = rows.iter().all(|row| row.keys().all(is_number));
    let numbered = document.keys().all(is_number) && !of_numbers;
    let are_fields = document.keys().any(|key| FIELDS.contains(&&*key.to_lowercase()));
    numbered || rows.len() >= ROWS && first.len() > 1 && !are_fields && are_alike(document)
}

/// Whether all values of a document are objects of the same fields, which are not the numbers of rows.
fn are_alike(document: &Map<String, Value>) -> bool {
    let fields = |row: &Value| row.as_object().map(|row| row.keys().cloned().collect::<Vec<_>>());
    let Some(first) = document.values().next().and_then(fields) else { return false };
    document.values().all(|row| fields(row).is_some_and(|other| other == first))
        && first.iter().any(|key| key.parse::<u64>().is_err())
}

/// The values of a document as an array of the same lines.
fn as_array(text: &str) -> String {
    let (mut array, mut end) = ("[".to_owned(), 0);
    for (_, at) in parts(text) {
        array.extend(text[end..at.start].chars().filter(|c| *c == '\n'));
        if end > 0 {
            array.push(',');
        }
        array += &text[at.clone()];
        end = at.end;
    }
    array + "]"
}

fn list<'a>(document: &'a Map<String, Value>, key: &str) -> Option<&'a Vec<Value>> {
    document.get(key).and_then(Value::as_array)
}

/// Whether a value is an article in SQuAD's layout.
fn is_article(value: &Value) -> bool {
    value.get("paragraphs").is_some()
}

/// The key whose list holds the rows.
fn key_of_rows<'a>(path: &Path, document: &'a Map<String, Value>) -> Result<Option<&'a str>> {
    // What else stands in the list is refused when it is read as a row.
    let of_objects = |value: &Value| {
        value.as_array().and_then(|rows| rows.first()).is_some_and(Value::is_object)
    };
    let known: Vec<&str> = document
        .iter()
        .filter(|(key, value)| LISTS.contains(&key.as_str()) && of_objects(value))
        .map(|(key, _)| key.as_str())
        .collect();
    match (&known[..], document.iter().next()) {
        ([key], _) => Ok(Some(key)),
        ([], Some((key, value))) if document.len() == 1 => {
            let rows = of_objects(value) && !is_list_of_a_row(key, value);
            Ok(rows.then_some(key.as_str()))
        }
        ([], _) => Ok(None),
        (several, _) => Err(Error::file(
            path,
            format!("holds several lists of rows ({}); expected one in a file", several.join(", ")),
        )),
    }
}

/// Whether a list belongs to one row: words, token ids, or the turns of a chat.
fn is_list_of_a_row(key: &str, value: &Value) -> bool {
    let is_turn = |turn: &Value| turn.get("role").is_some() || turn.get("from").is_some();
    value.as_array().is_some_and(|list| {
        let nested = !list.is_empty() && list.iter().all(Value::is_array);
        let named = LISTS_OF_A_ROW.contains(&key) && !nested;
        named || list.first().is_some_and(is_turn)
    })
}

/// Rows of which each column is a list, or an object whose keys number the rows.
fn columns(
    path: &Arc<Path>,
    document: &Map<String, Value>,
    notes: &mut Notes,
) -> Result<Option<Vec<Record>>> {
    let is_row = |(key, value): (&String, &Value)| is_list_of_a_row(key, value);
    let numbered = |value: &Value| {
        value.as_object().is_some_and(|rows| {
            !rows.is_empty() && rows.keys().all(|key| key.parse::<u64>().is_ok())
        })
    };
    let lists = document.values().all(Value::is_array);
    if document.is_empty()
        || document.iter().any(is_row)
        || !(lists || document.values().all(numbered))
    {
        return Ok(None);
    }
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    let mut first: Option<(&str, usize)> = None;
    for (name, column) in document {
        let values: Vec<&Value> = match column {
            Value::Array(values) => values.iter().collect(),
            Value::Object(values) => in_order(values),
            _ => Vec::new(),
        };
        match first {
            None => {
                first = Some((name, values.len()));
                rows.resize_with(values.len(), Map::new);
            }
            Some((other, length)) if length != values.len() => {
                let found = values.len();
                let message = format!(
                    "column `{name}` has {found} values, column `{other}` {length}; expected as many in each"
                );
                return Err(Error::file(path, message));
            }
            Some(_) => {}
        }
        for (row, value) in rows.iter_mut().zip(values) {
            row.insert(name.clone(), value.clone());
        }
    }
    Ok(Some(numbered_rows(path, rows, notes)))
}

/// The values of an object in the order of its keys, which are numbers.
fn in_order(values: &Map<String, Value>) -> Vec<&Value> {
    let mut values: Vec<(u64, &Value)> =
        values.iter().map(|(key, value)| (key.parse().unwrap_or(u64::MAX), value)).collect();
    values.sort_by_key(|(key, _)| *key);
    values.into_iter().map(|(_, value)| value).collect()
}

/// Rows as lists, with the names of their columns.
fn split(
    path: &Arc<Path>,
    columns: &[Value],
    rows: &[Value],
    notes: &mut Notes,
) -> Result<Vec<Record>> {
    let named = |(number, row): (usize, &Value)| {
        let values = row.as_array().map_or(&[][..], Vec::as_slice);
        if values.len() != columns.len() {
            let (found, expected) = (values.len(), columns.len());
            let message = format!(
                "data[{number}] has {found} values, expected one for each of {expected} columns"
            );
            return Err(Error::file(path, message));
        }
        let name = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Ok(columns.iter().map(name).zip(values.iter().cloned()).collect())
    };
    let rows = rows.iter().enumerate().map(named).collect::<Result<Vec<_>>>()?;
    Ok(numbered_rows(path, rows, notes))
}

/// Rows that have no line of their own: their number stands for it.
fn numbered_rows(
    path: &Arc<Path>,
    rows: Vec<Map<String, Value>>,
    notes: &mut Notes,
) -> Vec<Record> {
    let count = rows.len();
    notes.say(format!(
        "{}: {count} rows, read from columns; where a message names a line, it is the number of the row",
        path.display()
    ));
    rows.into_iter()
        .enumerate()
        .map(|(row, fields)| Record::new(path.clone(), row + 1, fields))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{
        options::ReadOptions,
        records::tests::{failure, lines, notes, read},
    };
    use serde_json::json;

    fn texts(content: &str) -> Vec<String> {
        let records = read("a.json", content).unwrap();
        records.iter().map(|record| record.text("text").unwrap().to_owned()).collect()
    }

    #[test]
    fn one_content_gives_one_result() {
        for content in [
            r#"[{"text": "a", "label": 1}, {"text": "b", "label": 0}]"#,
            r#"{"data": [{"text": "a", "label": 1}, {"text": "b", "label": 0}]}"#,
            r#"{"version": "1", "n": 2, "data": [{"text": "a"}, {"text": "b"}]}"#,
            r#"{"whatever": [{"text": "a"}, {"text": "b"}]}"#,
            r#"{"text": ["a", "b"], "label": [1, 0]}"#,
            r#"{"text": {"0": "a", "1": "b"}, "label": {"0": 1, "1": 0}}"#,
            r#"{"text": {"10": "b", "9": "a"}}"#,
            r#"{"0": {"text": "a", "label": 1}, "1": {"text": "b"}}"#,
            r#"{"columns": ["text", "label"], "index": [0, 1], "data": [["a", 1], ["b", 0]]}"#,
            "{\"text\": \"a\", \"data\": [{\"text\": \"x\"}]}\n{\"text\": \"b\"}",
            "{\"text\": \"a\", \"x\": NaN}\n{\"text\": \"b\"}",
            "{\"data\": [{\"text\": \"a\", \"x\": NaN}, {\"text\": \"b\"}]}",
        ] {
            assert_eq!(texts(content), ["a", "b"], "{content}");
        }
    }

    #[test]
    fn rows_below_a_key_keep_their_lines() {
        let text = "\n{\"version\": 1,\n \"data\":\n [\n{\"text\": \"a\"},\n\n{\"text\": 3}]}";
        assert_eq!(lines(&read("a.json", text).unwrap()), [5, 7]);
        let broken = failure("a.json", text.replace("{\"text\": 3}", "3"));
        assert_eq!(broken, ", line 7: found `3]`, expected a JSON object");
    }

    #[test]
    fn rows_below_keys_of_their_own_keep_their_lines() {
        let row = r#"{"text": "a", "label": 1}"#;
        let text = format!("{{\n\"x1\": {row},\n\n\"x2\":\n {row}, \"x3\": {row}}}");
        assert_eq!(lines(&read("a.json", text).unwrap()), [2, 5, 5]);
        let alone = r#"{"7": {"text": "a", "label": 1}}"#;
        assert_eq!(read("a.json", alone).unwrap()[0].text("text").unwrap(), "a");
    }

    #[test]
    fn a_single_row_stays_a_row() {
        for row in [
            json!({"messages": [{"role": "user", "content": "a"}]}),
            json!({"turns": [{"from": "human", "value": "a"}]}),
            json!({"tokens": ["a", "b"], "tags": ["O", "O"]}),
            json!({"input_ids": [1, 2], "labels": [1, 2]}),
            json!({"input_ids": [], "labels": []}),
            json!({"question": "q", "context": "c", "answers": [{"text": "c", "answer_start": 0}]}),
            json!({"text": "a", "label": 1}),
            json!({"a": {"b": 1}}),
            json!({"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 2}}),
            json!({"en": {"text": "a", "id": 1}, "de": {"text": "a", "id": 1}, "label": 1}),
            json!({"premise": {"text": "a", "id": 1}, "hypothesis": {"text": "b", "id": 1}, "other": {"text": "", "id": 2}}),
            json!({}),
        ] {
            let records = read("a.json", row.to_string()).unwrap();
            assert_eq!(json!(records[0].fields), row);
            assert_eq!(records.len(), 1);
        }
        let columns = json!({"tokens": [["a"], ["b", "c"]], "tags": [["O"], ["O", "O"]]});
        assert_eq!(read("a.json", columns.to_string()).unwrap().len(), 2);
    }

    #[test]
    fn the_only_line_of_a_file_of_lines_is_a_row() {
        let row = json!({"prompt": "a", "examples": [{"text": "b"}, {"text": "c"}]});
        let (records, said) = notes("a.jsonl", row.to_string(), &ReadOptions::default());
        assert_eq!(json!(records.unwrap()[0].fields), row);
        assert!(
            said[0]
                .ends_with("a.jsonl: its only line is a row; name it .json if it holds all rows")
        );
        assert_eq!(read("a.json", row.to_string()).unwrap().len(), 2);
        let ids = json!({"input_ids": [1, 2], "labels": [1, 2]});
        assert!(notes("a.jsonl", ids.to_string(), &ReadOptions::default()).1.is_empty());
        let words = json!({"sentence": ["EU", "rejects"]});
        assert_eq!(read("a.jsonl", words.to_string()).unwrap().len(), 1);
        assert_eq!(read("a.jsonl", "{\"text\":\n[\"a\", \"b\"]}").unwrap().len(), 2, "no line");
    }

    #[test]
    fn conversations_in_columns_keep_the_order_of_their_keys() {
        for content in [
            r#"{"messages": [[{"role": "user", "b": {"z": 1, "a": 2}}], []], "tools": [[{"y": 1, "x": 2}], []]}"#,
            r#"{"messages": {"1": [], "0": [{"role": "user", "b": {"z": 1, "a": 2}}]},
                "tools": {"1": [], "0": [{"y": 1, "x": 2}]}}"#,
        ] {
            let records = read("a.json", content).unwrap();
            let written = format!("{:?}", records[0].ordered.as_ref().unwrap());
            let at = |key: &str| written.find(&format!("\"{key}\"")).unwrap();
            assert!(at("role") < at("b") && at("z") < at("a") && at("y") < at("x"), "{written}");
        }
    }

    #[test]
    fn squad_is_read_as_such() {
        let text = "\n{\"data\": [{\"paragraphs\": [{\"context\": \"c\", \"qas\": [\n{\"question\": \"q\"}]}]}]}";
        let records = read("a.json", text).unwrap();
        assert_eq!((records[0].line, records[0].text("context").unwrap()), (3, "c"));
    }

    #[test]
    fn documents_that_leave_a_choice_are_refused() {
        assert_eq!(
            failure("a.json", r#"{"train": [{"text": "a"}], "test": [{"text": "b"}]}"#),
            ": holds several lists of rows (test, train); expected one in a file"
        );
        assert_eq!(
            failure("a.json", r#"{"text": ["a", "b"], "label": [1]}"#),
            ": column `text` has 2 values, column `label` 1; expected as many in each"
        );
        assert!(
            failure("a.json", r#"{"columns": ["text"], "data": [["a"], ["b", 1]]}"#)
                .contains("data[1] has 2 values, expected one for each of 1 columns")
        );
    }
}
