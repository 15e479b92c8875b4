//! The labels of records.

use std::{collections::BTreeSet, path::Path, sync::Arc};

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

/// Returns the class index of a label in field `key` of a record: the name in the list or, if no name in the list is
/// a number, the index that it is. Where the file names its classes, and the list has one of these names, a number
/// is the class of the file's name: the list may have another order.
///
/// # Errors
/// [`Error::Data`] at the record's line, naming the label and the list, if the label is not in
/// it.
pub(super) fn label_index(
    labels: &Labels,
    name: &str,
    record: &Record,
    key: &str,
) -> Result<usize> {
    if let Some(names) = record.class_names(key)
        && names.iter().any(|name| labels.index(name).is_some())
    {
        let own = name.parse().ok().and_then(|number: usize| names.get(number));
        return own.and_then(|own| labels.index(own)).ok_or_else(|| {
            let listed = listed(labels);
            let called =
                own.map_or_else(String::new, |own| format!(", which the file calls `{own}`"));
            record.error(format!("found label `{name}`{called}, expected one of: {listed}"))
        });
    }
    let own = |name: &String| label_text(&Value::from(name.as_str()));
    // Numbers as names are no indices: of classes 1, 2 and 3 there is no 0.
    let numbered = || labels.names().iter().any(|name| name.parse::<f64>().is_ok());
    let index = || name.parse::<usize>().ok().filter(|index| *index < labels.len() && !numbered());
    // JSON's `true` is `True` in a table.
    let alike = |own: String| own == name || is_boolean(name) && own.eq_ignore_ascii_case(name);
    let by_value = || labels.names().iter().position(|name| own(name).is_some_and(alike));
    labels.index(name).or_else(by_value).or_else(index).ok_or_else(|| {
        let or_index = match numbered() {
            true => String::new(),
            false => format!(", or an index from 0 to {}", labels.len() - 1),
        };
        let listed = listed(labels);
        record.error(format!("found label `{name}`, expected one of: {listed}{or_index}"))
    })
}

fn is_boolean(name: &str) -> bool {
    ["true", "false"].iter().any(|value| name.eq_ignore_ascii_case(value))
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

/// The label in a JSON value: strings without blanks around them, numbers by their value (1.0 is
/// `1`, in a string too), booleans as in JSON. `None` for anything else: empty strings, `null`,
/// arrays, objects.
pub fn label_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            let text = text.trim();
            (!text.is_empty()).then(|| whole_number(text).unwrap_or(text).to_owned())
        }
        Value::Number(number) => {
            let text = number.to_string();
            Some(whole_number(&text).unwrap_or(&text).to_owned())
        }
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The integer in a number such as `1.0`, without its fraction of zeros.
fn whole_number(text: &str) -> Option<&str> {
    let (whole, zeros) = text.split_once('.')?;
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let leading = digits.len() > 1 && digits.starts_with('0');
    let zeros = !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0');
    (plain && !leading && zeros).then_some(match whole {
        "-0" => "0",
        whole => whole,
    })
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
        Value::String(text) if text.trim().is_empty() => "an empty string".to_owned(),
        other => describe(other),
    };
    let lists = match value {
        Value::Array(_) => "; for rows with several labels set `problem_type` to multi-label",
        _ => "",
    };
    record.error(format!(
        "field `{key}`: found {found}, expected a label: a string, a number or a boolean{lists}"
    ))
}

/// Refuses a number with a fraction as the name of a class.
pub(super) fn refuse_fraction(record: &Record, key: &str, label: &str) -> Result<()> {
    match label.parse::<f64>() {
        Ok(number) if number.is_finite() && number.fract() != 0.0 => Err(record.error(format!(
            "field `{key}`: found {label}, which is no class; for numbers to predict set \
             `problem_type` to regression, and if classes are called so, set `labels`"
        ))),
        _ => Ok(()),
    }
}

/// Refuses labels that name almost every row of the file `path`: they are no classes.
fn refuse_a_class_per_row(path: &Path, rows: usize, key: &str, distinct: usize) -> Result<()> {
    /// Fewer rows may well show each class once.
    const MANY: usize = 20;
    if rows > MANY && distinct * 2 > rows {
        let message = format!(
            "{}: field `{key}` has {distinct} different values in {rows} rows, which are no classes; name the \
             field of the classes, or the classes in `labels`; numbers to predict are a regression \
             (`problem_type`), texts a task of language models",
            path.display()
        );
        return Err(Error::setting("label_field", message));
    }
    Ok(())
}

/// Collects the label list from the records of a training file.
///
/// The distinct values of `label` (or of `tags`, for tagging; or what `fields` call them) in the order of
/// [`Labels::collect`]. Rows of token ids hold class indices, not names: their classes are named `0`, `1`, ... up to
/// the highest index found.
///
/// # Errors
/// Those among the records; [`Error::Data`] for a row without a label or with a malformed one, for a number with a
/// fraction, or if rows of token ids are mixed with others; [`Error::Setting`] for tasks without labels, if
/// no label is found, and if more than half of many rows have a label of their own.
pub fn collect_labels(
    records: impl IntoIterator<Item = Result<Record>>,
    task: Task,
    fields: &FieldNames,
) -> Result<Labels> {
    let tags = match task {
        Task::SeqCls => false,
        Task::TokenCls => true,
        other => return Err(Error::setting("task", format!("{other} has no labels"))),
    };
    let key = fields.name(if tags { Role::Tags } else { Role::Label });
    let mut first: Option<(bool, Arc<Path>)> = None;
    let (mut distinct, mut rows) = (BTreeSet::new(), 0);
    let mut highest = None;
    for record in records {
        let record = &record?;
        rows += 1;
        let by_index = first.get_or_insert_with(|| (is_id_row(record), record.path.clone())).0;
        if is_id_row(record) != by_index {
            return Err(record.error(
                "rows of `input_ids` and other rows are mixed in one file; give the label list",
            ));
        }
        match (by_index, tags) {
            (true, _) => highest = highest.max(highest_index(record, tags, fields)?),
            (false, _) => {
                let found = match tags {
                    true => record_tags(record, key)?,
                    false => vec![record_label(record, key)?],
                };
                for label in found {
                    if tags && label == IGNORED {
                        continue;
                    }
                    if distinct.insert(label.clone()) {
                        refuse_unlabelled(record, key, &label)?;
                        refuse_missing(record, key, &label)?;
                        refuse_fraction(record, key, &label)?;
                    }
                }
            }
        }
    }
    let by_index = first.as_ref().is_some_and(|(by_index, _)| *by_index);
    if let Some((false, path)) = &first
        && !tags
    {
        refuse_a_class_per_row(path, rows, key, distinct.len())?;
    }
    if by_index {
        // Negative values are ignored targets (-100), or rejected when the rows are encoded.
        distinct.extend((0..=highest.unwrap_or(-1)).map(|index| index.to_string()));
    }
    Labels::collect(distinct)
}

/// How programs write a value that is missing: pandas reads all of these as one.
const MISSING: &[&str] = &[
    "nan", "NaN", "-nan", "-NaN", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "null", "NULL", "None",
];

/// A tag that is no target, as transformers writes it.
const IGNORED: &str = "-100";

/// Refuses the number that data sets write where there is no label.
fn refuse_unlabelled(record: &Record, key: &str, label: &str) -> Result<()> {
    match label {
        "-1" | IGNORED => Err(record.error(format!(
            "field `{key}`: found {label}, which stands for no label; leave the row out, or, if it is a class, set \
             `labels` to the names of all classes"
        ))),
        _ => Ok(()),
    }
}

/// Refuses what stands for a missing value as the name of a class.
pub(super) fn refuse_missing(record: &Record, key: &str, label: &str) -> Result<()> {
    if MISSING.contains(&label) {
        return Err(record.error(format!(
            "field `{key}`: found `{label}`, as a missing value is written; leave the row out, or, if it is a \
             class, set `labels` to the names of all classes"
        )));
    }
    Ok(())
}

/// The highest class index of a row of token ids, `None` if it has none.
fn highest_index(record: &Record, tags: bool, fields: &FieldNames) -> Result<Option<i64>> {
    /// More classes than this are an error in the file, and would fill the memory with names.
    const LIMIT: i64 = 1 << 20;
    let (key, highest) = match tags {
        true => ("labels", record.label_ids("labels")?.into_iter().max()),
        false => {
            let label = fields.name(Role::Label);
            let class = i64::try_from(class_index(record, label)?).unwrap_or(i64::MAX);
            (label, Some(class))
        }
    };
    match highest {
        Some(index) if index >= LIMIT => Err(record.error(format!(
            "field `{key}`: found class {index}, expected fewer than {LIMIT} classes"
        ))),
        _ => Ok(highest),
    }
}

/// The class in field `key` of a row of token ids: 1, or 1.0.
///
/// # Errors
/// [`Error::Data`] if the field is missing, or not a number from 0.
pub(super) fn class_index(record: &Record, key: &str) -> Result<usize> {
    let value = record.get(key)?;
    let number = Some(value).filter(|value| value.is_number()).and_then(label_text);
    number.and_then(|number| number.parse().ok()).ok_or_else(|| {
        record.unexpected(key, value, "a class index (0, 1, 2, ...) beside `input_ids`")
    })
}

/// Whether a row holds token ids rather than text.
pub(super) fn is_id_row(record: &Record) -> bool {
    record.has("input_ids")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::text::record::{Aside, tests::record};
    use serde_json::json;

    fn list(names: &[&str]) -> Result<Labels> {
        Labels::from_list(names.iter().map(ToString::to_string).collect())
    }

    fn rows(fields: &[Value]) -> Vec<Record> {
        fields.iter().enumerate().map(|(i, fields)| record(i + 1, fields.clone())).collect()
    }

    fn collect(records: &[Record], task: Task) -> Result<Labels> {
        collect_labels(records.iter().cloned().map(Ok), task, &FieldNames::default())
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
    fn numbers_are_labels_by_their_value() {
        for value in [json!(1), json!(1.0), json!("1"), json!("1.0"), json!(" 1.00 ")] {
            assert_eq!(label_text(&value).as_deref(), Some("1"), "{value}");
        }
        for (value, text) in [
            (json!(-0.0), "0"),
            (json!(2.5), "2.5"),
            (json!("01"), "01"),
            (json!("01.0"), "01.0"),
            (json!("1."), "1."),
            (json!(".0"), ".0"),
            (json!(" a b "), "a b"),
        ] {
            assert_eq!(label_text(&value).as_deref(), Some(text), "{value}");
        }
        for missing in [json!(""), json!(" "), json!(null)] {
            assert_eq!(label_text(&missing), None, "{missing}");
        }
        let found = rows(&[json!({"label": "1.0"}), json!({"label": 0}), json!({"label": 1.0})]);
        assert_eq!(collect(&found, Task::SeqCls).unwrap().names(), ["0", "1"]);
    }

    #[test]
    fn an_index_below_the_number_of_names_is_a_class() {
        let row = record(4, json!({}));
        let index = |names: &[&str], name: &str| {
            label_index(&list(names).unwrap(), name, &row, "label")
                .map_err(|error| error.to_string())
        };
        assert_eq!(index(&["neg", "pos"], "1"), Ok(1));
        assert_eq!(index(&["neg", "pos"], "pos"), Ok(1));
        assert!(index(&["neg", "pos"], "2").unwrap_err().ends_with("or an index from 0 to 1"));
        assert!(index(&["neg", "pos"], "-1").is_err());
        assert!(index(&["neg", "pos"], "0.5").is_err());
        assert_eq!(index(&["1", "2", "3"], "1"), Ok(0), "a name comes first");
        assert!(index(&["1", "2", "3"], "0").unwrap_err().ends_with("expected one of: 1, 2, 3"));
        assert_eq!(index(&["a", "b", "0"], "0"), Ok(2));
        assert!(index(&["a", "b", "0"], "1").is_err(), "some names are numbers");
        assert_eq!(index(&["0.0", "1.0"], "1"), Ok(1));
        assert_eq!(
            (index(&["False", "True"], "true"), index(&["false", "true"], "True")),
            (Ok(1), Ok(1))
        );
    }

    #[test]
    fn the_file_says_what_its_numbers_are_called() {
        let mut row = record(4, json!({}));
        let class_names = vec![("label".to_owned(), vec!["pos".to_owned(), "neg".to_owned()])];
        row.aside = Some(Arc::new(Aside { class_names, ..Aside::default() }));
        let index = |names: &[&str], name: &str| {
            label_index(&list(names).unwrap(), name, &row, "label")
                .map_err(|error| error.to_string())
        };
        assert_eq!(index(&["pos", "neg"], "1"), Ok(1));
        assert_eq!(index(&["neg", "pos"], "1"), Ok(0), "the class is its name");
        assert_eq!(index(&["bad", "good"], "1"), Ok(1), "names of another list");
        assert_eq!(
            index(&["pos", "other"], "1").unwrap_err(),
            "rows.jsonl, line 4: found label `1`, which the file calls `neg`, expected one of: pos, other"
        );
        assert!(index(&["pos", "neg"], "-1").unwrap_err().contains("found label `-1`, expected"));
        assert!(index(&["pos", "neg"], "2").is_err());
        let of_another = label_index(&list(&["neg", "pos"]).unwrap(), "1", &row, "tags");
        assert_eq!(of_another.unwrap(), 1);
    }

    #[test]
    fn numbers_that_are_no_classes_are_refused() {
        let scores = ["2.5", "5.0"].map(|label| json!({ "label": label }));
        let error = failure(&scores, Task::SeqCls);
        assert!(
            error.starts_with("rows.jsonl, line 1: field `label`: found 2.5, which is no class")
        );
        let named: Vec<Value> = (0..21).map(|i| json!({"label": format!("name {i}")})).collect();
        let error = failure(&named, Task::SeqCls);
        assert!(
            error.starts_with("label_field: rows.jsonl: field `label` has 21 different values")
        );
        assert!(collect(&rows(&named[..20]), Task::SeqCls).is_ok());
        let nan = failure(&[json!({"label": "1.0"}), json!({"label": "nan"})], Task::SeqCls);
        assert!(nan.contains("line 2: field `label`: found `nan`, as a missing value is written"));
    }

    #[test]
    fn malformed_labels_are_placed() {
        let ok = json!({"label": "a"});
        let line_2 = |bad: Value| failure(&[ok.clone(), bad], Task::SeqCls);
        assert!(line_2(json!({"x": 1})).contains("line 2: field `label` is missing"));
        assert!(line_2(json!({"label": 0.5})).contains("found 0.5, which is no class"));
        assert!(line_2(json!({"label": ""})).contains("found an empty string"));
        assert!(line_2(json!({"label": ["a"]})).contains("found an array"));
        assert!(line_2(json!({"label": -1})).contains("found -1, which stands for no label"));
        let ignored = rows(&[json!({"tags": ["O", -100]})]);
        assert_eq!(collect(&ignored, Task::TokenCls).unwrap().names(), ["O"]);
        for missing in ["nan", "NA", "None"] {
            assert!(
                line_2(json!({"label": missing}))
                    .contains(&format!("found `{missing}`, as a missing"))
            );
        }
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
        let error =
            label_index(&labels, "c", &record(4, json!({})), "label").unwrap_err().to_string();
        assert_eq!(
            error,
            "rows.jsonl, line 4: found label `c`, expected one of: a, b, or an index from 0 to 1"
        );
        let many = Labels::collect((0..25).map(|i| i.to_string())).unwrap();
        let error =
            label_index(&many, "c", &record(4, json!({})), "label").unwrap_err().to_string();
        assert!(error.ends_with("18, 19 and 5 more"), "{error}");
    }
}
