//! How much each class counts in the loss: `--class-weights`.

use std::{collections::BTreeMap, path::Path};

use peft_core::{
    Error, ProblemType, Result, Task,
    data::{Example, Labels, class_counts},
    formats::read,
};

use crate::nearest::{did_you_mean, nearest};

/// Stands for weights by which every class counts as much as any other.
pub const BALANCED: &str = "balanced";
const FLAG: &str = "--class-weights";

/// Checks what can be checked before anything is read.
///
/// # Errors
///
/// [`Error::Setting`] for a task without classes, and for what is neither `balanced` nor a file.
pub fn check(given: &Path, task: Task) -> Result<()> {
    if !matches!(task, Task::SeqCls | Task::TokenCls) {
        return Err(Error::setting(FLAG, format!("not used by {task}, which has no classes")));
    }
    if given == Path::new(BALANCED) || given.exists() {
        return Ok(());
    }
    let text = given.display().to_string();
    let meant = did_you_mean(nearest(&text, [BALANCED]));
    let message = format!(
        "found `{text}`, and there is no such file; expected {BALANCED} or a JSON file{meant}"
    );
    Err(Error::setting(FLAG, message))
}

/// The weights of all classes, in the order of their names.
///
/// # Errors
///
/// [`Error::Setting`] for rows without names of classes; [`Error::Read`], [`Error::File`] or [`Error::Config`] naming what
/// is wrong with the file.
pub fn of(
    given: &Path,
    task: Task,
    labels: Option<&Labels>,
    examples: &[Example],
) -> Result<Vec<f32>> {
    check(given, task)?;
    let Some(labels) = labels else {
        return Err(Error::setting(FLAG, "is for rows and tokens with one class each, with names"));
    };
    match given == Path::new(BALANCED) {
        true => {
            let counts = class_counts(task, ProblemType::SingleLabel, examples);
            Ok(balanced(&counts, labels.len()))
        }
        false => from_file(given, labels),
    }
}

/// `n / (C * count)`, as in scikit-learn, over the C classes that have rows; the others of `classes` count 1.
fn balanced(counts: &BTreeMap<usize, usize>, classes: usize) -> Vec<f32> {
    let all: usize = counts.values().sum();
    let weight = |class: usize| match counts.get(&class) {
        None => 1.0,
        Some(count) => (all as f64 / (counts.len() as f64 * *count as f64)) as f32,
    };
    (0..classes).map(weight).collect()
}

fn from_file(path: &Path, labels: &Labels) -> Result<Vec<f32>> {
    let found = read::json(path)?;
    let Some(fields) = found.as_object() else {
        let example = labels.names().iter().take(2).map(|name| (name, 1));
        let example = serde_json::json!(example.collect::<BTreeMap<_, _>>());
        let message = format!("expected a JSON object with a number for each class: {example}");
        return Err(Error::file(path, message));
    };
    if let Some(other) = fields.keys().find(|key| labels.index(key).is_none()) {
        let message = format!("is no class of this run: {}", labels.names().join(", "));
        return Err(Error::config(path, other, message));
    }
    let weight = |name: &String| {
        let value = fields.get(name).ok_or_else(|| Error::config(path, name, "is missing"))?;
        let number = value.as_f64().filter(|number| *number >= 0.0).map(|number| number as f32);
        number.filter(|number| number.is_finite()).ok_or_else(|| {
            Error::config(path, name, format!("found {value}, expected a number of at least 0"))
        })
    };
    labels.names().iter().map(weight).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use peft_core::data::{IGNORE, Target};

    use super::*;

    fn labels() -> Labels {
        Labels::from_list(["a", "b", "c"].map(String::from).to_vec()).unwrap()
    }

    /// `compute_class_weight("balanced", classes=[0, 1], y=[0, 0, 0, 1])` of scikit-learn: 2/3 and 2.
    #[test]
    fn balanced_weights_are_those_of_scikit_learn() {
        let rows: Vec<Example> =
            [0, 0, 0, 1].map(|class| Example::new(vec![1], Target::Class(class), 1)).to_vec();
        let found = of(Path::new("balanced"), Task::SeqCls, Some(&labels()), &rows).unwrap();
        assert_eq!(found, [2.0 / 3.0, 2.0, 1.0]);
        let tags = [Example::new(vec![1; 5], Target::Tokens(vec![IGNORE, 0, 0, 0, 1]), 1)];
        let of_tags = of(Path::new("balanced"), Task::TokenCls, Some(&labels()), &tags).unwrap();
        assert_eq!(of_tags, found);
        let error = of(Path::new("balanced"), Task::CausalLm, Some(&labels()), &rows).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--class-weights: not used by causal-lm, which has no classes"
        );
        let error = check(Path::new("balansed"), Task::SeqCls).unwrap_err().to_string();
        assert!(
            error.ends_with("expected balanced or a JSON file; did you mean balanced?"),
            "{error}"
        );
        assert!(of(Path::new("balanced"), Task::SeqCls, None, &rows).is_err());
    }

    #[test]
    fn a_file_has_a_number_for_each_class() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            of(&path, Task::SeqCls, Some(&labels()), &[])
        };
        assert_eq!(read(r#"{"c": 3, "a": 0.5, "b": 0}"#).unwrap(), [0.5, 0.0, 3.0]);
        for (text, says) in [
            (r#"{"a": 1, "b": 1}"#, "key `c`: is missing"),
            (r#"{"a": 1, "b": 1, "c": 1, "d": 1}"#, "key `d`: is no class of this run: a, b, c"),
            (r#"{"a": 1, "b": "1", "c": 1}"#, "key `b`: found \"1\""),
            (r#"{"a": 1, "b": -1, "c": 1}"#, "key `b`: found -1"),
            (r#"{"a": 1, "b": 1e300, "c": 1}"#, "key `b`: found 1e+300"),
            ("[1, 1, 1]", r#"a number for each class: {"a":1,"b":1}"#),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
