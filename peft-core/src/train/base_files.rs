//! What a base model is beside its weights, so that a run which goes on tells if it was changed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longer values are not shown where they differ.
const LONGEST: usize = 60;

/// The config and the tokenizer of a base model. With the same weights, another `rope_theta` is another model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BaseFiles {
    /// The file that holds the config.
    pub config_file: String,
    /// The config, as far as outputs follow from it.
    pub config: Map<String, Value>,
    /// SHA-256 of the files by which texts become tokens, by name. The tokens of rows have a sum of their own, so that
    /// these only say why it differs.
    pub tokenizer: BTreeMap<String, String>,
}

impl BaseFiles {
    /// Whether nothing is known of them.
    pub fn is_empty(&self) -> bool {
        self.config.is_empty() && self.tokenizer.is_empty()
    }

    /// The names of files of the tokenizer that are not as they were `then`.
    pub fn other_tokenizer_files<'f>(&'f self, then: &'f Self) -> Vec<&'f str> {
        let names: BTreeSet<&String> = self.tokenizer.keys().chain(then.tokenizer.keys()).collect();
        let differs = |name: &&String| self.tokenizer.get(*name) != then.tokenizer.get(*name);
        names.into_iter().filter(differs).map(String::as_str).collect()
    }
}

/// The keys of a config that are not as they were `then`, each with both values where they are short.
pub fn other_keys(then: &Map<String, Value>, now: &Map<String, Value>) -> Vec<String> {
    differing_keys(then, now, |then, now| format!("then {then}, now {now}"))
}

/// The keys that are not in both with the same value, each with what `both` says of the two values where they are short.
pub(super) fn differing_keys(
    then: &Map<String, Value>,
    now: &Map<String, Value>,
    both: impl Fn(&str, &str) -> String,
) -> Vec<String> {
    let keys: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    // Missing and null are not the same for every key.
    let shown = |value: Option<&Value>| value.map_or("missing".to_string(), Value::to_string);
    let of_key = |key: &String| {
        let (then, now) = (then.get(key), now.get(key));
        if then == now {
            return None;
        }
        let (then, now) = (shown(then), shown(now));
        Some(match then.len().max(now.len()) > LONGEST {
            true => key.clone(),
            false => format!("{key} ({})", both(&then, &now)),
        })
    };
    keys.into_iter().filter_map(of_key).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn keys_that_differ_are_named_with_their_values() {
        let then = map(json!({"a": 1, "b": 0.5, "c": null, "d": {"x": 1}}));
        assert_eq!(other_keys(&then, &then), [""; 0]);
        let now = map(json!({"a": 1, "b": 0.25, "d": {"x": "y".repeat(LONGEST)}, "e": true}));
        assert_eq!(
            other_keys(&then, &now),
            [
                "b (then 0.5, now 0.25)",
                "c (then null, now missing)",
                "d",
                "e (then missing, now true)"
            ]
        );
    }

    #[test]
    fn files_that_differ_are_named() {
        let of = |files: &[(&str, &str)]| BaseFiles {
            tokenizer: files
                .iter()
                .map(|(name, sum)| (name.to_string(), sum.to_string()))
                .collect(),
            ..BaseFiles::default()
        };
        let (then, now) =
            (of(&[("a", "1"), ("b", "2")]), of(&[("a", "1"), ("b", "3"), ("c", "4")]));
        assert_eq!(now.other_tokenizer_files(&then), ["b", "c"]);
        assert!(now.other_tokenizer_files(&now).is_empty() && of(&[]).is_empty());
    }
}
