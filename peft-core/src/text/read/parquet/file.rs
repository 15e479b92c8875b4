//! A file's metadata, which stands at its end, and what keeps a file from being read.

use std::path::Path;

use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};

use super::{
    bits::Bits,
    fault::{Fault, REWRITE},
    pages::is_known,
    schema::Schema,
};
use crate::error::{Error, Result};

/// What begins and ends a file.
const MAGIC: &[u8; 4] = b"PAR1";
/// What ends one whose metadata is encrypted.
const ENCRYPTED: &[u8; 4] = b"PARE";

/// The metadata of a file, and the number of its bytes.
///
/// # Errors
/// [`Error::Read`] if it cannot be read, [`Error::File`] if it is cut off, encrypted or damaged.
pub(super) fn metadata(path: &Path, file: &Bits) -> Result<(ParquetMetaData, u64)> {
    let length = file.length().map_err(Error::read(path))?;
    let start = file.read(0, 4).map_err(Error::read(path))?;
    if start != MAGIC {
        let message = "holds Parquet, but inside gzip or Zstandard: unpack it first, its own compression is enough";
        return Err(Error::file(path, message));
    }
    let tail = file.read(length.saturating_sub(8), 8).map_err(Error::read(path))?;
    let (size, magic) = tail.split_at(tail.len().min(4));
    if magic == ENCRYPTED {
        return Err(Error::file(path, "is encrypted Parquet; write it without encryption"));
    }
    if magic != MAGIC || length < 12 {
        let message = "is Parquet, but its end is missing: the file is cut off; fetch it again";
        return Err(Error::file(path, message));
    }
    let size = size.first_chunk().map_or(0, |size| u32::from_le_bytes(*size));
    let Some(at) = (length - 8).checked_sub(size.into()).filter(|at| *at >= 4) else {
        let message = format!("is damaged Parquet: {size} bytes of metadata in a file of {length}");
        return Err(Error::file(path, message));
    };
    let bytes = file.read(at, size.into()).map_err(Error::read(path))?;
    let metadata = ParquetMetaDataReader::decode_metadata(&bytes)
        .map_err(|error| Fault::from(error.to_string()).of(path))?;
    Ok((metadata, length))
}

/// Checks that the columns of a row group can be read.
///
/// # Errors
/// [`Error::File`] naming the column whose compression is not read here.
pub(super) fn check(path: &Path, group: &RowGroupMetaData, schema: &Schema) -> Result<()> {
    for (number, _) in &schema.columns {
        let column = group.column(*number);
        let (name, codec) = (column.column_path().string(), column.compression_codec());
        if !is_known(codec) {
            let message = format!(
                "column `{name}` is compressed with {codec}, expected snappy, gzip or zstd; {}",
                REWRITE.replace("), file)", "), file, compression=\"zstd\")")
            );
            return Err(Error::file(path, message));
        }
        if column.file_path().is_some_and(|path| !path.is_empty()) {
            let message = format!("column `{name}` is in another file; {REWRITE}");
            return Err(Error::file(path, message));
        }
    }
    Ok(())
}
