//! The tensors of a file, by name, read when they are needed.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

use burn::tensor::{DType, TensorData};

use crate::{
    adapter::{codec::finite_f32, stored},
    error::{Error, Result},
    formats::{
        floats::upcast,
        npy, read,
        safetensors_file::{self, FileTensor},
        torch_file::{self, Place, TorchFile},
    },
};

/// The name of a tensor that has none.
pub(super) const NAMELESS: &str = "";
/// What wrappers of modules put in front of every name.
const WRAPPERS: [&str; 3] = ["module.", "_orig_mod.", "_forward_module."];

/// Where the values of a tensor are.
enum Values {
    Here(TensorData),
    /// In the bytes of the file; `None` for a type that is not of floats.
    There(Option<DType>, Range<usize>),
    /// In the bytes of a file of torch.
    Torch(Place),
}

struct Entry {
    shape: Vec<usize>,
    values: Values,
}

/// The tensors of a file.
pub(super) struct Source {
    pub(super) path: PathBuf,
    bytes: Vec<u8>,
    /// What stood in front of every name.
    wrapper: String,
    entries: BTreeMap<String, Entry>,
}

impl Source {
    /// Opens `.npy`, `.safetensors`, files of torch, or the file of tensors in a folder.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let path = if path.is_dir() { file_of(path)? } else { path.to_path_buf() };
        let bytes = read::bytes(&path)?;
        let entries = match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => {
                BTreeMap::from([(NAMELESS.to_string(), here(npy::read(&bytes, &path)?))])
            }
            Some("safetensors") => of_safetensors(&bytes, &path)?,
            Some("bin" | "pt" | "pth" | "ckpt") => of_torch(&bytes, &path)?,
            _ => {
                let message =
                    "expected an adapter folder, .npy, .safetensors, .bin, .pt, .pth or .ckpt";
                return Err(Error::file(&path, message));
            }
        };
        let mut source = Self { path, bytes, wrapper: String::new(), entries };
        source.unwrap_names();
        Ok(source)
    }

    /// Removes what wrappers put in front of every name.
    fn unwrap_names(&mut self) {
        let in_front = |entries: &BTreeMap<String, Entry>| {
            let of_all = |wrapper: &&&str| entries.keys().all(|name| name.starts_with(**wrapper));
            WRAPPERS.iter().find(of_all).filter(|_| !entries.is_empty()).copied()
        };
        while let Some(wrapper) = in_front(&self.entries) {
            self.wrapper += wrapper;
            let entries = std::mem::take(&mut self.entries);
            let shorter =
                |(name, entry): (String, Entry)| (name[wrapper.len()..].to_string(), entry);
            self.entries = entries.into_iter().map(shorter).collect();
        }
    }

    /// The names, without what wrappers put in front of them.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The shape of a tensor, if there is one of that name.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// The number of values in the file.
    pub(super) fn values(&self) -> usize {
        let count =
            |entry: &Entry| entry.shape.iter().fold(1, |n: usize, size| n.saturating_mul(*size));
        self.entries.values().fold(0, |sum: usize, entry| sum.saturating_add(count(entry)))
    }

    /// The tensor of a name, as f32.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] if it is missing, is not of floats, or holds values that are not finite.
    pub(super) fn load(&self, name: &str) -> Result<TensorData> {
        let full = self.full(name);
        let entry =
            self.entries.get(name).ok_or_else(|| Error::tensor(&self.path, &full, "is missing"))?;
        let data = match &entry.values {
            Values::Here(data) => data.clone(),
            Values::There(Some(dtype), range) => {
                let bytes = self.bytes[range.clone()].to_vec();
                upcast(TensorData::from_bytes_vec(bytes, entry.shape.as_slice(), *dtype))
            }
            Values::Torch(place) if place.dtype.is_float() => upcast(place.data(&self.bytes)),
            Values::There(None, _) | Values::Torch(_) => {
                let message = "is not of floats, expected f32, f16, bf16 or f64";
                return Err(Error::tensor(&self.path, &full, message));
            }
        };
        finite_f32(data, &full, &self.path)
    }

    /// The name in the file.
    pub(super) fn full(&self, name: &str) -> String {
        match name {
            NAMELESS => "(the only one)".into(),
            name => format!("{}{name}", self.wrapper),
        }
    }

    /// An error about the file.
    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        Error::file(&self.path, message)
    }

    /// An error about one of its tensors.
    pub(super) fn tensor_error(&self, name: &str, message: impl Into<String>) -> Error {
        Error::tensor(&self.path, self.full(name), message)
    }
}

/// Whether a folder holds a file of tensors that can be read.
pub fn holds_tensors(dir: &Path) -> bool {
    file_of(dir).is_ok()
}

/// The file of tensors in a folder that has no `adapter_config.json`.
fn file_of(dir: &Path) -> Result<PathBuf> {
    const OF_A_MODEL: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
    let model = || OF_A_MODEL.map(|name| dir.join(name)).into_iter().find(|path| path.exists());
    stored::path(dir).or_else(|error| model().ok_or(error))
}

fn here(data: TensorData) -> Entry {
    Entry { shape: data.shape().as_slice().to_vec(), values: Values::Here(data) }
}

/// A state dict, also one that stands in a checkpoint beside other things; or one tensor.
fn of_torch(bytes: &[u8], path: &Path) -> Result<BTreeMap<String, Entry>> {
    if let Ok(places) = torch_file::state(bytes, path, true) {
        let entry =
            |place: Place| Entry { shape: place.shape.clone(), values: Values::Torch(place) };
        return Ok(places.into_iter().map(|(name, place)| (name, entry(place))).collect());
    }
    Ok(match torch_file::read(bytes, path)? {
        TorchFile::Bare(data) => BTreeMap::from([(NAMELESS.to_string(), here(data))]),
        TorchFile::Named(tensors) => {
            tensors.into_iter().map(|(name, data)| (name, here(data))).collect()
        }
    })
}

fn of_safetensors(bytes: &[u8], path: &Path) -> Result<BTreeMap<String, Entry>> {
    let tensors = safetensors_file::tensors(bytes, path)?.into_iter();
    let entry = |tensor: FileTensor| {
        let values = Values::There(tensor.dtype.ok(), tensor.place);
        (tensor.name, Entry { shape: tensor.shape, values })
    };
    Ok(tensors.map(entry).collect())
}
