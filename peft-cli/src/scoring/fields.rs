//! Which field of a row is read.

use std::collections::BTreeSet;

use clap::Args;
use peft_core::{
    Error, Result,
    text::{Record, label_text},
};
use serde_json::Value;

use super::Kind;
use crate::{output::note, predictions::INPUT};

/// Flags that name the fields of rows.
#[derive(Args, Clone, Debug, Default)]
pub struct FieldArgs {
    /// The field of the predictions, where they are rows. [default: prediction or the like, else that of predict,
    /// generate or eval: output, label, labels, score, tags or answer]
    #[arg(long, value_name = "NAME")]
    pub prediction_field: Option<String>,
    /// The field of the references, where they are rows. [default: references, target, label, tags or answers, or
    /// another usual name]
    #[arg(long, value_name = "NAME")]
    pub reference_field: Option<String>,
    /// Compare row by row, in the order of both files, whatever ids the rows have.
    #[arg(long)]
    pub by_position: bool,
}

/// Names that say of a field that it is predicted. Beside one of them, a `label` or an `output` is the right one.
const PREDICTED: &[&str] = &[
    "prediction",
    "predictions",
    "prediction_text",
    "generated_text",
    "predicted",
    "predicted_label",
    "pred",
    "preds",
    "y_pred",
];

/// What else the fields of predictions are called, the likelier first: as `predict`, `generate` and `eval` write them.
fn of_predictions(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Class => &["label", "output", "labels"],
        Kind::Number => &["score", "label"],
        Kind::Text => &["output", "answer", "label"],
        Kind::Tags => &["tags"],
        Kind::Answer => &["answer", "output"],
    }
}

/// What the fields of references are called, the likelier first.
fn of_references(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Class => &["label", "reference", "target", "labels", "class"],
        Kind::Number => &["label", "score", "reference", "target", "labels"],
        Kind::Text => &[
            "references",
            "reference",
            "target",
            "targets",
            "completion",
            "response",
            "highlights",
            "summary",
            "target_text",
            "tgt",
            "ref",
            "human_reference",
            "answers",
            "answer",
            "output",
            "label",
        ],
        Kind::Tags => &["tags", "ner_tags", "labels", "pos_tags", "chunk_tags", "references"],
        Kind::Answer => &["answers", "references", "answer"],
    }
}

/// The field of the predictions in rows.
///
/// # Errors
///
/// [`Error::Data`] if the first row has none of the usual ones, [`Error::Setting`] for a name that it does not have.
pub fn prediction(rows: &[Record], kind: Kind, args: &FieldArgs) -> Result<String> {
    let own = of_predictions(kind);
    let usual: Vec<String> = PREDICTED.iter().chain(own).map(ToString::to_string).collect();
    // Beside another of them the first may be what is right.
    let names = names_of(rows);
    let is_alone = own.iter().skip(1).all(|name| spelled(rows, &names, name).is_none());
    let untold = own.first().copied().filter(|_| is_alone);
    chosen(rows, args.prediction_field.as_deref(), &usual, untold, "--prediction-field")
}

/// The field of the references in rows; in rows of `own` predictions, where they stand beside them.
///
/// # Errors
///
/// As [`prediction`].
pub fn reference(rows: &[Record], kind: Kind, args: &FieldArgs, own: bool) -> Result<String> {
    let usual = of_references(kind).iter();
    let usual: Vec<String> = match own {
        false => usual.map(ToString::to_string).collect(),
        // What was given to `predict`, `generate` or `eval` stands below `input`.
        // A class has its name there only if it is called otherwise in `input`.
        true => (kind == Kind::Class)
            .then(|| "reference".to_owned())
            .into_iter()
            .chain(std::iter::once("references".to_owned()))
            .chain(usual.map(|name| format!("input.{name}")))
            .collect(),
    };
    let untold = usual.first().map(String::as_str);
    chosen(rows, args.reference_field.as_deref(), &usual, untold, "--reference-field")
}

/// Whether a row has the field.
fn has(rows: &[Record], name: &str) -> bool {
    rows.iter().any(|row| row.value(name).is_some())
}

/// The names of the rows' fields, and of those below `input`.
fn names_of(rows: &[Record]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for row in rows {
        for (name, value) in &row.fields {
            if !names.contains(name) {
                names.insert(name.clone());
            }
            let below = (name == INPUT).then(|| value.as_object()).flatten();
            names.extend(below.into_iter().flatten().map(|(own, _)| format!("{INPUT}.{own}")));
        }
    }
    names
}

/// The field of this name, or the only one of `names` that is spelled like it: in any letters, with blanks or hyphens for
/// `_`, as `peft train` finds fields.
fn spelled(rows: &[Record], names: &BTreeSet<String>, name: &str) -> Option<String> {
    if has(rows, name) {
        return Some(name.to_owned());
    }
    let is_alike = |other: &&String| other.trim().to_lowercase().replace([' ', '-'], "_") == name;
    let mut alike = names.iter().filter(is_alike);
    alike.next().filter(|_| alike.next().is_none()).cloned()
}

/// The field that is `given`, else the first of the `usual` ones, which is told unless it is the `untold` one.
fn chosen(
    rows: &[Record],
    given: Option<&str>,
    usual: &[String],
    untold: Option<&str>,
    flag: &str,
) -> Result<String> {
    let Some(first) = rows.first() else {
        return Err(Error::setting(flag, "there are no rows"));
    };
    let known: Vec<&str> = first.fields.keys().map(String::as_str).collect();
    if let Some(name) = given {
        if has(rows, name) {
            return Ok(name.to_owned());
        }
        let (path, known) = (first.path.display(), known.join(", "));
        return Err(Error::setting(flag, format!("found `{name}`, but {path} has: {known}")));
    }
    let names = names_of(rows);
    let Some(name) = usual.iter().find_map(|name| spelled(rows, &names, name)) else {
        let message = format!(
            "found none of the fields {}: name the field to read, as {flag}; the row has: {}",
            usual.join(", "),
            known.join(", ")
        );
        return Err(first.error(message));
    };
    if untold != Some(name.as_str()) {
        note(format!(
            "note: {}: read from `{name}`; {flag} names another field",
            first.path.display()
        ));
    }
    Ok(name)
}

/// A class or a single value as text; numbers of classes by the names that the file or its data set gives them.
///
/// # Errors
///
/// [`Error::Data`] for a missing field, a list and an object.
pub fn plain(row: &Record, field: &str) -> Result<String> {
    let value = row.get(field)?;
    if let (Some(known), Some(number)) = (row.class_names(field), value.as_u64())
        && let Some(name) = known.names.get(usize::try_from(number).unwrap_or(usize::MAX))
    {
        return Ok(name.clone());
    }
    match value {
        // A class that no reference has.
        Value::String(text) if text.trim().is_empty() => Ok(String::new()),
        value => label_text(value).ok_or_else(|| {
            row.error(format!("field `{field}`: found a list or an object, expected one value"))
        }),
    }
}

/// Whether a value is read with all of its digits: of numbers with an exponent or fraction, two of 2^53 and more may look
/// like one.
pub fn is_exact(value: &Value) -> bool {
    const MOST: f64 = 9_007_199_254_740_992.0;
    !value.is_f64() || value.as_f64().is_some_and(|number| number.abs() < MOST)
}

/// What is said of a value that is not exact.
pub fn inexact(value: &Value) -> String {
    format!(
        "found the number {value}, expected what tells it from others: a number with an exponent or fraction, of 2^53 and \
         more, may have lost digits: write labels as texts, in quotes"
    )
}

/// The texts of a field: of a list its texts, of objects with a `text` these, as in SQuAD's answers.
///
/// # Errors
///
/// [`Error::Data`] for a missing field and for what is no text.
pub fn texts(row: &Record, field: &str) -> Result<Vec<String>> {
    texts_of(row.get(field)?).ok_or_else(|| {
        row.error(format!(
            "field `{field}`: expected a text, a list of texts, or objects with a `text`"
        ))
    })
}

/// The texts of a value; `None` for what is none.
pub fn texts_of(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(values) => {
            values.iter().map(texts_of).collect::<Option<Vec<_>>>().map(|lists| lists.concat())
        }
        Value::Object(fields) => texts_of(fields.get("text")?),
        Value::String(text) => Some(vec![text.clone()]),
        Value::Null => None,
        single => label_text(single).map(|text| vec![text]),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{path::Path, sync::Arc};

    use serde_json::json;

    use super::*;

    fn rows(values: &[Value]) -> Vec<Record> {
        let row = |(at, value): (usize, &Value)| {
            let fields = value.as_object().cloned().unwrap_or_default();
            Record::new(Arc::from(Path::new("p.csv")), at + 1, fields)
        };
        values.iter().enumerate().map(row).collect()
    }

    /// What other programs write: the right one beside the predicted one.
    #[test]
    fn what_is_called_predicted_goes_before_what_may_be_right() {
        let of = |kind: Kind, row: Value| {
            prediction(&rows(&[row]), kind, &FieldArgs::default()).map_err(|e| e.to_string())
        };
        for (kind, right) in [
            (Kind::Class, "label"),
            (Kind::Number, "score"),
            (Kind::Text, "output"),
            (Kind::Tags, "tags"),
            (Kind::Answer, "answer"),
        ] {
            for name in PREDICTED {
                assert_eq!(of(kind, json!({right: "a", *name: "b"})).as_deref(), Ok(*name));
            }
            assert_eq!(of(kind, json!({right: "a", "reference": "b"})).as_deref(), Ok(right));
            let said = of(kind, json!({"text": "a"})).unwrap_err();
            assert!(said.contains("--prediction-field") && said.contains(right), "{said}");
        }
        let named = FieldArgs { prediction_field: Some("label".into()), ..FieldArgs::default() };
        let both = rows(&[json!({"label": "a", "prediction": "b"})]);
        assert_eq!(prediction(&both, Kind::Class, &named).unwrap(), "label");
    }

    #[test]
    fn fields_are_found_in_any_letters() {
        let args = FieldArgs::default();
        let kaggle = rows(&[json!({"Id": "1", "Label": "a"}), json!({"Id": "2", "Label": "b"})]);
        assert_eq!(prediction(&kaggle, Kind::Class, &args).unwrap(), "Label");
        assert_eq!(reference(&kaggle, Kind::Class, &args, false).unwrap(), "Label");
        let both = rows(&[json!({"label": "a", "Predicted Label": "b"})]);
        assert_eq!(prediction(&both, Kind::Class, &args).unwrap(), "Predicted Label");
        let beside = rows(&[json!({"label": "a", "input": {"Label": "b"}})]);
        assert_eq!(reference(&beside, Kind::Class, &args, true).unwrap(), "input.Label");
        // The exact name goes first; of several others none is meant.
        let exact = rows(&[json!({"Label": "a", "label": "b"})]);
        assert_eq!(reference(&exact, Kind::Class, &args, false).unwrap(), "label");
        let several = rows(&[json!({"Label": "a", "LABEL": "b"})]);
        let said = reference(&several, Kind::Class, &args, false).unwrap_err().to_string();
        assert!(said.contains("--reference-field") && said.contains("Label"), "{said}");
        let named = FieldArgs { prediction_field: Some("Label".into()), ..args };
        assert_eq!(prediction(&several, Kind::Class, &named).unwrap(), "Label");
    }
}
