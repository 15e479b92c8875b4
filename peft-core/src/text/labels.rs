//! The label of a row: its text, and its place in a list.
//!
//! | file | what it is |
//! |---|---|
//! | `labels/booleans.rs` | booleans, which JSON and tables spell differently |
//! | `labels/collect.rs` | [`collect_labels`]: the list that the rows of a file make |
//! | `labels/rename.rs` | [`LabelRenames`]: other names for the classes of rows |
//! | `labels/unlabelled.rs` | what stands for no label |

mod booleans;
mod collect;
mod rename;
mod unlabelled;

use std::slice::from_ref;

use serde_json::Value;

pub use booleans::{is_boolean, is_same_class, one_spelling};
pub use collect::collect_labels;
pub use rename::{LabelRenames, Renamed};
pub use unlabelled::is_unlabelled;

pub(super) use unlabelled::{
    ONLY_PREDICTED, has_other_reason, no_labels, refuse_unlabelled_element, unless_none_has_one,
    with_way_out,
};

use super::{
    list_text::list_in_text,
    record::{Record, describe},
};
use crate::{
    data::{Labels, class_value::value_of},
    error::{Error, Result},
};

/// Returns the class index of a label in field `key` of a record: the name in the list or, if no name in the list is
/// a number and the list has an order that was given, the index that it is. Where the file names its classes, and the
/// list has one of these names, in upper or lower case, a number is the class of the file's name: the list may have
/// another order.
///
/// # Errors
/// [`Error::UnknownClass`] at the record's line, naming the label and the list, if the label is not in it;
/// [`Error::Data`] if it is a number, and what the numbers mean is to be said first.
pub(super) fn label_index(
    labels: &Labels,
    name: &str,
    record: &Record,
    key: &str,
) -> Result<usize> {
    if let Some(known) = record.class_names(key)
        && let Ok(number) = name.parse::<usize>()
        && known.names.iter().any(|name| labels.index_in_any_case(name).is_some())
    {
        let own = known.names.get(number);
        return own.and_then(|own| labels.index_in_any_case(own)).ok_or_else(|| {
            let listed = listed(labels);
            let source = known.said_by(record);
            let called =
                own.map_or_else(String::new, |own| format!(", which {source} calls `{own}`"));
            let found = format!("found label `{name}`{called}, expected one of: {listed}");
            match own {
                Some(_) => record.unknown_class(found),
                None => record.error(format!(
                    "{found}; {source} names no class {number}: if it describes other rows, set `labels` to the names of all \
                     classes"
                )),
            }
        });
    }
    // Numbers as names are no indices: of classes 1, 2 and 3 there is no 0.
    let numbered = labels.has_numbers();
    let number = || name.parse::<usize>().ok().filter(|index| *index < labels.len() && !numbered);
    // Of false and true, which sort so, the numbers are the values.
    let index = || number().filter(|_| !labels.is_sorted() || labels.are_booleans());
    let by_value = || labels.index_by_value(name);
    labels.index(name).or_else(by_value).or_else(index).ok_or_else(|| {
        let found = format!("found label `{name}`, expected one of: {}", listed(labels));
        match (labels.is_sorted(), number()) {
            _ if numbered => record.unknown_class(found),
            (true, None) => record.unknown_class(found),
            (true, Some(_)) => record.error(format!(
                "{found}; they were sorted, so that a number is none of their indices: if theirs is the order of the numbers, \
                 set `labels` to them; else train with them in that order, or write names"
            )),
            (false, _) => {
                record.unknown_class(format!("{found}, or an index from 0 to {}", labels.len() - 1))
            }
        }
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

/// The label in a JSON value: strings without blanks around them, numbers by their value (1.0 is
/// `1`, in a string too), booleans as in JSON. `None` for anything else: empty strings, `null`,
/// arrays, objects.
pub fn label_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => value_of(text).map(str::to_owned),
        Value::Number(number) => value_of(&number.to_string()).map(str::to_owned),
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
    let expected = "an array of tags, one for each word of a sentence; a word a line is read from CoNLL files (.conll)";
    let values = record.list(key, expected)?;
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
        Value::Array(_) if key.contains('[') => String::new(),
        Value::Array(list) if list.len() == 1 => format!(
            "; for the only one of each list set `label_field` to {key}.0, for several labels a row set `problem_type` \
             to multi-label"
        ),
        Value::Object(members) if !key.contains('[') => {
            let shown =
                members.keys().next().map_or_else(String::new, |name| format!(", as {key}.{name}"));
            format!("; for one of the values of an object set `label_field` to its name{shown}")
        }
        Value::Array(_) => {
            "; for rows with several labels set `problem_type` to multi-label".to_owned()
        }
        _ => String::new(),
    };
    record.error(format!(
        "field `{key}`: found {found}, expected a label: a string, a number or a boolean{lists}"
    ))
}

/// Whether field `key` of some records has numbers of classes, or lists of them, and no names.
pub fn are_class_numbers(records: &[Record], key: &str) -> bool {
    fn is_number(value: &Value) -> bool {
        match value {
            Value::Number(_) => true,
            // A table can only have a list as text.
            Value::String(text) => match (list_in_text(text), serde_json::from_str(text.trim())) {
                (Some(values), _) => values.iter().all(is_number),
                (None, Ok(value @ Value::Number(_))) => is_number(&value),
                _ => false,
            },
            Value::Array(values) => values.iter().all(is_number),
            _ => false,
        }
    }
    records.iter().filter_map(|record| record.optional(key)).all(is_number)
}

/// What is to be said of numbers of classes that the file of a record, or one beside it, gives other names than the
/// list of labels does: they are the classes of those names, wherever the list has them; if it has none of them, they
/// are indices into the list.
pub fn renumbered(record: &Record, key: &str, labels: &Labels) -> Option<String> {
    let known = record.class_names(key)?;
    let is_listed = |name: &String| labels.index_in_any_case(name).is_some();
    let is_other = known.names.as_slice() != labels.names();
    if record.is_ids() || !is_other || !are_class_numbers(from_ref(record), key) {
        return None;
    }
    let source = match known.source == record.path {
        true => record.path.display().to_string(),
        false => format!("{} for {}", known.source.display(), record.path.display()),
    };
    let numbered = |names: &[String]| {
        const SHOWN: usize = 5;
        let shown = names.iter().enumerate().take(SHOWN).map(|(i, name)| format!("{i} {name}"));
        let more = if names.len() > SHOWN { ", ..." } else { "" };
        format!("{}{more}", shown.collect::<Vec<_>>().join(", "))
    };
    if !known.names.iter().any(is_listed) {
        return Some(format!(
            "the numbers in {key} are places in the list of labels ({}); {source} gives them other names ({}). If they \
             are other classes, or in another order, write names in place of numbers",
            numbered(labels.names()),
            numbered(&known.names)
        ));
    }
    Some(format!(
        "the numbers in {key} are the classes that {source} names ({}), not those of the list of labels ({})",
        numbered(&known.names),
        numbered(labels.names())
    ))
}

/// Refuses a number with a fraction as the name of a class, with a point or a comma in front of it; of a tag, one with
/// a point.
pub(super) fn refuse_fraction(record: &Record, key: &str, label: &str, is_tag: bool) -> Result<()> {
    let is_fraction =
        label.parse::<f64>().is_ok_and(|number| number.is_finite() && number.fract() != 0.0);
    if is_tag {
        return match is_fraction {
            true => Err(record.error(format!(
                "field `{key}`: found {label}, which is no class; if classes are called so, set `labels`"
            ))),
            false => Ok(()),
        };
    }
    if let Some(number) = with_comma(label) {
        return Err(record.error(format!(
            "field `{key}`: found `{label}`, a number with a comma, which is no class; for numbers to predict set \
             `problem_type` to regression, and write them with a point ({number}); for the numbers of several classes \
             set it to multi-label; if classes are called so, call them otherwise"
        )));
    }
    match is_fraction {
        true => Err(record.error(format!(
            "field `{key}`: found {label}, which is no class; for numbers to predict set \
             `problem_type` to regression, and if classes are called so, set `labels`"
        ))),
        false => Ok(()),
    }
}

/// The number that a text spells with a comma where a point is expected, as `3,5`, spelled with the point.
pub(super) fn with_comma(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once(',')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    (digits(unsigned) && digits(fraction)).then(|| format!("{whole}.{fraction}"))
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::text::record::{Aside, ClassNames, tests::record};
    use serde_json::json;

    fn list(names: &[&str]) -> Result<Labels> {
        Labels::from_list(names.iter().map(ToString::to_string).collect())
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
    fn numbers_are_no_indices_of_names_that_were_sorted() {
        let row = record(4, json!({}));
        let labels = Labels::collect(["neutral", "entailment"]).unwrap();
        assert_eq!(label_index(&labels, "neutral", &row, "label").unwrap(), 1);
        let error = label_index(&labels, "1", &row, "label").unwrap_err().to_string();
        assert!(
            error.contains("expected one of: entailment, neutral; they were sorted")
                && error.contains("if theirs is the order of the numbers, set `labels` to them"),
            "{error}"
        );
        let numbers = Labels::collect(["1", "0"]).unwrap();
        assert_eq!(label_index(&numbers, "1", &row, "label").unwrap(), 1, "a name");
        let booleans = Labels::collect(["true", "false"]).unwrap();
        let value = |name| label_index(&booleans, name, &row, "label").unwrap();
        assert_eq!((value("0"), value("1"), value("true")), (0, 1, 1));
    }

    #[test]
    fn the_file_says_what_its_numbers_are_called() {
        let mut row = record(4, json!({}));
        let known = ClassNames {
            field: "label".to_owned(),
            names: vec!["pos".to_owned(), "neg".to_owned()],
            source: row.path.clone(),
        };
        row.aside = Some(Arc::new(Aside { class_names: vec![known], ..Aside::default() }));
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
        assert_eq!(index(&["pos", "neg"], "neg"), Ok(1), "a name is a name");
        assert_eq!(
            index(&["pos", "neg"], "2").unwrap_err(),
            "rows.jsonl, line 4: found label `2`, expected one of: pos, neg; the file names no class 2: if it describes \
             other rows, set `labels` to the names of all classes"
        );
        assert_eq!(index(&["0", "1", "2"], "2"), Ok(2), "the way out");
        row.fields = json!({"label": 1}).as_object().unwrap().clone();
        let said = |names: &[&str]| renumbered(&row, "label", &list(names).unwrap());
        assert_eq!(
            said(&["neg", "pos"]).unwrap(),
            "the numbers in label are the classes that rows.jsonl names (0 pos, 1 neg), not those of the list of labels \
             (0 neg, 1 pos)"
        );
        assert_eq!(said(&["pos", "neg"]), None);
        assert!(
            said(&["NEG", "POS"]).unwrap().contains("names (0 pos, 1 neg), not those of the list")
        );
        let of_names =
            |names: &[&str]| label_index(&list(names).unwrap(), "1", &row, "label").unwrap();
        assert_eq!((of_names(&["NEG", "POS"]), of_names(&["POS", "NEG"])), (0, 1));
        let others = said(&["bad", "good"]).unwrap();
        assert!(
            others.contains("are places in the list of labels (0 bad, 1 good); rows.jsonl"),
            "{others}"
        );
        let of_another = label_index(&list(&["neg", "pos"]).unwrap(), "1", &row, "tags");
        assert_eq!(of_another.unwrap(), 1);
    }

    #[test]
    fn numbers_are_told_from_names() {
        for (value, numbers) in [
            (json!(1), true),
            (json!("1"), true),
            (json!(" 1.0 "), true),
            (json!([1, 0]), true),
            (json!("[1, 0]"), true),
            (json!(null), true),
            (json!("neg"), false),
            (json!(["O", 1]), false),
            (json!("[neg"), false),
            (json!(true), false),
        ] {
            let records = [record(1, json!({"label": value})), record(2, json!({"label": 1}))];
            assert_eq!(are_class_numbers(&records, "label"), numbers, "{value}");
        }
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
