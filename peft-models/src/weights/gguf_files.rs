//! The tensors of a GGUF file, under the names that transformers gives them.
//!
//! Matrices that stay as they are stored are views of the file. What llama.cpp has reordered, the queries and keys of a
//! Llama, is copied row by row, in as few bits.

use std::{collections::BTreeMap, path::Path};

use burn::tensor::{AllocationProperty, DType, TensorData};
use bytes::Bytes;
use peft_core::{
    Error, Result,
    formats::gguf::{Gguf, GgufTensor, TensorType, dequantise},
};

use super::mapped::Mapped;
use crate::gguf::{Change, Naming};

/// How many values are converted, or bytes compared, at once: whole blocks of every type.
const CHUNK: usize = 1 << 16;

/// A tensor under its name of transformers.
#[derive(Debug)]
struct Entry {
    tensor: GgufTensor,
    change: Change,
}

/// The rows of a matrix as a file stores them.
#[derive(Clone, Debug)]
pub struct StoredRows {
    pub kind: TensorType,
    /// `[rows, columns]`.
    pub sizes: [usize; 2],
    /// The rows, one after the other.
    pub bytes: Bytes,
}

/// The tensors of a GGUF file.
#[derive(Debug)]
pub struct GgufFiles {
    parts: Vec<Mapped>,
    entries: BTreeMap<String, Entry>,
}

impl GgufFiles {
    pub fn open(path: &Path) -> Result<Self> {
        let gguf = Gguf::open(path)?;
        let naming = Naming::of(&gguf)?;
        let mut entries = BTreeMap::new();
        for tensor in gguf.tensors() {
            let Some((name, change)) = naming.rename(&tensor.name) else { continue };
            if let Change::Interleaved { heads } = change {
                let rows = tensor.shape.first().copied().unwrap_or_default();
                if heads == 0 || !rows.is_multiple_of(2 * heads) {
                    let message = format!("has {rows} rows, which are no {heads} heads");
                    let part = &gguf.parts()[tensor.part];
                    return Err(Error::tensor(part, &tensor.name, message));
                }
            }
            entries.insert(name, Entry { tensor: tensor.clone(), change });
        }
        let parts = gguf.parts().iter().map(|part| Mapped::open(part)).collect::<Result<_>>()?;
        Ok(Self { parts, entries })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.entries.get(name).map(|entry| entry.tensor.shape.clone())
    }

    /// Whether rows and columns of a tensor are swapped.
    pub fn is_transposed(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.change == Change::Transposed)
    }

    /// The bytes of the largest file.
    pub fn largest(&self) -> Option<usize> {
        self.parts.iter().map(|part| part.map().len()).max()
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        let path = self.parts[0].path();
        self.entries.get(name).ok_or_else(|| Error::tensor(path, name, "is missing"))
    }

    fn fill(&self, tensor: &GgufTensor, start: usize, into: &mut [u8]) -> Result<()> {
        self.parts[tensor.part].fill(tensor.offset + start as u64, into)
    }

    /// How many bytes a tensor is stored in.
    pub fn num_bytes(&self, name: &str) -> Result<usize> {
        Ok(self.entry(name)?.tensor.bytes)
    }

    /// Reads bytes of a tensor, as they are stored, from its byte `start` on.
    pub fn fill_stored(&self, name: &str, start: usize, into: &mut [u8]) -> Result<()> {
        self.fill(&self.entry(name)?.tensor, start, into)
    }

    /// Whether two tensors are stored alike, compared chunk by chunk.
    pub fn are_equal(&self, one: &str, other: &str) -> Result<bool> {
        let (one, other) = (self.entry(one)?, self.entry(other)?);
        let is_alike = (one.tensor.kind, &one.tensor.shape, one.change)
            == (other.tensor.kind, &other.tensor.shape, other.change);
        if !is_alike {
            return Ok(false);
        }
        let bytes = one.tensor.bytes;
        let (mut left, mut right) = (vec![0; bytes.min(CHUNK)], vec![0; bytes.min(CHUNK)]);
        for start in (0..bytes).step_by(CHUNK) {
            let len = CHUNK.min(bytes - start);
            self.fill(&one.tensor, start, &mut left[..len])?;
            self.fill(&other.tensor, start, &mut right[..len])?;
            if left[..len] != right[..len] {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A tensor in f32: a view of the file if it is stored so and `in_place` allows it, else converted chunk by chunk.
    pub fn read(&self, name: &str, in_place: bool) -> Result<TensorData> {
        let Entry { tensor, change } = self.entry(name)?;
        let is_aligned = tensor.offset.is_multiple_of(align_of::<f32>() as u64);
        if in_place && is_aligned && (tensor.kind, *change) == (TensorType::F32, Change::None) {
            let view = self.parts[tensor.part].view(tensor.offset, tensor.bytes);
            let bytes = burn::tensor::Bytes::from_shared(view, AllocationProperty::File);
            return Ok(TensorData::from_bytes(bytes, tensor.shape.as_slice(), DType::F32));
        }
        let count = tensor.shape.iter().product();
        let mut values = vec![0.0; count];
        let mut bytes = vec![0; tensor.kind.bytes_of(CHUNK.min(count))];
        for (index, values) in values.chunks_mut(CHUNK).enumerate() {
            let bytes = &mut bytes[..tensor.kind.bytes_of(values.len())];
            self.fill(tensor, tensor.kind.bytes_of(index * CHUNK), bytes)?;
            dequantise(tensor.kind, bytes, values);
        }
        let values = match *change {
            Change::Interleaved { heads } => {
                let rows = tensor.shape.first().copied().unwrap_or_default();
                in_halves(&values, rows, heads)
            }
            _ => values,
        };
        Ok(TensorData::new(values, tensor.shape.as_slice()))
    }

    /// The rows of a matrix as they are stored, if it is one; f32 is no such storage.
    pub fn stored_rows(&self, name: &str) -> Result<Option<StoredRows>> {
        let Entry { tensor, change } = self.entry(name)?;
        let [rows, columns] = tensor.shape[..] else { return Ok(None) };
        if tensor.kind == TensorType::F32 {
            return Ok(None);
        }
        let bytes = match *change {
            Change::Interleaved { heads } => {
                let mut bytes = vec![0; tensor.bytes];
                self.fill(tensor, 0, &mut bytes)?;
                Bytes::from(in_halves(&bytes, rows, heads))
            }
            _ => {
                // Inside the file: the header was checked.
                self.parts[tensor.part].view(tensor.offset, tensor.bytes)
            }
        };
        Ok(Some(StoredRows { kind: tensor.kind, sizes: [rows, columns], bytes }))
    }
}

/// The rows of heads with their two halves one after the other, from rows that are interleaved.
fn in_halves<T: Copy>(values: &[T], rows: usize, heads: usize) -> Vec<T> {
    let width = values.len() / rows.max(1);
    let half = rows / heads / 2;
    let mut ordered = Vec::with_capacity(values.len());
    for row in 0..rows {
        let (head, within) = (row / (2 * half), row % (2 * half));
        let from = head * 2 * half + 2 * (within % half) + within / half;
        ordered.extend_from_slice(&values[from * width..(from + 1) * width]);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_heads_become_halves() {
        // Two heads of four rows of two values.
        let values: Vec<i32> = (0..16).collect();
        let expected = [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15];
        assert_eq!(in_halves(&values, 8, 2), expected);
        assert_eq!(in_halves(&values, 2, 1), values);
    }
}
