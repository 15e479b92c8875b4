//! The labels of records.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    fields::{FieldNames, Role},
    record::{Record, describe},
};
use crate::{
    contract::task::Task,
    data::Labels,
    error::{Error, Result},
};

/// Returns the class index of a record's label.
///
/// # Errors
/// [`Error::Data`] at the record's line, naming the label and the list, if the label is not in
/// it.
pub(super) fn label_index(labels: &Labels, name: &str, record: &Record) -> Result<usize> {
    labels.index(name).ok_or_else(|| {
        record.error(format!("found label `{name}`, expected one of: {}", listed(labels)))
    })
}

/// The list for a message: the first labels, and the number of the others.
fn listed(labels: &Labels) -> String {
    const SHOWN: usize = 20;
    let shown = labels.names()[..labels.len().min(SHOWN)].join(", ");
    match labels.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The label in a JSON value: strings unchanged, integers and booleans as in JSON (`0`, `true`).
/// `None` for anything else: fractions, empty strings, `null`, arrays, objects.
pub fn label_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The label in field `key` of a record.
///
/// # Errors
/// [`Error::Data`] if the field is missing or not a label, see [`label_text`].
pub(super) fn record_label(record: &Record, key: &str) -> Result<String> {
    let value = record.get(key)?;
    label_text(value).ok_or_else(|| not_a_label(record, key, value))
}

/// The labels in the array `key` of a record, one per word.
///
/// # Errors
/// [`Error::Data`] if the field is missing, not an array, or holds something that is not a label.
pub(super) fn record_tags(record: &Record, key: &str) -> Result<Vec<String>> {
    let value = record.get(key)?;
    let values =
        value.as_array().ok_or_else(|| record.unexpected(key, value, "an array of tags"))?;
    let tag = |(i, value)| {
        label_text(value).ok_or_else(|| not_a_label(record, &format!("{key}[{i}]"), value))
    };
    values.iter().enumerate().map(tag).collect()
}

fn not_a_label(record: &Record, key: &str, value: &Value) -> Error {
    let found = match value {
        Value::String(_) => "an empty string".to_owned(),
        other => describe(other),
    };
    record.error(format!(
        "field `{key}`: found {found}, expected a label: a string, an integer or a boolean"
    ))
}

/// Collects the label list from the records of a training file.
///
/// The distinct values of `label` (or of `tags`, for tagging; or what `fields` call them) in the order of [`Labels::collect`].
/// Rows of token ids hold class indices, not names: their classes are named `0`, `1`, ... up to the
/// highest index found.
///
/// # Errors
/// [`Error::Data`] for a row without a label or with a malformed one, or if rows of token ids are
/// mixed with others; [`Error::Setting`] for tasks without labels and if no label is found.
pub fn collect_labels(records: &[Record], task: Task, fields: &FieldNames) -> Result<Labels> {
    let tags = match task {
        Task::SeqCls => false,
        Task::TokenCls => true,
        other => return Err(Error::setting("task", format!("{other} has no labels"))),
    };
    let by_index = records.first().is_some_and(is_id_row);
    let mut distinct = BTreeSet::new();
    let mut highest = None;
    for record in records {
        if is_id_row(record) != by_index {
            return Err(record.error(
                "rows of `input_ids` and other rows are mixed in one file; give the label list",
            ));
        }
        match (by_index, tags) {
            (true, _) => highest = highest.max(highest_index(record, tags, fields)?),
            (false, true) => distinct.extend(record_tags(record, fields.name(Role::Tags))?),
            (false, false) => {
                _ = distinct.insert(record_label(record, fields.name(Role::Label))?);
            }
        }
    }
    if by_index {
        // Negative values are ignored targets (-100), or rejected when the rows are encoded.
        distinct.extend((0..=highest.unwrap_or(-1)).map(|index| index.to_string()));
    }
    Labels::collect(distinct)
}

/// The highest class index of a row of token ids, `None` if it has none.
fn highest_index(record: &Record, tags: bool, fields: &FieldNames) -> Result<Option<i64>> {
    /// More classes than this are an error in the file, and would fill the memory with names.
    const LIMIT: i64 = 1 << 20;
    let (key, highest) = match tags {
        true => ("labels", record.label_ids("labels")?.into_iter().max()),
        false => {
            let label = fields.name(Role::Label);
            let value = record.get(label)?;
            let class = value.as_i64();
            let expected = "a class index (0, 1, 2, ...) beside `input_ids`";
            (label, Some(class.ok_or_else(|| record.unexpected(label, value, expected))?))
        }
    };
    match highest {
        Some(index) if index >= LIMIT => Err(record.error(format!(
            "field `{key}`: found class {index}, expected fewer than {LIMIT} classes"
        ))),
        _ => Ok(highest),
    }
}

/// Whether a row holds token ids rather than text.
pub(super) fn is_id_row(record: &Record) -> bool {
    record.has("input_ids")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::text::record::tests::record;
    use serde_json::json;

    fn list(names: &[&str]) -> Result<Labels> {
        Labels::from_list(names.iter().map(ToString::to_string).collect())
    }

    fn rows(fields: &[Value]) -> Vec<Record> {
        fields.iter().enumerate().map(|(i, fields)| record(i + 1, fields.clone())).collect()
    }

    fn collect(records: &[Record], task: Task) -> Result<Labels> {
        collect_labels(records, task, &FieldNames::default())
    }

    fn failure(fields: &[Value], task: Task) -> String {
        collect(&rows(fields), task).unwrap_err().to_string()
    }

    #[test]
    fn labels_may_be_strings_integers_and_booleans() {
        let found = rows(&[json!({"label": 10}), json!({"label": 9}), json!({"label": "9"})]);
        assert_eq!(collect(&found, Task::SeqCls).unwrap().names(), ["9", "10"]);
        let found = rows(&[json!({"label": true}), json!({"label": false})]);
        assert_eq!(collect(&found, Task::SeqCls).unwrap().names(), ["false", "true"]);
        let found = rows(&[json!({"tags": ["O", "B-x"]}), json!({"tags": []})]);
        assert_eq!(collect(&found, Task::TokenCls).unwrap().names(), ["B-x", "O"]);
    }

    #[test]
    fn malformed_labels_are_placed() {
        let ok = json!({"label": "a"});
        let line_2 = |bad: Value| failure(&[ok.clone(), bad], Task::SeqCls);
        assert!(line_2(json!({"x": 1})).contains("line 2: field `label` is missing"));
        assert!(line_2(json!({"label": 0.5})).contains("found the number 0.5, expected a label"));
        assert!(line_2(json!({"label": ""})).contains("found an empty string"));
        assert!(line_2(json!({"label": ["a"]})).contains("found an array"));
        let tags = |tags: Value| failure(&[json!({ "tags": tags })], Task::TokenCls);
        assert!(tags(json!("O")).contains("expected an array of tags"));
        assert!(tags(json!(["O", null])).contains("field `tags[1]`: found null"));
        assert!(failure(&[], Task::SeqCls).contains("the list is empty"));
        assert!(failure(&[json!({"tags": []})], Task::TokenCls).contains("the list is empty"));
        for task in [Task::CausalLm, Task::Seq2SeqLm, Task::QuestionAns] {
            assert!(failure(std::slice::from_ref(&ok), task).contains("has no labels"));
        }
    }

    #[test]
    fn rows_of_token_ids_give_numbered_labels() {
        let ids = |label: i64| json!({"input_ids": [1], "label": label});
        let labels = collect(&rows(&[ids(2), ids(0)]), Task::SeqCls).unwrap();
        assert_eq!(labels.names(), ["0", "1", "2"]);
        let tagged = [json!({"input_ids": [1, 2], "labels": [-100, 1]})];
        assert_eq!(collect(&rows(&tagged), Task::TokenCls).unwrap().names(), ["0", "1"]);
        let mixed = [ids(0), json!({"text": "a", "label": "b"})];
        assert!(failure(&mixed, Task::SeqCls).contains("line 2: rows of `input_ids` and other"));
        let named = failure(&[json!({"input_ids": [1], "label": "a"})], Task::SeqCls);
        assert!(named.contains("found the string `a`, expected a class index"), "{named}");
        assert!(failure(&[ids(i64::MAX)], Task::SeqCls).contains("fewer than 1048576 classes"));
        let ignored = [json!({"input_ids": [1], "labels": [-100]})];
        assert!(failure(&ignored, Task::TokenCls).contains("the list is empty"));
    }

    #[test]
    fn a_label_outside_the_list_is_named_with_the_list() {
        let labels = list(&["a", "b"]).unwrap();
        let error = label_index(&labels, "c", &record(4, json!({}))).unwrap_err().to_string();
        assert_eq!(error, "rows.jsonl, line 4: found label `c`, expected one of: a, b");
        let many = Labels::collect((0..25).map(|i| i.to_string())).unwrap();
        let error = label_index(&many, "c", &record(4, json!({}))).unwrap_err().to_string();
        assert!(error.ends_with("18, 19 and 5 more"), "{error}");
    }
}
