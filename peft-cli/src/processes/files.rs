//! The sums of files that all processes of a run must have alike: those of rows, and those that say what a model is.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use peft_core::{Error, Result, adapter::codec::hex, text::find_files};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    model_files::{FILES, START},
    settings::Settings,
    training::places::names_of_rows,
};

/// What files are called in messages, and their sums, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums(Vec<(String, String)>);

impl Sums {
    /// These.
    pub fn new(sums: Vec<(String, String)>) -> Self {
        Self(sums)
    }

    /// Those of the rows that a run is given, and of its model's folder or file. Weights have a sum of their own.
    ///
    /// # Errors
    ///
    /// [`Error::Read`].
    pub fn of(settings: &Settings, model: &Path) -> Result<Self> {
        let mut sums = Vec::new();
        for (names, flag) in names_of_rows(settings) {
            for file in find_files(&names)?.files {
                sums.push((format!("{flag} {}", file.display()), sum(&file, u64::MAX)?));
            }
        }
        if model.is_file() {
            let name = model.file_name().unwrap_or_default().to_string_lossy();
            sums.push((format!("--model {name}"), sum(model, START)?));
        } else {
            for name in FILES {
                let file = model.join(name);
                // One that is not there has a place, too, so that each stands beside itself.
                let sum = if file.is_file() { sum(&file, u64::MAX)? } else { String::new() };
                sums.push((format!("{name} of --model"), sum));
            }
        }
        Ok(Self(sums))
    }

    /// The first file that is not that of the first process, as this one calls it, or as that one does if it is missing here.
    pub fn differing(&self, first: &Self) -> Option<String> {
        let sum = |of: &Self, at: usize| of.0.get(at).map(|(_, sum)| sum.clone());
        let count = self.0.len().max(first.0.len());
        let at = (0..count).find(|at| sum(self, *at) != sum(first, *at))?;
        let named = self.0.get(at).or_else(|| first.0.get(at));
        named.map(|(name, _)| name.clone())
    }
}

/// The sum of up to `most` bytes of a file.
fn sum(path: &Path, most: u64) -> Result<String> {
    let file = File::open(path).map_err(Error::read(path))?;
    let mut hash = Sha256::new();
    io::copy(&mut file.take(most), &mut Writer(&mut hash)).map_err(Error::read(path))?;
    Ok(hex(&hash.finalize()))
}

/// Sums what is written.
struct Writer<'a>(&'a mut Sha256);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_file_that_differs_is_named() {
        let [here, there] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        let sums = |dir: &Path| {
            let train = Some(vec![dir.join("a.jsonl"), dir.join("b.jsonl")]);
            Sums::of(&Settings { train, ..Settings::default() }, dir).unwrap()
        };
        for dir in [&here, &there] {
            for name in ["a.jsonl", "b.jsonl", "config.json", "vocab.txt"] {
                fs::write(dir.path().join(name), name).unwrap();
            }
        }
        let first = sums(here.path());
        assert_eq!(sums(there.path()).differing(&first), None);
        fs::remove_file(there.path().join("vocab.txt")).unwrap();
        let differing = sums(there.path()).differing(&first);
        assert_eq!(differing.as_deref(), Some("vocab.txt of --model"));
        fs::write(there.path().join("b.jsonl"), "other").unwrap();
        let differing = sums(there.path()).differing(&first).unwrap();
        assert!(differing.starts_with("--train ") && differing.ends_with("b.jsonl"), "{differing}");
        // A file in place of a folder.
        let file = sums(here.path()).0.len();
        let of_file = Sums::of(&Settings::default(), &here.path().join("config.json")).unwrap();
        assert!(of_file.0.len() == 1 && file > 2 && of_file.differing(&of_file).is_none());
    }
}
