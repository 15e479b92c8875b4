//! `[[tasks]]` in a TOML file: the tasks of a joint run, each with its rows and what else concerns it alone.
//!
//! ```toml
//! [[tasks]]
//! name = "wnut17"
//! task = "token-cls"
//! train = "wnut17/train.conll"
//! valid = "wnut17/dev.conll"
//!
//! [[tasks]]
//! name = "slots"
//! task = "token-cls"
//! train = "slots/train.jsonl"
//! valid = "slots/valid.jsonl"
//! weight = 0.5
//! ```

use std::path::Path;

use peft_core::{formats::read, train::joint::check_names};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap};
use serde_json::{Map, Value};

/// What a task has beside its settings.
pub(super) const NAME: &str = "name";
pub(super) const WEIGHT: &str = "weight";
/// The key of the tables.
const TASKS: &str = "tasks";

/// The tasks of a joint run, at least one, with different names.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Tasks(pub Vec<NamedTask>);

/// A task of a joint run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamedTask {
    /// Its name, after which its adapter's folder and its scores are called.
    pub name: String,
    /// How much its loss counts; 1 if it is not given.
    pub weight: Option<f64>,
    /// Its settings by name, as they are given.
    pub own: Map<String, Value>,
}

impl Tasks {
    /// Reads the file of `--tasks`, for clap.
    ///
    /// # Errors
    ///
    /// Returns a message that says what is wrong with the file.
    pub fn read(path: &str) -> std::result::Result<Self, String> {
        let text = read::text(Path::new(path)).map_err(|error| error.to_string())?;
        let in_file = |message: &dyn std::fmt::Display| format!("{path}: {message}");
        let parsed: std::result::Result<toml::Table, _> = toml::from_str(&text);
        let mut table = parsed.map_err(|error| in_file(&error.to_string().trim()))?;
        let Some(tasks) = table.remove(TASKS) else {
            return Err(in_file(&"holds no task: expected tables, each headed [[tasks]]"));
        };
        if let Some(name) = table.keys().next() {
            return Err(in_file(&format!(
                "holds `{name}` beside its [[tasks]]: give the file as --config, which reads both"
            )));
        }
        tasks.try_into().map_err(|error: toml::de::Error| in_file(&error.to_string().trim()))
    }
}

impl<'de> Deserialize<'de> for Tasks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let tables = Vec::<Map<String, Value>>::deserialize(deserializer)?;
        if tables.is_empty() {
            let message = "`tasks` is empty: expected tables, each headed [[tasks]]";
            return Err(D::Error::custom(message));
        }
        let tasks = tables.into_iter().enumerate().map(|(place, table)| task_of(table, place + 1));
        let tasks = tasks.collect::<std::result::Result<Vec<_>, _>>().map_err(D::Error::custom)?;
        check_names(tasks.iter().map(|task| task.name.as_str())).map_err(D::Error::custom)?;
        Ok(Self(tasks))
    }
}

/// The task of a table, counted from 1.
fn task_of(mut own: Map<String, Value>, place: usize) -> std::result::Result<NamedTask, String> {
    let name = match own.remove(NAME) {
        Some(Value::String(name)) => name,
        Some(other) => return Err(format!("`{NAME} = {other}` in [[tasks]]: expected a text")),
        None => {
            return Err(format!(
                "table {place} of [[tasks]] has no `{NAME}`, which tells it from others"
            ));
        }
    };
    let Some(given) = own.remove(WEIGHT) else { return Ok(NamedTask { name, weight: None, own }) };
    match given.as_f64().filter(|weight| weight.is_finite() && *weight > 0.0) {
        Some(weight) => Ok(NamedTask { name, weight: Some(weight), own }),
        None => Err(format!("`{WEIGHT} = {given}` of the task {name}: expected a number above 0")),
    }
}

impl Serialize for NamedTask {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(NAME, &self.name)?;
        if let Some(weight) = self.weight {
            map.serialize_entry(WEIGHT, &weight)?;
        }
        self.own.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_table_is_named() {
        #[derive(Debug, Deserialize)]
        struct File {
            #[allow(dead_code)]
            tasks: Tasks,
        }
        let said = |text: &str| {
            toml::from_str::<File>(text).map_or_else(|error| error.to_string(), |_| String::new())
        };
        for (text, says) in [
            ("tasks = []", "`tasks` is empty"),
            ("[[tasks]]\ntask = \"qa\"", "table 1 of [[tasks]] has no `name`"),
            ("[[tasks]]\nname = 3", "`name = 3` in [[tasks]]: expected a text"),
            (
                "[[tasks]]\nname = \"a\"\nweight = 0",
                "`weight = 0` of the task a: expected a number",
            ),
            ("[[tasks]]\nname = \"a.b\"", "expected letters, digits, - and _"),
            ("[[tasks]]\nname = \"a\"\n[[tasks]]\nname = \"A\"", "two tasks are called so"),
        ] {
            assert!(said(text).contains(says), "{text}: {}", said(text));
        }
        assert_eq!(said("[[tasks]]\nname = \"a\"\nweight = 2\nlr = 3"), "");
        let named =
            |letters: usize| said(&format!("[[tasks]]\nname = \"{}\"", "n".repeat(letters)));
        assert_eq!(named(100), "");
        assert!(
            named(101).contains("which has 101 letters, expected at most 100"),
            "{}",
            named(101)
        );
    }
}
