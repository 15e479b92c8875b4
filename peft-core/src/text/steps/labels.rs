//! Steps on labels.

use serde::{Deserialize, Serialize};

use super::parts::put;
use crate::{
    error::Result,
    text::{
        labels::label_text,
        record::{Record, describe},
    },
};

/// Rows with some values of a field stay, others are left out; rows without the field stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// The field.
    pub(super) field: String,
    /// The values, as texts: numbers and booleans as JSON writes them.
    values: Vec<String>,
    /// Whether rows are left out of the training rows alone. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    training: bool,
}

impl Keep {
    pub(super) fn keeps(&self, row: &Record, training: bool) -> bool {
        let value = row.optional(&self.field).and_then(label_text);
        value.is_none_or(|value| (self.training && !training) || self.values.contains(&value))
    }
}

/// Labels become words: a verbaliser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// The field that holds the label.
    pub(super) field: String,
    /// The field that holds the word. Default the same.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// The words by the labels, as texts: numbers and booleans as JSON writes them. Several labels may have one word.
    words: std::collections::BTreeMap<String, String>,
}

/// What stands for no label: one that is kept secret, or on which nobody agreed.
const HIDDEN: [&str; 3] = ["-1", "-100", "-"];

impl Words {
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        match self.words.values().any(|word| word.trim().is_empty()) {
            _ if self.words.is_empty() => Err("words: found none".into()),
            true => Err("words: found an empty word".into()),
            false => Ok(()),
        }
    }

    /// The field that holds the word.
    pub(super) fn to(&self) -> &str {
        self.to.as_deref().unwrap_or(&self.field)
    }

    pub(super) fn apply(&self, mut row: Record) -> Result<Record> {
        let Some(value) = row.optional(&self.field) else { return Ok(row) };
        if value.as_str().is_some_and(|label| label.trim().is_empty()) {
            // As in rows that no step changes: no label.
            row.fields.remove(self.to());
            return Ok(row);
        }
        let Some(label) = label_text(value) else {
            let (field, found) = (&self.field, describe(value));
            return Err(row.error(format!("field `{field}`: found {found}, expected a label")));
        };
        let word =
            self.words.get(&label).or_else(|| self.words.values().find(|word| **word == label));
        match word {
            Some(word) => put(&mut row, self.to(), word.as_str().into()),
            // As test sets of GLUE have it: the row has no label.
            None if HIDDEN.contains(&&*label) => {
                row.fields.remove(self.to());
            }
            None => {
                let known: Vec<&str> = self.words.keys().map(String::as_str).collect();
                let (field, known) = (&self.field, known.join(", "));
                return Err(row
                    .error(format!("field `{field}`: found `{label}`, expected one of: {known}")));
            }
        }
        Ok(row)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        error::Result,
        text::{
            record::tests::record,
            steps::{IdleStep, Steps},
        },
    };

    fn rows(steps: &Value, row: Value, training: bool) -> Result<Vec<Value>> {
        let rows = Steps::parse(steps).unwrap().apply(record(3, row), training)?;
        Ok(rows.into_iter().map(|row| row.fields.into()).collect())
    }

    #[test]
    fn labels_become_words() {
        let words = json!([{"words": {"field": "label", "words": {"false": "no", "true": "yes", "0": "no", "1": "yes"}}}]);
        for (label, expected) in [
            (json!(true), json!({"label": "yes"})),
            (json!(1), json!({"label": "yes"})),
            (json!("1.0"), json!({"label": "yes"})),
            (json!("no"), json!({"label": "no"})),
            (json!(null), json!({"label": null})),
            (json!(-1), json!({})),
            (json!(" "), json!({})),
        ] {
            assert_eq!(rows(&words, json!({"label": label}), true).unwrap(), [expected]);
        }
        let error = rows(&words, json!({"label": 2}), true).unwrap_err().to_string();
        assert!(
            error.contains("line 3: field `label`: found `2`, expected one of: 0, 1, false, true"),
            "{error}"
        );
        assert!(
            rows(&words, json!({"label": []}), true)
                .unwrap_err()
                .to_string()
                .contains("expected a label")
        );
        let elsewhere = json!([{"words": {"field": "a.b", "as": "label", "words": {"x": "yes"}}}]);
        assert_eq!(rows(&elsewhere, json!({"a": {"b": "x"}}), true).unwrap()[0]["label"], "yes");
        for bad in [json!({"field": "a", "words": {}}), json!({"field": "a", "words": {"x": " "}})]
        {
            assert!(Steps::parse(&json!([{ "words": bad }])).is_err());
        }
    }

    #[test]
    fn steps_whose_field_no_row_has_are_idle() {
        let steps = Steps::parse(&json!([
            {"rename": {"field": "gold", "as": "label"}},
            {"keep": {"field": "label", "values": ["1"]}},
            {"replace": {"field": "txt", "with": [["a", "b"]]}},
            {"set": {"field": "text", "template": "{text}"}},
        ]))
        .unwrap();
        let mut idle = steps.idle();
        assert_eq!(idle.iter().map(|step| step.place).collect::<Vec<_>>(), [0, 1, 2]);
        for row in [json!({"text": "a"}), json!({"gold": 1, "txt": null})] {
            steps.apply_watched(record(1, row), true, &mut idle).unwrap();
        }
        assert_eq!(idle, [IdleStep { place: 2, field: "txt".into(), reached: true }]);
    }

    #[test]
    fn a_step_that_no_row_reaches_is_not_said_to_lack_its_field() {
        let steps = Steps::parse(&json!([
            {"replace": {"field": "txt", "with": [["a", "b"]]}},
            {"keep": {"field": "text", "values": ["b"]}},
            {"rename": {"field": "text", "as": "source"}},
        ]))
        .unwrap();
        let mut idle = steps.idle();
        let made = steps.apply_watched(record(1, json!({"text": "a"})), true, &mut idle).unwrap();
        assert!(made.is_empty());
        let reached: Vec<(usize, bool)> =
            idle.iter().map(|step| (step.place, step.reached)).collect();
        assert_eq!(reached, [(0, true), (2, false)]);
    }

    #[test]
    fn rows_are_chosen_by_their_label() {
        let keep = json!([{"keep": {"field": "label", "values": ["true", "1"], "training": true}}]);
        let count =
            |label: Value, training| rows(&keep, json!({"label": label}), training).unwrap().len();
        assert_eq!(
            [count(json!(true), true), count(json!(1), true), count(json!(0), true)],
            [1, 1, 0]
        );
        assert_eq!([count(json!(0), false), count(json!(null), true)], [1, 1]);
        let always = json!([{"keep": {"field": "c", "values": ["good"]}}]);
        assert_eq!(rows(&always, json!({"c": "bad"}), false).unwrap().len(), 0);
    }
}
