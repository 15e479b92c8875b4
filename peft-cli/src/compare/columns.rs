//! Which settings tell systems apart.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::identity::{Named, shown};

/// Settings in the order of their columns; others follow by name.
const FIRST: [&str; 25] = [
    "model",
    "task",
    "method",
    "shots",
    "train",
    "train_rows",
    "num_virtual_tokens",
    "layers",
    "sites",
    "infix",
    "init",
    "init_text",
    "init_adapter",
    "reparameterization",
    "encoder_hidden_size",
    "encoder_num_layers",
    "encoder_dropout",
    "prefix_projection",
    "prefix_hidden_size",
    "optimizer",
    "lr",
    "head_lr",
    "batch_size",
    "steps",
    "epochs",
];

/// Settings that are shown wherever they differ; others only where systems would look alike without them.
const ALWAYS: [&str; 7] =
    ["model", "task", "method", "shots", "train_rows", "num_virtual_tokens", "lr"];

/// Settings that are said where all systems have them in common.
const COMMON: [&str; 9] = [
    "model",
    "task",
    "method",
    "num_virtual_tokens",
    "layers",
    "lr",
    "steps",
    "epochs",
    "train_rows",
];

/// The settings that tell systems apart, and what they have in common.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// The names of the settings with a column.
    pub names: Vec<String>,
    /// Names and values of what all have in common.
    pub common: Vec<(String, Value)>,
}

impl Columns {
    /// Those of some systems.
    pub fn of(systems: &[&Named]) -> Self {
        let mut values: BTreeMap<(usize, &str), Vec<&Value>> = BTreeMap::new();
        let names: BTreeSet<&String> = systems.iter().flat_map(|system| system.keys()).collect();
        for name in names {
            let place = FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len());
            let of_systems =
                systems.iter().map(|system| system.get(name).unwrap_or(&Value::Null)).collect();
            values.insert((place, name.as_str()), of_systems);
        }
        let differs = |values: &Vec<&Value>| values.iter().any(|value| *value != values[0]);
        let mut columns = Self::default();
        // The systems that look alike so far have the same number.
        let mut alike = vec![0; systems.len()];
        let ranks = [true, false];
        for rank in ranks {
            for ((_, name), values) in values.iter().filter(|(_, values)| differs(values)) {
                let is_always = ALWAYS.contains(name);
                let parted = parted(&alike, values);
                if is_always != rank || (!is_always && parted == alike) {
                    continue;
                }
                alike = parted;
                columns.names.push((*name).to_string());
            }
        }
        let place =
            |name: &String| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len());
        columns.names.sort_by_key(|name| (place(name), name.clone()));
        for name in COMMON {
            let place = FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
            let values = values.get(&(place, name)).filter(|values| !differs(values));
            if let Some(value) =
                values.and_then(|values| values.first()).filter(|value| !value.is_null())
            {
                columns.common.push((name.to_string(), (*value).clone()));
            }
        }
        columns
    }

    /// The columns' names as people read them.
    pub fn titles(&self) -> Vec<String> {
        self.names.iter().map(|name| title(name)).collect()
    }

    /// What stands in the columns of a system.
    pub fn cells(&self, system: &Named) -> Vec<String> {
        let of = |name: &String| shown(name, system.get(name).unwrap_or(&Value::Null));
        self.names.iter().map(of).collect()
    }

    /// A system in a few words; `system` where nothing tells it from others.
    pub fn label(&self, system: &Named) -> String {
        let pairs = self.names.iter().zip(self.cells(system));
        let words: Vec<String> = pairs
            .map(|(name, cell)| match name.as_str() {
                "method" | "model" => cell,
                _ => format!("{} {cell}", title(name)),
            })
            .collect();
        if words.is_empty() { "all runs".to_string() } else { words.join(", ") }
    }

    /// What all have in common, in a line.
    pub fn in_common(&self) -> Option<String> {
        let words = self
            .common
            .iter()
            .map(|(name, value)| format!("{} {}", title(name), shown(name, value)));
        let words: Vec<String> = words.collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// A setting as a word of a table.
pub fn title(name: &str) -> String {
    match name {
        "num_virtual_tokens" => "P".to_string(),
        other => other.replace('_', " "),
    }
}

/// The numbers of systems that still look alike once these values are shown, too.
fn parted(alike: &[usize], values: &[&Value]) -> Vec<usize> {
    let keys: Vec<(usize, String)> =
        alike.iter().zip(values).map(|(alike, value)| (*alike, value.to_string())).collect();
    let first =
        |key: &(usize, String)| keys.iter().position(|other| other == key).unwrap_or_default();
    let firsts: Vec<usize> = keys.iter().map(first).collect();
    // In the order in which they occur, so that the same parts have the same numbers.
    let mut seen: Vec<usize> = Vec::new();
    let mut numbers = Vec::with_capacity(firsts.len());
    for first in firsts {
        let at = seen.iter().position(|known| *known == first).unwrap_or_else(|| {
            seen.push(first);
            seen.len() - 1
        });
        numbers.push(at);
    }
    numbers
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn systems(list: &[Value]) -> Vec<Named> {
        list.iter().map(|system| system.as_object().unwrap().clone()).collect()
    }

    #[test]
    fn a_setting_that_goes_with_another_is_no_column() {
        let found = systems(&[
            json!({"method": "prompt", "num_virtual_tokens": 20, "init": "vocab", "lr": 0.3, "steps": 9}),
            json!({"method": "ptv2", "num_virtual_tokens": 16, "init": "random", "lr": 0.007, "steps": 9,
                "prefix_projection": false}),
            json!({"method": "head", "lr": 0.03, "steps": 9}),
        ]);
        let columns = Columns::of(&found.iter().collect::<Vec<_>>());
        assert_eq!(columns.titles(), ["method", "P", "lr"]);
        assert_eq!(columns.cells(&found[2]), ["head", "-", "0.03"]);
        assert_eq!(columns.label(&found[0]), "prompt, P 20, lr 0.3");
        assert_eq!(columns.in_common().as_deref(), Some("steps 9"));
    }

    #[test]
    fn what_alone_tells_systems_apart_is_a_column() {
        let found = systems(&[
            json!({"method": "prompt", "init": "vocab", "weight_decay": 0.1}),
            json!({"method": "prompt", "init": "random", "weight_decay": 0.1}),
            json!({"method": "prompt", "init": "random"}),
        ]);
        let columns = Columns::of(&found.iter().collect::<Vec<_>>());
        assert_eq!(columns.titles(), ["init", "weight decay"]);
        assert_eq!(columns.in_common().as_deref(), Some("method prompt"));
        let one = Columns::of(&[&found[0]]);
        assert_eq!((one.titles().len(), one.label(&found[0])), (0, "all runs".to_string()));
    }
}
