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

/// How many bytes that follow one another are read at once, to be summed or compared.
pub const PIECE: usize = 1 << 18;

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
        // Past the mapping, whose pages would stay in memory.
        if let Some(place) = &entry.scattered {
            let width = place.dtype.size();
            let read = |first: usize, into: &mut [u8]| {
                place.read(first, into, |at, into| self.mapped.fill(at as u64, into))
            };
            let skip = start % width;
            if skip == 0 && into.len().is_multiple_of(width) {
                return read(start / width, into);
            }
            let mut values = vec![0; (skip + into.len()).next_multiple_of(width)];
            read(start / width, &mut values)?;
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
