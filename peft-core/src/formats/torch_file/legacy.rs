//! The format of torch before 1.6, also written with `_use_new_zipfile_serialization=False`: four pickles, and after
//! them the storages.
//!
//! ```text
//! pickle   the magic number
//! pickle   1001, the version of the format
//! pickle   the sizes of numbers on the machine that wrote it
//! pickle   the object, which refers to storages by name
//! pickle   the names of the storages, in the order in which they follow
//! then for each: the number of its values, in 8 bytes, and the values
//! ```

use std::{collections::BTreeMap, ops::Range};

use super::{
    archive::{Result, quoted},
    content::{self, Parsed},
};

/// Where in a file the storages are, by their names.
pub type Storages<'a> = BTreeMap<&'a str, Range<usize>>;

/// The first pickle.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// The second.
const VERSION: &[u8] = b"\x80\x02M\xe9\x03.";
/// In the third.
const BIG_ENDIAN: &[u8] = b"little_endianq\x02\x89";

/// Whether a file is in this format.
pub fn is_legacy(file: &[u8]) -> bool {
    file.starts_with(MAGIC)
}

/// The program that makes the object, as bytes and read, and where in the file the storages are.
pub fn open(file: &[u8]) -> Result<(&[u8], Parsed<'_>, Storages<'_>)> {
    let rest = file.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(VERSION));
    let machine = rest.ok_or("is of an unknown version of the format before torch 1.6")?;
    let sizes = content::read(machine)?.len();
    if machine[..sizes].windows(BIG_ENDIAN.len()).any(|part| part == BIG_ENDIAN) {
        return Err("was written on a big-endian machine, which is not supported".into());
    }
    let rest = &machine[sizes..];
    let object = content::read(rest)?;
    let list = &rest[object.len()..];
    let names = content::read(list)?;
    let mut at = file.len() - list.len() + names.len();
    let widths = object.storages()?;
    let mut storages = BTreeMap::new();
    for name in names.names()? {
        let width = widths
            .get(name)
            .ok_or_else(|| format!("its storage {} is not used by any tensor", quoted(name)))?;
        let cut = || format!("is truncated: its storage {} is not whole", quoted(name));
        let count = file.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).ok_or_else(cut)?;
        let bytes = usize::try_from(u64::from_le_bytes(count)).ok();
        let bytes = bytes.and_then(|count| count.checked_mul(*width)).ok_or_else(cut)?;
        let end = (at + 8).checked_add(bytes).filter(|end| *end <= file.len()).ok_or_else(cut)?;
        storages.insert(name, at + 8..end);
        at = end;
    }
    Ok((rest, object, storages))
}
