//! What a pickle of torch may name, and what it says of a tensor.

use std::ops::Range;

use burn::tensor::DType;

use super::archive::{Result, quoted};

/// What a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    /// `collections OrderedDict`.
    OrderedDict,
    /// `torch._utils _rebuild_tensor_v2`: storage, offset, shape, strides, and what training needs. Before 0.4,
    /// `_rebuild_tensor`: without the latter.
    RebuildTensor,
    /// `torch._utils _rebuild_parameter`, with and without a state: a tensor, and what training
    /// needs.
    RebuildParameter,
    /// `torch FloatStorage` and so on.
    Storage(DType),
}

impl Global {
    /// The meaning of a name; any but the few that describe tensors is refused.
    pub fn named(module: &str, name: &str) -> Result<Self> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::RebuildParameter
            }
            ("torch", storage) => match storage_type(storage) {
                Some(dtype) => Self::Storage(dtype),
                None => return Err(not_known(module, name)),
            },
            _ => return Err(not_known(module, name)),
        })
    }
}

fn not_known(module: &str, name: &str) -> String {
    format!(
        "its pickle asks for {}, which this tensor reader does not support; nothing was executed",
        quoted(&format!("{module}.{name}"))
    )
}

/// The type of the values of a storage.
fn storage_type(name: &str) -> Option<DType> {
    Some(match name.strip_suffix("Storage")? {
        "Float" => DType::F32,
        "Half" => DType::F16,
        "BFloat16" => DType::BF16,
        "Double" => DType::F64,
        // A boolean is a byte; none is ever used.
        "Byte" | "Bool" => DType::U8,
        "Char" => DType::I8,
        "Short" => DType::I16,
        "Int" => DType::I32,
        "Long" => DType::I64,
        _ => return None,
    })
}

/// The values of a tensor: an entry of the archive, or a part of an old file.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// The type of the values.
    pub dtype: DType,
    /// Position in the pickle of the storage's name.
    pub key: Range<usize>,
    /// The number of values that there should be.
    pub numel: usize,
}

impl Storage {
    /// The storage's name: that of its entry below `data/`.
    pub fn key<'a>(&self, pickle: &'a [u8]) -> Result<&'a str> {
        std::str::from_utf8(&pickle[self.key.clone()])
            .map_err(|_| "found text in its pickle that is not UTF-8".to_string())
    }
}

/// A view on a storage, as the file claims it; nothing is checked yet.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Its values.
    pub storage: Storage,
    /// Where it begins, in values.
    pub offset: usize,
    /// Sizes.
    pub shape: Vec<usize>,
    /// The stride of each dimension, in values.
    pub strides: Vec<usize>,
}

/// A non-negative integer.
pub fn whole(number: i64, what: &str) -> Result<usize> {
    usize::try_from(number).map_err(|_| format!("a tensor has a negative {what}: {number}"))
}
