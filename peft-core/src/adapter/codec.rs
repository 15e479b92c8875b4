//! Named tensors as the bytes of a safetensors file, and back.

use std::{collections::HashMap, path::Path};

use burn::tensor::{DType, TensorData};
use safetensors::{Dtype, tensor::TensorView};
use sha2::{Digest, Sha256};

use crate::{
    contract::tensors::NamedTensors,
    error::{Error, Result},
    formats::{
        floats::upcast,
        safetensors_file::{self, FileTensor},
    },
};

/// The hexadecimal SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Serialises named tensors as a safetensors file, with the metadata that PEFT expects.
///
/// # Errors
///
/// [`Error::Tensor`] for a type that safetensors files do not support.
pub fn to_safetensors(tensors: &NamedTensors, path: &Path) -> Result<Vec<u8>> {
    let views = tensors
        .iter()
        .map(|(name, data)| {
            let dtype = match data.dtype() {
                DType::F32 => Dtype::F32,
                DType::F64 => Dtype::F64,
                DType::I64 => Dtype::I64,
                other => {
                    return Err(Error::tensor(path, name, format!("cannot store {other:?}")));
                }
            };
            TensorView::new(dtype, data.shape().as_slice().to_vec(), data.as_bytes())
                .map(|view| (name.as_str(), view))
                .map_err(|error| Error::tensor(path, name, error.to_string()))
        })
        .collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    safetensors::serialize(views, Some(metadata))
        .map_err(|error| Error::file(path, error.to_string()))
}

/// Reads all float tensors of a safetensors file, upcast to f32.
///
/// # Errors
///
/// [`Error::File`] if the file is malformed or truncated, [`Error::Tensor`] if a tensor does not
/// hold floats.
pub fn from_safetensors(bytes: &[u8], path: &Path) -> Result<NamedTensors> {
    let tensors = safetensors_file::tensors(bytes, path)?.into_iter();
    let upcast_all = tensors.map(|FileTensor { name, shape, dtype, place }| {
        let dtype = dtype.map_err(|other| {
            Error::tensor(path, &name, format!("found type {other}, expected F32, F16 or BF16"))
        })?;
        let data = TensorData::from_bytes_vec(bytes[place].to_vec(), shape, dtype);
        Ok((name, upcast(data)))
    });
    upcast_all.collect()
}

/// Converts the values of the tensor `name` to f32.
///
/// # Errors
///
/// [`Error::Tensor`] for a value that is not finite, or is too large for f32.
pub fn finite_f32(data: TensorData, name: &str, path: &Path) -> Result<TensorData> {
    let data = data.convert_dtype(DType::F32);
    if data.iter::<f32>().any(|value| !value.is_finite()) {
        return Err(Error::tensor(path, name, "holds values that are not finite"));
    }
    Ok(data)
}
