//! Which GGUF file a path means.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// The GGUF file that `path` means, if any: a file, or the only one of a folder without safetensors and without
/// `pytorch_model.bin`. Of a split file it is the first part.
///
/// # Errors
///
/// [`Error::Read`] if the folder cannot be read, [`Error::File`] if it holds several GGUF files and nothing else that
/// could be meant.
pub fn gguf_of(path: &Path) -> Result<Option<PathBuf>> {
    if path.is_file() {
        return Ok(is_gguf(path).then(|| path.to_path_buf()));
    }
    if !path.is_dir() {
        return Ok(None);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(Error::read(path))? {
        let file = entry.map_err(Error::read(path))?.path();
        if is_other(&file) {
            return Ok(None);
        }
        if is_gguf(&file) && is_first(&file) {
            found.push(file);
        }
    }
    found.sort();
    match found.as_slice() {
        [_, _, ..] => {
            let name = |file: &PathBuf| file.file_name().map(|name| name.display().to_string());
            let names: Vec<String> = found.iter().filter_map(name).collect();
            let names = names.join(", ");
            Err(Error::file(path, format!("holds several models, name one of them: {names}")))
        }
        _ => Ok(found.pop()),
    }
}

/// Whether a file holds tensors in another format.
fn is_other(file: &Path) -> bool {
    let ends = |ending| file.extension().is_some_and(|extension| extension == ending);
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ends("safetensors") || ends("bin") && name.starts_with("pytorch_model")
}

/// Whether a path has the name of a GGUF file.
pub fn is_gguf(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// Whether a file is whole, or the first part of a split one, by its name.
fn is_first(file: &Path) -> bool {
    let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let part = name.rsplit_once("-of-").and_then(|(before, count)| {
        let is_count = count.len() == 5 && count.bytes().all(|byte| byte.is_ascii_digit());
        before.get(before.len().checked_sub(5)?..).filter(|_| is_count)
    });
    part.is_none_or(|part| part == "00001")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_only_file_of_a_folder_is_meant() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let of = |path: &Path| gguf_of(path).map_err(|error| error.to_string());
        assert_eq!(of(dir.path()), Ok(None));
        assert_eq!(of(&at("none.gguf")), Ok(None));
        for name in ["a-00001-of-00002.gguf", "a-00002-of-00002.gguf", "config.json"] {
            fs::write(at(name), "").unwrap();
        }
        assert_eq!(of(dir.path()), Ok(Some(at("a-00001-of-00002.gguf"))));
        assert_eq!(of(&at("a-00002-of-00002.gguf")), Ok(Some(at("a-00002-of-00002.gguf"))));
        assert_eq!(of(&at("config.json")), Ok(None));
        fs::write(at("b.GGUF"), "").unwrap();
        let error = of(dir.path()).unwrap_err();
        assert!(error.ends_with("name one of them: a-00001-of-00002.gguf, b.GGUF"), "{error}");
        fs::write(at("pytorch_model.bin"), "").unwrap();
        assert_eq!(of(dir.path()), Ok(None));
    }
}
