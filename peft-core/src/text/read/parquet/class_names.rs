//! The names of classes that `datasets` writes into a file's metadata, beside the numbers in its columns.

use parquet::file::metadata::FileMetaData;
use serde_json::Value;

/// The key that `datasets` keeps its own description under.
const KEY: &str = "huggingface";

/// The columns that hold numbers of classes, with the names of the classes.
pub(super) fn of(file: &FileMetaData) -> Vec<(String, Vec<String>)> {
    let mut entries = file.key_value_metadata().into_iter().flatten();
    let text = entries.find(|entry| entry.key == KEY).and_then(|entry| entry.value.as_deref());
    text.map_or_else(Vec::new, described)
}

/// Those in the description `text`: `{"info": {"features": {"label": {"_type": "ClassLabel", "names": [...]}}}}`.
fn described(text: &str) -> Vec<(String, Vec<String>)> {
    let description: Value = serde_json::from_str(text).unwrap_or_default();
    let features = description.pointer("/info/features").and_then(Value::as_object);
    let named = |(column, feature): (&String, &Value)| Some((column.clone(), names(feature)?));
    features.into_iter().flatten().filter_map(named).collect()
}

/// The names of a feature's classes, or of those in a list.
fn names(feature: &Value) -> Option<Vec<String>> {
    if let Some([element]) = feature.as_array().map(Vec::as_slice) {
        return names(element);
    }
    if let Some(element) = feature.get("feature") {
        return names(element);
    }
    if feature.get("_type")?.as_str()? != "ClassLabel" {
        return None;
    }
    let names = feature.get("names")?.as_array()?;
    let names: Option<Vec<String>> =
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
    names.filter(|names| !names.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_values_and_of_lists_are_found() {
        let label = r#"{"names": ["neg", "pos"], "_type": "ClassLabel"}"#;
        let text = format!(
            r#"{{"info": {{"features": {{"text": {{"dtype": "string", "_type": "Value"}}, "label": {label},
            "a": {{"feature": {label}, "length": -1, "_type": "Sequence"}}, "b": {{"feature": {label}, "_type": "List"}},
            "c": [{label}], "n": {{"num_classes": 2, "_type": "ClassLabel"}}}}}}}}"#
        );
        let found = described(&text);
        let columns: Vec<&str> = found.iter().map(|(column, _)| column.as_str()).collect();
        assert_eq!(columns, ["a", "b", "c", "label"]);
        assert!(found.iter().all(|(_, names)| names == &["neg", "pos"]));
        for text in ["", "{}", "[1]", r#"{"info": {"features": []}}"#] {
            assert_eq!(described(text), []);
        }
    }
}
