//! Numbers of rows of input as their files write them, such as ids of many digits or with a zero at their end: a JSON value
//! rounds the first and drops the second.

use peft_core::text::Record;
use serde_json::{Map, Value};

/// Under what they travel with a row of output until it is written. No row of output has a field of this name: the fields
/// of the row of input stand below `input`.
const WRITTEN: &str = "numbers as written";

/// Adds those of a row of input: of the id in its field `id.0`, which stands in the field `id.1` of the row of output, and of
/// all its fields, if these stand below `input`.
pub(super) fn keep(
    record: &Record,
    id: Option<(&str, &str)>,
    input: Option<&str>,
    to: &mut Map<String, Value>,
) {
    let numbers = record.numbers_as_written();
    let mut written = Map::new();
    if let Some((name, number)) = id.and_then(|(from, to)| Some((to, numbers.get(from)?))) {
        written.insert(name.into(), number.clone());
    }
    if let Some(input) = input.filter(|_| !numbers.is_empty()) {
        written.insert(input.into(), numbers.into());
    }
    if !written.is_empty() {
        to.insert(WRITTEN.into(), written.into());
    }
}

/// A row of output that was read again, with its numbers as they are written there.
pub fn read_again(record: Record) -> Map<String, Value> {
    let numbers = record.numbers_as_written();
    let mut fields = record.fields;
    if !numbers.is_empty() {
        fields.insert(WRITTEN.into(), numbers.into());
    }
    fields
}

/// A row of output as JSON.
pub fn json(mut fields: Map<String, Value>) -> String {
    match fields.remove(WRITTEN) {
        Some(Value::Object(written)) => object(&fields, &written),
        _ => Value::Object(fields).to_string(),
    }
}

/// An object with some of its numbers as they were written.
fn object(fields: &Map<String, Value>, written: &Map<String, Value>) -> String {
    let members = fields.iter().map(|(name, value)| {
        let value = written.get(name).map_or_else(|| value.to_string(), |own| text(value, own));
        format!("{}:{value}", Value::from(name.as_str()))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// A value with some of its numbers as they were written.
fn text(value: &Value, written: &Value) -> String {
    match (value, written) {
        (Value::Object(members), Value::Object(written)) => object(members, written),
        (Value::Array(values), Value::Array(written)) if values.len() == written.len() => {
            let elements = values.iter().zip(written).map(|(value, written)| text(value, written));
            format!("[{}]", elements.collect::<Vec<_>>().join(","))
        }
        (_, Value::String(number)) => number.clone(),
        _ => value.to_string(),
    }
}

/// A row of output for a table, whose cells are texts: objects have a cell for each of their members, and what is in these
/// is JSON.
pub(super) fn as_texts(mut fields: Map<String, Value>) -> Map<String, Value> {
    let Some(Value::Object(written)) = fields.remove(WRITTEN) else { return fields };
    let cell = |value: &mut Value, written: &Value| *value = text(value, written).into();
    for (name, written) in &written {
        match (fields.get_mut(name), written) {
            (Some(Value::Object(members)), Value::Object(written)) => {
                for (name, value) in members.iter_mut() {
                    if let Some(written) = written.get(name) {
                        cell(value, written);
                    }
                }
            }
            (Some(value), written) => cell(value, written),
            (None, _) => {}
        }
    }
    fields
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::predictions::{Format, Given};

    const ROW: &str = r#"{"id": 12345678901234567890.5, "n": {"a": 1e2, "b": [1.10, [7, {"c": 12345678901234567890.5}]]}, "x": 0.5, "z": -0, "text": "1.10"}"#;

    fn row(text: &str) -> Record {
        Record::of_json(Arc::from(Path::new("rows.jsonl")), 1, text).unwrap()
    }

    fn written(record: &Record, fields: bool) -> Map<String, Value> {
        let mut found = Map::from_iter([("label".to_string(), "a".into())]);
        Given { fields }.add(record, &mut found);
        found
    }

    #[test]
    fn numbers_are_copied_as_they_are_written() {
        for (id, copied) in [
            ("1.0", "1.0"),
            ("1.10", "1.10"),
            ("1e5", "1e5"),
            ("12345678901234567890.5", "12345678901234567890.5"),
            ("9007199254740993.0", "9007199254740993.0"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("-9223372036854775809", "-9223372036854775809"),
            ("18446744073709551615", "18446744073709551615"),
            ("7", "7"),
            ("\"1.10\"", "\"1.10\""),
            ("{\"a\": 1.10, \"b\": 2}", "{\"a\":1.10,\"b\":2}"),
            ("[1.10, 2, [9007199254740993.0]]", "[1.10,2,[9007199254740993.0]]"),
        ] {
            for name in ["id", "idx", "GUID"] {
                let record = row(&format!("{{\"{name}\": {id}, \"text\": \"a\"}}"));
                let line = json(written(&record, false));
                assert_eq!(line, format!("{{\"id\":{copied},\"label\":\"a\"}}"));
                let line = json(written(&record, true));
                let input = format!("{{\"{name}\":{copied},\"text\":\"a\"}}");
                assert_eq!(line, format!("{{\"id\":{copied},\"input\":{input},\"label\":\"a\"}}"));
                // Read again, it is the same line, also where a table is made of it.
                assert_eq!(json(read_again(row(&line))), line);
            }
        }
        let line = json(written(&row(ROW), true));
        assert!(line.contains(r#""n":{"a":1e2,"b":[1.10,[7,{"c":12345678901234567890.5}]]},"text":"1.10","x":0.5,"z":-0"#), "{line}");
    }

    #[test]
    fn a_table_has_them_too_and_no_column_of_its_own() {
        let rows = || vec![written(&row(ROW), true)];
        let expected = "id,label,input.id,input.n,input.text,input.x,input.z\n\
                        12345678901234567890.5,a,12345678901234567890.5,\"{\"\"a\"\":1e2,\"\"b\"\":[1.10,[7,{\"\"c\"\":12345678901234567890.5}]]}\",1.10,0.5,-0\n";
        assert_eq!(Format::Csv.text(rows()), expected);
        assert_eq!(Format::Jsonl.text(rows()), json(written(&row(ROW), true)) + "\n");
    }

    #[test]
    fn what_a_step_changed_is_not_what_the_file_writes() {
        let mut record = row(r#"{"id": 1.10, "x": 2.50}"#);
        record.fields.insert("id".into(), "other".into());
        let line = json(written(&record, true));
        assert_eq!(line, r#"{"id":"other","input":{"id":"other","x":2.50},"label":"a"}"#);
    }
}
