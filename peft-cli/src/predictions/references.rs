//! What should have been predicted, by the names that predictions have for classes.

use peft_core::{
    ProblemType,
    data::Labels,
    text::{FieldNames, Record, Role, classes_of, label_text},
};
use serde_json::{Map, Value};

use super::name;

/// Under what the name of a row's own class stands.
pub const REFERENCE: &str = "reference";

/// What the field of labels is called where nobody names it.
const USUAL: [&str; 2] = ["label", "labels"];

/// A row, how the adapter that answers it reads rows, and that adapter's classes.
pub type Answered<'a> = (&'a Record, &'a FieldNames, Option<&'a Labels>, ProblemType);

/// The classes that rows have by themselves, called as predictions call them. There are none where all rows call them so:
/// then the fields of a row say enough.
#[derive(Debug, Default)]
pub struct References(Vec<Option<Value>>);

impl References {
    /// Reads the labels of rows. One that is no class of the adapter stays as it is written, and one that is missing is
    /// missing here.
    pub fn of<'a>(rows: impl Iterator<Item = Answered<'a>>) -> Self {
        let mut differs = false;
        let of_row = |(record, names, labels, problem_type): Answered<'a>| {
            let usual = || USUAL.into_iter().find(|name| record.has(name));
            let key = names.get(Role::Label).or_else(usual)?;
            let labels = labels?;
            let written = record.optional(key)?;
            let Some(classes) = classes_of(record, key, problem_type, labels) else {
                return label_text(written).map(Value::from);
            };
            let mut classes = classes.into_iter().map(|class| name(Some(labels), class));
            let found = match problem_type {
                ProblemType::MultiLabel => classes.collect(),
                _ => classes.next()?,
            };
            differs |= !is_called(written, &found);
            Some(found)
        };
        let all = rows.map(of_row).collect();
        Self(if differs { all } else { Vec::new() })
    }

    /// Adds that of a row, if it has one.
    pub fn add(&self, row: usize, to: &mut Map<String, Value>) {
        if let Some(found) = self.0.get(row).and_then(Option::as_ref) {
            to.insert(REFERENCE.into(), found.clone());
        }
    }
}

/// Whether a label is written as a name, or a list of them, in any order.
fn is_called(written: &Value, name: &Value) -> bool {
    match (written, name) {
        (Value::Array(written), Value::Array(names)) => {
            written.len() == names.len()
                && written.iter().all(|one| names.iter().any(|name| is_called(one, name)))
        }
        (Value::Array(_), _) | (_, Value::Array(_)) => false,
        (written, name) => label_text(written).is_some_and(|text| Some(text) == label_text(name)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{path::Path, sync::Arc};

    use serde_json::json;

    use super::*;

    /// What is added to rows with these labels.
    fn added(key: &str, values: &[Value], problem_type: ProblemType) -> Vec<Value> {
        let labels = Labels::from_list(["neg", "pos"].map(String::from).to_vec()).unwrap();
        let row = |value: &Value| {
            let fields = json!({ key: value }).as_object().cloned().unwrap_or_default();
            Record::new(Arc::from(Path::new("a")), 1, fields)
        };
        let rows: Vec<Record> = values.iter().map(row).collect();
        let names = FieldNames::default();
        let found =
            References::of(rows.iter().map(|row| (row, &names, Some(&labels), problem_type)));
        let of = |at: usize| {
            let mut fields = Map::new();
            found.add(at, &mut fields);
            fields.get(REFERENCE).cloned().unwrap_or_default()
        };
        (0..rows.len()).map(of).collect()
    }

    #[test]
    fn numbers_get_the_names_of_their_classes() {
        let one = |values: &[Value]| added("label", values, ProblemType::SingleLabel);
        assert_eq!(
            one(&[json!(1), json!("0"), json!(null)]),
            [json!("pos"), json!("neg"), json!(null)]
        );
        // All rows have it as soon as one needs it.
        assert_eq!(
            one(&[json!("neg"), json!(1), json!("other"), json!(7)]),
            [json!("neg"), json!("pos"), json!("other"), json!("7")]
        );
        assert_eq!(
            one(&[json!("neg"), json!(" pos "), json!("other")]),
            [json!(null), json!(null), json!(null)]
        );
        assert_eq!(one(&[json!(7)]), [json!(null)], "of another list of classes");
        let several = |values: &[Value]| added("labels", values, ProblemType::MultiLabel);
        assert_eq!(several(&[json!([1, 0]), json!([])]), [json!(["neg", "pos"]), json!([])]);
        assert_eq!(several(&[json!(["pos", "neg"])]), [json!(null)]);
        assert_eq!(added("label", &[json!(1)], ProblemType::Regression), [json!(null)]);
    }
}
