//! Reading tensors by name, whatever they come from: files, memory or a random stream.

use std::path::Path;

use burn::tensor::{DType, TensorData};
use peft_core::{
    NamedTensors, Result,
    contract::{
        init::{Distribution, draw},
        rng,
    },
};

use super::{
    files::Files,
    gguf_files::{GgufFiles, StoredRows},
    shard::PIECE,
};

/// Where tensors are read from.
#[derive(Debug)]
pub enum Source {
    Files(Files),
    Gguf(GgufFiles),
    Memory(NamedTensors),
    /// Any tensor that is asked for, drawn from the seed and its name.
    Random {
        seed: u64,
        std: f64,
    },
}

impl Source {
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::Files(files) => files.contains(name),
            Self::Gguf(files) => files.contains(name),
            Self::Memory(tensors) => tensors.contains_key(name),
            Self::Random { .. } => true,
        }
    }

    /// The names of all tensors; none if any would be drawn.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Files(files) => files.names().map(str::to_string).collect(),
            Self::Gguf(files) => files.names().map(str::to_string).collect(),
            Self::Memory(tensors) => tensors.keys().cloned().collect(),
            Self::Random { .. } => Vec::new(),
        }
    }

    /// The shape of a tensor that is there; `None` if any shape would be drawn.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        match self {
            Self::Files(files) => files.shape(name),
            Self::Gguf(files) => files.shape(name),
            Self::Memory(tensors) => Some(tensors.get(name)?.shape().as_slice().to_vec()),
            Self::Random { .. } => None,
        }
    }

    /// The file that holds a tensor, of several.
    pub fn file_of(&self, name: &str) -> Option<&Path> {
        match self {
            Self::Files(files) => files.file_of(name),
            _ => None,
        }
    }

    /// The bytes of the largest file; `None` if there is none.
    pub fn largest_file(&self) -> Option<usize> {
        match self {
            Self::Files(files) => files.largest(),
            Self::Gguf(files) => files.largest(),
            Self::Memory(_) | Self::Random { .. } => None,
        }
    }

    /// How many bytes a tensor of a file is stored in; `None` if there is no file.
    pub fn num_bytes(&self, name: &str) -> Result<Option<usize>> {
        match self {
            Self::Files(files) => files.num_bytes(name).map(Some),
            Self::Gguf(files) => files.num_bytes(name).map(Some),
            Self::Memory(_) | Self::Random { .. } => Ok(None),
        }
    }

    /// Whether files store a tensor in this type.
    pub fn is_stored_as(&self, name: &str, dtype: DType) -> bool {
        matches!(self, Self::Files(files) if files.is_stored_as(name, dtype))
    }

    /// Reads bytes of a tensor of a file, as they are stored, from its byte `start` on; nothing if there is no file.
    pub fn fill(&self, name: &str, start: usize, into: &mut [u8]) -> Result<()> {
        match self {
            Self::Files(files) => files.fill(name, start, into),
            Self::Gguf(files) => files.fill_stored(name, start, into),
            Self::Memory(_) | Self::Random { .. } => Ok(()),
        }
    }

    /// How many bytes of a tensor are best read at once, at least 1.
    pub fn piece(&self, name: &str) -> usize {
        match self {
            Self::Files(files) => files.piece(name),
            _ => PIECE,
        }
    }

    /// The rows of a matrix in blocks, or in floats of two bytes, if a GGUF file stores it so.
    pub fn stored_rows(&self, name: &str) -> Result<Option<StoredRows>> {
        match self {
            Self::Gguf(files) => files.stored_rows(name),
            _ => Ok(None),
        }
    }

    /// Whether rows and columns of a matrix are swapped, against what transformers stores.
    pub fn is_transposed(&self, name: &str) -> bool {
        matches!(self, Self::Gguf(files) if files.is_transposed(name))
    }

    /// Whether two tensors that are there are equal, bit by bit.
    pub fn are_equal(&self, one: &str, other: &str) -> Result<bool> {
        match self {
            Self::Files(files) => files.are_equal(one, other),
            Self::Gguf(files) => files.are_equal(one, other),
            Self::Memory(tensors) => Ok(tensors[one] == tensors[other]),
            Self::Random { .. } => Ok(one == other),
        }
    }

    /// A tensor that is there, in its own shape, or drawn in the shape `expected` from its canonical `name`. `in_place`
    /// allows a view of the file.
    pub fn read(
        &self,
        spelling: &str,
        name: &str,
        expected: &[usize],
        dtype: DType,
        in_place: bool,
    ) -> Result<TensorData> {
        Ok(match self {
            Self::Files(files) => files.read(spelling, dtype, in_place)?,
            Self::Gguf(files) => files.read(spelling, in_place)?,
            Self::Memory(tensors) => tensors[spelling].clone(),
            Self::Random { seed, std } => {
                let mut stream = rng::stream(*seed, 0, name);
                let count = expected.iter().product();
                let mut values = draw(Distribution::Normal { std: *std }, count, &mut stream);
                let is_scale = expected.len() == 1 && name.ends_with(".weight");
                if is_scale {
                    values.iter_mut().for_each(|value| *value += 1.0);
                }
                TensorData::new(values, expected)
            }
        })
    }
}
