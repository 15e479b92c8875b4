//! A checkpoint as one safetensors file or several shards, mapped into memory.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use burn::tensor::{DType, TensorData};
use memmap2::Mmap;
use peft_core::{Error, Result};
use safetensors::{Dtype, SafeTensors};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Where one tensor stands.
#[derive(Debug)]
struct Entry {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    range: std::ops::Range<usize>,
}

/// The tensors of all shards of a checkpoint.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    shards: Vec<(PathBuf, Mmap)>,
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
        let text = fs::read_to_string(&index).map_err(Error::read(&index))?;
        let json: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| Error::file(&index, format!("not JSON: {error}")))?;
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
                        format!("expected the name of a file beside it, found {shard}"),
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
        let file = File::open(path).map_err(Error::read(path))?;
        // SAFETY: the mapping is read-only and private to this process. Another process that
        // truncates the file while it is mapped could end this one, as with any mapped file.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::read(path))?;
        let start = map.as_ptr() as usize;
        let parsed = SafeTensors::deserialize(&map)
            .map_err(|error| Error::file(path, format!("not a whole safetensors file: {error}")))?;
        for (name, view) in parsed.iter() {
            let offset = view.data().as_ptr() as usize - start;
            let entry = Entry {
                shard: self.shards.len(),
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                range: offset..offset + view.data().len(),
            };
            self.entries.insert(name.to_string(), entry);
        }
        self.shards.push((path.to_path_buf(), map));
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

    /// A tensor's bytes as they stand in the file.
    pub fn bytes(&self, name: &str) -> Result<&[u8]> {
        let entry = self.entry(name)?;
        Ok(&self.shards[entry.shard].1[entry.range.clone()])
    }

    /// A tensor of floats, in the type it has in the file.
    pub fn read(&self, name: &str) -> Result<TensorData> {
        let entry = self.entry(name)?;
        let dtype = match entry.dtype {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => {
                let path = &self.shards[entry.shard].0;
                let message = format!("found type {other:?}, expected F32, F16 or BF16");
                return Err(Error::tensor(path, name, message));
            }
        };
        let bytes = self.bytes(name)?.to_vec();
        Ok(TensorData::from_bytes_vec(bytes, entry.shape.as_slice(), dtype))
    }
}
