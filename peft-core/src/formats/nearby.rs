//! Which folder was probably meant by a path that does not lead to one of the kind expected: a folder too high or too
//! deep, or a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders are searched this deep below the path: `out/checkpoint-500`, `out/checkpoints/step-00000500`.
const DEPTH: usize = 2;
/// Folders above the path that are looked at.
const ABOVE: usize = 2;
/// The most entries of a folder that are looked at.
const ENTRIES: usize = 1000;
/// The most folders that a message names.
const NAMED: usize = 3;

/// The folders below `folder` that hold a file of the name `file`, in the order of their names. Hidden ones are left out:
/// they may be folders that are just being written.
pub fn below(folder: &Path, file: &str) -> Vec<PathBuf> {
    below_by(folder, file, DEPTH)
}

fn below_by(folder: &Path, file: &str, depth: usize) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries
        .take(ENTRIES)
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && !is_hidden(path))
        .collect();
    folders.sort();
    let mut found = Vec::new();
    for folder in folders {
        match folder.join(file).is_file() {
            true => found.push(folder),
            false if depth > 1 => found.extend(below_by(&folder, file, depth - 1)),
            false => {}
        }
    }
    found
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// The nearest folder above `path` that holds a file of the name `file`.
pub fn above(path: &Path, file: &str) -> Option<String> {
    let mut folders = path.ancestors().skip(1).take(ABOVE);
    let found = folders.find(|folder| folder.join(file).is_file())?;
    Some(match found.as_os_str().is_empty() {
        true => ".".into(),
        false => found.display().to_string(),
    })
}

/// What to give: the only folder, the newest checkpoint, or one of several. `None` if nothing was found.
pub fn describe(found: &[PathBuf]) -> Option<String> {
    let name = |path: &PathBuf| path.display().to_string();
    if let [only] = found {
        return Some(format!("give {}", name(only)));
    }
    let steps: Option<Vec<u64>> = found.iter().map(|path| step_of(path)).collect();
    if let Some(steps) = steps
        && let Some((_, newest)) = steps.iter().zip(found).max()
    {
        return Some(format!(
            "give {}, the newest of its {} checkpoints",
            name(newest),
            found.len()
        ));
    }
    let names: Vec<String> = found.iter().take(NAMED).map(name).collect();
    let more = if found.len() > NAMED { " or another" } else { "" };
    (!names.is_empty()).then(|| format!("give {}{more}", names.join(" or ")))
}

/// The step in the name of a checkpoint: `checkpoint-500` of transformers' Trainer, `step-00000500` of this workspace.
fn step_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    ["checkpoint-", "step-"].into_iter().find_map(|stem| name.strip_prefix(stem)?.parse().ok())
}
