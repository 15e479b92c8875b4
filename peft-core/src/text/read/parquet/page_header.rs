//! What stands before a page: `PageHeader` of [Parquet's definition], in Thrift's [compact protocol].
//!
//! [Parquet's definition]: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
//! [compact protocol]: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md

/// What kind of page it is, and what only this kind says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Values and levels, packed together.
    Data { level_encodings: [i64; 2] },
    /// The values that data pages point to.
    Dictionary { is_sorted: bool },
    /// Levels, and values packed apart from them.
    DataV2 { nulls: i64, rows: i64, repetition_bytes: i64, definition_bytes: i64, is_packed: bool },
    /// Nothing that rows need.
    Other,
}

/// What stands before a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// The bytes that the header itself takes.
    pub length: usize,
    /// The bytes of the page in the file.
    pub packed: i64,
    /// Those that it unpacks to.
    pub unpacked: i64,
    /// The CRC-32 of the page in the file.
    pub crc: Option<u32>,
    /// The number of values, nulls included.
    pub values: i64,
    /// How values are encoded, by the number of the encoding.
    pub encoding: i64,
    /// What kind of page it is.
    pub kind: Kind,
}

impl PageHeader {
    /// The header that begins `bytes`; `None` if it is cut off, or is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut found = Vec::new();
        let mut thrift = Thrift { bytes, at: 0 };
        thrift.structure(0, 0, &mut |parent, field, value| found.push(((parent, field), value)))?;
        let optional = |parent: i16, field: i16| {
            found.iter().find(|(key, _)| *key == (parent, field)).map(|(_, value)| *value)
        };
        let get = |parent, field| optional(parent, field).unwrap_or(0);
        let (parent, encoding, kind) = match optional(0, 1)? {
            0 => (5, 2, Kind::Data { level_encodings: [get(5, 4), get(5, 3)] }),
            2 => (7, 2, Kind::Dictionary { is_sorted: get(7, 3) == 1 }),
            3 => {
                let kind = Kind::DataV2 {
                    nulls: get(8, 2),
                    rows: get(8, 3),
                    definition_bytes: get(8, 5),
                    repetition_bytes: get(8, 6),
                    is_packed: optional(8, 7) != Some(0),
                };
                (8, 4, kind)
            }
            _ => (0, 0, Kind::Other),
        };
        Some(Self {
            length: thrift.at,
            packed: optional(0, 3)?,
            unpacked: optional(0, 2)?,
            crc: optional(0, 4).map(|crc| crc as u32),
            values: get(parent, 1),
            encoding: get(parent, encoding),
            kind,
        })
    }
}

/// Thrift's compact protocol, as far as page headers use it.
struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Called with the field that holds a structure (0 at the top), the field in it, and its value.
type Visit<'v> = dyn FnMut(i16, i16, i64) + 'v;

impl Thrift<'_> {
    /// Structures within one another, at most.
    const DEEPEST: usize = 8;

    /// Reads a structure, and shows the integers and booleans in it and in those that it holds directly.
    fn structure(&mut self, parent: i16, depth: usize, visit: &mut Visit<'_>) -> Option<()> {
        let mut field = 0i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            field = match head >> 4 {
                0 => i16::try_from(self.integer()?).ok()?,
                step => field.checked_add(i16::from(step))?,
            };
            let value = match head & 15 {
                1 => Some(1),
                2 => Some(0),
                kind => self.value(kind, field, depth, visit)?,
            };
            if let Some(value) = value
                && depth < 2
            {
                visit(parent, field, value);
            }
        }
    }

    /// Reads a value: an integer, or nothing that is needed.
    fn value(
        &mut self,
        kind: u8,
        field: i16,
        depth: usize,
        visit: &mut Visit<'_>,
    ) -> Option<Option<i64>> {
        match kind {
            1..=3 => return Some(Some(i64::from(self.byte()?))),
            4..=6 => return Some(Some(self.integer()?)),
            7 => self.skip(8)?,
            8 => {
                let length = self.varint()?;
                self.skip(length)?;
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.varint()?,
                    count => u64::from(count),
                };
                for _ in 0..count {
                    self.value(head & 15, field, depth + 1, &mut |_, _, _| {})?;
                }
            }
            12 if depth < Self::DEEPEST => self.structure(field, depth + 1, visit)?,
            _ => return None,
        }
        Some(None)
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        let end = self.at.checked_add(usize::try_from(count).ok()?)?;
        self.at = Some(end).filter(|end| *end <= self.bytes.len())?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        varint(self.bytes, &mut self.at)
    }

    fn integer(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

/// A number of seven bits a byte, the lowest first.
pub(super) fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_past_what_they_need_not_say() {
        // type 0, unpacked 6, packed -> 4, data page header: 3 values, PLAIN, RLE, RLE, statistics with a string.
        let bytes = [
            0x15, 0, 0x15, 12, 0x15, 8, 0x2c, 0x15, 6, 0x15, 0, 0x15, 6, 0x15, 6, 0x1c, 0x18, 2,
            b'a', b'b', 0, 0, 0, 0xff,
        ];
        let header = PageHeader::parse(&bytes);
        let expected = PageHeader {
            length: 23,
            packed: 4,
            unpacked: 6,
            crc: None,
            values: 3,
            encoding: 0,
            kind: Kind::Data { level_encodings: [3, 3] },
        };
        assert_eq!(header, Some(expected));
        for end in 0..22 {
            assert_eq!(PageHeader::parse(&bytes[..end]), None, "{end}");
        }
    }

    #[test]
    fn what_is_no_header_is_not_followed() {
        for bytes in [
            &[0x1c; 4000][..],
            &[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            &[0; 8],
            &[0x0f; 8],
        ] {
            assert_eq!(PageHeader::parse(bytes), None);
        }
    }
}
