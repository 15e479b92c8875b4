//! The metadata of a GGUF file and where its tensors are, also of one that is split into parts.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use super::{TensorType, Value, header::Header};
use crate::{
    error::{Error, Result},
    formats::{lfs::refuse_pointer, read},
};

/// How many parts a split file has, in each of them.
const PARTS: &str = "split.count";
/// Which part this is, from 0.
const PART: &str = "split.no";

/// A tensor of a GGUF file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GgufTensor {
    /// As llama.cpp names it.
    pub name: String,
    /// Rows first, as in Python.
    pub shape: Vec<usize>,
    /// How its values are stored.
    pub kind: TensorType,
    /// Which of [`Gguf::parts`] holds it.
    pub part: usize,
    /// Its first byte in that file.
    pub offset: u64,
    /// The bytes it takes there.
    pub bytes: usize,
}

/// The metadata of a GGUF file and where its tensors are.
#[derive(Clone, Debug, PartialEq)]
pub struct Gguf {
    path: PathBuf,
    parts: Vec<PathBuf>,
    metadata: BTreeMap<String, Value>,
    tensors: Vec<GgufTensor>,
}

impl Gguf {
    /// Reads the headers of a file, or of all parts of a split one, of which `path` is the first.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] for a part that cannot be read, [`Error::File`] for one that is not whole, or not GGUF of
    /// version 2 or 3, or that has a tensor of a type that is not read.
    pub fn open(path: &Path) -> Result<Self> {
        let first = read_header(path)?;
        let mut parts = vec![path.to_path_buf()];
        let mut tensors: Vec<GgufTensor> = tensors_of(&first, 0).collect();
        let number = |header: &Header, key: &str| header.metadata.get(key).and_then(Value::as_u64);
        let count = number(&first, PARTS).unwrap_or(1);
        if count > 1 {
            if number(&first, PART) != Some(0) {
                let first = part_name(path, 1, count);
                let hint = first.map_or(String::new(), |name| format!(", {}", name.display()));
                let message = format!(
                    "is one of the {count} parts of a split GGUF file; expected the first{hint}"
                );
                return Err(Error::file(path, message));
            }
            for part in 2..=count {
                let Some(name) = part_name(path, part, count) else {
                    let message = format!(
                        "is the first of {count} parts, and its name does not end in \
                         -00001-of-{count:05}.gguf, from which the names of the others follow"
                    );
                    return Err(Error::file(path, message));
                };
                let header = read_header(&name)?;
                if number(&header, PART) != Some(part - 1) {
                    let message = format!("is not part {part} of {count}, as its name says");
                    return Err(Error::file(&name, message));
                }
                tensors.extend(tensors_of(&header, parts.len()));
                parts.push(name);
            }
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = tensors.iter().find(|tensor| !names.insert(tensor.name.as_str())) {
            return Err(Error::tensor(&parts[twice.part], &twice.name, "is there twice"));
        }
        let path = path.to_path_buf();
        Ok(Self { path, parts, metadata: first.metadata, tensors })
    }

    /// The file, or its first part.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All files: one, or the parts of a split one.
    pub fn parts(&self) -> &[PathBuf] {
        &self.parts
    }

    /// The tensors, in the order of the file.
    pub fn tensors(&self) -> &[GgufTensor] {
        &self.tensors
    }

    /// Whether there is a tensor of that name.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.tensors.iter().any(|tensor| tensor.name == name)
    }

    /// All metadata.
    pub fn metadata(&self) -> &BTreeMap<String, Value> {
        &self.metadata
    }

    /// The metadata of a key, if it is there.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// The metadata of a key, read by `as_kind`; `None` if it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is of another kind.
    pub fn read<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        as_kind: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match as_kind(value) {
            Some(found) => Ok(Some(found)),
            None => Err(self.error(key, format!("found {}, expected {expected}", value.kind()))),
        }
    }

    /// A text of the metadata.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is no text.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.read(key, "a text", Value::as_text)
    }

    /// A whole number of the metadata.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is no whole number, or negative.
    pub fn number(&self, key: &str) -> Result<Option<u64>> {
        self.read(key, "a whole number", Value::as_u64)
    }

    /// An error about the metadata of a key.
    pub fn error(&self, key: &str, message: impl Into<String>) -> Error {
        Error::config(&self.path, key, message)
    }
}

fn read_header(path: &Path) -> Result<Header> {
    let file = read::open(path)?;
    let len = file.metadata().map_err(Error::read(path))?.len();
    let mut reader = BufReader::new(file);
    refuse_pointer(reader.fill_buf().map_err(Error::read(path))?, path)?;
    Header::read(reader, len).map_err(|message| Error::file(path, message))
}

fn tensors_of(header: &Header, part: usize) -> impl Iterator<Item = GgufTensor> + '_ {
    header.tensors.iter().map(move |stored| GgufTensor {
        name: stored.name.clone(),
        shape: stored.shape.clone(),
        kind: stored.kind,
        part,
        offset: stored.offset,
        bytes: stored.bytes,
    })
}

/// The name of a part, from that of another: `model-00001-of-00003.gguf`.
fn part_name(path: &Path, part: u64, count: u64) -> Option<PathBuf> {
    let stem = path.file_name()?.to_str()?.strip_suffix(&format!("-of-{count:05}.gguf"))?;
    let (name, number) = stem.rsplit_once('-')?;
    let is_number = number.len() == 5 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| path.with_file_name(format!("{name}-{part:05}-of-{count:05}.gguf")))
}
