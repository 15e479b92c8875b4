//! Labels that are numbers for each output of a head: scores, and lists of classes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    fields::{FieldNames, Role},
    labels::{
        class_index, is_unlabelled, label_index, label_text, no_labels, record_label,
        refuse_fraction, refuse_unlabelled_element, unless_none_has_one, with_comma, with_way_out,
    },
    list_text::list_in_text,
    record::Record,
};
use crate::{
    contract::problem_type::ProblemType,
    data::Labels,
    error::{Error, Result},
};

/// The classes in field `key` of a row, as indices into `labels`: one, or any number where a row may have several; of
/// numbers for each class those above one half. `None` for a row without a label, for a label that is none of these
/// classes, and for a regression.
pub fn classes_of(
    record: &Record,
    key: &str,
    problem_type: ProblemType,
    labels: &Labels,
) -> Option<Vec<usize>> {
    if is_unlabelled(record, key, problem_type, Some(labels)) {
        return None;
    }
    match problem_type {
        // Beside token ids a number is an index, whatever the classes are called.
        ProblemType::SingleLabel
            if record.is_ids() && record.get(key).is_ok_and(Value::is_number) =>
        {
            let class = class_index(record, key).ok()?;
            (class < labels.len()).then(|| vec![class])
        }
        ProblemType::SingleLabel => {
            let name = record_label(record, key).ok()?;
            Some(vec![label_index(labels, &name, record, key).ok()?])
        }
        ProblemType::MultiLabel => {
            let values = class_values(record, key, labels).ok()?;
            let above = values.iter().enumerate().filter(|(_, value)| **value > 0.5);
            Some(above.map(|(class, _)| class).collect())
        }
        ProblemType::Regression => None,
    }
}

/// Returns the number or numbers in a field, in text or as JSON.
///
/// # Errors
/// [`Error::Data`] for anything else, and for numbers that are not finite.
pub(super) fn scores(record: &Record, key: &str) -> Result<Vec<f32>> {
    let value = record.get(key)?;
    let score = |value: &Value| {
        let number = match value {
            Value::String(text) => text.trim().parse::<f64>().ok(),
            other => other.as_f64(),
        };
        number.map(|number| number as f32).filter(|number| number.is_finite())
    };
    let found = match value {
        Value::Array(values) if !values.is_empty() => values.iter().map(score).collect(),
        other => score(other).map(|score| vec![score]),
    };
    let comma = value.as_str().and_then(|text| with_comma(text.trim()));
    found.ok_or_else(|| match comma {
        Some(number) => {
            let thousands = match number.split_once('.') {
                Some((whole, part))
                    if part.len() == 3 && whole.trim_start_matches('-').len() <= 3 =>
                {
                    format!(", or without the comma ({whole}{part}) if that parts thousands")
                }
                _ => String::new(),
            };
            record.unexpected(key, value, &format!("a number with a point ({number}){thousands}"))
        }
        None => record.unexpected(key, value, "a finite number, or a list of them"),
    })
}

/// The classes of a row, as they are written.
enum Classes {
    /// A number for each class.
    Vector(Vec<f32>),
    /// Their names or indices.
    Names(Vec<String>),
}

/// The labels that a text lists, if it is no JSON: numbers between commas (`3,27`), or a single word.
fn listed(text: &str) -> Option<Vec<Value>> {
    let text = text.trim();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    if parts.iter().all(|part| is_number(part)) {
        return Some(parts.into_iter().map(Value::from).collect());
    }
    let several = |c: char| c.is_whitespace() || [',', ';', '|', '[', '{', '"'].contains(&c);
    (!text.is_empty() && !text.contains(several)).then(|| vec![text.into()])
}

fn classes(record: &Record, key: &str) -> Result<Classes> {
    let expected = "a list of labels, or a list with a number from 0.0 to 1.0 for each class";
    let text = record.optional(key).and_then(Value::as_str);
    let text = text.filter(|_| !is_unlabelled(record, key, ProblemType::MultiLabel, None));
    let items = match text.and_then(listed) {
        Some(items) => items.into(),
        None => record.list(key, expected)?,
    };
    let fraction = |item: &Value| item.as_f64().filter(|_| item.is_f64());
    if let Some(vector) = items.iter().map(fraction).collect::<Option<Vec<f64>>>()
        && !vector.is_empty()
    {
        if let Some(other) = vector.iter().find(|number| !(0.0..=1.0).contains(*number)) {
            return Err(record.error(format!("field `{key}`: found {other}, expected {expected}")));
        }
        return Ok(Classes::Vector(vector.into_iter().map(|number| number as f32).collect()));
    }
    let mut names = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let place = format!("{key}[{i}]");
        let name = label_text(item).ok_or_else(|| record.unexpected(&place, item, "a label"))?;
        if names.contains(&name) {
            return Err(record.error(format!(
                "field `{place}`: found `{name}` twice; a list with a number for each class has \
                 fractions: 1.0, 0.0"
            )));
        }
        names.push(name);
    }
    Ok(Classes::Names(names))
}

/// Returns 1 for each class in the list of a field and 0 for the others, or the numbers that stand
/// there.
///
/// # Errors
/// [`Error::Data`] for anything else than a list, for a label outside `labels`, one given twice, or
/// a number of numbers that is not that of the labels.
pub(super) fn class_values(record: &Record, key: &str, labels: &Labels) -> Result<Vec<f32>> {
    match classes(record, key)? {
        Classes::Vector(vector) if vector.len() == labels.len() => Ok(vector),
        Classes::Vector(vector) => Err(record.error(format!(
            "field `{key}`: found {} numbers, expected one for each of {} classes",
            vector.len(),
            labels.len()
        ))),
        Classes::Names(names) => {
            let mut values = vec![0.0; labels.len()];
            for name in &names {
                values[label_index(labels, name, record, key)?] = 1.0;
            }
            Ok(values)
        }
    }
}

/// Collects the classes of rows that have lists of them in their label: their names in the order of
/// [`Labels::collect`], or their indices.
///
/// # Errors
/// Those among the records; [`Error::Data`] for a row without a list; [`Error::Setting`] if no row has a class, or
/// every row has every class.
pub fn collect_classes(
    records: impl IntoIterator<Item = Result<Record>>,
    fields: &FieldNames,
) -> Result<Labels> {
    let key = fields.name(Role::Label);
    let (mut names, mut width, mut fewest) = (BTreeSet::new(), 0, usize::MAX);
    let (mut ids, mut any) = (true, false);
    let mut records = records.into_iter();
    while let Some(record) = records.next() {
        let record = &record?;
        ids &= record.is_ids();
        let found = classes(record, key).map_err(|error| {
            let error = with_way_out(error, record, key, ProblemType::MultiLabel, None);
            match any {
                true => error,
                false => unless_none_has_one(
                    error,
                    record,
                    records.by_ref(),
                    key,
                    ProblemType::MultiLabel,
                ),
            }
        })?;
        any = true;
        match found {
            Classes::Vector(vector) => {
                width = width.max(vector.len());
                fewest = 0;
            }
            Classes::Names(found) => {
                fewest = fewest.min(found.len());
                for name in found {
                    if names.insert(name.clone()) {
                        refuse_unlabelled_element(record, key, &name)?;
                        refuse_fraction(record, key, &name, false)?;
                    }
                }
            }
        }
    }
    if !any {
        return Err(no_labels(Role::Label, key));
    }
    if names.len() > 1 && fewest == names.len() {
        let message = format!(
            "every row has every class; if field `{key}` has a number for each class, write it with \
             a fraction: 1.0, 0.0"
        );
        return Err(Error::setting("label_field", message));
    }
    let mut classes = width;
    // Beside token ids numbers are indices; elsewhere each is a name, and no other is made up.
    if ids {
        let indices = names.iter().filter_map(|name| name.parse::<usize>().ok());
        classes = classes.max(indices.max().map_or(0, |highest| highest.saturating_add(1)));
    }
    if classes < 1 << 20 {
        names.extend((0..classes).map(|index| index.to_string()));
    }
    Labels::collect(names)
}

/// Whether a row could be read in two ways: of two classes, `[0, 1]` are the indices of both, or say that it has the
/// second. Another number of numbers, one that is there twice, a name or a fraction says how they are meant, for all
/// rows.
pub(super) fn is_ambiguous(record: &Record, key: &str) -> bool {
    let Some(value) = record.value(key) else { return false };
    let parsed = value.as_str().and_then(|text| match listed(text) {
        Some(items) => Some(Value::Array(items)),
        None => list_in_text(text).map(Value::Array),
    });
    let items = parsed.as_ref().unwrap_or(value).as_array().map_or(&[][..], Vec::as_slice);
    // Only a text of numbers and commas has them as strings here that are not names.
    let is_listed = value.as_str().is_some_and(|text| listed(text).is_some());
    let number = |item: &Value| match item.as_str().filter(|_| is_listed) {
        Some(text) => text.parse().ok(),
        None => item.as_u64(),
    };
    let numbers: Option<Vec<u64>> = items.iter().map(number).collect();
    matches!(numbers.as_deref(), Some([0, 1] | [1, 0]))
}

/// What is said where all rows are such.
pub(super) fn ambiguous(key: &str, labels: &Labels) -> String {
    let named = ["0", "1"].iter().zip(labels.names()).all(|(index, name)| index == name);
    let names = match named {
        true => "strings (\"0\", \"1\")".to_owned(),
        false => format!("names ({})", labels.names().join(", ")),
    };
    format!(
        "field `{key}`: every row has the numbers 0 and 1, which are the indices of both classes, or a number for each \
         class; for classes write {names}, for numbers fractions (0.0, 1.0)"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::text::record::tests::record;
    use serde_json::json;

    fn row(label: Value) -> Record {
        record(3, json!({ "label": label }))
    }

    fn labels(names: &[&str]) -> Labels {
        Labels::from_list(names.iter().map(ToString::to_string).collect()).unwrap()
    }

    #[test]
    fn classes_are_found_by_name_number_and_in_lists() {
        let labels = labels(&["neg", "pos"]);
        let of = |row: &Record, kind| classes_of(row, "label", kind, &labels);
        let one = |label| of(&row(label), ProblemType::SingleLabel);
        for label in [json!("pos"), json!(" pos "), json!(1), json!(1.0), json!("1")] {
            assert_eq!(one(label.clone()), Some(vec![1]), "{label}");
        }
        for label in [json!(null), json!(""), json!(2), json!(-1), json!("other"), json!(["pos"])] {
            assert_eq!(one(label.clone()), None, "{label}");
        }
        let ids = record(3, json!({"input_ids": [5], "label": 1}));
        assert_eq!(of(&ids, ProblemType::SingleLabel), Some(vec![1]));
        let ids = record(3, json!({"input_ids": [5], "label": "neg"}));
        assert_eq!(of(&ids, ProblemType::SingleLabel), Some(vec![0]));
        let several = |label| of(&row(label), ProblemType::MultiLabel);
        assert_eq!(several(json!(["pos", "neg"])), Some(vec![0, 1]));
        assert_eq!(several(json!([1])), Some(vec![1]));
        assert_eq!(several(json!([])), Some(vec![]));
        assert_eq!(several(json!([0.25, 0.75])), Some(vec![1]));
        assert_eq!(several(json!([2])), None);
        assert_eq!(of(&row(json!(1)), ProblemType::Regression), None);
    }

    #[test]
    fn scores_are_finite_numbers() {
        let found = |label| scores(&row(label), "label").map_err(|error| error.to_string());
        for label in [json!(2.5), json!("2.5"), json!(" 2.50 "), json!([2.5]), json!(["2.5"])] {
            assert_eq!(found(label.clone()), Ok(vec![2.5]), "{label}");
        }
        assert_eq!(found(json!([1, -0.5])), Ok(vec![1.0, -0.5]));
        for label in [
            json!("nan"),
            json!("inf"),
            json!(""),
            json!("good"),
            json!([]),
            json!([[1]]),
            json!(true),
            json!(1e39),
            json!({}),
        ] {
            let error = found(label.clone()).unwrap_err();
            assert!(
                error.starts_with("rows.jsonl, line 3: field `label`: found "),
                "{label}: {error}"
            );
        }
        assert!(found(json!(null)).unwrap_err().contains("is null"));
    }

    #[test]
    fn a_decimal_comma_is_refused_with_the_point() {
        for (label, says) in [
            ("3,5", "(3.5)"),
            (" -1,25 ", "(-1.25)"),
            ("1234,567", "(1234.567)"),
            ("-1,250", "(-1.250), or without the comma (-1250) if that parts thousands"),
        ] {
            let error = scores(&row(json!(label)), "label").unwrap_err().to_string();
            assert!(error.ends_with(&format!("expected a number with a point {says}")), "{error}");
        }
        for other in ["1,2,3", ",5", "5,", "a,5", "1.5,2"] {
            assert_eq!(with_comma(other), None);
        }
    }

    #[test]
    fn classes_are_names_indices_or_vectors() {
        let labels = labels(&["a", "b", "c"]);
        let found =
            |label| class_values(&row(label), "label", &labels).map_err(|error| error.to_string());
        assert_eq!(found(json!(["c", "a"])), Ok(vec![1.0, 0.0, 1.0]));
        assert_eq!(found(json!([0, 2])), Ok(vec![1.0, 0.0, 1.0]));
        assert_eq!(found(json!([1.0, 0.0, 1.0])), Ok(vec![1.0, 0.0, 1.0]));
        assert_eq!(found(json!([0.0, 0.25, 1.0])), Ok(vec![0.0, 0.25, 1.0]));
        assert_eq!(found(json!("[\"b\"]")), Ok(vec![0.0, 1.0, 0.0]));
        assert_eq!(found(json!("['b', 'c']")), Ok(vec![0.0, 1.0, 1.0]));
        assert_eq!(found(json!([])), Ok(vec![0.0; 3]));
        // One of fastText's labels, and GoEmotions' lists.
        assert_eq!(found(json!("a")), Ok(vec![1.0, 0.0, 0.0]));
        assert_eq!(found(json!("0,2")), Ok(vec![1.0, 0.0, 1.0]));
        assert_eq!(found(json!("1")), Ok(vec![0.0, 1.0, 0.0]));
        for (label, what) in [
            (json!("a, b"), "found the string `a, b`, expected a list of labels"),
            (json!("nan"), "found the string `nan`, expected a list of labels"),
            (json!(1), "found the number 1, expected a list of labels"),
            (json!(["d"]), "found label `d`, expected one of: a, b, c"),
            (json!([3]), "found label `3`"),
            (json!([1, 0, 1]), "`label[2]`: found `1` twice; a list with a number for each class"),
            (json!([1.0, 0.0]), "found 2 numbers, expected one for each of 3 classes"),
            (json!([1.0, 2.0, 0.0]), "found 2, expected a list"),
            (json!(["a", null]), "`label[1]`: found null, expected a label"),
            (json!(["nan"]), "found label `nan`, expected one of: a, b, c"),
        ] {
            let error = found(label).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn two_numbers_for_two_classes_are_refused_unless_another_row_tells() {
        let two = labels(&["a", "b"]);
        let check = |rows: &[Value], labels: &Labels| {
            let rows: Vec<Record> = rows.iter().cloned().map(row).collect();
            match rows.iter().all(|row| is_ambiguous(row, "label")) {
                true => Err(ambiguous("label", labels)),
                false => Ok(()),
            }
        };
        for open in [&[json!([0, 1])][..], &[json!([0, 1]), json!("[1, 0]"), json!("0,1")]] {
            let error = check(open, &two).unwrap_err();
            assert!(
                error.contains("or a number for each class; for classes write names (a, b)"),
                "{error}"
            );
        }
        assert!(check(&[json!([1, 0])], &labels(&["0", "1"])).unwrap_err().contains("strings"));
        for told in [
            json!([0]),
            json!([]),
            json!([1, 1]),
            json!(["a", "b"]),
            json!([0.0, 1.0]),
            json!(["0", "1"]),
        ] {
            assert_eq!(check(&[json!([0, 1]), told.clone()], &two), Ok(()), "{told}");
        }
    }

    #[test]
    fn classes_are_collected_from_lists() {
        let collect = |rows: &[Value]| {
            let rows = rows.iter().cloned().map(|label| Ok(row(label)));
            collect_classes(rows, &FieldNames::default())
                .map(Vec::from)
                .map_err(|error| error.to_string())
        };
        assert_eq!(collect(&[json!(["b", "a"]), json!([])]).unwrap(), ["a", "b"]);
        assert_eq!(collect(&[json!([3]), json!([0])]).unwrap(), ["0", "3"], "no name is made up");
        assert_eq!(collect(&[json!(["2010"]), json!(["7"])]).unwrap(), ["7", "2010"]);
        let of_ids = [3, 0].map(|label| record(1, json!({"input_ids": [1], "label": [label]})));
        let found = collect_classes(of_ids.map(Ok), &FieldNames::default()).unwrap();
        assert_eq!(found.names(), ["0", "1", "2", "3"], "indices");
        assert_eq!(collect(&[json!([0.0, 1.0]), json!([1.0, 1.0])]).unwrap(), ["0", "1"]);
        assert!(collect(&[json!([])]).unwrap_err().contains("the list is empty"));
        assert_eq!(collect(&[json!("3,27"), json!("a")]).unwrap(), ["27", "3", "a"]);
        assert_eq!(
            collect(&[json!(["a"]), json!(null)]).unwrap_err(),
            "rows.jsonl, line 3: field `label` is null (NaN counts as null); set `skip_unlabelled` to leave rows without a label out"
        );
        assert!(collect(&[]).unwrap_err().contains("no row has a label in field `label`"));
        let error = collect(&[json!([0, 1]), json!([1, 0])]).unwrap_err();
        assert!(error.contains("every row has every class"), "{error}");
        assert!(collect(&[json!(["0.5"]), json!([])]).unwrap_err().contains("is no class"));
    }
}
