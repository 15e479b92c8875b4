//! Names that reach into objects and lists: `translation.en`, `answers.0.text`.

use serde_json::{Map, Value};

/// Returns the value of a name. A field of exactly this name comes first; otherwise each dot leads
/// into an object, by key, or into a list, by index from 0. Keys may have dots themselves.
pub(super) fn find<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = fields.get(name) {
        return Some(value);
    }
    // The longest key first, as above.
    name.rmatch_indices('.')
        .find_map(|(dot, _)| inside(fields.get(&name[..dot])?, &name[dot + 1..]))
}

fn inside<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => find(fields, name),
        Value::Array(values) => {
            let (index, rest) = match name.split_once('.') {
                Some((index, rest)) => (index, Some(rest)),
                None => (name, None),
            };
            let value = values.get(index.parse::<usize>().ok()?)?;
            rest.map_or(Some(value), |rest| inside(value, rest))
        }
        _ => None,
    }
}

/// Returns the names of the values in an object, each with the object's name in front, or the name
/// itself for anything else.
pub(super) fn spelled(name: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.keys().map(|key| format!("{name}.{key}")).collect()
        }
        _ => vec![name.to_owned()],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn at(fields: &Value, name: &str) -> Option<Value> {
        find(fields.as_object().unwrap(), name).cloned()
    }

    #[test]
    fn dots_lead_into_objects_and_lists() {
        let row = json!({
            "translation": {"en": "sea", "de.AT": "Meer"}, "answers": [{"text": "a"}, ["b", "c"]],
            "a.b": 1, "a": {"b": 2, "c": 3}, "a.b.c": {"d": 4}, "n": null
        });
        assert_eq!(at(&row, "translation.en"), Some(json!("sea")));
        assert_eq!(at(&row, "translation.de.AT"), Some(json!("Meer")));
        assert_eq!(at(&row, "answers.0.text"), Some(json!("a")));
        assert_eq!(at(&row, "answers.1.1"), Some(json!("c")));
        assert_eq!(at(&row, "a.b"), Some(json!(1)), "a name with a dot comes first");
        assert_eq!(at(&row, "a.c"), Some(json!(3)));
        assert_eq!(at(&row, "a.b.c.d"), Some(json!(4)));
        assert_eq!(at(&row, "n"), Some(Value::Null));
        for absent in [
            "x",
            "translation.fr",
            "answers.2",
            "answers.-1",
            "answers.text",
            "a.b.d",
            "n.x",
            "translation.en.x",
            ".",
            "a.",
            ".a",
            "",
        ] {
            assert_eq!(at(&row, absent), None, "{absent}");
        }
        assert_eq!(spelled("t", &row["translation"]), ["t.de.AT", "t.en"]);
        assert_eq!(spelled("t", &json!([1])), ["t"]);
    }

    proptest! {
        /// Every value is found under the names on the way to it.
        #[test]
        fn every_value_is_found(keys in prop::collection::vec("[a-c.]{1,3}", 1..4), index in 0usize..3) {
            let leaf = json!("x");
            let list = json!([leaf, leaf, leaf]);
            let row = keys.iter().rev().fold(list, |inner, key| json!({ key.as_str(): inner }));
            let name = format!("{}.{index}", keys.join("."));
            prop_assert_eq!(at(&row, &name), Some(leaf));
        }

        /// No name makes it panic.
        #[test]
        fn any_name_is_answered(name in "[a-b0-9.é]{0,8}") {
            let _ = at(&json!({"a": {"b": [1]}, "é": [[2]]}), &name);
        }
    }
}
