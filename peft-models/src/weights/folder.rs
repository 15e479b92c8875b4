//! Which files of a model's folder hold its tensors.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
};

use peft_core::{Error, Result, formats::read};

use super::other_tools;

/// The files that may hold the tensors, or list those that do; the first that is there is used, as in transformers.
const NAMES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// The files of a folder that hold its tensors.
#[derive(Debug, PartialEq)]
pub struct WeightFiles {
    /// The single file, or the index.
    pub path: PathBuf,
    /// The files, each with the tensors that the index says are in it.
    pub shards: Vec<(PathBuf, Vec<String>)>,
}

impl WeightFiles {
    /// Those of the folder `dir`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if there are none, naming what is there instead; [`Error::Read`], [`Error::File`] or
    /// [`Error::Config`] for an index that cannot be used.
    pub fn of(dir: &Path) -> Result<Self> {
        if let Some(path) = named_by_config(dir)? {
            let shards = match path.extension().is_some_and(|end| end == "json") {
                true => shards(&path)?,
                false => vec![(path.clone(), Vec::new())],
            };
            return Ok(Self { path, shards });
        }
        for name in NAMES {
            let path = dir.join(name);
            if !is_present(&path)? {
                continue;
            }
            let shards = match name.ends_with(".json") {
                true => shards(&path)?,
                false => vec![(path.clone(), Vec::new())],
            };
            return Ok(Self { path, shards });
        }
        Err(Error::file(dir, none_in(dir)))
    }
}

/// The file that `config.json` names, which transformers uses in place of those by the usual names.
///
/// # Errors
///
/// [`Error::Config`] for one that is no safetensors file or index, lies elsewhere, or is missing.
fn named_by_config(dir: &Path) -> Result<Option<PathBuf>> {
    const KEY: &str = "transformers_weights";
    let config = dir.join("config.json");
    // What is wrong with the file is told where it is read for the model.
    let fields = read::json(&config).unwrap_or_default();
    let Some(value) = fields.get(KEY).filter(|value| !value.is_null()) else { return Ok(None) };
    let is_known =
        |name: &&str| name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
    let path = value.as_str().filter(is_known).and_then(below).ok_or_else(|| {
        let message = format!("found {value}, expected the path of a .safetensors file, or of an index of such files, in this folder");
        Error::config(&config, KEY, message)
    })?;
    let path = dir.join(path);
    match is_present(&path)? {
        true => Ok(Some(path)),
        false => {
            let message = format!("names {}, which is missing", path.display());
            Err(Error::config(&config, KEY, message))
        }
    }
}

/// Whether there is a file of this name.
///
/// # Errors
///
/// [`Error::Read`] for a link that leads nowhere, [`Error::File`] for a folder or a pipe.
fn is_present(path: &Path) -> Result<bool> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(false);
    }
    // A pipe would never answer.
    match fs::metadata(path).map_err(Error::read(path))?.is_file() {
        true => Ok(true),
        false => Err(Error::file(path, "is a folder or a device, expected a file")),
    }
}

/// The files that an index names.
fn shards(index: &Path) -> Result<Vec<(PathBuf, Vec<String>)>> {
    let json = read::json(index)?;
    let map = json["weight_map"]
        .as_object()
        .filter(|map| !map.is_empty())
        .ok_or_else(|| Error::config(index, "weight_map", "is missing, empty or not an object"))?;
    let mut files = BTreeMap::<PathBuf, Vec<String>>::new();
    for (tensor, shard) in map {
        let path = shard.as_str().and_then(below).ok_or_else(|| {
            let message = format!(
                "expected the path of a file in or below the folder of the index, found {shard}"
            );
            Error::config(index, format!("weight_map.{tensor}"), message)
        })?;
        files.entry(path).or_default().push(tensor.clone());
    }
    files
        .into_iter()
        .map(|(name, tensors)| {
            let path = index.parent().unwrap_or(Path::new("")).join(name);
            match is_present(&path)? {
                true => Ok((path, tensors)),
                false => {
                    let message = format!("is missing, {} lists it", index.display());
                    Err(Error::file(&path, message))
                }
            }
        })
        .collect()
}

/// The path that an index names, if it stays below the index's folder: transformers joins the two.
fn below(name: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    // On Windows it separates, elsewhere it is a letter.
    (!name.contains('\\') && !path.as_os_str().is_empty()).then_some(path)
}

/// What to do about a folder without weights.
fn none_in(dir: &Path) -> String {
    let expected = "holds no weights: expected model.safetensors or pytorch_model.bin, or the index of their parts";
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let find = |is: &dyn Fn(&str) -> bool| names.iter().find(|name| is(name));
    let ends = |name: &str, ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let weights = |name: &str| ends(name, &[".safetensors", ".bin"]);
    if let Some(part) = find(&|name| weights(name) && name.contains("-of-")) {
        return format!(
            "{expected}. It has {part}, but not the index (`*.index.json`) that belongs to it: fetch it from where the parts \
             are from"
        );
    }
    if let Some(adapter) = find(&|name| weights(name) && name.starts_with("adapter_model.")) {
        return format!("{expected}. It has {adapter}: it is an adapter, not a base model");
    }
    let named = |begin: &str| find(&|name| weights(name) && name.starts_with(begin));
    if let Some(other) = named("model.").or_else(|| named("pytorch_model.")) {
        return format!("{expected}. To use {other}, copy it to the usual name");
    }
    match other_tools::in_folder(dir) {
        Some((name, what)) => format!("{expected}; found {name}, {what}"),
        None => expected.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A folder with these files.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(dir.path().join(name), content).unwrap();
        }
        dir
    }

    fn refusal(files: &[(&str, &str)]) -> String {
        WeightFiles::of(folder(files).path()).unwrap_err().to_string()
    }

    #[test]
    fn the_first_kind_that_is_there_is_used() {
        let index =
            |file: &str| format!("{{\"weight_map\": {{\"a\": {file:?}, \"b\": {file:?}}}}}");
        let (safe, torch) = (index("1.safetensors"), index("1.bin"));
        let all = [
            ("model.safetensors", ""),
            ("model.safetensors.index.json", &safe),
            ("pytorch_model.bin", ""),
            ("pytorch_model.bin.index.json", &torch),
        ];
        for first in 0..all.len() {
            let mut files = all[first..].to_vec();
            files.extend([("1.safetensors", ""), ("1.bin", "")]);
            let dir = folder(&files);
            let found = WeightFiles::of(dir.path()).unwrap();
            assert_eq!(found.path, dir.path().join(all[first].0));
            let (single, parts) = (vec![], vec!["a".to_string(), "b".to_string()]);
            let expected = match first {
                0 => ("model.safetensors", single),
                1 => ("1.safetensors", parts),
                2 => ("pytorch_model.bin", single),
                _ => ("1.bin", parts),
            };
            assert_eq!(found.shards, [(dir.path().join(expected.0), expected.1)]);
        }
    }

    #[test]
    fn an_index_names_files_beside_or_below_it() {
        let says = |map: &str| refusal(&[("pytorch_model.bin.index.json", map)]);
        for map in ["{}", "[]", "{\"weight_map\": {}}", "{\"weight_map\": 3}"] {
            assert!(says(map).contains("key `weight_map`: is missing, empty or"), "{map}");
        }
        for file in
            ["../a.bin", "/a.bin", "b\\\\a.bin", "a/../../b.bin", "a/../b.bin", "..", ".", ""]
        {
            let map = format!("{{\"weight_map\": {{\"x\": \"{file}\"}}}}");
            assert!(
                says(&map).contains("weight_map.x`: expected the path of a file in or below"),
                "{file}: {}",
                says(&map)
            );
        }
        assert!(says("{\"weight_map\": {\"x\": \"a.bin\"}}").contains("a.bin: is missing"));
        assert!(says("{\"weight_map\": {\"x\": \"a/b.bin\"}}").contains("a/b.bin: is missing"));

        // One file, however it is spelled.
        let map = r#"{"weight_map": {"x": "parts/1.bin", "y": "./parts//1.bin", "z": "2.bin"}}"#;
        let dir = folder(&[("pytorch_model.bin.index.json", map), ("2.bin", "")]);
        fs::create_dir(dir.path().join("parts")).unwrap();
        fs::write(dir.path().join("parts/1.bin"), "").unwrap();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let expected = [
            (dir.path().join("2.bin"), names(&["z"])),
            (dir.path().join("parts/1.bin"), names(&["x", "y"])),
        ];
        assert_eq!(WeightFiles::of(dir.path()).unwrap().shards, expected);
    }

    #[test]
    fn a_config_may_name_the_file() {
        let config = |name: &str| format!("{{\"transformers_weights\": {name}}}");
        let index = r#"{"weight_map": {"a": "1.safetensors"}}"#;
        for (name, file, shard) in [
            ("null", "model.safetensors", "model.safetensors"),
            ("\"own.safetensors\"", "own.safetensors", "own.safetensors"),
            ("\"own.safetensors.index.json\"", "own.safetensors.index.json", "1.safetensors"),
        ] {
            let config = config(name);
            let files = ["model.safetensors", "own.safetensors", "1.safetensors"].map(|n| (n, ""));
            let more = [("config.json", &config[..]), ("own.safetensors.index.json", index)];
            let dir = folder(&[&files[..], &more].concat());
            let found = WeightFiles::of(dir.path()).unwrap();
            assert_eq!(found.path, dir.path().join(file), "{name}");
            assert_eq!(found.shards[0].0, dir.path().join(shard), "{name}");
        }
        for (name, says) in [
            ("\"../own.safetensors\"", "expected the path of a .safetensors file"),
            ("\"own.bin\"", "expected the path of a .safetensors file"),
            ("7", "found 7, expected the path"),
            ("\"own.safetensors\"", "own.safetensors, which is missing"),
        ] {
            let error = refusal(&[("config.json", &config(name)), ("model.safetensors", "")]);
            let key = "config.json: key `transformers_weights`: ";
            assert!(error.contains(key) && error.contains(says), "{name}: {error}");
        }
    }

    #[test]
    fn what_is_there_instead_is_named() {
        for (file, says) in [
            ("model-00001-of-00002.safetensors", "but not the index"),
            ("adapter_model.safetensors", "it is an adapter"),
            ("model.fp16.safetensors", "copy it to the usual name"),
            ("tf_model.h5", "found tf_model.h5, weights of TensorFlow. Convert them"),
            ("consolidated.00.pth", "found consolidated.00.pth, weights in Meta's format"),
            ("README.md", "the index of their parts"),
        ] {
            let error = refusal(&[(file, "")]);
            assert!(error.contains("holds no weights") && error.contains(says), "{file}: {error}");
        }
        let dir = folder(&[]);
        fs::create_dir(dir.path().join("model.safetensors")).unwrap();
        assert!(
            WeightFiles::of(dir.path())
                .unwrap_err()
                .to_string()
                .contains("is a folder or a device")
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_nowhere_are_told() {
        let dir = folder(&[]);
        let path = dir.path().join("model.safetensors");
        for target in ["model.safetensors", "blobs/0123"] {
            std::os::unix::fs::symlink(target, &path).unwrap();
            let error = WeightFiles::of(dir.path()).unwrap_err().to_string();
            assert!(
                error.contains("cannot read") && error.contains("model.safetensors"),
                "{error}"
            );
            fs::remove_file(&path).unwrap();
        }
    }
}
