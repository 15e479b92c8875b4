//! The runs that paths lead to.

use std::{
    fs,
    path::{Path, PathBuf},
};

use peft_core::{Error, Result};

use super::run::{Run, State};
use crate::training::file_names::RUN_FILE;

/// Runs by how far they are.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Those that have an adapter.
    pub finished: Vec<Run>,
    /// The others.
    pub others: Vec<Run>,
}

impl Found {
    /// What is to be said of a run that has no adapter.
    pub fn why_not(run: &Run) -> String {
        let path = run.path.display();
        let made = run.steps.unwrap_or(0);
        let of = run.total_steps.map_or_else(String::new, |total| format!(" of {total}"));
        match run.state {
            State::Finished => format!("{path} is finished"),
            State::Unfinished => format!(
                "{path} is not finished (step {made}{of}), and left out; peft train --resume --out {path} continues it"
            ),
            State::Diverged => {
                format!("{path} is left out: its loss was no number any more after step {made}{of}")
            }
            State::Halted => format!(
                "{path} is left out: its sweep gave it up after step {made}{of}, where others were better"
            ),
        }
    }
}

/// The runs in these folders, each that of a run or one that holds such folders, once each.
///
/// # Errors
///
/// [`Error::File`] naming a folder without a run; as [`Run::read`].
pub fn find(paths: &[PathBuf]) -> Result<Found> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for path in paths {
        for folder in folders_of(path)? {
            if !folders.iter().any(|known| is_same(known, &folder)) {
                folders.push(folder);
            }
        }
    }
    let mut found = Found::default();
    for folder in folders {
        let run = Run::read(&folder)?;
        match run.state {
            State::Finished => found.finished.push(run),
            _ => found.others.push(run),
        }
    }
    Ok(found)
}

/// The folder itself, or those in it that are of runs, by name.
fn folders_of(path: &Path) -> Result<Vec<PathBuf>> {
    if path.join(RUN_FILE).exists() || !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut inside = Vec::new();
    for entry in fs::read_dir(path).map_err(Error::read(path))? {
        let folder = entry.map_err(Error::read(path))?.path();
        if folder.join(RUN_FILE).exists() {
            inside.push(folder);
        }
    }
    if inside.is_empty() {
        let message = format!(
            "holds no {RUN_FILE}, and no folder with one: expected runs, as `peft train --out` makes them"
        );
        return Err(Error::file(path, message));
    }
    inside.sort();
    Ok(inside)
}

fn is_same(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_runs_stands_for_them() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert!(folders_of(dir.path()).unwrap_err().to_string().contains("no folder with one"));
        for name in ["b", "a", "c"] {
            fs::create_dir(at(name)).unwrap();
        }
        for name in ["b", "a"] {
            fs::write(at(name).join(RUN_FILE), "seed = 1\n").unwrap();
        }
        assert_eq!(folders_of(dir.path()).unwrap(), [at("a"), at("b")]);
        assert_eq!(folders_of(&at("a")).unwrap(), [at("a")]);
        let found = find(&[at("b"), dir.path().to_path_buf(), at("c/../b")]).unwrap();
        assert_eq!((found.finished.len(), found.others.len()), (0, 2));
        let said = Found::why_not(&found.others[0]);
        assert!(
            said.contains("not finished (step 0), and left out; peft train --resume"),
            "{said}"
        );
    }
}
