//! Whether the fields of an adapter are as they were saved.
//!
//! A sum over what its values mean: neither their order nor white space counts, nor do the keys that people and PEFT
//! change without changing what the adapter computes.

use std::path::Path;

use serde_json::Value;

use super::{
    codec::sha256,
    own_fields::{OWN, SUM, SUMS},
    own_file::joined,
};
use crate::error::{Error, Result};

/// What may change.
const FREE: [&str; 5] =
    ["auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision"];

/// Adds the sum to the fields of an adapter.
pub(super) fn add(config: &mut Value) {
    let sum = sum(config);
    config[OWN][SUM] = sum.into();
}

/// Whether the fields of the adapter in `dir` were changed after they were saved here: it is used all the same. One that
/// PEFT wrote, or an early version, has no sum.
///
/// # Errors
///
/// [`Error::Read`], [`Error::File`] or [`Error::Config`].
pub fn is_changed(dir: &Path) -> Result<bool> {
    let config = joined(dir)?;
    Ok(config[OWN].get(SUM).is_some_and(|stored| *stored != sum(&config)))
}

/// Refuses one of our sums in an object other than [`OWN`]: with one wrong letter in that key, an adapter would pass for
/// PEFT's, and nothing would be checked.
///
/// # Errors
///
/// [`Error::Config`].
pub(super) fn check_key(config: &Value, path: &Path) -> Result<()> {
    let holds = |value: &Value| SUMS.iter().any(|key| value.get(key).is_some());
    let mut fields = config.as_object().into_iter().flatten();
    match fields.find(|(key, value)| *key != OWN && holds(value)) {
        None => Ok(()),
        Some((key, _)) => Err(Error::config(
            path,
            key,
            format!(
                "holds what this program wrote under `{OWN}`: the key was damaged or renamed; write \"{OWN}\" in its \
                 place, so that the sums in it are checked"
            ),
        )),
    }
}

fn sum(config: &Value) -> String {
    let mut counted = config.clone();
    if let Value::Object(fields) = &mut counted {
        fields.retain(|key, _| !FREE.contains(&key.as_str()));
        if let Some(Value::Object(own)) = fields.get_mut(OWN) {
            own.remove(SUM);
        }
    }
    let mut text = String::new();
    write(&counted, &mut text);
    sha256(text.as_bytes())
}

/// The JSON of a value, keys in alphabetical order.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (key, value) in sorted {
                text.push_str(&format!("{}:", Value::from(key.as_str())));
                write(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write(item, text);
                text.push(',');
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::adapter::{config::CONFIG, own_fields::TENSORS_SUM};

    #[test]
    fn our_sums_have_one_place() {
        for (key, own, fits) in [
            (OWN, SUM, true),
            ("burn_pefu", SUM, false),
            ("burn_peft ", TENSORS_SUM, false),
            ("others", "labels", true),
        ] {
            let config = json!({key: {own: "0"}, "num_virtual_tokens": 4});
            let checked = check_key(&config, Path::new(CONFIG));
            assert_eq!(checked.is_ok(), fits, "{key}: {checked:?}");
        }
    }

    #[test]
    fn what_counts_is_what_an_adapter_computes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CONFIG);
        let changed = |text: String| {
            fs::write(&path, text).unwrap();
            is_changed(dir.path()).unwrap()
        };
        let mut config = json!({
            "num_virtual_tokens": 4, "base_model_name_or_path": "a", "inference_mode": true,
            OWN: {"labels": ["no", "yes"], "recipe": {"lr": 0.1, "seed": 7}},
        });
        assert!(!changed(config.to_string()), "without a sum");
        add(&mut config);
        assert!(!changed(config.to_string()));
        assert!(!changed(format!("{config:#}")), "white space");
        let order = |value: &Value| {
            let fields = value.as_object().unwrap().iter().rev();
            let fields: Vec<_> = fields.map(|(key, value)| format!("\"{key}\": {value}")).collect();
            format!("{{{}}}", fields.join(", "))
        };
        assert!(!changed(order(&config)), "the order of keys");
        for (place, value, counts) in [
            ("/base_model_name_or_path", json!("b"), false),
            ("/inference_mode", json!(false), false),
            ("/num_virtual_tokens", json!(5), true),
            ("/burn_peft/labels/1", json!("yet"), true),
            ("/burn_peft/recipe/lr", json!(0.100_000_000_000_000_02), true),
            ("/burn_peft/config_sha256", json!("0"), true),
        ] {
            let mut edited = config.clone();
            *edited.pointer_mut(place).unwrap() = value;
            assert_eq!(changed(edited.to_string()), counts, "{place}");
        }
        // Saved again, it is as it was saved.
        config["num_virtual_tokens"] = json!(5);
        add(&mut config);
        assert!(!changed(config.to_string()));
    }
}
