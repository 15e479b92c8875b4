//! The wire format of Protocol Buffers, as far as files here use it: fields without groups.
//!
//! <https://protobuf.dev/programming-guides/encoding>

/// A field's value. It borrows from the message, so that reading takes no memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wire<'a> {
    /// A number of variable length: integers, booleans, enums.
    Varint(u64),
    /// Four bytes, such as a `float`.
    Fixed32([u8; 4]),
    /// Eight bytes, such as a `double`.
    Fixed64([u8; 8]),
    /// Strings, bytes, messages.
    Bytes(&'a [u8]),
}

/// The fields of a message, in order. After an error there are no more.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of a message of these bytes.
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u64, Wire<'a>), String> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.fixed()?),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(self.fixed()?),
            other => return Err(format!("found a field of wire type {other}")),
        };
        Ok((key >> 3, value))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            let left = self.rest.len();
            return Err(format!("found a field of {length} bytes, but {left} are left"));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("found a number of more than ten bytes".into())
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(message: &[u8]) -> Vec<Result<(u64, Wire<'_>), String>> {
        Fields::new(message).collect()
    }

    #[test]
    fn fields_of_every_type_are_read() {
        // The examples of the specification: 150 as field 1, "testing" as field 2.
        assert_eq!(fields(&[0x08, 0x96, 0x01]), [Ok((1, Wire::Varint(150)))]);
        let testing = b"\x12\x07testing";
        assert_eq!(fields(testing), [Ok((2, Wire::Bytes(b"testing")))]);
        let both = [&[0x1d, 0, 0, 0x80, 0x3f][..], &[0x21, 1, 0, 0, 0, 0, 0, 0, 0]].concat();
        let expected = [
            Ok((3, Wire::Fixed32([0, 0, 0x80, 0x3f]))),
            Ok((4, Wire::Fixed64([1, 0, 0, 0, 0, 0, 0, 0]))),
        ];
        assert_eq!(fields(&both), expected);
    }

    #[test]
    fn what_is_cut_or_unknown_is_an_error_and_the_end() {
        for (message, says) in [
            (&b"\x12\x07test"[..], "found a field of 7 bytes, but 4 are left"),
            (b"\x08", "but 0 are left"),
            (b"\x0b\x08\x01", "wire type 3"),
            (&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], "more than ten bytes"),
            (&[0x12, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], "are left"),
        ] {
            let fields = fields(message);
            assert_eq!(fields.len(), 1);
            assert!(fields[0].as_ref().is_err_and(|error| error.contains(says)), "{fields:?}");
        }
    }
}
