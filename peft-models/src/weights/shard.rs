//! One file of tensors: where in it each of them is.

use std::path::Path;

use burn::tensor::DType;
use peft_core::{
    Error, Result,
    formats::{
        lfs,
        safetensors_file::{self, FileTensor},
        torch_file::{self, Place},
    },
};

use super::mapped::Mapped;

/// A tensor whose values lie further apart, a few of a large storage, is read through the mapping.
const MOST_BETWEEN: usize = 4;

/// A file of tensors.
#[derive(Debug)]
pub struct Shard {
    mapped: Mapped,
}

/// Where in its file one tensor is.
#[derive(Debug)]
pub struct Entry {
    pub stored: Stored,
    pub shape: Vec<usize>,
    /// Its first byte in the file.
    pub offset: usize,
    /// Its bytes, without gaps.
    pub bytes: usize,
    /// Where its values are, if they do not follow one another.
    pub scattered: Option<Place>,
}

/// The type of the values in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    Float(DType),
    /// Another type, by its name in messages.
    Other(String),
}

impl Shard {
    /// Opens a file: a safetensors file by its extension, else one of torch.
    ///
    /// # Errors
    ///
    /// [`Error::Read`]; [`Error::File`] or [`Error::Tensor`] if the file is not whole.
    pub fn open(path: &Path) -> Result<(Self, Vec<(String, Entry)>)> {
        let mapped = Mapped::open(path)?;
        let map = mapped.map();
        if map.is_empty() {
            return Err(Error::file(path, "is empty"));
        }
        lfs::refuse_pointer(map, path)?;
        let entries = match path.extension().is_some_and(|extension| extension == "safetensors") {
            true => safetensors_entries(map, path)?,
            false => torch_entries(map, path)?,
        };
        Ok((Self { mapped }, entries))
    }

    /// Reads bytes of a tensor, from its byte `start` on.
    pub fn fill(&self, entry: &Entry, start: usize, into: &mut [u8]) -> Result<()> {
        if let Some(place) = &entry.scattered {
            let (is_whole, span) = (start == 0 && into.len() == entry.bytes, place.span());
            if is_whole && span / MOST_BETWEEN <= entry.bytes {
                // Past the mapping, whose pages would stay in memory.
                let mut values = vec![0; span];
                self.mapped.fill(place.offset as u64, &mut values)?;
                let mut place = place.clone();
                place.offset = 0;
                place.copy(&values, 0, into);
                return Ok(());
            }
            let width = place.dtype.size();
            if start.is_multiple_of(width) && into.len().is_multiple_of(width) {
                place.copy(self.mapped.map(), start / width, into);
                return Ok(());
            }
            let skip = start % width;
            let mut values = vec![0; (skip + into.len()).next_multiple_of(width)];
            place.copy(self.mapped.map(), start / width, &mut values);
            into.copy_from_slice(&values[skip..skip + into.len()]);
            return Ok(());
        }
        self.mapped.fill((entry.offset + start) as u64, into)
    }

    /// The bytes of a tensor in place; they must follow one another.
    pub fn view(&self, entry: &Entry) -> bytes::Bytes {
        self.mapped.view(entry.offset as u64, entry.bytes)
    }

    pub fn path(&self) -> &Path {
        self.mapped.path()
    }

    /// Its bytes.
    pub fn len(&self) -> usize {
        self.mapped.map().len()
    }
}

fn safetensors_entries(map: &[u8], path: &Path) -> Result<Vec<(String, Entry)>> {
    let tensors = safetensors_file::tensors(map, path)?.into_iter();
    let entry = |FileTensor { name, shape, dtype, place }: FileTensor| {
        let stored = dtype.map_or_else(Stored::Other, Stored::Float);
        let (offset, bytes) = (place.start, place.len());
        (name, Entry { stored, shape, offset, bytes, scattered: None })
    };
    Ok(tensors.map(entry).collect())
}

fn torch_entries(map: &[u8], path: &Path) -> Result<Vec<(String, Entry)>> {
    let entry = |(name, place): (String, Place)| {
        let stored = match place.dtype {
            dtype if dtype.is_float() => Stored::Float(dtype),
            other => Stored::Other(format!("{other:?}")),
        };
        let entry = Entry {
            stored,
            shape: place.shape.clone(),
            offset: place.offset,
            bytes: place.count() * place.dtype.size(),
            scattered: (!place.is_contiguous()).then_some(place),
        };
        (name, entry)
    };
    Ok(torch_file::state(map, path, false)?.into_iter().map(entry).collect())
}
