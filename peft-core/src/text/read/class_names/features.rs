//! The description of columns that `datasets` writes as JSON.

use serde_json::Value;

use super::configs::{Column, Config};

/// The columns that hold numbers of classes, in the metadata `text` of a Parquet file:
/// `{"info": {"features": {"label": {"_type": "ClassLabel", "names": [...]}}}}`.
#[cfg(feature = "parquet")]
pub(in crate::text::read) fn of_metadata(text: &str) -> Vec<(String, Vec<String>)> {
    let description: Value = serde_json::from_str(text).unwrap_or_default();
    let columns = columns(&description["info"]);
    columns.into_iter().filter_map(|column| Some((column.field, column.names?.ok()?))).collect()
}

/// The configurations in a file: `dataset_infos.json` has an object for each, `dataset_info.json` is one.
///
/// # Errors
/// What keeps the file from being read.
pub(super) fn read(text: &str) -> Result<Vec<Config>, String> {
    let whole: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let config = |name: &str, info: &Value| Config {
        name: name.to_owned(),
        files: Vec::new(),
        columns: columns(info),
    };
    if whole.get("features").is_some() {
        return Ok(vec![config("default", &whole)]);
    }
    let configs = whole.as_object().into_iter().flatten();
    Ok(configs.map(|(name, info)| config(name, info)).collect())
}

fn columns(info: &Value) -> Vec<Column> {
    let features = info["features"].as_object().into_iter().flatten();
    features
        .map(|(field, feature)| Column { field: field.clone(), names: names(feature) })
        .collect()
}

/// The names of a feature's classes, or of those in a list.
fn names(feature: &Value) -> Option<Result<Vec<String>, String>> {
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
    names.filter(|names| !names.is_empty()).map(Ok)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_values_and_of_lists_are_found() {
        let label = r#"{"names": ["neg", "pos"], "_type": "ClassLabel"}"#;
        let features = format!(
            r#"{{"features": {{"text": {{"dtype": "string", "_type": "Value"}}, "label": {label},
            "a": {{"feature": {label}, "length": -1, "_type": "Sequence"}}, "b": {{"feature": {label}, "_type": "List"}},
            "c": [{label}], "n": {{"num_classes": 2, "_type": "ClassLabel"}}}}}}"#
        );
        for text in [features.clone(), format!(r#"{{"default": {features}}}"#)] {
            let found = read(&text).unwrap().remove(0);
            let named = found
                .columns
                .iter()
                .filter_map(|column| Some((&column.field, column.names.clone()?)));
            let (columns, names): (Vec<_>, Vec<_>) = named.unzip();
            assert_eq!(columns, ["a", "b", "c", "label"]);
            assert!(names.iter().all(|names| names.as_ref().unwrap() == &["neg", "pos"]));
        }
        for text in ["{}", "[1]", "{\"a\": 1}"] {
            assert!(read(text).unwrap().iter().all(|config| config.columns.is_empty()));
        }
        assert!(read("{").is_err());
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn the_metadata_of_a_parquet_file_names_classes() {
        let text = r#"{"info": {"features": {"label": {"names": ["neg"], "_type": "ClassLabel"}, "x": {}}}}"#;
        assert_eq!(of_metadata(text), [("label".to_owned(), vec!["neg".to_owned()])]);
        for text in ["", "{}", "[1]", r#"{"info": {"features": []}}"#] {
            assert_eq!(of_metadata(text), []);
        }
    }
}
