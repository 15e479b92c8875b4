//! The pages of a column, unpacked. What a page says of its size is believed only as far as its bytes warrant.

use std::{
    io::{Cursor, Read},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use parquet::{
    basic::{CompressionCodec, Encoding, Type},
    column::page::{Page, PageMetadata, PageReader},
    errors::{ParquetError, Result},
    file::metadata::ColumnChunkMetaData,
    schema::types::ColumnDescPtr,
};

use super::{
    bits::Bits,
    fault::Fault,
    page_header::{Kind, PageHeader, varint},
};
use crate::text::read::source;

/// Bytes that a page may unpack to, and that the texts of one list may take. Writers make pages of 1 MiB, or of one
/// batch of rows.
pub(super) const LARGEST_PAGE: usize = 512 << 20;
/// Values that a page of lists may hold, and those of one row together that begin within it: a few bytes can say that a
/// value is repeated so often. Pages of 1 MiB hold half as many at most.
const MOST_VALUES: i64 = 1 << 24;

/// What pages may still hold for one row of lists.
#[derive(Clone)]
pub(super) struct Budget(Arc<AtomicI64>);

impl Budget {
    /// Begins a row.
    pub fn begin(&self) {
        self.0.store(MOST_VALUES, Ordering::Relaxed);
    }

    /// Takes the values of a page. Whether there are not too many.
    fn take(&self, values: i64) -> bool {
        self.0.fetch_sub(values, Ordering::Relaxed) >= values
    }
}

/// Whether pages of this codec are unpacked here.
pub(super) fn is_known(codec: CompressionCodec) -> bool {
    use CompressionCodec::{GZIP, SNAPPY, UNCOMPRESSED, ZSTD};
    matches!(codec, UNCOMPRESSED | SNAPPY | GZIP | ZSTD)
}

/// The pages of a column in a row group.
pub(super) struct Pages {
    file: Bits,
    at: u64,
    end: u64,
    codec: CompressionCodec,
    column: ColumnDescPtr,
    /// Values that are still to come, nulls included.
    values: i64,
    budget: Budget,
}

impl Pages {
    /// The pages of the column `chunk`.
    ///
    /// # Errors
    /// For places that are not in the file.
    pub fn new(file: &Bits, chunk: &ColumnChunkMetaData, length: u64) -> Result<Self> {
        let first = chunk.data_page_offset();
        // Some writers give 0 where there is no dictionary.
        let dictionary = chunk.dictionary_page_offset().filter(|at| (1..first).contains(at));
        let at = u64::try_from(dictionary.unwrap_or(first)).unwrap_or(u64::MAX);
        let size = u64::try_from(chunk.compressed_size()).unwrap_or(u64::MAX);
        let end = at.checked_add(size).filter(|end| *end <= length);
        let end = end.ok_or_else(|| damaged("a column is not within the file"))?;
        let (codec, column) = (chunk.compression_codec(), chunk.column_descr_ptr());
        let budget = Budget(Arc::new(AtomicI64::new(MOST_VALUES)));
        Ok(Self { file: file.clone(), at, end, codec, column, values: chunk.num_values(), budget })
    }

    /// What its pages may hold for one row.
    pub fn budget(&self) -> Budget {
        self.budget.clone()
    }

    /// The header of the next page, which is stepped over.
    fn header(&mut self) -> Result<PageHeader> {
        /// Statistics of long texts may take more than one.
        const FIRST: u64 = 1 << 13;
        const LONGEST: u64 = 1 << 24;
        let mut window = FIRST;
        loop {
            let bytes = self.file.read(self.at, window.min(self.end - self.at))?;
            if let Some(header) = PageHeader::parse(&bytes) {
                self.at += header.length as u64;
                return Ok(header);
            }
            if self.at + window >= self.end || window >= LONGEST {
                return Err(damaged("the header of a page is cut off, or is none"));
            }
            window *= 8;
        }
    }

    fn next_page(&mut self) -> Result<Option<Page>> {
        while self.values > 0 {
            let header = self.header()?;
            let packed = u64::try_from(header.packed).ok();
            let packed = packed.filter(|packed| *packed <= self.end - self.at);
            let packed = packed.ok_or_else(|| damaged("a page is longer than its column"))?;
            let at = self.at;
            self.at += packed;
            let is_dictionary = matches!(header.kind, Kind::Dictionary { .. });
            // Empty pages, which pyarrow writes, would be taken for the end.
            if header.kind == Kind::Other || (header.values == 0 && !is_dictionary) {
                continue;
            }
            self.check_size(&header, is_dictionary)?;
            let bytes = self.file.read(at, packed)?;
            if bytes.len() as u64 != packed {
                return Err(damaged("a page is cut off"));
            }
            if header.crc.is_some_and(|crc| crc != crc32fast::hash(&bytes)) {
                return Err(damaged("the checksum of a page is not that of its bytes"));
            }
            return self.page(header, bytes).map(Some);
        }
        Ok(None)
    }

    /// Refuses a page that holds more than fits into memory with others.
    fn check_size(&self, header: &PageHeader, is_dictionary: bool) -> Result<()> {
        let bytes = header.unpacked.max(header.packed);
        if usize::try_from(bytes).is_ok_and(|bytes| bytes > LARGEST_PAGE) {
            return Err(large(format!("{bytes} bytes, expected at most {LARGEST_PAGE}")));
        }
        if self.column.max_rep_level() == 0 || is_dictionary {
            return Ok(());
        }
        let values = header.values;
        if values > MOST_VALUES {
            return Err(large(format!("{values} values, expected at most {MOST_VALUES}")));
        }
        match self.budget.take(values) {
            true => Ok(()),
            false => Err(ParquetError::External(Box::new(Fault::LargeRow(format!(
                "the row has pages of more than {MOST_VALUES} values"
            ))))),
        }
    }

    /// The page of a header and its bytes in the file.
    fn page(&mut self, header: PageHeader, bytes: Vec<u8>) -> Result<Page> {
        let num_values = number(header.values)?;
        let encoding = encoding(header.encoding)?;
        let kind = header.kind;
        if let Kind::Dictionary { is_sorted } = kind {
            let buf = Bytes::from(self.unpacked(bytes, 0, header.unpacked)?);
            let width = match self.column.physical_type() {
                Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
                Type::INT64 | Type::DOUBLE => 8,
                Type::INT96 => 12,
                Type::BOOLEAN => 1,
                Type::FIXED_LEN_BYTE_ARRAY => self.column.type_length().max(1) as usize,
            };
            if num_values as usize > buf.len() / width {
                return Err(damaged("a dictionary holds fewer values than it says"));
            }
            return Ok(Page::DictionaryPage { buf, num_values, encoding, is_sorted });
        }
        if header.values > self.values {
            return Err(damaged("a page holds more values than its column"));
        }
        self.values -= header.values;
        let Kind::DataV2 { nulls, rows, repetition_bytes, definition_bytes, is_packed } = kind
        else {
            let buf = Bytes::from(self.unpacked(bytes, 0, header.unpacked)?);
            let values = self.behind_levels(&buf, kind)?;
            check_counts(encoding, &buf[values..], header.values)?;
            return Ok(Page::DataPage {
                buf,
                num_values,
                encoding,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            });
        };
        let def_levels_byte_len = number(definition_bytes)?;
        let rep_levels_byte_len = number(repetition_bytes)?;
        let levels = def_levels_byte_len as usize + rep_levels_byte_len as usize;
        if levels > bytes.len() {
            return Err(damaged("the levels of a page are longer than the page"));
        }
        let buf = match is_packed {
            true => Bytes::from(self.unpacked(bytes, levels, header.unpacked)?),
            false => Bytes::from(bytes),
        };
        check_counts(encoding, &buf[levels..], header.values)?;
        Ok(Page::DataPageV2 {
            buf,
            num_values,
            encoding,
            num_nulls: number(nulls)?,
            num_rows: number(rows)?,
            def_levels_byte_len,
            rep_levels_byte_len,
            is_compressed: false,
            statistics: None,
        })
    }

    /// The bytes of a page, those before `from` as they are and the others unpacked: `length` together.
    fn unpacked(&self, mut bytes: Vec<u8>, from: usize, length: i64) -> Result<Vec<u8>> {
        let length = number(length)? as usize;
        let mut page = match self.codec {
            CompressionCodec::UNCOMPRESSED => bytes,
            _ if length == from => bytes[..from].to_vec(),
            CompressionCodec::SNAPPY => {
                /// Three bytes become 64 at most.
                const LARGEST_RATIO: usize = 22;
                let packed = &bytes[from..];
                let declared = snap::raw::decompress_len(packed).map_err(unsnapped)?;
                if declared > LARGEST_RATIO * packed.len() || from + declared != length {
                    return Err(damaged("a page does not unpack to the length that it says"));
                }
                let mut page = vec![0; length];
                page[..from].copy_from_slice(&bytes[..from]);
                snap::raw::Decoder::new()
                    .decompress(packed, &mut page[from..])
                    .map_err(unsnapped)?;
                page
            }
            _ => {
                let rest = bytes.split_off(from);
                let unpacked = source::unpacked(Box::new(Cursor::new(rest)))?;
                unpacked.take(length.saturating_sub(from) as u64 + 1).read_to_end(&mut bytes)?;
                bytes
            }
        };
        if page.len() != length {
            return Err(damaged("a page does not unpack to the length that it says"));
        }
        page.shrink_to_fit();
        Ok(page)
    }

    /// Where the values of a page begin, behind levels with their lengths.
    fn behind_levels(&self, page: &[u8], kind: Kind) -> Result<usize> {
        let mut at = 0;
        let Kind::Data { level_encodings } = kind else { return Ok(at) };
        let deepest = [self.column.max_rep_level(), self.column.max_def_level()];
        for (deepest, encoding) in deepest.into_iter().zip(level_encodings) {
            // What is said of levels that are not there does not matter.
            if deepest > 0 {
                if encoding != Encoding::RLE as i64 {
                    return Err(damaged(&format!(
                        "levels have encoding {encoding}, which is not read"
                    )));
                }
                let length = page.get(at..).and_then(|rest| rest.first_chunk::<4>());
                let length = length.map(|bytes| u32::from_le_bytes(*bytes) as usize);
                let end = length.and_then(|length| (at + 4).checked_add(length));
                let end = end.filter(|end| *end <= page.len());
                at = end.ok_or_else(|| damaged("the levels of a page are longer than the page"))?;
            }
        }
        Ok(at)
    }
}

fn large(holds: String) -> ParquetError {
    ParquetError::External(Box::new(Fault::LargePage(format!("a page holds {holds}"))))
}

fn damaged(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

fn unsnapped(error: snap::Error) -> ParquetError {
    ParquetError::General(error.to_string())
}

fn number(value: i64) -> Result<u32> {
    i32::try_from(value)
        .ok()
        .and_then(|value| u32::try_from(value).ok())
        .ok_or_else(|| damaged("a page holds a negative number of something"))
}

/// The encoding of this number.
fn encoding(number: i64) -> Result<Encoding> {
    Ok(match number {
        0 => Encoding::PLAIN,
        2 => Encoding::PLAIN_DICTIONARY,
        3 => Encoding::RLE,
        5 => Encoding::DELTA_BINARY_PACKED,
        6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        7 => Encoding::DELTA_BYTE_ARRAY,
        8 => Encoding::RLE_DICTIONARY,
        9 => Encoding::BYTE_STREAM_SPLIT,
        other => return Err(damaged(&format!("a page has encoding {other}, which is not read"))),
    })
}

/// Checks that texts with lengths in front of them are no more than a page's values: the lengths are unpacked at
/// once.
fn check_counts(encoding: Encoding, values: &[u8], count: i64) -> Result<()> {
    let streams = match encoding {
        Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
        Encoding::DELTA_BYTE_ARRAY => 2,
        _ => return Ok(()),
    };
    let mut at = 0;
    for _ in 0..streams {
        behind_deltas(values, &mut at, count.unsigned_abs())
            .ok_or_else(|| damaged("the lengths of a page's texts are not those of its values"))?;
    }
    Ok(())
}

/// Steps over numbers that are encoded by their differences, if they are at most `most`.
fn behind_deltas(bytes: &[u8], at: &mut usize, most: u64) -> Option<()> {
    let block = varint(bytes, at)?;
    let parts = varint(bytes, at)?;
    let count = varint(bytes, at).filter(|count| *count <= most)?;
    varint(bytes, at)?;
    let each = block.checked_div(parts).filter(|each| *each > 0)?;
    let mut left = count.saturating_sub(1);
    while left > 0 {
        varint(bytes, at)?;
        let widths = bytes.get(*at..)?.get(..usize::try_from(parts).ok()?)?;
        *at += widths.len();
        for width in widths.iter().take_while(|_| left > 0).collect::<Vec<_>>() {
            let length = u64::from(*width).checked_mul(each)? / 8;
            *at = at.checked_add(usize::try_from(length).ok()?)?;
            left = left.saturating_sub(each);
        }
    }
    Some(())
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.next_page()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        Err(ParquetError::NYI("pages are read in order".to_owned()))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        Err(ParquetError::NYI("pages are read in order".to_owned()))
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        Ok(self.values <= 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_are_stepped_over() {
        // Blocks of 128 in 4 parts: 3 numbers, first 5, least difference 0, widths 2 and nothing, 8 bytes.
        let bytes = [&[128, 1, 4, 3, 10, 0, 2, 0, 0, 0][..], &[0; 8], &[99]].concat();
        let mut at = 0;
        assert_eq!(behind_deltas(&bytes, &mut at, 3), Some(()));
        assert_eq!(at, bytes.len() - 1);
        assert_eq!(behind_deltas(&bytes, &mut 0, 2), None, "more than there are values");
        assert_eq!(behind_deltas(&[128, 1, 0, 3, 10], &mut 0, 3), None, "no parts");
    }
}
