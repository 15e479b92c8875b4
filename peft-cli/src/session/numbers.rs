//! In which numbers an adapter's run had the base model, and in which the model is here.

use peft_core::Adapter;
use peft_models::{Compute, WeightFormat};
use serde::de::DeserializeOwned;

use super::UseArgs;
use crate::usage::listed;

/// What differs, of an adapter that remembers its run: the name of a setting, the run's value, and the one here. How a
/// file stores its matrices, `auto`, loses nothing against f32.
pub fn differing(adapter: &Adapter, args: &UseArgs) -> Vec<(&'static str, String, String)> {
    let own = &adapter.config.own;
    // Of an adapter of PEFT nothing is known; a setting that ours does not name is the default.
    let Some(recipe) = own.recipe.as_object().filter(|_| own.method.is_some()) else {
        return Vec::new();
    };
    fn value<T: DeserializeOwned + Default>(found: Option<&serde_json::Value>) -> T {
        found.and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default()
    }
    let dtype: Compute = value(recipe.get("dtype").or(recipe.get("compute")));
    let weights: WeightFormat = value(recipe.get("base_weights"));
    let mut found = Vec::new();
    if dtype != args.dtype {
        found.push(("dtype", dtype.to_string(), args.dtype.to_string()));
    }
    let rounded = |format: WeightFormat| Some(format).filter(|format| format.is_rounded());
    if rounded(weights) != rounded(args.base_weights) {
        found.push(("base_weights", weights.to_string(), args.base_weights.to_string()));
    }
    found
}

/// What is said of them; `whose` are the adapters of which they are true.
pub fn note(differing: &[(&str, String, String)], whose: &[String]) -> Option<String> {
    let flags = |value: fn(&(&str, String, String)) -> String| {
        let flag = |one: &(&str, String, String)| format!(" --{} {}", one_flag(one), value(one));
        differing.iter().map(flag).collect::<String>()
    };
    let [then, now] = [flags(|one| one.1.clone()), flags(|one| one.2.clone())];
    let (was, is, of_run) = match whose {
        [_] => ("was", "is", "its run"),
        _ => ("were", "are", "their runs"),
    };
    let whose = listed(whose, "and");
    (!differing.is_empty()).then(|| {
        format!(
            "note: {whose} {was} trained with{then}, and {is} used with{now}: results differ from those of {of_run}"
        )
    })
}

fn one_flag((name, ..): &(&str, String, String)) -> String {
    name.replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_named() {
        let of = |name, then: &str, now: &str| (name, then.to_string(), now.to_string());
        let found = [of("dtype", "bf16", "f32"), of("base_weights", "auto", "int8")];
        let whose = ["a", "b"].map(String::from);
        assert_eq!(note(&[], &whose), None);
        assert_eq!(
            note(&found, &whose[..1]).as_deref(),
            Some(
                "note: a was trained with --dtype bf16 --base-weights auto, and is used with --dtype f32 --base-weights int8: \
                 results differ from those of its run"
            )
        );
        assert_eq!(
            note(&found[1..], &whose).as_deref(),
            Some(
                "note: a and b were trained with --base-weights auto, and are used with --base-weights int8: results differ \
                 from those of their runs"
            )
        );
    }
}
