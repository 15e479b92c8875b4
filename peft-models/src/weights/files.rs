//! A checkpoint as one file of tensors or several: safetensors, or what `torch.save` wrote.
//!
//! Files are mapped into memory. Tensors that are used as they are stored are views of the file: the system reads them
//! when they are first used and shares them between processes. The others are read and converted chunk by chunk, so
//! that loading takes no more memory than the model does.
//!
//! A file must not change while a model is in use. If it shrinks, the system ends the process.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::tensor::{AllocationProperty, Bytes, DType, TensorData, bf16, f16};
use peft_core::{Error, Result};

use super::{
    folder::WeightFiles,
    shard::{Entry, PIECE, Shard, Stored},
};

/// How many values are upcast at once.
const CHUNK: usize = 1 << 16;

/// What wrappers of a whole model put before all names: `DataParallel`, and `torch.compile`.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// The tensors of all files of a checkpoint.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    shards: Vec<Shard>,
    /// Each with the index of its shard.
    entries: BTreeMap<String, (usize, Entry)>,
}

impl Files {
    pub fn open(dir: &Path) -> Result<Self> {
        let WeightFiles { path, shards } = WeightFiles::of(dir)?;
        let mut files = Self { path, shards: Vec::new(), entries: BTreeMap::new() };
        for (path, listed) in shards {
            files.add(&path, &listed)?;
        }
        files.drop_wrappers();
        Ok(files)
    }

    /// Adds a file. A tensor that several files hold must be the same in all of them: the index names one, and transformers
    /// uses the last.
    fn add(&mut self, path: &Path, listed: &[String]) -> Result<()> {
        let (shard, entries) = Shard::open(path)?;
        let mut here = BTreeMap::new();
        here.extend(entries);
        if let Some(missing) = listed.iter().find(|name| !here.contains_key(*name)) {
            let message = format!("is missing, {} lists it", self.path.display());
            return Err(Error::tensor(path, missing, message));
        }
        for (name, entry) in &here {
            let Some((other, there)) = self.entries.get(name) else { continue };
            let other = &self.shards[*other];
            if !are_equal((other, there), (&shard, entry))? {
                let message = format!(
                    "differs from the tensor of this name in {}: one of the two files is out of date; write the model anew",
                    other.path().display()
                );
                return Err(Error::tensor(path, name, message));
            }
        }
        let index = self.shards.len();
        self.shards.push(shard);
        for name in listed {
            self.entries.extend(here.remove(name).map(|entry| (name.clone(), (index, entry))));
        }
        for (name, entry) in here {
            self.entries.entry(name).or_insert((index, entry));
        }
        Ok(())
    }

    fn drop_wrappers(&mut self) {
        while let Some(wrapper) = WRAPPERS
            .into_iter()
            .find(|wrapper| self.names().all(|name| name.starts_with(wrapper)))
            .filter(|_| !self.entries.is_empty())
        {
            let entries = std::mem::take(&mut self.entries).into_iter();
            self.entries =
                entries.map(|(name, entry)| (name[wrapper.len()..].to_string(), entry)).collect();
        }
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
        self.entries.get(name).map(|(_, entry)| entry.shape.clone())
    }

    /// The file that holds a tensor.
    pub fn file_of(&self, name: &str) -> Option<&Path> {
        self.entry(name).ok().map(|(shard, _)| shard.path())
    }

    /// The bytes of the largest file.
    pub fn largest(&self) -> Option<usize> {
        self.shards.iter().map(Shard::len).max()
    }

    fn entry(&self, name: &str) -> Result<(&Shard, &Entry)> {
        match self.entries.get(name) {
            Some((shard, entry)) => Ok((&self.shards[*shard], entry)),
            None => Err(Error::tensor(&self.path, name, "is missing")),
        }
    }

    /// How many bytes a tensor is stored in.
    pub fn num_bytes(&self, name: &str) -> Result<usize> {
        Ok(self.entry(name)?.1.bytes)
    }

    /// Whether a tensor is stored in this type.
    pub fn is_stored_as(&self, name: &str, dtype: DType) -> bool {
        self.entry(name).is_ok_and(|(_, entry)| entry.stored == Stored::Float(dtype))
    }

    /// Reads bytes of a tensor, as they are stored, from its byte `start` on.
    pub fn fill(&self, name: &str, start: usize, into: &mut [u8]) -> Result<()> {
        let (shard, entry) = self.entry(name)?;
        shard.fill(entry, start, into)
    }

    /// How many bytes of a tensor are best read at once, at least 1.
    pub fn piece(&self, name: &str) -> usize {
        self.entry(name).map_or(PIECE, |(_, entry)| piece(entry))
    }

    /// Whether two tensors are equal bit by bit, compared piece by piece.
    pub fn are_equal(&self, one: &str, other: &str) -> Result<bool> {
        are_equal(self.entry(one)?, self.entry(other)?)
    }

    /// A tensor of floats as `dtype`: a view of the file if it has this type and `in_place` allows it.
    pub fn read(&self, name: &str, dtype: DType, in_place: bool) -> Result<TensorData> {
        let (shard, entry) = self.entry(name)?;
        let shape = entry.shape.as_slice();
        let stored = match &entry.stored {
            Stored::Float(stored) => *stored,
            Stored::Other(other) => {
                let message = format!(
                    "found type {other}, expected F32, F16 or BF16: save the model in one of these, in Python \
                     model.to(torch.bfloat16).save_pretrained(NEW)"
                );
                return Err(Error::tensor(shard.path(), name, message));
            }
        };
        // Whole at once: chunk by chunk, the values of a chunk lie further apart.
        let is_scattered = entry.scattered.is_some();
        match (stored, dtype) {
            // Some writers do not align tensors; what is not aligned cannot be read in place.
            (DType::F32, DType::F32)
                if in_place && !is_scattered && entry.offset.is_multiple_of(align_of::<f32>()) =>
            {
                let view = shard.view(entry);
                let bytes = Bytes::from_shared(view, AllocationProperty::File);
                Ok(TensorData::from_bytes(bytes, shape, stored))
            }
            (DType::F32, DType::F32) => {
                let mut values = vec![0f32; entry.bytes / size_of::<f32>()];
                shard.fill(entry, 0, bytemuck::cast_slice_mut(&mut values))?;
                Ok(TensorData::new(values, shape))
            }
            (DType::F16, DType::F32) if !is_scattered => {
                upcast(shard, entry, |bytes| f16::from_le_bytes(bytes).to_f32())
            }
            (DType::BF16, DType::F32) if !is_scattered => {
                upcast(shard, entry, |bytes| bf16::from_le_bytes(bytes).to_f32())
            }
            _ => {
                let mut bytes = vec![0; entry.bytes];
                shard.fill(entry, 0, &mut bytes)?;
                Ok(TensorData::from_bytes_vec(bytes, shape, stored).convert_dtype(dtype))
            }
        }
    }
}

/// Whether two tensors are equal bit by bit, compared piece by piece.
fn are_equal(
    (shard, one): (&Shard, &Entry),
    (other_shard, other): (&Shard, &Entry),
) -> Result<bool> {
    if (&one.stored, &one.shape) != (&other.stored, &other.shape) {
        return Ok(false);
    }
    let piece = piece(one).max(piece(other));
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for start in (0..one.bytes).step_by(piece) {
        let len = piece.min(one.bytes - start);
        left.resize(len, 0);
        right.resize(len, 0);
        shard.fill(one, start, &mut left)?;
        other_shard.fill(other, start, &mut right)?;
        if left != right {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Of values that lie apart, a band of whole rows: in a transposed matrix, the values of one column that it holds follow one
/// another in the file, and the fewer rows, the shorter is what is read.
fn piece(entry: &Entry) -> usize {
    match (&entry.scattered, entry.shape.first()) {
        (Some(_), Some(rows)) => band(entry.bytes / (*rows).max(1)),
        _ => PIECE,
    }
}

/// The bytes of as many whole rows of `row` bytes as are read at once; of a longer row, a part.
fn band(row: usize) -> usize {
    const MOST: usize = 16 << 20;
    match MOST.checked_div(row) {
        None | Some(0) => MOST,
        Some(rows) => rows * row,
    }
}

/// A tensor of two bytes per value, upcast chunk by chunk.
fn upcast(shard: &Shard, entry: &Entry, one: impl Fn([u8; 2]) -> f32) -> Result<TensorData> {
    let count = entry.bytes / 2;
    let mut values = Vec::with_capacity(count);
    let mut bytes = vec![0; 2 * CHUNK.min(count)];
    while values.len() < count {
        let chunk = &mut bytes[..2 * CHUNK.min(count - values.len())];
        shard.fill(entry, 2 * values.len(), chunk)?;
        values.extend(chunk.chunks_exact(2).map(|pair| one([pair[0], pair[1]])));
    }
    Ok(TensorData::new(values, entry.shape.as_slice()))
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
        fs::write(dir.join("model.safetensors"), bytes).unwrap();
    }

    /// transformers uses the last file, the index names one: which is right, nobody knows.
    #[test]
    fn a_tensor_in_two_files_is_the_same_in_both() {
        let one = tempfile::tempdir().unwrap();
        let dir = one.path();
        write(dir, 0);
        let bytes = fs::read(dir.join("model.safetensors")).unwrap();
        fs::rename(dir.join("model.safetensors"), dir.join("1.safetensors")).unwrap();
        let index = r#"{"weight_map": {"x": "1.safetensors", "y": "2.safetensors"}}"#;
        fs::write(dir.join("model.safetensors.index.json"), index).unwrap();
        let header = r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#;
        let values = &bytes[bytes.len() - 8..];
        for (x, is_same) in [(values, true), (&[0; 8][..], false)] {
            let len = (header.len() as u64).to_le_bytes();
            let file = [&len[..], header.as_bytes(), x, &[0; 4]].concat();
            fs::write(dir.join("2.safetensors"), file).unwrap();
            match Files::open(dir) {
                Ok(files) => assert!(is_same && files.names().eq(["x", "y"])),
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        !is_same && error.contains("2.safetensors: tensor `x`: differs from"),
                        "{error}"
                    );
                    assert!(error.contains("1.safetensors: one of the two"), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_band_is_of_whole_rows() {
        const MOST: usize = 16 << 20;
        assert_eq!([0, 1 << 14, MOST, MOST + 4].map(band), [MOST; 4]);
        let found = band(12_000);
        assert!(found.is_multiple_of(12_000) && MOST - found < 12_000, "{found}");
    }

    #[test]
    fn alignment_and_place_do_not_change_the_values() {
        for shift in 0..4 {
            let dir = tempfile::tempdir().unwrap();
            write(dir.path(), shift);
            let before = fs::read(dir.path().join("model.safetensors")).unwrap();
            for in_place in [false, true] {
                let data =
                    Files::open(dir.path()).unwrap().read("x", DType::F32, in_place).unwrap();
                let is_view = data.bytes().property() == AllocationProperty::File;
                assert_eq!(is_view, in_place && shift == 0, "{shift} {in_place}");
                // Writing to it does not write to the file.
                let x = Tensor::<1>::from_data(data, &Device::flex()).add_scalar(1.0);
                assert_eq!(x.try_into_vec_as::<f32>().unwrap(), [2.5, -1.0]);
            }
            assert_eq!(fs::read(dir.path().join("model.safetensors")).unwrap(), before);
        }
    }
}
