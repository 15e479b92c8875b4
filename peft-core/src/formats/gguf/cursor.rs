//! Numbers and texts of a header, no more of them than the file holds.

use std::io::Read;

use super::{Array, Value};

/// Lists in lists go no deeper.
const DEEPEST: usize = 4;

/// Reads a header from its start; what is wrong is said without the file's name.
pub(super) struct Cursor<R> {
    reader: R,
    /// The bytes read so far.
    at: u64,
    /// The size of the file.
    len: u64,
}

impl<R: Read> Cursor<R> {
    pub(super) fn new(reader: R, len: u64) -> Self {
        Self { reader, at: 0, len }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    fn left(&self) -> u64 {
        self.len.saturating_sub(self.at)
    }

    fn fill(&mut self, to: &mut [u8]) -> Result<(), String> {
        let ends = || format!("ends inside its header, after {} bytes", self.len);
        self.reader.read_exact(to).map_err(|_| ends())?;
        self.at += to.len() as u64;
        Ok(())
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, String> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// A number of things that take at least `each` bytes.
    pub(super) fn count(&mut self, each: u64, what: &str) -> Result<usize, String> {
        let count = self.u64()?;
        let most = self.left() / each;
        if count > most {
            return Err(format!("says that it holds {count} {what}, but has room for {most}"));
        }
        // No more than bytes in the file, of which there are fewer than memory has addresses for.
        usize::try_from(count).map_err(|_| format!("holds {count} {what}"))
    }

    pub(super) fn text(&mut self) -> Result<String, String> {
        let len = self.count(1, "letters of a text")?;
        let mut bytes = vec![0; len];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|error| {
            let bytes = error.as_bytes();
            let start = bytes[..bytes.len().min(40)].escape_ascii();
            format!("holds a text that is not UTF-8: {start}")
        })
    }

    /// A value of a type, as ggml numbers them.
    pub(super) fn value(&mut self, kind: u32) -> Result<Value, String> {
        Ok(match kind {
            0 => Value::Unsigned(self.bytes::<1>()?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.bytes()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.bytes()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.bytes()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.bytes()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes()?).into()),
            7 => Value::Bool(self.bytes::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            9 => Value::Array(self.array(DEEPEST)?),
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.bytes()?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes()?)),
            other => return Err(format!("holds a value of the unknown type {other}")),
        })
    }

    fn array(&mut self, depth: usize) -> Result<Array, String> {
        let kind = self.u32()?;
        let what = "elements of a list";
        let (size, count) = match kind {
            0 | 1 | 7 => (1, self.count(1, what)?),
            2 | 3 => (2, self.count(2, what)?),
            4..=6 => (4, self.count(4, what)?),
            10..=12 => (8, self.count(8, what)?),
            // The length of a text; type and length of a list.
            8 => (0, self.count(8, what)?),
            9 => (0, self.count(12, what)?),
            other => return Err(format!("holds a list of the unknown type {other}")),
        };
        match kind {
            8 => {
                let texts: Result<_, String> = (0..count).map(|_| self.text()).collect();
                return Ok(Array::Texts(texts?));
            }
            9 if depth == 0 => return Err("holds lists in lists, too deep".to_string()),
            9 => {
                let arrays: Result<_, String> = (0..count).map(|_| self.array(depth - 1)).collect();
                return Ok(Array::Arrays(arrays?));
            }
            _ => {}
        }
        let mut bytes = vec![0; size * count];
        self.fill(&mut bytes)?;
        let each = bytes.chunks_exact(size);
        // The chunks have the size of their type.
        let unsigned = |chunk: &[u8]| {
            chunk.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let signed = |chunk: &[u8]| {
            let unused = 64 - 8 * chunk.len() as u32;
            ((unsigned(chunk) << unused) as i64) >> unused
        };
        Ok(match kind {
            0 | 2 | 4 | 10 => Array::Unsigned(each.map(unsigned).collect()),
            1 | 3 | 5 | 11 => Array::Signed(each.map(signed).collect()),
            6 => {
                let float = |chunk| f64::from(f32::from_bits(unsigned(chunk) as u32));
                Array::Floats(each.map(float).collect())
            }
            12 => Array::Floats(each.map(|chunk| f64::from_bits(unsigned(chunk))).collect()),
            _ => Array::Bools(bytes.iter().map(|byte| *byte != 0).collect()),
        })
    }
}
