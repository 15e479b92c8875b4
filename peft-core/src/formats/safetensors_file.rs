//! Which tensors a safetensors file holds, and where.

use std::{ops::Range, path::Path};

use burn::tensor::DType;
use safetensors::{Dtype, SafeTensors};

use super::instead::instead;
use crate::error::{Error, Result};

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTensor {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The type of its values if they are floats, else the name of their type.
    pub dtype: std::result::Result<DType, String>,
    /// Its bytes in the file, without gaps.
    pub place: Range<usize>,
}

/// The tensors of a file.
///
/// # Errors
///
/// [`Error::File`] if it is malformed or truncated.
pub fn tensors(bytes: &[u8], path: &Path) -> Result<Vec<FileTensor>> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        let way_out = match instead(bytes).filter(|_| !begins(bytes)) {
            Some(what) => format!("it is {what}"),
            None => "copy or download it again".into(),
        };
        Error::file(path, format!("not a whole safetensors file: {error}; {way_out}"))
    })?;
    let found = file.iter().map(|(name, view)| {
        // A view is a part of these bytes.
        let first = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        FileTensor {
            name: name.to_string(),
            shape: view.shape().to_vec(),
            dtype: float(view.dtype()).ok_or_else(|| format!("{:?}", view.dtype())),
            place: first..first + view.data().len(),
        }
    });
    Ok(found.collect())
}

/// Whether a file begins as a safetensors file does, with a header behind its length.
fn begins(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{')
}

fn float(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F64 => Some(DType::F64),
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_found_in_place() {
        let header = r#"{"b":{"dtype":"I8","shape":[1],"data_offsets":[4,5]},"a":{"dtype":"BF16","shape":[2,1],"data_offsets":[0,4]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        let start = bytes.len();
        bytes.extend([1, 2, 3, 4, 5]);
        let path = Path::new("a.safetensors");
        let mut found = tensors(&bytes, path).unwrap();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let tensor = |name: &str, shape: &[usize], dtype, place: Range<usize>| FileTensor {
            name: name.into(),
            shape: shape.to_vec(),
            dtype,
            place: start + place.start..start + place.end,
        };
        let expected = [
            tensor("a", &[2, 1], Ok(DType::BF16), 0..4),
            tensor("b", &[1], Err("I8".into()), 4..5),
        ];
        assert_eq!(found, expected);
        let cut = tensors(&bytes[..bytes.len() - 1], path).unwrap_err().to_string();
        assert!(cut.contains("a.safetensors: not a whole safetensors file"), "{cut}");
        assert!(cut.ends_with("; copy or download it again"), "{cut}");
        let page = tensors(b"<!DOCTYPE html><html></html>", path).unwrap_err().to_string();
        assert!(page.contains("; it is a web page"), "{page}");
    }
}
