//! What data sets write where a row has no label.

use super::label_text;
use crate::{
    contract::problem_type::ProblemType,
    data::Labels,
    error::{Error, Result},
    text::{fields::Role, record::Record},
};

/// No class, where one is expected: -1 of `datasets`, -100 of transformers, and `-` of SNLI and MultiNLI, whose
/// annotators did not agree.
const NO_CLASS: &[&str] = &["-1", "-100", "-"];

/// How programs write a value that is missing: pandas reads all of these as one.
const MISSING: &[&str] = &[
    "nan", "NaN", "-nan", "-NaN", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "null", "NULL", "None",
];

/// What to do about rows without a label.
const WAY_OUT: &str = "set `skip_unlabelled` to leave rows without a label out";

/// What rows without a label are good for.
pub(in crate::text) const ONLY_PREDICTED: &str =
    "rows without one can be predicted, and neither be learnt from nor scored";

/// Whether field `key` of a row has no label: it is missing, `null` or empty, or holds what stands for a missing value
/// and, where a row has one class, for none. A name in `labels` is a class, whatever it looks like.
pub fn is_unlabelled(
    record: &Record,
    key: &str,
    problem_type: ProblemType,
    labels: Option<&Labels>,
) -> bool {
    let Some(value) = record.optional(key) else { return true };
    let Some(label) = label_text(value) else { return value.is_string() };
    let one_class = problem_type == ProblemType::SingleLabel;
    let stands_for_none = MISSING.contains(&&*label) || one_class && NO_CLASS.contains(&&*label);
    stands_for_none && labels.is_none_or(|labels| labels.index(&label).is_none())
}

/// Refuses what stands for no label, or for a missing value, as the name of a class.
pub(super) fn refuse_unlabelled(record: &Record, key: &str, label: &str) -> Result<()> {
    match NO_CLASS.contains(&label) {
        true => Err(no_class(record, key, label, "which stands for no label", WAY_OUT)),
        false => refuse_missing(record, key, label, WAY_OUT),
    }
}

/// Refuses what stands for no label, or for a missing value, in a list of tags or of classes.
pub(in crate::text) fn refuse_unlabelled_element(
    record: &Record,
    key: &str,
    label: &str,
) -> Result<()> {
    const LEAVE_OUT: &str = "leave the row out";
    match label {
        // Some files tag words without a role so.
        "-" => Ok(()),
        _ if NO_CLASS.contains(&label) => {
            Err(no_class(record, key, label, "which stands for no label", LEAVE_OUT))
        }
        _ => refuse_missing(record, key, label, LEAVE_OUT),
    }
}

fn refuse_missing(record: &Record, key: &str, label: &str, way_out: &str) -> Result<()> {
    match MISSING.contains(&label) {
        true => Err(no_class(record, key, label, "as a missing value is written", way_out)),
        false => Ok(()),
    }
}

fn no_class(record: &Record, key: &str, label: &str, meaning: &str, way_out: &str) -> Error {
    record.error(format!(
        "field `{key}`: found `{label}`, {meaning}; {way_out}, or, if it is a class, set `labels` to the names of all \
         classes"
    ))
}

/// An error about the label of a row, with the way out where the row has none. Where the file hints at another reason
/// for a missing field, that one stands.
pub(in crate::text) fn with_way_out(
    error: Error,
    record: &Record,
    key: &str,
    problem_type: ProblemType,
    labels: Option<&Labels>,
) -> Error {
    let is_other = has_other_reason(record, key);
    match error {
        Error::Data { path, line, message } | Error::UnknownClass { path, line, message }
            if !is_other && is_unlabelled(record, key, problem_type, labels) =>
        {
            Error::Data { path, line, message: format!("{message}; {WAY_OUT}") }
        }
        other => other,
    }
}

/// Whether the file hints at another reason why a row has no field `key` than that it has no label.
pub(in crate::text) fn has_other_reason(record: &Record, key: &str) -> bool {
    let is_hinted = record.aside.as_ref().is_some_and(|aside| aside.hint.is_some());
    record.value(key).is_none() && is_hinted || record.is_repeated(key)
}

/// No row has a label.
pub(in crate::text) fn no_labels(role: Role, key: &str) -> Error {
    Error::setting(
        role.setting(),
        format!(
            "no row has a label in field `{key}`; name the field that has them: {ONLY_PREDICTED}"
        ),
    )
}

/// The error of the first row, unless it and all of the rest have no label: then there is nothing but to name another
/// field.
pub(in crate::text) fn unless_none_has_one(
    error: Error,
    first: &Record,
    mut rest: impl Iterator<Item = Result<Record>>,
    key: &str,
    problem_type: ProblemType,
) -> Error {
    let has_none = |record: &Record| is_unlabelled(record, key, problem_type, None);
    match has_none(first) && rest.all(|record| record.is_ok_and(|record| has_none(&record))) {
        true => no_labels(Role::Label, key),
        false => error,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::text::{labels::record_label, record::tests::record};

    #[test]
    fn what_stands_for_no_label_depends_on_what_labels_are() {
        let is = |label: Value, problem_type| {
            is_unlabelled(&record(1, json!({ "label": label })), "label", problem_type, None)
        };
        for none in [json!(null), json!(""), json!(" "), json!("nan"), json!("N/A")] {
            assert!(ProblemType::ALL.iter().all(|kind| is(none.clone(), *kind)), "{none}");
        }
        for none in [json!(-1), json!("-1"), json!(-1.0), json!(-100), json!("-")] {
            assert!(is(none.clone(), ProblemType::SingleLabel), "{none}");
            assert!(!is(none, ProblemType::Regression), "a number");
        }
        for label in [json!(0), json!("a"), json!(false), json!([]), json!([-1]), json!("+")] {
            assert!(ProblemType::ALL.iter().all(|kind| !is(label.clone(), *kind)), "{label}");
        }
        let absent = record(1, json!({"text": "a"}));
        assert!(is_unlabelled(&absent, "label", ProblemType::SingleLabel, None));
    }

    #[test]
    fn a_name_in_the_list_is_a_class() {
        let labels = Labels::from_list(vec!["-".into(), "+".into()]).unwrap();
        let row = record(1, json!({"label": "-"}));
        assert!(!is_unlabelled(&row, "label", ProblemType::SingleLabel, Some(&labels)));
        let row = record(1, json!({"label": "-1"}));
        assert!(is_unlabelled(&row, "label", ProblemType::SingleLabel, Some(&labels)));
    }

    #[test]
    fn the_way_out_is_named_where_a_row_has_no_label() {
        let said = |row: Value| {
            let row = record(1, row);
            let error = record_label(&row, "label").unwrap_err();
            with_way_out(error, &row, "label", ProblemType::SingleLabel, None).to_string()
        };
        for row in [json!({"label": null}), json!({"label": ""}), json!({"text": "a"})] {
            assert!(said(row.clone()).ends_with(&format!("; {WAY_OUT}")), "{row}");
        }
        assert!(!said(json!({"label": {}})).contains("skip_unlabelled"));
    }
}
