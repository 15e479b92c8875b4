//! A checkpoint as one safetensors file or several shards.
//!
//! Files are mapped into memory. Tensors that are used as they are stored are views of the file: the system reads them
//! when they are first used and shares them between processes. The others are read and converted chunk by chunk, so that
//! loading takes no more memory than the model does.
//!
//! A file must not change while a model is in use. If it shrinks, the system ends the process.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::tensor::{AllocationProperty, Bytes, DType, TensorData, bf16, f16};
use peft_core::{
    Error, Result,
    formats::{lfs, read},
};
use safetensors::{Dtype, SafeTensors};

use super::mapped::Mapped;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Where one tensor is.
#[derive(Debug)]
struct Entry {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Its first byte in the file.
    offset: u64,
    bytes: usize,
}

/// How many values are upcast, or bytes compared, at once.
const CHUNK: usize = 1 << 16;

/// The tensors of all shards of a checkpoint.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    shards: Vec<Mapped>,
    entries: BTreeMap<String, Entry>,
}

impl Files {
    pub fn open(dir: &Path) -> Result<Self> {
        let single = dir.join(SINGLE);
        let index = dir.join(INDEX);
        if single.exists() || !index.exists() {
            let mut files =
                Self { path: single.clone(), shards: Vec::new(), entries: BTreeMap::new() };
            files.add(&single)?;
            return Ok(files);
        }
        let json = read::json(&index)?;
        let map = json["weight_map"].as_object().ok_or_else(|| {
            Error::config(&index, "weight_map", "is missing, or is not an object")
        })?;
        let mut names = BTreeMap::<&str, Vec<&str>>::new();
        for (tensor, shard) in map {
            let shard =
                shard.as_str().filter(|name| !name.contains(['/', '\\'])).ok_or_else(|| {
                    Error::config(
                        &index,
                        format!("weight_map.{tensor}"),
                        format!("expected the name of a file in the same folder, found {shard}"),
                    )
                })?;
            names.entry(shard).or_default().push(tensor);
        }
        let mut files = Self { path: index.clone(), shards: Vec::new(), entries: BTreeMap::new() };
        for (shard, tensors) in names {
            let path = dir.join(shard);
            files.add(&path)?;
            if let Some(missing) = tensors.iter().find(|name| !files.entries.contains_key(**name)) {
                return Err(Error::tensor(
                    &path,
                    *missing,
                    format!("is missing, {INDEX} lists it"),
                ));
            }
        }
        Ok(files)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let shard = Mapped::open(path)?;
        let map = shard.map();
        lfs::refuse_pointer(map, path)?;
        let start = map.as_ptr() as usize;
        let parsed = SafeTensors::deserialize(map)
            .map_err(|error| Error::file(path, format!("not a whole safetensors file: {error}")))?;
        for (name, view) in parsed.iter() {
            let offset = (view.data().as_ptr() as usize - start) as u64;
            let entry = Entry {
                shard: self.shards.len(),
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                offset,
                bytes: view.data().len(),
            };
            self.entries.insert(name.to_string(), entry);
        }
        self.shards.push(shard);
        Ok(())
    }

    /// The single file, or the index.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.entries.get(name).map(|entry| entry.shape.clone())
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        self.entries.get(name).ok_or_else(|| Error::tensor(&self.path, name, "is missing"))
    }

    /// At most `count` bytes from the middle of a tensor, as they are stored.
    pub fn sample(&self, name: &str, count: usize) -> Result<Vec<u8>> {
        let entry = self.entry(name)?;
        let start = entry.bytes.saturating_sub(count) / 2;
        let mut bytes = vec![0; entry.bytes.min(count)];
        self.fill(entry, start, &mut bytes)?;
        Ok(bytes)
    }

    /// Whether two tensors are equal bit by bit, compared chunk by chunk.
    pub fn are_equal(&self, one: &str, other: &str) -> Result<bool> {
        let (one, other) = (self.entry(one)?, self.entry(other)?);
        if (one.dtype, &one.shape) != (other.dtype, &other.shape) {
            return Ok(false);
        }
        let (mut left, mut right) = (vec![0; one.bytes.min(CHUNK)], vec![0; one.bytes.min(CHUNK)]);
        for start in (0..one.bytes).step_by(CHUNK) {
            let len = CHUNK.min(one.bytes - start);
            self.fill(one, start, &mut left[..len])?;
            self.fill(other, start, &mut right[..len])?;
            if left[..len] != right[..len] {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads bytes of a tensor, from its byte `start` on.
    fn fill(&self, entry: &Entry, start: usize, into: &mut [u8]) -> Result<()> {
        self.shards[entry.shard].fill(entry.offset + start as u64, into)
    }

    /// A tensor of floats as `dtype`: a view of the file if it has this type and `in_place` allows it.
    pub fn read(&self, name: &str, dtype: DType, in_place: bool) -> Result<TensorData> {
        let entry = self.entry(name)?;
        let shape = entry.shape.as_slice();
        let stored = match entry.dtype {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => {
                let path = self.shards[entry.shard].path();
                let message = format!("found type {other:?}, expected F32, F16 or BF16");
                return Err(Error::tensor(path, name, message));
            }
        };
        match (stored, dtype) {
            // Some writers do not align tensors; what is not aligned cannot be read in place.
            (DType::F32, DType::F32)
                if in_place && entry.offset.is_multiple_of(align_of::<f32>() as u64) =>
            {
                let view = self.shards[entry.shard].view(entry.offset, entry.bytes);
                let bytes = Bytes::from_shared(view, AllocationProperty::File);
                Ok(TensorData::from_bytes(bytes, shape, stored))
            }
            (DType::F32, DType::F32) => {
                let mut values = vec![0f32; entry.bytes / size_of::<f32>()];
                self.fill(entry, 0, bytemuck::cast_slice_mut(&mut values))?;
                Ok(TensorData::new(values, shape))
            }
            (DType::F16, DType::F32) => {
                self.upcast(entry, |bytes| f16::from_le_bytes(bytes).to_f32())
            }
            (DType::BF16, DType::F32) => {
                self.upcast(entry, |bytes| bf16::from_le_bytes(bytes).to_f32())
            }
            _ => {
                let mut bytes = vec![0; entry.bytes];
                self.fill(entry, 0, &mut bytes)?;
                Ok(TensorData::from_bytes_vec(bytes, shape, stored).convert_dtype(dtype))
            }
        }
    }

    /// A tensor of two bytes per value, upcast chunk by chunk.
    fn upcast(&self, entry: &Entry, one: impl Fn([u8; 2]) -> f32) -> Result<TensorData> {
        let count = entry.bytes / 2;
        let mut values = Vec::with_capacity(count);
        let mut bytes = vec![0; 2 * CHUNK.min(count)];
        while values.len() < count {
            let chunk = &mut bytes[..2 * CHUNK.min(count - values.len())];
            self.fill(entry, 2 * values.len(), chunk)?;
            values.extend(chunk.chunks_exact(2).map(|pair| one([pair[0], pair[1]])));
        }
        Ok(TensorData::new(values, entry.shape.as_slice()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use burn::tensor::{Device, Tensor};

    use super::*;

    /// A file of two values, `shift` bytes after a multiple of eight.
    fn write(dir: &Path, shift: usize) {
        let header = r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let header = format!("{header:width$}", width = 64 + shift);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()));
        fs::write(dir.join(SINGLE), bytes).unwrap();
    }

    #[test]
    fn alignment_and_place_do_not_change_the_values() {
        for shift in 0..4 {
            let dir = tempfile::tempdir().unwrap();
            write(dir.path(), shift);
            let before = fs::read(dir.path().join(SINGLE)).unwrap();
            for in_place in [false, true] {
                let data =
                    Files::open(dir.path()).unwrap().read("x", DType::F32, in_place).unwrap();
                let is_view = data.bytes().property() == AllocationProperty::File;
                assert_eq!(is_view, in_place && shift == 0, "{shift} {in_place}");
                // Writing to it does not write to the file.
                let x = Tensor::<1>::from_data(data, &Device::flex()).add_scalar(1.0);
                assert_eq!(x.try_into_vec_as::<f32>().unwrap(), [2.5, -1.0]);
            }
            assert_eq!(fs::read(dir.path().join(SINGLE)).unwrap(), before);
        }
    }
}
