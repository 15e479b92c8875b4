//! What processes of a run send each other: a few words and many numbers, as bytes.
//!
//! ```text
//! 8 bytes                length of the words, little-endian
//! as many                the words, in JSON
//! 4 bytes each           the numbers, f32, little-endian: with their bits
//! ```

use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

const LENGTH: usize = size_of::<u64>();
const NUMBER: usize = size_of::<f32>();

/// Words and numbers as bytes.
pub(super) fn pack(words: &impl Serialize, numbers: &[f32]) -> Result<Vec<u8>> {
    let words = serde_json::to_vec(words)
        .map_err(|error| Error::Mismatch(format!("a message cannot be written: {error}")))?;
    let mut bytes = Vec::with_capacity(LENGTH + words.len() + NUMBER * numbers.len());
    bytes.extend((words.len() as u64).to_le_bytes());
    bytes.extend(words);
    for number in numbers {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    Ok(bytes)
}

/// Words and numbers out of bytes; `None` if the bytes are no message of this kind.
pub(super) fn unpack<W: DeserializeOwned>(bytes: &[u8]) -> Option<(W, Vec<f32>)> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (words, numbers) = rest.split_at_checked(length)?;
    let (numbers, rest) = numbers.as_chunks::<NUMBER>();
    if !rest.is_empty() {
        return None;
    }
    let numbers = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    Some((serde_json::from_slice(words).ok()?, numbers))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_bits_and_what_is_cut_is_no_message() {
        let numbers = [0.0, -0.0, 1.5e-45, f32::MAX, f32::NAN, f32::NEG_INFINITY];
        let words: Result<Vec<Option<usize>>, String> = Ok(vec![Some(3), None]);
        let bytes = pack(&words, &numbers).unwrap();
        let bits = |numbers: &[f32]| numbers.iter().map(|one| one.to_bits()).collect::<Vec<_>>();
        let (found, read) = unpack::<Result<Vec<Option<usize>>, String>>(&bytes).unwrap();
        assert_eq!((found, bits(&read)), (words, bits(&numbers)));
        for length in 0..bytes.len() {
            let is_whole = (bytes.len() - length).is_multiple_of(NUMBER);
            let cut = unpack::<Result<Vec<Option<usize>>, String>>(&bytes[..length]);
            // Numbers that are missing are missed by whoever knows how many there are.
            assert!(cut.is_none() || is_whole, "{length}");
        }
        assert!(unpack::<usize>(&pack(&"a", &[]).unwrap()).is_none());
        let mut long = bytes.clone();
        long[..LENGTH].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(unpack::<Result<Vec<Option<usize>>, String>>(&long).is_none());
    }
}
