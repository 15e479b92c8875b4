//! From the bytes of a file to its tensors.

use std::{collections::BTreeMap, path::Path};

use burn::tensor::TensorData;

use super::{
    archive::{Archive, quoted},
    pickle::{self, Content, View},
};
use crate::{
    error::{Error, Result},
    formats::floats::upcast,
};

/// The content of a torch file; f16 and bf16 values are upcast to f32.
#[derive(Clone, Debug, PartialEq)]
pub enum TorchFile {
    /// One tensor without a name.
    Bare(TensorData),
    /// Tensors by name.
    Named(BTreeMap<String, TensorData>),
}

/// Reads the bytes of a file; `path` is named in errors.
///
/// # Errors
///
/// [`Error::File`] if it is not a torch archive, is damaged or truncated, or contains anything but
/// tensors; [`Error::Tensor`] if a tensor does not hold floats or does not fit its storage.
pub fn read(bytes: &[u8], path: &Path) -> Result<TorchFile> {
    let bad = |message: String| Error::file(path, message);
    if !bytes.starts_with(b"PK") {
        return Err(bad(not_an_archive(bytes, path)));
    }
    let archive = Archive::open(bytes).map_err(bad)?;
    let mut programs = archive.names().filter_map(|name| name.strip_suffix("/data.pkl"));
    let (Some(root), None) = (programs.next(), programs.next()) else {
        return Err(bad(
            "is a zip archive, but torch.save did not write it: expected exactly one \
                        `data.pkl` in a folder"
                .into(),
        ));
    };
    if archive.get(&format!("{root}/byteorder")).is_some_and(|order| order != b"little") {
        return Err(bad("was written on a big-endian machine, which is not supported".into()));
    }
    let program = archive.get(&format!("{root}/data.pkl")).unwrap_or_default();
    let content = pickle::read(program).map_err(bad)?;
    // Tied tensors share a storage, so their sum may exceed the file, but not by much.
    let mut budget = bytes.len().saturating_mul(2);
    let mut load = |name: &str, view: &View| {
        let key = view.storage.key(program).map_err(bad)?;
        let stored = archive.get(&format!("{root}/data/{key}")).ok_or_else(|| {
            Error::tensor(path, name, format!("its storage {} is not in the file", quoted(key)))
        })?;
        tensor(view, stored, &mut budget).map_err(|message| Error::tensor(path, name, message))
    };
    match content {
        Content::Bare(view) => load("(the only one)", &view).map(TorchFile::Bare),
        Content::Named(views) => {
            let named = views.into_iter().map(|(name, view)| Ok((name.into(), load(name, &view)?)));
            named.collect::<Result<_>>().map(TorchFile::Named)
        }
    }
}

/// Explains what to do about a file that is not a zip archive.
fn not_an_archive(bytes: &[u8], path: &Path) -> String {
    // Before 1.6, torch wrote a pickle of protocol 2 at the beginning of the file.
    if bytes.starts_with(b"\x80\x02") {
        let path = path.display();
        format!(
            "is in the format of torch before 1.6, which is not supported. Convert it in \
             Python: torch.save(torch.load(\"{path}\", weights_only=True), \"{path}\")"
        )
    } else {
        "was not written by torch.save: expected a zip archive".into()
    }
}

/// Returns the values of a view on the bytes of its storage. `budget` is the number of bytes that
/// the remaining tensors may still take.
fn tensor(view: &View, stored: &[u8], budget: &mut usize) -> Result<TensorData, String> {
    let View { storage, offset, shape, strides } = view;
    let dtype = storage.dtype.ok_or("is not of floats, expected f32, f16, bf16 or f64")?;
    let width = dtype.size();
    let held = stored.len() / width;
    if storage.numel > held {
        return Err(format!(
            "its storage should hold {} values, but it holds {held}",
            storage.numel
        ));
    }
    if shape.len() != strides.len() {
        return Err(format!("has the shape {shape:?} but the strides {strides:?}"));
    }
    let too_large = || format!("has the shape {shape:?}, but its storage holds {held} values");
    let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
    // A stride of 0 would repeat values without end.
    let count = count.filter(|count| *count <= held).ok_or_else(too_large)?;
    *budget = budget.checked_sub(count * width).ok_or(
        "is one of several tensors that share a storage and together are larger than the file",
    )?;
    let bytes = if count == 0 {
        Vec::new()
    } else {
        let last = shape.iter().zip(strides).try_fold(*offset, |last, (size, stride)| {
            last.checked_add((size - 1).checked_mul(*stride)?)
        });
        if last.is_none_or(|last| last >= held) {
            return Err(format!(
                "has the shape {shape:?}, strides {strides:?} and offset {offset}, which lead beyond \
                 the {held} values of its storage"
            ));
        }
        gather(stored, view, count, width)
    };
    Ok(upcast(TensorData::from_bytes_vec(bytes, shape.as_slice(), dtype)))
}

/// Copies `count` values of `width` bytes, row by row.
fn gather(stored: &[u8], view: &View, count: usize, width: usize) -> Vec<u8> {
    let View { offset, shape, strides, .. } = view;
    let mut step = 1;
    let is_plain = shape.iter().zip(strides).rev().all(|(size, stride)| {
        let plain = *size == 1 || *stride == step;
        step *= size;
        plain
    });
    if is_plain {
        return stored[offset * width..(offset + count) * width].to_vec();
    }
    let mut bytes = Vec::with_capacity(count * width);
    for index in 0..count {
        let (mut rest, mut place) = (index, *offset);
        for (size, stride) in shape.iter().zip(strides).rev() {
            place += rest % size * stride;
            rest /= size;
        }
        bytes.extend_from_slice(&stored[place * width..(place + 1) * width]);
    }
    bytes
}
