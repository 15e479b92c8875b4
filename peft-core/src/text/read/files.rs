//! Which files are meant: a file, a folder of them, or a pattern.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{format::data_extension, source::STANDARD_INPUT};
use crate::error::{Error, Result};

/// What data sets call their parts.
const PARTS: &[&str] = &["train", "training", "valid", "validation", "val", "dev", "test", "eval"];

/// The data files that `names` stand for, in order. Each name is a file, `-` for standard input, a folder, which
/// stands for the data files in it or in its folder `data`, or a pattern with `*`, `?` or `[...]`. The files of a
/// folder or a pattern are in the order of their names, as are the shards of a data set
/// (`train-00000-of-00002.jsonl`).
///
/// # Errors
/// [`Error::File`] for a pattern or a folder without data files, and for a folder that holds several parts of a
/// data set, such as training and test rows.
pub fn find_files(names: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for name in names {
        if name.is_dir() {
            files.extend(of_folder(name)?);
        } else if name.exists() || name.as_os_str() == STANDARD_INPUT || !is_pattern(name) {
            // A file that is missing is told when it is opened.
            files.push(name.clone());
        } else {
            files.extend(of_pattern(name)?);
        }
    }
    Ok(files)
}

fn is_pattern(name: &Path) -> bool {
    name.to_str().is_some_and(|name| name.contains(['*', '?', '[']))
}

fn of_pattern(pattern: &Path) -> Result<Vec<PathBuf>> {
    let invalid = |error: glob::PatternError| Error::file(pattern, error.to_string());
    let paths = glob::glob(&pattern.to_string_lossy()).map_err(invalid)?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|error| Error::Read {
            path: error.path().to_path_buf(),
            source: error.into(),
        })?;
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(Error::file(pattern, "no file has a name of this pattern")),
        false => Ok(files),
    }
}

fn of_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = data_files(folder)?;
    let below = folder.join("data");
    if files.is_empty() && below.is_dir() {
        files = data_files(&below)?;
    }
    if files.is_empty() {
        return Err(Error::file(folder, "is a folder without data files"));
    }
    let parts: BTreeSet<String> = files.iter().filter_map(|file| part(file)).collect();
    if parts.len() > 1 {
        let parts: Vec<String> = parts.into_iter().collect();
        let message = format!(
            "is a folder with several parts of a data set ({}); give the files of one, as in {}",
            parts.join(", "),
            files[0].with_file_name(format!("*{}*", parts[0])).display()
        );
        return Err(Error::file(folder, message));
    }
    Ok(files)
}

/// The files in a folder that look like data.
fn data_files(folder: &Path) -> Result<Vec<PathBuf>> {
    /// What `datasets` writes beside the data.
    const ABOUT: &[&str] =
        &["dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"];
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::read(folder))? {
        let path = entry.map_err(Error::read(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let about = ABOUT.contains(&&*name) || name.starts_with('.');
        if path.is_file() && !about && data_extension(&path).is_some() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The part of a data set that a file belongs to, by a word of its name.
fn part(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?.to_ascii_lowercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphabetic());
    words.find(|word| PARTS.contains(word)).map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        dir
    }

    fn found(dir: &tempfile::TempDir, name: &str) -> Result<Vec<String>> {
        let files = find_files(&[dir.path().join(name)])?;
        let relative =
            |file: &PathBuf| file.strip_prefix(dir.path()).unwrap().display().to_string();
        Ok(files.iter().map(relative).collect())
    }

    fn refusal(dir: &tempfile::TempDir, name: &str) -> String {
        found(dir, name).unwrap_err().to_string()
    }

    #[test]
    fn patterns_and_folders_stand_for_their_files() {
        let dir = folder(&[
            "b/train-2.csv",
            "b/train-10.csv",
            "b/train-1.csv.gz",
            "b/README.md",
            "x[1].csv",
        ]);
        let all = ["b/train-1.csv.gz", "b/train-10.csv", "b/train-2.csv"];
        assert_eq!(found(&dir, "b").unwrap(), all);
        assert_eq!(found(&dir, "b/train*").unwrap(), all);
        assert_eq!(found(&dir, "*/train-?.csv").unwrap(), ["b/train-2.csv"]);
        assert_eq!(found(&dir, "x[1].csv").unwrap(), ["x[1].csv"], "a file of this very name");
        assert_eq!(found(&dir, "nothing.csv").unwrap(), ["nothing.csv"], "told when it is opened");
        assert_eq!(find_files(&["-".into()]).unwrap(), [PathBuf::from("-")]);
        assert!(refusal(&dir, "c*").ends_with("c*: no file has a name of this pattern"));
        assert!(refusal(&dir, "c[*").contains("c[*: "));
    }

    #[test]
    fn a_data_set_from_the_hub_is_found_in_its_folder() {
        let shards = ["data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl"];
        let dir = folder(&[shards[0], shards[1], "README.md", "dataset_infos.json"]);
        assert_eq!(found(&dir, "").unwrap(), shards);
        let several = folder(&["train.jsonl", "test.jsonl"]);
        let error = refusal(&several, "");
        assert!(
            error.contains("several parts of a data set (test, train); give the files of one"),
            "{error}"
        );
        assert!(error.ends_with("/*test*"), "{error}");
        let inner = folder(&["imdb_train.csv", "imdb_test.csv"]);
        assert!(refusal(&inner, "").contains("several parts of a data set (test, train)"));
        assert!(refusal(&folder(&["README.md"]), "").ends_with("is a folder without data files"));
    }
}
