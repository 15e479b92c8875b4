//! The field of rows that holds their class: its labels renamed, and those that are no class.

use peft_core::{
    Error, ProblemType, Result, Task,
    data::Labels,
    text::{LabelRenames, Record, classes_of, is_unlabelled, label_text},
};
use serde_json::Value;

use crate::output::{self, grouped};

/// Labels that a message names.
const NAMED: usize = 5;

/// Where the classes of rows stand, and what they are.
#[derive(Clone, Copy, Debug)]
pub struct ClassField<'a> {
    /// What the task is.
    pub task: Task,
    /// What the labels of a row are.
    pub problem_type: ProblemType,
    /// The name of the field.
    pub key: &'a str,
    /// The classes.
    pub labels: &'a Labels,
}

impl ClassField<'_> {
    /// Renames the labels of rows, and says what was left out, and which names no row has.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a new name that is no class, and if no row is left; [`Error::Data`] at a row of token ids
    /// whose classes cannot be renamed, and where a language model's target is no class then.
    pub fn rename(&self, rows: Vec<Record>, renames: &LabelRenames) -> Result<Vec<Record>> {
        renames.check(self.labels)?;
        if let Some(row) = rows.iter().find(|row| row.is_ids() && self.task != Task::SeqCls) {
            return Err(row.error(format!(
                "found a row of token ids, whose {} are numbers: --rename-label is for rows of text",
                if self.task == Task::TokenCls { "tags" } else { "targets" }
            )));
        }
        let count = rows.len();
        let found = renames.apply(rows, self.key, self.problem_type)?;
        let unused: Vec<&str> = found
            .used
            .iter()
            .filter(|(_, rows)| **rows == 0)
            .map(|(name, _)| name.as_str())
            .collect();
        if !unused.is_empty() {
            output::note(format!(
                "note: no row has the label {}, for which --rename-label gives another name",
                listed(&unused)
            ));
        }
        if found.left_out > 0 {
            output::note(format!(
                "note: {} of {} rows are left out: --rename-label gives their label no class",
                grouped(found.left_out),
                grouped(count)
            ));
        }
        if found.rows.is_empty() && count > 0 {
            let message = "leaves no row to score: all of them have labels without a class";
            return Err(Error::setting("--rename-label", message));
        }
        if self.task.is_language_model()
            && let Some((row, label)) =
                found.rows.iter().find_map(|row| Some((row, self.unknown(row)?)))
        {
            return Err(row.error(format!(
                "found the target {label:?}, expected one of the classes: {}{}",
                self.labels.names().join(", "),
                way_out(&label)
            )));
        }
        Ok(found.rows)
    }

    /// An error about a row whose label is no class, with the way out; other errors as they are.
    pub fn with_way_out(&self, error: Error, row: &Record) -> Error {
        match (error, self.unknown(row)) {
            (
                Error::Data { path, line, message } | Error::UnknownClass { path, line, message },
                Some(label),
            ) if path == *row.path && line == row.line => {
                Error::Data { path, line, message: format!("{message}{}", way_out(&label)) }
            }
            (other, _) => other,
        }
    }

    /// The first label of a row that is no class.
    fn unknown(&self, row: &Record) -> Option<String> {
        let value = row.optional(self.key)?;
        let elements = match value {
            Value::Array(list) => list.clone(),
            Value::String(text) if text.trim_start().starts_with('[') => {
                match serde_json::from_str(text) {
                    Ok(Value::Array(list)) => list,
                    _ => vec![value.clone()],
                }
            }
            one => vec![one.clone()],
        };
        elements.iter().find_map(|element| {
            let label = label_text(element)?;
            (!self.is_known(element, &label, row)).then_some(label)
        })
    }

    fn is_known(&self, value: &Value, label: &str, row: &Record) -> bool {
        if self.task.is_language_model() {
            return self.labels.index(label).is_some();
        }
        // One of a list as the label of a row of its own; a number for each class is none.
        let mut one = row.clone();
        one.fields.insert(self.key.to_owned(), value.clone());
        let is_number = value.is_number() && self.problem_type == ProblemType::MultiLabel;
        let one_class = ProblemType::SingleLabel;
        is_number
            || is_unlabelled(&one, self.key, one_class, Some(self.labels))
            || classes_of(&one, self.key, one_class, self.labels).is_some()
    }
}

/// How a label is told to be one of the classes: by a flag, or where that cannot carry it by a file.
pub fn way_out(label: &str) -> String {
    const BY_ANOTHER_NAME: &str = "; if it is a class by another name";
    if label.contains('=') || label.chars().any(char::is_control) {
        let key = in_toml(label);
        return format!(
            "{BY_ANOTHER_NAME}, --rename-labels FILE says so, a table in TOML with the line {key} = \"CLASS\", and \
             {key} = \"\" leaves such rows out"
        );
    }
    let [renamed, left_out] =
        ["CLASS", ""].map(|ours| output::in_quotes(&format!("{label}={ours}")));
    format!(
        "{BY_ANOTHER_NAME}, --rename-label {renamed} says so, and --rename-label {left_out} leaves such rows out"
    )
}

/// A text as a key in TOML, which a terminal shows as it is.
fn in_toml(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(NAMED).map(|name| format!("{name:?}")).collect::<Vec<_>>();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{path::Path, sync::Arc};

    use serde_json::json;

    use super::*;
    use crate::label_renames::{Pairs, RenameArgs};

    /// What is suggested gives the label a class if it is done.
    #[test]
    fn a_suggestion_can_be_followed() {
        for label in ["play", "it's", "two words", "$x `y` \"z\"", "-1", "back\\slash"] {
            let said = way_out(label);
            let (_, rest) = said.split_once("--rename-label ").unwrap();
            let (word, _) = rest.split_once(" says so").unwrap();
            // A shell takes what stands in single quotes as it is, and joins what follows without a blank.
            let taken = word.replace(r"'\''", "\u{0}").replace('\'', "").replace('\u{0}', "'");
            assert_eq!(taken, format!("{label}=CLASS"), "{said}");
            let args = RenameArgs { rename_label: vec![taken], ..RenameArgs::default() };
            let mut expected = LabelRenames::default();
            expected.add(label, "CLASS").unwrap();
            assert_eq!(args.renames(None).unwrap(), expected);
        }
        for label in ["a=b", "two\nlines = \"x\"", "back\\slash=\u{7f}"] {
            let said = way_out(label);
            let (_, rest) = said.split_once("with the line ").unwrap();
            let (line, _) = rest.split_once(", and ").unwrap();
            assert!(said.contains("--rename-labels FILE") && !line.chars().any(char::is_control));
            let pairs: Pairs = toml::from_str(line).unwrap();
            assert_eq!(pairs.0, [(label.to_string(), "CLASS".to_string())], "{said}");
        }
    }

    #[test]
    fn labels_that_are_no_classes_are_found() {
        let labels = Labels::from_list(["neg", "pos"].map(String::from).to_vec()).unwrap();
        let unknown = |task, problem_type, value: Value| {
            let fields = json!({ "label": value }).as_object().cloned().unwrap();
            let row = Record::new(Arc::from(Path::new("a")), 1, fields);
            ClassField { task, problem_type, key: "label", labels: &labels }.unknown(&row)
        };
        let one = |value| unknown(Task::SeqCls, ProblemType::SingleLabel, value);
        assert_eq!(
            [one(json!("neg")), one(json!(1)), one(json!(null)), one(json!("-1"))],
            [None, None, None, None]
        );
        assert_eq!(one(json!("bad")).as_deref(), Some("bad"));
        assert_eq!(one(json!(7)).as_deref(), Some("7"));
        let several = |value| unknown(Task::SeqCls, ProblemType::MultiLabel, value);
        assert_eq!(several(json!(["neg", "bad"])).as_deref(), Some("bad"));
        assert_eq!(several(json!([0.5, 7])), None);
        let tags = |value| unknown(Task::TokenCls, ProblemType::SingleLabel, value);
        assert_eq!(tags(json!(["neg", -100, "B"])).as_deref(), Some("B"));
        let target = |value| unknown(Task::CausalLm, ProblemType::SingleLabel, value);
        assert_eq!([target(json!(" pos ")), target(json!("1"))], [None, Some("1".into())]);
    }
}
