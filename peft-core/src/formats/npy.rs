//! Prompts as `.npy` files, the format of the original prompt tuning code: one array `[P, H]`.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. Versions 1.0,
//! 2.0 and 3.0 are read; 1.0 is written, byte for byte as numpy writes it.

use std::path::Path;

use burn::tensor::{DType, TensorData};

use crate::error::{Error, Result};

const MAGIC: &[u8] = b"\x93NUMPY";
/// The data begins at a multiple of this.
const ALIGNMENT: usize = 64;
/// The digits that numpy reserves for the first dimension to grow in place.
const GROWTH_DIGITS: usize = 21;

/// Reads a two-dimensional array of floats, as f32.
///
/// # Errors
///
/// [`Error::File`] if the file is malformed or truncated, in Fortran order, or not a matrix of
/// `<f2`, `<f4` or `<f8`.
pub fn read(bytes: &[u8], path: &Path) -> Result<TensorData> {
    parse(bytes).map_err(|message| Error::file(path, message))
}

fn parse(bytes: &[u8]) -> Result<TensorData, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("is not an .npy file")?;
    let (version, rest) = rest.split_at_checked(2).ok_or("is a truncated .npy file")?;
    let length_size = match version[0] {
        1 => 2,
        2 | 3 => 4,
        other => return Err(format!("is of .npy version {other}, expected 1, 2 or 3")),
    };
    let (length, rest) = rest.split_at_checked(length_size).ok_or("is a truncated .npy file")?;
    let length = length.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let (header, data) = rest.split_at_checked(length).ok_or("is a truncated .npy file")?;
    let header = std::str::from_utf8(header).map_err(|_| "its .npy header is not text")?;
    let header = Header::parse(header)?;
    let dtype = match header.descr {
        "<f4" => DType::F32,
        "<f2" => DType::F16,
        "<f8" => DType::F64,
        "|V2" | "<V2" | "bfloat16" => {
            return Err(format!(
                "is of the type {:?}: numpy has no bfloat16, so it may be any two-byte type. Save \
                 it as float32",
                header.descr
            ));
        }
        other => {
            let other = other.escape_debug().take(20).collect::<String>();
            return Err(format!("is of the type '{other}', expected '<f4', '<f2' or '<f8'"));
        }
    };
    if header.fortran_order {
        return Err("is in Fortran order, expected C order: numpy.ascontiguousarray".into());
    }
    let shape = header.shape;
    let expected = shape[0].checked_mul(shape[1]).and_then(|n| n.checked_mul(dtype.size()));
    if expected != Some(data.len()) {
        return Err(format!(
            "has {} bytes of data, but its shape {shape:?} and type '{}' need {}",
            data.len(),
            header.descr,
            expected.map_or("more than is possible".into(), |expected| expected.to_string())
        ));
    }
    let data = TensorData::from_bytes_vec(data.to_vec(), shape, dtype);
    Ok(data.convert_dtype(DType::F32))
}

/// Returns the content of the file for a matrix of f32.
///
/// # Errors
///
/// [`Error::File`] for another type or number of dimensions.
pub fn write(data: &TensorData, path: &Path) -> Result<Vec<u8>> {
    let (&[rows, columns], DType::F32) = (data.shape().as_slice(), data.dtype()) else {
        let message = format!(
            "cannot hold a tensor of the shape {:?} and type {:?}, expected a matrix of F32",
            data.shape().as_slice(),
            data.dtype()
        );
        return Err(Error::file(path, message));
    };
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let room = GROWTH_DIGITS.saturating_sub(rows.to_string().len());
    header.extend(std::iter::repeat_n(' ', room));
    let before = MAGIC.len() + 4;
    let padded = (before + header.len() + 1).next_multiple_of(ALIGNMENT);
    header.extend(std::iter::repeat_n(' ', padded - before - header.len() - 1));
    header.push('\n');
    // Two sizes of at most 20 digits each stay far below the 65535 bytes of version 1.0.
    let length = header.len() as u16;
    Ok([MAGIC, &[1, 0], &length.to_le_bytes(), header.as_bytes(), data.as_bytes()].concat())
}

/// The header: a dict as Python writes it.
struct Header<'a> {
    descr: &'a str,
    fortran_order: bool,
    shape: [usize; 2],
}

impl<'a> Header<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let mut rest = Rest(text);
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        rest.expect("{")?;
        while !rest.skip("}") {
            let key = rest.quoted()?;
            rest.expect(":")?;
            let is_new = match key {
                "descr" => descr.replace(rest.quoted()?).is_none(),
                "fortran_order" => fortran_order.replace(rest.flag()?).is_none(),
                "shape" => shape.replace(rest.shape()?).is_none(),
                _ => false,
            };
            if !is_new {
                return Err(malformed());
            }
            if !rest.skip(",") {
                rest.expect("}")?;
                break;
            }
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) if rest.0.trim_ascii().is_empty() => {
                Ok(Self { descr, fortran_order, shape })
            }
            _ => Err(malformed()),
        }
    }
}

fn malformed() -> String {
    "its .npy header is not a dict of 'descr', 'fortran_order' and 'shape'".into()
}

/// The rest of the header, still to be parsed.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Skips `word` if it comes next.
    fn skip(&mut self, word: &str) -> bool {
        let rest = self.0.trim_ascii_start();
        let found = rest.strip_prefix(word);
        self.0 = found.unwrap_or(rest);
        found.is_some()
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.skip(word) { Ok(()) } else { Err(malformed()) }
    }

    fn quoted(&mut self) -> Result<&'a str, String> {
        let quote = if self.skip("'") {
            '\''
        } else if self.skip("\"") {
            '"'
        } else if self.skip("[") {
            return Err("holds an array of records, expected one of floats".into());
        } else {
            return Err(malformed());
        };
        let (inside, rest) = self.0.split_once(quote).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(inside)
    }

    fn flag(&mut self) -> Result<bool, String> {
        if self.skip("True") {
            return Ok(true);
        }
        self.expect("False").map(|()| false)
    }

    fn shape(&mut self) -> Result<[usize; 2], String> {
        self.expect("(")?;
        let (inside, rest) = self.0.split_once(')').ok_or_else(malformed)?;
        self.0 = rest;
        let inside = inside.trim_ascii().strip_suffix(',').unwrap_or(inside);
        let mut sizes = inside.split(',').map(|size| size.trim_ascii().parse::<usize>());
        match (sizes.next(), sizes.next(), sizes.next()) {
            (Some(Ok(rows)), Some(Ok(columns)), None) => Ok([rows, columns]),
            _ => {
                let inside = inside.chars().take(60).collect::<String>();
                Err(format!("has the shape ({inside}), expected two sizes: [P, H]"))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path() -> &'static Path {
        Path::new("p.npy")
    }

    /// A file with this header, padded as version 1.0 requires.
    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), data].concat()
    }

    fn refusal(header: &str, data: &[u8]) -> String {
        read(&file(header, data), path()).unwrap_err().to_string()
    }

    /// `numpy.save` of `numpy.array([[1.5, -2.0]], dtype="<f4")`, numpy 2.
    #[test]
    fn the_bytes_are_numpy_s() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
        let text = format!("\x76\x00{header:<117}\n");
        let data = [0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0];
        let expected = [MAGIC, &[1, 0], text.as_bytes(), &data].concat();
        let prompt = TensorData::new(vec![1.5f32, -2.0], [1, 2]);
        assert_eq!(write(&prompt, path()).unwrap(), expected);
        assert_eq!(read(&expected, path()).unwrap(), prompt);
    }

    #[test]
    fn other_versions_types_and_spellings_are_read() {
        let header = "{\"shape\":(1,2),\"descr\":\"<f2\",\"fortran_order\":False}";
        let data = [0, 0x3c, 0, 0xc0];
        let length = (header.len() as u32).to_le_bytes();
        for version in [2, 3] {
            let bytes = [MAGIC, &[version, 0], &length, header.as_bytes(), &data].concat();
            assert!(read(&bytes, path()).unwrap().iter::<f32>().eq([1.0, -2.0]));
        }
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1L, 1), }";
        assert!(refusal(header, &[0; 8]).contains("has the shape (1L, 1)"));
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1,), }";
        let one = [0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
        assert!(read(&file(header, &one), path()).unwrap().iter::<f32>().eq([1.0]));
    }

    #[test]
    fn what_is_no_matrix_of_floats_is_refused() {
        let header = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")
        };
        for (descr, order, shape, says) in [
            ("'|V2'", "False", "(1, 1)", "no bfloat16"),
            ("'bfloat16'", "False", "(1, 1)", "no bfloat16"),
            ("'>f4'", "False", "(1, 1)", "expected '<f4'"),
            ("'<i4'", "False", "(1, 1)", "expected '<f4'"),
            ("[('a', '<f4')]", "False", "(1, 1)", "array of records"),
            ("'<f4'", "True", "(1, 1)", "Fortran order"),
            ("'<f4'", "False", "(1,)", "expected two sizes"),
            ("'<f4'", "False", "()", "expected two sizes"),
            ("'<f4'", "False", "(1, 1, 1)", "expected two sizes"),
            ("'<f4'", "False", "(-1, -1)", "expected two sizes"),
            ("'<f4'", "False", "(2, 1)", "need 8"),
            ("'<f4'", "False", "(4294967296, 4294967296)", "more than is possible"),
            ("'<f4'", "Maybe", "(1, 1)", "not a dict"),
            ("'<f4", "False", "(1, 1)", "not a dict"),
        ] {
            let error = refusal(&header(descr, order, shape), &[0; 4]);
            assert!(error.starts_with("p.npy: "), "{error}");
            assert!(error.contains(says), "{descr} {shape}: {error}");
        }
        for header in ["", "{", "{}", "{'descr': '<f4'}", "{'other': 1}"] {
            assert!(refusal(header, &[]).contains("not a dict"), "{header}");
        }
        let whole = write(&TensorData::new(vec![1f32; 6], [2, 3]), path()).unwrap();
        for len in 0..whole.len() {
            assert!(read(&whole[..len], path()).is_err());
        }
        assert!(read(&[&whole[..], &[0]].concat(), path()).is_err());
        let cube = TensorData::new(vec![1f32; 6], [1, 2, 3]);
        assert!(write(&cube, path()).unwrap_err().to_string().contains("expected a matrix"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            rows in 0usize..9,
            columns in 0usize..9,
            bits in proptest::collection::vec(any::<u32>(), 64),
        ) {
            let numbers = bits[..rows * columns].iter().map(|bits| f32::from_bits(*bits));
            let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
            let data = TensorData::from_bytes_vec(bytes, [rows, columns], DType::F32);
            let file = write(&data, path()).unwrap();
            prop_assert_eq!((file.len() - data.as_bytes().len()) % ALIGNMENT, 0);
            let found = read(&file, path()).unwrap();
            prop_assert_eq!(found.shape(), data.shape());
            prop_assert_eq!(found.as_bytes(), data.as_bytes());
            prop_assert_eq!(write(&found, path()).unwrap(), file);
        }
    }
}
