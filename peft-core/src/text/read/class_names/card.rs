//! What the YAML at the top of a data set's `README.md` says of its columns.
//!
//! ```text
//! ---
//! dataset_info:
//!   features:
//!   - name: label
//!     dtype:
//!       class_label:
//!         names:
//!           '0': negative
//!           '1': positive
//! configs:
//! - config_name: default
//!   data_files:
//!   - split: train
//!     path: data/train-*
//! ---
//! ```

use serde_json::Value;

use super::{
    configs::{Column, Config},
    yaml,
};

/// The configurations that a card describes; none if it describes none.
///
/// # Errors
/// What keeps the card's YAML from being read.
pub(super) fn read(text: &str) -> Result<Vec<Config>, String> {
    let Some(yaml) = front_matter(text) else { return Ok(Vec::new()) };
    if !yaml.lines().any(|line| line.starts_with("dataset_info")) {
        return Ok(Vec::new());
    }
    let card = yaml::read(yaml)?;
    let mut configs: Vec<Config> = one_or_several(&card["dataset_info"]).map(described).collect();
    for config in one_or_several(&card["configs"]) {
        let name = config["config_name"].as_str().unwrap_or_default();
        let mut paths = Vec::new();
        find_paths(&config["data_files"], &mut paths);
        configs.iter_mut().filter(|known| known.name == name).for_each(|known| {
            known.files.extend(paths.iter().filter_map(|path| glob::Pattern::new(path).ok()));
        });
    }
    Ok(configs)
}

/// The YAML between the first line, `---`, and the next such line.
pub(super) fn front_matter(text: &str) -> Option<&str> {
    let text = text.trim_start_matches('\u{feff}');
    let (first, rest) = text.split_once('\n')?;
    let mut end = 0;
    let is_mark = |line: &str| line.trim_end() == "---";
    for line in rest.split_inclusive('\n').filter(|_| is_mark(first)) {
        if is_mark(line) {
            return Some(&rest[..end]);
        }
        end += line.len();
    }
    None
}

pub(super) fn one_or_several(value: &Value) -> impl Iterator<Item = &Value> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter(|value| value.is_object())
}

/// An element of `dataset_info`.
fn described(info: &Value) -> Config {
    // The name that `datasets` gives a configuration without one.
    let name = info["config_name"].as_str().unwrap_or("default").to_owned();
    let features = info["features"].as_array().into_iter().flatten();
    let columns = features.filter_map(|feature| {
        Some(Column { field: feature["name"].as_str()?.to_owned(), names: names(feature) })
    });
    Config { name, files: Vec::new(), columns: columns.collect() }
}

/// The names of a feature's classes, or of those in a list; the reason if they cannot be read.
fn names(feature: &Value) -> Option<Result<Vec<String>, String>> {
    let inner = ["dtype", "sequence", "list", "large_list"];
    if let Some(inner) = inner.iter().map(|key| &feature[key]).find(|inner| inner.is_object()) {
        return names(inner);
    }
    let names = feature.get("class_label")?.get("names")?;
    let text = |name: &Value| name.as_str().map(str::to_owned);
    let found = match names {
        Value::Array(list) => list.iter().map(text).collect(),
        Value::Object(object) => {
            let name = |index: usize| object.get(&index.to_string()).and_then(text);
            (0..object.len()).map(name).collect()
        }
        _ => None,
    };
    let wrong = || "expected a name for each number from 0 on".to_owned();
    Some(found.filter(|found: &Vec<String>| !found.is_empty()).ok_or_else(wrong))
}

/// The paths in `data_files`: a pattern, a list of them, parts of the data set with their `path`, or all of it.
pub(super) fn find_paths(files: &Value, paths: &mut Vec<String>) {
    match files {
        Value::String(path) => paths.push(path.trim_start_matches("./").to_owned()),
        Value::Array(list) => list.iter().for_each(|files| find_paths(files, paths)),
        Value::Object(object) => match object.get("path") {
            Some(path) => find_paths(path, paths),
            None => object.values().for_each(|files| find_paths(files, paths)),
        },
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn column(feature: &str) -> Column {
        let text =
            format!("---\ndataset_info:\n  features:\n  - name: label\n{feature}\n---\n# More\n");
        read(&text).unwrap().remove(0).columns.remove(0)
    }

    #[test]
    fn classes_of_values_and_of_lists_are_found() {
        let mapping = "class_label:\n        names:\n          '0': neg\n          1: pos";
        let list = "class_label: {names: [neg, pos]}";
        for classes in [mapping, list] {
            for key in ["dtype", "sequence", "list"] {
                let found = column(&format!("    {key}:\n      {classes}"));
                assert_eq!(found.names.unwrap().unwrap(), ["neg", "pos"], "{key} {classes}");
            }
        }
        assert_eq!(column("    dtype: int64").names, None);
        assert_eq!(column("    sequence: int64").names, None);
        for wrong in ["{'0': a, '2': b}", "{a: b}", "[]", "[[a]]", "a"] {
            let found = column(&format!("    dtype:\n      class_label: {{names: {wrong}}}"));
            assert!(found.names.unwrap().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_a_card_is_read() {
        for text in [
            "",
            "# About\n",
            "---\nlicense: mit\n---\n",
            "---\ndataset_info: [\n",
            "---\nlicense: [\n---\ndataset_info: 1\n",
            "---\ndataset_info: none\n---\n",
        ] {
            assert_eq!(read(text).unwrap().len(), 0, "{text}");
        }
        assert!(read("---\ndataset_info: [\n---\n").unwrap_err().starts_with("line "));
        let crlf = "\u{feff}---\r\ndataset_info:\r\n  config_name: a\r\n---\r\n";
        assert_eq!(read(crlf).unwrap()[0].name, "a");
    }

    #[test]
    fn files_of_configurations_are_found() {
        let card = "---\ndataset_info:\n- config_name: a\n- config_name: b\n- config_name: c\n- features: []\n\
            configs:\n- config_name: a\n  data_files: a/*.csv\n- config_name: b\n  data_files:\n  - split: train\n    \
            path: [./b/x, b/y]\n- config_name: c\n  data_files:\n    train: c/*\n---\n";
        let files: Vec<String> = read(card)
            .unwrap()
            .iter()
            .map(|config| config.files.iter().map(|f| f.as_str()).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(files, ["a/*.csv", "b/x b/y", "c/*", ""]);
    }
}
