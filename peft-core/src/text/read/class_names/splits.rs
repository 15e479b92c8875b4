//! The parts that a data set's `README.md` makes of its files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    beside::text_of,
    card::{find_paths, front_matter, one_or_several},
    yaml,
};

/// The parts of a data set that the card in `folder`, or in the one above it, makes of `files`, each with its file;
/// `None` if there are not several.
pub(in crate::text::read) fn splits_of(
    folder: &Path,
    files: &[PathBuf],
) -> Option<Vec<(String, PathBuf)>> {
    let card = [Some(folder), folder.parent()].into_iter().flatten().find_map(|folder| {
        let text = text_of(&folder.join("README.md"))?;
        Some((folder, yaml::read(front_matter(&text)?).ok()?))
    });
    let (top, card) = card?;
    let options = glob::MatchOptions { require_literal_separator: true, ..Default::default() };
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for config in one_or_several(&card["configs"]) {
        for (split, path) in paths_of_splits(&config["data_files"]) {
            let Ok(pattern) = glob::Pattern::new(path.trim_start_matches("./")) else { continue };
            let of_split = files.iter().filter(|file| {
                let below = file.strip_prefix(top);
                below.is_ok_and(|below| pattern.matches_path_with(below, options))
            });
            for file in of_split {
                if !found.iter().any(|(other, known)| known == file && *other == split) {
                    found.push((split.clone(), file.clone()));
                }
            }
        }
    }
    let several = found.iter().any(|(split, _)| *split != found[0].0);
    several.then_some(found)
}

/// The splits in `data_files` with their paths; none of paths without a split.
fn paths_of_splits(files: &Value) -> Vec<(String, String)> {
    let with = |split: &str, files: &Value| {
        let mut paths = Vec::new();
        find_paths(files, &mut paths);
        paths.into_iter().map(|path| (split.to_owned(), path)).collect::<Vec<_>>()
    };
    match files {
        Value::Array(list) => list
            .iter()
            .filter_map(|one| Some(with(one["split"].as_str()?, &one["path"])))
            .flatten()
            .collect(),
        Value::Object(object) if object.contains_key("split") => Vec::new(),
        Value::Object(object) => {
            object.iter().flat_map(|(split, files)| with(split, files)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn several_splits_of_a_folder_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let splits = |card: &str, files: &[&str]| {
            std::fs::write(path("README.md"), card).unwrap();
            let files: Vec<PathBuf> = files.iter().map(|file| path(file)).collect();
            let found = splits_of(dir.path(), &files).unwrap_or_default();
            found.into_iter().map(|(split, _)| split).collect::<Vec<_>>().join(" ")
        };
        let list = "---\nconfigs:\n- config_name: a\n  data_files:\n  - split: train\n    path: a.*\n  - split: test\n    \
            path: [./b.csv, c.csv]\n---\n";
        assert_eq!(splits(list, &["a.csv", "b.csv"]), "train test");
        assert_eq!(splits(list, &["b.csv", "c.csv"]), "");
        assert_eq!(splits(list, &["x.csv"]), "");
        let object = "---\nconfigs:\n- data_files:\n    train: a.csv\n    test: b.csv\n---\n";
        assert_eq!(splits(object, &["a.csv", "b.csv"]), "test train");
        assert_eq!(splits("---\nconfigs:\n- data_files: '*.csv'\n---\n", &["a.csv", "b.csv"]), "");
        assert_eq!(splits("---\nconfigs: [\n---\n", &["a.csv", "b.csv"]), "");
    }
}
