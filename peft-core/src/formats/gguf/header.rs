//! The header of one GGUF file: its version, its metadata, and what its tensors are.

use std::{collections::BTreeMap, io::Read};

use super::{TensorType, Value, cursor::Cursor};

/// Where the tensors begin is a multiple of this, if the file says nothing.
const ALIGNMENT: u64 = 32;

/// The key of a multiple that the file chooses.
const ALIGNMENT_KEY: &str = "general.alignment";

/// A tensor of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) name: String,
    /// Rows first.
    pub(super) shape: Vec<usize>,
    pub(super) kind: TensorType,
    /// Its first byte in the file.
    pub(super) offset: u64,
    pub(super) bytes: usize,
}

/// The header of one file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, Value>,
    pub(super) tensors: Vec<Stored>,
}

impl Header {
    /// Reads the header of a file of `len` bytes. What is wrong is said without the file's name.
    pub(super) fn read(reader: impl Read, len: u64) -> Result<Self, String> {
        let mut cursor = Cursor::new(reader, len);
        let is_gguf = len >= 4 && cursor.bytes()? == *b"GGUF";
        if !is_gguf {
            return Err("is not a GGUF file, which begins with the letters GGUF".to_string());
        }
        match cursor.u32()? {
            2 | 3 => {}
            1 => return Err("is GGUF of version 1, expected 2 or 3: make it anew".to_string()),
            version if matches!(version.swap_bytes(), 1..=9) => {
                return Err("is a big-endian GGUF file, and only little-endian ones are read: \
                    convert it with gguf_convert_endian.py of llama.cpp"
                    .to_string());
            }
            version => return Err(format!("is GGUF of version {version}, expected 2 or 3")),
        }
        // A tensor takes at least the lengths of its name and its dimensions, its type and its place; an entry of the
        // metadata the length of its name and its type.
        let tensors = cursor.count(24, "tensors")?;
        let entries = cursor.count(12, "entries of metadata")?;
        let mut metadata = BTreeMap::new();
        for _ in 0..entries {
            let key = cursor.text()?;
            let kind = cursor.u32()?;
            let value = cursor.value(kind).map_err(|error| format!("{error}, in {key:?}"))?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(format!("holds the metadata {key:?} twice"));
            }
        }
        let alignment = match metadata.get(ALIGNMENT_KEY).map(Value::as_u64) {
            None => ALIGNMENT,
            Some(Some(given)) if given.is_power_of_two() && given <= 1 << 30 => given,
            Some(_) => return Err(format!("has a {ALIGNMENT_KEY} that is no power of two")),
        };
        let mut stored = Vec::new();
        for _ in 0..tensors {
            stored.push(read_tensor(&mut cursor)?);
        }
        let start = cursor.at().next_multiple_of(alignment);
        for tensor in &mut stored {
            let begin = tensor.offset.checked_add(start);
            let end = begin.and_then(|begin| begin.checked_add(tensor.bytes as u64));
            match (begin, end) {
                (Some(begin), Some(end)) if end <= len => tensor.offset = begin,
                _ => {
                    let name = &tensor.name;
                    return Err(format!(
                        "ends at {len} bytes, before the end of tensor `{name}`: it is not whole: copy or download it again"
                    ));
                }
            }
        }
        Ok(Self { metadata, tensors: stored })
    }
}

/// What a tensor is; its offset is that from the first tensor.
fn read_tensor(cursor: &mut Cursor<impl Read>) -> Result<Stored, String> {
    let name = cursor.text()?;
    let wrong = |message: String| format!("holds tensor `{name}`, which {message}");
    let dimensions = cursor.u32()?;
    if !matches!(dimensions, 1..=4) {
        return Err(wrong(format!("has {dimensions} dimensions")));
    }
    let mut sizes = Vec::new();
    for _ in 0..dimensions {
        sizes.push(cursor.u64()?);
    }
    let kind = TensorType::from_number(cursor.u32()?).map_err(wrong)?;
    let offset = cursor.u64()?;
    let shape: Option<Vec<usize>> =
        sizes.iter().rev().map(|size| usize::try_from(*size).ok()).collect();
    let mut sizes_of_shape = shape.as_deref().unwrap_or_default().iter();
    let values = sizes_of_shape.try_fold(1usize, |all, size| all.checked_mul(*size));
    // So that no number of bytes overflows either.
    let values = values.filter(|values| values.checked_mul(8).is_some());
    let (Some(shape), Some(values)) = (shape, values) else {
        return Err(wrong(format!("has the impossible sizes {sizes:?}")));
    };
    let columns = shape.last().copied().unwrap_or_default();
    if !columns.is_multiple_of(kind.block_len()) {
        let block = kind.block_len();
        return Err(wrong(format!(
            "has rows of {columns} values, and {kind} stores blocks of {block}"
        )));
    }
    Ok(Stored { name, shape, kind, offset, bytes: kind.bytes_of(values) })
}
