//! The list of labels that the rows of a file make.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use serde_json::Value;

use super::{
    class_index, not_a_label, one_spelling, record_label, record_tags, refuse_fraction,
    refuse_unlabelled_element,
    unlabelled::{no_labels, refuse_unlabelled, unless_none_has_one, with_way_out},
};
use crate::{
    contract::{problem_type::ProblemType, task::Task},
    data::Labels,
    error::{Error, Result},
    text::{
        fields::{FieldNames, Role},
        list_text::{is_numpy_list, list_in_text},
        record::Record,
    },
};

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
    let mut found = Collected::new(tags, key);
    let mut records = records.into_iter();
    while let Some(record) = records.next() {
        let record = record?;
        let added = found.add(&record, fields);
        added.map_err(|error| match tags || found.has_class {
            true => error,
            false => {
                unless_none_has_one(error, &record, records.by_ref(), key, ProblemType::SingleLabel)
            }
        })?;
    }
    found.finish()
}

/// What the records so far have.
struct Collected<'k> {
    tags: bool,
    key: &'k str,
    rows: usize,
    /// Whether the first record is one of token ids, and its file.
    first: Option<(bool, Arc<Path>)>,
    last: Option<Arc<Path>>,
    distinct: BTreeSet<String>,
    highest: Option<i64>,
    /// Whether any record has what is a class in any file.
    has_class: bool,
    /// The error that a `-` is, where it is no class.
    minus: Option<Error>,
}

impl<'k> Collected<'k> {
    fn new(tags: bool, key: &'k str) -> Self {
        let (first, last, highest, minus) = (None, None, None, None);
        let (rows, distinct, has_class) = (0, BTreeSet::new(), false);
        Self { tags, key, rows, first, last, distinct, highest, has_class, minus }
    }

    fn add(&mut self, record: &Record, fields: &FieldNames) -> Result<()> {
        let (tags, key) = (self.tags, self.key);
        self.rows += 1;
        let first = || (record.is_ids(), record.path.clone());
        let by_index = self.first.get_or_insert_with(first).0;
        self.last = Some(record.path.clone());
        if record.is_ids() != by_index {
            return Err(
                record.error("rows of `input_ids` and other rows are mixed; give the label list")
            );
        }
        let read = if tags && by_index { "labels" } else { key };
        let way_out = |error| with_way_out(error, record, read, ProblemType::SingleLabel, None);
        if by_index {
            let index = highest_index(record, tags, fields);
            let index = index.map_err(way_out)?;
            self.highest = self.highest.max(index);
            self.has_class = true;
            return Ok(());
        }
        let found = match tags {
            true => record_tags(record, key).map_err(way_out)?,
            false => {
                refuse_list(record, key)?;
                vec![record_label(record, key).map_err(way_out)?]
            }
        };
        for label in found {
            if (tags && label == IGNORED) || !self.distinct.insert(label.clone()) {
                continue;
            }
            match tags {
                true => refuse_unlabelled_element(record, key, &label)?,
                // Beside `+` it is a class.
                false if label == "-" => self.minus = refuse_unlabelled(record, key, &label).err(),
                false => refuse_unlabelled(record, key, &label)?,
            }
            refuse_fraction(record, key, &label, tags)?;
            self.has_class |= label != "-";
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Labels> {
        let (tags, key) = (self.tags, self.key);
        let is_alone = self.distinct.len() == 1;
        if let Some(error) = self.minus.filter(|_| !self.distinct.contains("+")) {
            return Err(if is_alone { no_labels(Role::Label, key) } else { error });
        }
        if self.rows == 0 {
            return Err(no_labels(if tags { Role::Tags } else { Role::Label }, key));
        }
        let by_index = self.first.as_ref().is_some_and(|(by_index, _)| *by_index);
        if let (Some((false, first)), Some(last)) = (&self.first, &self.last)
            && !tags
        {
            refuse_a_class_per_row((first, last), self.rows, key, self.distinct.len())?;
        }
        if by_index {
            // Negative values are ignored targets (-100), or rejected when the rows are encoded.
            let all = 0..=self.highest.unwrap_or(-1);
            self.distinct.extend(all.map(|index| index.to_string()));
        }
        Labels::collect(if tags { self.distinct } else { one_spelling(self.distinct) })
    }
}

/// Refuses a list of labels in a table, where it is text.
fn refuse_list(record: &Record, key: &str) -> Result<()> {
    let text = record.optional(key).and_then(Value::as_str);
    match text.map(|text| (list_in_text(text), is_numpy_list(text))) {
        Some((Some(list), _)) => Err(not_a_label(record, key, &list.into())),
        Some((None, true)) => Err(not_a_label(record, key, &Value::Array(Vec::new()))),
        _ => Ok(()),
    }
}

/// A tag that is no target, as transformers writes it.
const IGNORED: &str = "-100";

/// Refuses labels that name almost every row of the files from `first` to `last`: they are no classes.
fn refuse_a_class_per_row(
    (first, last): (&Path, &Path),
    rows: usize,
    key: &str,
    distinct: usize,
) -> Result<()> {
    /// Fewer rows may well show each class once.
    const MANY: usize = 20;
    if rows > MANY && distinct * 2 > rows {
        let files = match first == last {
            true => first.display().to_string(),
            false => format!("{} to {}", first.display(), last.display()),
        };
        let message = format!(
            "{files}: field `{key}` has {distinct} different values in {rows} rows, which are no classes; name the \
             field of the classes, or the classes in `labels`; numbers to predict are a regression \
             (`problem_type`), texts a task of language models"
        );
        return Err(Error::setting("label_field", message));
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::record::tests::record;

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
        let found = rows(&[json!({"label": "1.0"}), json!({"label": 0}), json!({"label": 1.0})]);
        assert_eq!(collect(&found, Task::SeqCls).unwrap().names(), ["0", "1"]);
        let found = rows(&[json!({"label": true}), json!({"label": false})]);
        assert_eq!(collect(&found, Task::SeqCls).unwrap().names(), ["false", "true"]);
        let found = ["True", "FALSE", "false", "TRUE"].map(|label| json!({ "label": label }));
        assert_eq!(collect(&rows(&found), Task::SeqCls).unwrap().names(), ["False", "True"]);
        let found = ["True", "TRUE", "mixed"].map(|label| json!({ "label": label }));
        assert_eq!(collect(&rows(&found), Task::SeqCls).unwrap().len(), 3);
        let found = rows(&[json!({"tags": ["O", "B-x"]}), json!({"tags": []})]);
        assert_eq!(collect(&found, Task::TokenCls).unwrap().names(), ["B-x", "O"]);
    }

    #[test]
    fn numbers_that_are_no_classes_are_refused() {
        let scores = ["2.5", "5.0"].map(|label| json!({ "label": label }));
        let error = failure(&scores, Task::SeqCls);
        assert!(
            error.starts_with("rows.jsonl, line 1: field `label`: found 2.5, which is no class")
        );
        let error = failure(&["3,5", "4"].map(|label| json!({ "label": label })), Task::SeqCls);
        assert!(error.contains("found `3,5`, a number with a comma") && error.contains("(3.5)"));
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
        for list in [
            json!(["a"]),
            json!("[\"a\"]"),
            json!("[1, 2]"),
            json!("['x', 'y']"),
            json!("['x' 'y']"),
        ] {
            let error = line_2(json!({ "label": list }));
            assert!(
                error.contains("found an array") && error.contains("to multi-label"),
                "{error}"
            );
        }
        let object = line_2(json!({"label": {"name": "x"}}));
        assert!(object.contains("set `label_field` to its name, as label.name"), "{object}");
        let text = rows(&[json!({"label": "[sic]"})]);
        assert_eq!(collect(&text, Task::SeqCls).unwrap().names(), ["[sic]"]);
        assert!(line_2(json!({"label": -1})).contains("found `-1`, which stands for no label"));
        assert!(line_2(json!({"label": "-"})).contains("found `-`, which stands for no label"));
        let roles = rows(&[json!({"tags": ["-", "V"]})]);
        assert_eq!(collect(&roles, Task::TokenCls).unwrap().names(), ["-", "V"]);
        let ignored = rows(&[json!({"tags": ["O", -100]})]);
        assert_eq!(collect(&ignored, Task::TokenCls).unwrap().names(), ["O"]);
        let signs = rows(&[json!({"label": "-"}), json!({"label": "+"})]);
        assert_eq!(collect(&signs, Task::SeqCls).unwrap().names(), ["+", "-"]);
        for missing in ["nan", "NA", "None"] {
            assert!(
                line_2(json!({"label": missing}))
                    .contains(&format!("found `{missing}`, as a missing"))
            );
        }
        let tags = |tags: Value| failure(&[json!({ "tags": tags })], Task::TokenCls);
        assert!(tags(json!("O")).contains("expected an array of tags"));
        assert!(tags(json!(["O", null])).contains("field `tags[1]`: found null"));
        assert_eq!(
            failure(&[], Task::SeqCls),
            "label_field: no row has a label in field `label`; name the field that has them: rows without one can be \
             predicted, and neither be learnt from nor scored"
        );
        // Where none has one, there is nothing to leave out.
        for none in [json!(null), json!(""), json!(-1), json!("-"), json!("nan")] {
            let row = json!({ "label": none });
            let error = failure(&[row.clone(), row.clone(), json!({"text": "a"})], Task::SeqCls);
            assert!(
                error.starts_with("label_field: no row has a label in field `label`"),
                "{error}"
            );
            let error = failure(&[row, ok.clone()], Task::SeqCls);
            assert!(error.contains("line 1") && error.contains("set `skip_unlabelled`"), "{error}");
        }
        assert!(
            tags(json!(["1.5"]))
                .ends_with("found 1.5, which is no class; if classes are called so, set `labels`")
        );
        let comma = rows(&[json!({"tags": ["1,5"]})]);
        assert_eq!(collect(&comma, Task::TokenCls).unwrap().names(), ["1,5"]);
        assert!(
            line_2(json!({"label": "1,2"})).contains("of several classes set it to multi-label")
        );
        assert!(failure(&[json!({"tags": []})], Task::TokenCls).contains("the list is empty"));
        for task in [Task::CausalLm, Task::Seq2SeqLm, Task::QuestionAns] {
            assert!(failure(std::slice::from_ref(&ok), task).contains("has no labels"));
        }
    }

    #[test]
    fn rows_of_token_ids_give_numbered_labels() {
        let rows_of_ids = [-1, 0].map(|label| json!({"input_ids": [1], "label": label}));
        let none = failure(&rows_of_ids, Task::SeqCls);
        assert!(
            none.ends_with("set `skip_unlabelled` to leave rows without a label out"),
            "{none}"
        );
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
}
