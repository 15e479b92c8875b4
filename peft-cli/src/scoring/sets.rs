//! Rows with several classes: a list of them on each side, in any order.

use std::collections::{BTreeSet, HashMap};

use peft_core::{
    Error, Result,
    metrics::{self, Metrics},
    text::{Record, is_numpy_list, label_text, list_in_text},
};
use serde_json::Value;

use super::{Metric, fields, known, spelling::spellings};
use crate::output::note;

/// What is expected where rows have several classes.
const EXPECTED: &str =
    "expected a list of the names of its classes, as [\"x\", \"y\"], or [] for none";

/// The elements of a list, which a table has as a text, of JSON or as Python writes it.
pub fn list_of(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values.clone()),
        Value::String(text) => list_in_text(text),
        _ => None,
    }
}

/// Whether a value is a list of classes, also one as NumPy writes it, which [`names_of`] refuses.
pub fn is_list(value: &Value) -> bool {
    list_of(value).is_some() || value.as_str().is_some_and(is_numpy_list)
}

/// The names in a value.
///
/// # Errors
///
/// What was found, for anything but a list of different names.
pub fn names_of(value: &Value) -> Result<BTreeSet<String>, String> {
    let shown: String = value.to_string().chars().take(80).collect();
    let Some(list) = list_of(value) else { return Err(format!("found {shown}, {EXPECTED}")) };
    if !list.is_empty() && list.iter().all(Value::is_f64) {
        return Err(format!("found {shown}, a number for each class, {EXPECTED}"));
    }
    let mut names = BTreeSet::new();
    for value in &list {
        if !fields::is_exact(value) {
            return Err(fields::inexact(value));
        }
        let name = label_text(value)
            .ok_or_else(|| format!("found {value} in a list of classes, {EXPECTED}"))?;
        if !names.insert(name.clone()) {
            return Err(format!("found `{name}` twice in {shown}, {EXPECTED}"));
        }
    }
    Ok(names)
}

/// The classes of a row that may have several; numbers by the names that the file or its data set gives them.
///
/// # Errors
///
/// [`Error::Data`] for a missing field, and as [`names_of`].
pub fn several(row: &Record, field: &str) -> Result<BTreeSet<String>> {
    let names = names_of(row.get(field)?)
        .map_err(|found| row.error(format!("field `{field}`: {found}")))?;
    let known = row.class_names(field).map_or(&[] as &[String], |known| &known.names);
    let name = |name: String| match name.parse::<usize>() {
        Ok(number) => known.get(number).cloned().unwrap_or(name),
        Err(_) => name,
    };
    Ok(names.into_iter().map(name).collect())
}

/// The classes of each row: those that are predicted, and those that are right.
#[derive(Clone, Debug)]
pub struct Sets {
    predictions: Vec<BTreeSet<String>>,
    references: Vec<BTreeSet<String>>,
    /// All classes, also those that no row has, if predictions list them.
    classes: Vec<String>,
    is_listed: bool,
}

impl Sets {
    /// The sets of rows in one order, with the classes that predictions list.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if a reference is none of the listed classes or no row has any; where every row has the numbers
    /// 0 and 1, which are two classes, or a number for each of two; and as [`known::check`].
    pub fn new(
        mut predictions: Vec<BTreeSet<String>>,
        mut references: Vec<BTreeSet<String>>,
        mut listed: BTreeSet<String>,
    ) -> Result<Self> {
        let all = |rows: &[BTreeSet<String>]| rows.iter().flatten().cloned().collect();
        let (found, wanted): (BTreeSet<String>, BTreeSet<String>) =
            (all(&predictions), all(&references));
        let spelled: HashMap<String, String> = spellings(&found, &listed, &wanted);
        let respell = |names: &BTreeSet<String>| -> BTreeSet<String> {
            names.iter().map(|name| spelled.get(name).unwrap_or(name).clone()).collect()
        };
        for row in predictions.iter_mut().chain(&mut references) {
            *row = respell(row);
        }
        let is_listed = !listed.is_empty();
        listed = respell(&listed);
        let (found, wanted) = (respell(&found), respell(&wanted));
        known::check(&found, &listed, &wanted)?;
        listed.extend(found);
        if let Some(other) = wanted.difference(&listed).next().filter(|_| is_listed) {
            return Err(Error::Mismatch(format!(
                "found the reference `{other}`, expected one of the classes of the predictions: {}",
                known::shown(&listed)
            )));
        }
        listed.extend(wanted);
        let is_01 = |row: &BTreeSet<String>| row.iter().eq(["0", "1"]);
        if !is_listed && predictions.iter().chain(&references).all(is_01) {
            return Err(Error::Mismatch(format!(
                "every row has the numbers 0 and 1, which are two classes or a number for each of two, {EXPECTED}"
            )));
        }
        if listed.is_empty() {
            return Err(Error::Mismatch("no row has a class".to_owned()));
        }
        let classes = listed.into_iter().collect();
        Ok(Self { predictions, references, classes, is_listed })
    }

    /// What a metric says: `accuracy` is the fraction of rows of which all classes are right.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for a metric of one class a row.
    pub fn score(&self, metric: Metric) -> Result<f64> {
        let name = match metric {
            Metric::Accuracy => {
                let pairs = self.predictions.iter().zip(&self.references);
                let right = pairs.filter(|(found, wanted)| found == wanted).count();
                return Ok(right as f64 / self.predictions.len() as f64);
            }
            Metric::F1Micro => "f1_micro",
            Metric::F1Macro => "f1_macro",
            _ => {
                return Err(Error::Mismatch(
                    "rows have lists of classes, expected one class a row: of lists there are accuracy, f1_micro and \
                     f1_macro, as `peft eval` prints them"
                        .to_owned(),
                ));
            }
        };
        if metric == Metric::F1Macro && !self.is_listed {
            note(format!(
                "note: f1_macro is the mean over the {} classes that occur: predictions list no others (`classes`)",
                self.classes.len()
            ));
        }
        let of = |rows: &[BTreeSet<String>]| -> Vec<Vec<bool>> {
            let has = |row: &BTreeSet<String>| {
                self.classes.iter().map(|class| row.contains(class)).collect()
            };
            rows.iter().map(has).collect()
        };
        let scores: Metrics =
            metrics::multi_label_metrics(&of(&self.predictions), &of(&self.references))?;
        Ok(scores.get(name).unwrap_or(f64::NAN))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(value: Value) -> BTreeSet<String> {
        names_of(&value).unwrap()
    }

    #[test]
    fn lists_are_sets_in_each_spelling() {
        for value in [
            json!(["y", "x"]),
            json!("[\"x\",\"y\"]"),
            json!(" [\"x\", \"y\"] "),
            json!("['y', 'x']"),
        ] {
            assert!(is_list(&value));
            assert_eq!(set(value), set(json!(["x", "y"])));
        }
        assert_eq!(set(json!([1, "2.0"])), set(json!("[2, 1]")));
        assert!(!is_list(&json!("[CLS]")) && !is_list(&json!("x")) && !is_list(&json!(1)));
        assert!(is_list(&json!("['x' 'y']")) && is_list(&json!([])));
        for (value, says) in [
            (json!("['x' 'y']"), "found \"['x' 'y']\", expected a list"),
            (json!("x"), "expected a list"),
            (json!([0.0, 1.0]), "a number for each class"),
            (json!([0, 1, 1]), "found `1` twice"),
            (json!([null]), "found null in a list"),
        ] {
            let said = names_of(&value).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn scores_are_of_all_listed_classes() {
        let rows = |values: [Value; 2]| values.map(set).to_vec();
        let found = rows([json!(["a"]), json!(["a", "b"])]);
        let wanted = rows([json!(["b", "a"]), json!(["b", "a"])]);
        let listed = |names: Value| Sets::new(found.clone(), wanted.clone(), set(names));
        let all = listed(json!(["a", "b", "c"])).unwrap();
        assert_eq!(all.score(Metric::Accuracy).unwrap(), 0.5);
        assert_eq!(all.score(Metric::F1Micro).unwrap(), 6.0 / 7.0);
        assert_eq!(all.score(Metric::F1Macro).unwrap(), (1.0 + 2.0 / 3.0) / 3.0);
        let occurring = listed(json!([])).unwrap();
        assert_eq!(occurring.score(Metric::F1Macro).unwrap(), (1.0 + 2.0 / 3.0) / 2.0);
        let said = all.score(Metric::Matthews).unwrap_err().to_string();
        assert!(said.contains("f1_micro") && said.contains("peft eval"), "{said}");
    }

    #[test]
    fn classes_that_cannot_be_compared_are_refused() {
        let of = |found: Value, wanted: Value, listed: Value| {
            Sets::new(vec![set(found)], vec![set(wanted)], set(listed)).map_err(|e| e.to_string())
        };
        let refusal = |found, wanted, listed| of(found, wanted, listed).unwrap_err();
        let said = refusal(json!(["a"]), json!(["a", "z"]), json!(["a", "b"]));
        assert!(said.contains("found the reference `z`") && said.contains("a, b"), "{said}");
        assert!(refusal(json!([0, 1]), json!([1, 0]), json!([])).contains("numbers 0 and 1"));
        assert!(refusal(json!([]), json!([]), json!([])).contains("no row has a class"));
        let booleans = of(json!(["True"]), json!([true]), json!([])).unwrap();
        assert_eq!(booleans.score(Metric::Accuracy).unwrap(), 1.0);
    }
}
