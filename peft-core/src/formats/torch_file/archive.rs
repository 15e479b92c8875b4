//! The zip archive that `torch.save` writes: entries are stored, not compressed.
//!
//! Parsed by hand, from the directory at its end: only what torch writes is supported, nothing is
//! allocated on the strength of a number in the file, and an entry is a range of the file's bytes.

use std::{collections::BTreeMap, ops::Range};

/// Ends the archive: "end of central directory".
const END: &[u8] = b"PK\x05\x06";
/// The same with 64-bit numbers; torch writes it before [`END`].
const END_64: &[u8] = b"PK\x06\x06";
/// Gives the position of the 64-bit record.
const LOCATOR_64: &[u8] = b"PK\x06\x07";
/// Begins the directory's record of an entry.
const RECORD: &[u8] = b"PK\x01\x02";
/// Begins the entry itself.
const LOCAL: &[u8] = b"PK\x03\x04";

/// Sizes of these records without names and comments.
const END_SIZE: usize = 22;
const LOCATOR_SIZE: usize = 20;
const RECORD_SIZE: usize = 46;
const LOCAL_SIZE: usize = 30;

/// Stands in for a number that is in an extra field with 64 bits.
const IN_EXTRA: u64 = 0xFFFF_FFFF;

/// A result whose error is a message without the file's name.
pub type Result<T> = std::result::Result<T, String>;

/// A part of the file, read as unsigned little-endian integers. Nothing is read beyond its end.
#[derive(Clone, Copy, Debug)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn range(self, start: usize, len: usize) -> Result<&'a [u8]> {
        start.checked_add(len).and_then(|end| self.0.get(start..end)).ok_or_else(damaged)
    }

    fn number(self, start: usize, len: usize) -> Result<u64> {
        let bytes = self.range(start, len)?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A position in the file, or the size of something in it.
    fn place(self, start: usize, len: usize) -> Result<usize> {
        to_place(self.number(start, len)?)
    }

    fn begins(self, start: usize, with: &[u8]) -> bool {
        self.range(start, with.len()).is_ok_and(|found| found == with)
    }
}

fn damaged() -> String {
    "the zip archive is truncated or damaged".into()
}

fn to_place(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| damaged())
}

/// The entries of an archive.
#[derive(Debug)]
pub struct Archive<'a> {
    file: &'a [u8],
    entries: BTreeMap<&'a str, Range<usize>>,
}

impl<'a> Archive<'a> {
    /// Reads the directory, and checks that each entry is complete; with `verify` also its checksum,
    /// for which the whole file is read.
    pub fn open(file: &'a [u8], verify: bool) -> Result<Self> {
        let bytes = Bytes(file);
        let end = find_end(bytes)?;
        let (mut at, size) = directory(bytes, end)?;
        let stop = at.checked_add(size).filter(|stop| *stop <= end).ok_or_else(damaged)?;
        let mut entries = BTreeMap::new();
        // Overlapping entries could take unbounded time to check.
        let mut left = file.len();
        while at < stop {
            let record = Record::read(bytes, at)?;
            let name = quoted(record.name);
            left = left
                .checked_sub(record.size)
                .ok_or("the entries of the zip archive are larger than the file")?;
            let range = record.range(bytes)?;
            if verify && crc32fast::hash(&file[range.clone()]) != record.crc {
                return Err(format!("the entry {name} is damaged: its checksum differs"));
            }
            if entries.insert(record.name, range).is_some() {
                return Err(format!("the zip archive has two entries named {name}"));
            }
            at = record.next;
        }
        Ok(Self { file, entries })
    }

    /// The entries: their names, and where in the file their contents are.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, &Range<usize>)> {
        self.entries.iter().map(|(name, range)| (*name, range))
    }

    /// Returns the content of an entry; `None` if there is no entry of that name.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.entries.get(name).map(|range| &self.file[range.clone()])
    }
}

/// Returns the position of the record that ends the archive, before a comment that reaches exactly
/// to the end.
fn find_end(bytes: Bytes<'_>) -> Result<usize> {
    let last = bytes.0.len().checked_sub(END_SIZE).ok_or("the zip archive is truncated")?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let is_end = |at: &usize| {
        bytes.begins(*at, END) && bytes.place(*at + 20, 2).is_ok_and(|comment| at + comment == last)
    };
    (first..=last)
        .rev()
        .find(is_end)
        .ok_or_else(|| "the zip archive is truncated: its directory is missing".to_string())
}

/// Returns where the directory begins, and its size.
fn directory(bytes: Bytes<'_>, end: usize) -> Result<(usize, usize)> {
    match end.checked_sub(LOCATOR_SIZE).filter(|at| bytes.begins(*at, LOCATOR_64)) {
        Some(locator) => {
            let end_64 = bytes.place(locator + 8, 8)?;
            if !bytes.begins(end_64, END_64) {
                return Err(damaged());
            }
            Ok((bytes.place(end_64 + 48, 8)?, bytes.place(end_64 + 40, 8)?))
        }
        None => Ok((bytes.place(end + 16, 4)?, bytes.place(end + 12, 4)?)),
    }
}

/// The directory's record of an entry.
struct Record<'a> {
    name: &'a str,
    method: u64,
    encrypted: bool,
    crc: u32,
    size: usize,
    stored: usize,
    /// The position of the entry.
    local: usize,
    /// The position of the next record.
    next: usize,
}

impl<'a> Record<'a> {
    fn read(bytes: Bytes<'a>, at: usize) -> Result<Self> {
        if !bytes.begins(at, RECORD) {
            return Err(damaged());
        }
        let (name_len, extra_len, comment_len) =
            (bytes.place(at + 28, 2)?, bytes.place(at + 30, 2)?, bytes.place(at + 32, 2)?);
        let name = bytes.range(at + RECORD_SIZE, name_len)?;
        let name = std::str::from_utf8(name)
            .map_err(|_| "the zip archive has an entry whose name is not UTF-8".to_string())?;
        let extra = Bytes(bytes.range(at + RECORD_SIZE + name_len, extra_len)?);
        let mut wide = wide_numbers(extra)?;
        // The extra field holds, in this order, the numbers that did not fit.
        let mut number = |start| match bytes.number(start, 4)? {
            IN_EXTRA => {
                let found = wide.place(0, 8)?;
                wide = Bytes(&wide.0[8..]);
                Ok(found)
            }
            found => to_place(found),
        };
        Ok(Self {
            name,
            size: number(at + 24)?,
            stored: number(at + 20)?,
            local: number(at + 42)?,
            method: bytes.number(at + 10, 2)?,
            encrypted: bytes.number(at + 8, 2)? & 1 == 1,
            crc: bytes.number(at + 16, 4)? as u32,
            next: at + RECORD_SIZE + name_len + extra_len + comment_len,
        })
    }

    /// Where in the file the content of the entry is.
    fn range(&self, bytes: Bytes<'a>) -> Result<Range<usize>> {
        let name = || quoted(self.name);
        if self.method != 0 || self.encrypted || self.size != self.stored {
            return Err(format!(
                "the entry {} is compressed or encrypted, which torch.save never does",
                name()
            ));
        }
        if !bytes.begins(self.local, LOCAL) {
            return Err(format!("the entry {} is not where the directory says", name()));
        }
        let lengths = bytes.place(self.local + 26, 2)? + bytes.place(self.local + 28, 2)?;
        let start = self.local + LOCAL_SIZE + lengths;
        bytes.range(start, self.size)?;
        Ok(start..start + self.size)
    }
}

/// Returns the field of 64-bit numbers among an entry's extra fields; empty if there is none.
fn wide_numbers(extra: Bytes<'_>) -> Result<Bytes<'_>> {
    let mut at = 0;
    while at + 4 <= extra.0.len() {
        let (kind, len) = (extra.number(at, 2)?, extra.place(at + 2, 2)?);
        if kind == 1 {
            return extra.range(at + 4, len).map(Bytes);
        }
        at += 4 + len;
    }
    Ok(Bytes(&[]))
}

/// A name from the file, quoted and shortened for a message.
pub fn quoted(name: &str) -> String {
    const LONGEST: usize = 80;
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}...", &name[..end]),
        None => format!("{name:?}"),
    }
}
