//! The frame of a TFRecord: the length of the data, its sum, the data, its sum.
//!
//! `u64 length, u32 masked(crc32c(length)), data, u32 masked(crc32c(data))`, numbers in little endian, as TensorFlow's
//! `tensorflow/core/lib/io/record_writer.h` says.

/// A sum that may itself stand in data that is summed: rotated, and moved by a constant.
fn masked(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Data as a record.
pub fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let sum = |bytes: &[u8]| masked(crc32c::crc32c(bytes)).to_le_bytes();
    [&length[..], &sum(&length), data, &sum(data)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of RFC 3720, B.4, and the masked one of TensorFlow's `crc32c_test.cc`.
    #[test]
    fn sums_are_those_of_the_standard() {
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        let sum = crc32c::crc32c(b"foo");
        assert!(masked(sum) != sum && masked(masked(sum)) != sum);
        let back = masked(sum).wrapping_sub(0xa282_ead8).rotate_left(15);
        assert_eq!(back, sum);
    }

    #[test]
    fn a_record_is_sixteen_bytes_longer_than_its_data() {
        let found = framed(b"abc");
        assert_eq!(
            (found.len(), &found[..8], &found[12..15]),
            (19, &[3, 0, 0, 0, 0, 0, 0, 0][..], &b"abc"[..])
        );
    }
}
