//! Damage to valid files, reproducible from a seed.

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

/// Replacements for a JSON scalar, a size or a name.
const WORDS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "2",
    "3",
    "7",
    "-1",
    "0.5",
    "1e30",
    "1e999",
    "255",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "99999999999",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "\"\"",
    "\"F64\"",
    "\"BF16\"",
    "\"I8\"",
    "[]",
    "{}",
    "[[]]",
    "[0]",
    "\"gelu\"",
    "\"llama\"",
    "\"bert\"",
    "\"P_TUNING\"",
    "\"PREFIX_TUNING\"",
    "\"\\u0000\"",
    "\"\u{10ffff}\"",
    "\"[^]\"",
    "\"(a{9}){9}\"",
];

/// Replacements for a number of several bytes.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    16,
    64,
    127,
    128,
    255,
    256,
    0x7FFF,
    0xFFFF,
    0x1_0000,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    0x1_0000_0000,
    0x7FFF_FFFF_FFFF_FFFF,
    u64::MAX,
];

/// The random generator for the `index`-th input of a reader.
pub fn generator(reader: usize, index: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(index as u64);
    rng.set_stream(reader as u64);
    rng
}

/// Damages `bytes` one to four times; `other` is another valid file, to take ranges from.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], rng: &mut impl Rng) {
    // Often once: after two, a file is rarely read to its end.
    let times = if rng.random_bool(0.6) { 1 } else { rng.random_range(2..=4) };
    for _ in 0..times {
        once(bytes, other, rng);
    }
}

/// A position in `bytes`; 0 if it is empty.
fn place(bytes: &[u8], rng: &mut impl Rng) -> usize {
    rng.random_range(0..bytes.len().max(1))
}

/// A short range of `bytes`; empty if it is empty.
fn piece(bytes: &[u8], rng: &mut impl Rng) -> std::ops::Range<usize> {
    let start = place(bytes, rng);
    let longest = if rng.random_bool(0.1) { bytes.len() } else { 40 };
    let end = start + rng.random_range(0..=longest);
    start.min(bytes.len())..end.min(bytes.len())
}

fn once(bytes: &mut Vec<u8>, other: &[u8], rng: &mut impl Rng) {
    match rng.random_range(0..10) {
        // Flips a bit.
        0 => {
            let (at, bit) = (place(bytes, rng), rng.random_range(0..8));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        // Replaces a byte.
        1 => {
            let at = place(bytes, rng);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = rng.random();
            }
        }
        // Replaces a number, as lengths and offsets are written.
        2 => {
            let width = *[1, 2, 4, 8].choose(rng).unwrap();
            let number = NUMBERS.choose(rng).unwrap().to_le_bytes();
            // Lengths are often at the beginning.
            let at = if rng.random_bool(0.3) { rng.random_range(0..16) } else { place(bytes, rng) };
            if let Some(found) = bytes.get_mut(at..at + width) {
                found.copy_from_slice(&number[..width]);
            }
        }
        3 => bytes.truncate(place(bytes, rng)),
        // Removes a range, repeats one, or takes one from the other file.
        4 => drop(bytes.drain(piece(bytes, rng))),
        5 => {
            let range = piece(bytes, rng);
            let copy = bytes[range.clone()].to_vec();
            drop(bytes.splice(range.end..range.end, copy));
        }
        6 => {
            let range = piece(bytes, rng);
            let from = piece(other, rng);
            drop(bytes.splice(range, other[from].iter().copied()));
        }
        // Replaces a word of a text, between commas, brackets and blanks.
        _ => {
            let at = place(bytes, rng);
            let is_border = |byte: &u8| b" \t\n,:[]{}()".contains(byte);
            let start = bytes[..at].iter().rposition(is_border).map_or(0, |border| border + 1);
            let end = bytes[at..].iter().position(is_border).map_or(bytes.len(), |len| at + len);
            let word = WORDS.choose(rng).unwrap();
            drop(bytes.splice(start.min(end)..end, word.bytes()));
        }
    }
}

/// Corrects the header length of a safetensors file, so that a changed header is read.
pub fn repair_safetensors(bytes: &mut [u8]) {
    let mut depth = 0;
    let end = bytes.iter().skip(8).position(|byte| {
        depth += i32::from(*byte == b'{') - i32::from(*byte == b'}');
        depth == 0
    });
    if let Some(end) = end {
        let length = end as u64 + 1;
        bytes[..8].copy_from_slice(&length.to_le_bytes());
    }
}

/// Corrects the header length of a `.npy` file of version 1.
pub fn repair_npy(bytes: &mut [u8]) {
    if let Some(end) = bytes.iter().skip(10).position(|byte| *byte == b'\n') {
        bytes[8..10].copy_from_slice(&(end as u16 + 1).to_le_bytes());
    }
}

/// Corrects the checksums in the directory of a zip archive, where its entries can be found.
pub fn repair_zip(bytes: &mut [u8]) {
    let number = |bytes: &[u8], at: usize, width: usize| {
        let found = bytes.get(at..at + width)?.iter().rev();
        Some(found.fold(0usize, |number, byte| number << 8 | usize::from(*byte)))
    };
    let records: Vec<usize> = bytes
        .windows(4)
        .enumerate()
        .filter_map(|(at, found)| (found == b"PK\x01\x02").then_some(at))
        .collect();
    for at in records {
        let checksum = || {
            let (size, local) = (number(bytes, at + 24, 4)?, number(bytes, at + 42, 4)?);
            let start = local + 30 + number(bytes, local + 26, 2)? + number(bytes, local + 28, 2)?;
            Some(crc32fast::hash(bytes.get(start..start + size)?))
        };
        if let (Some(checksum), true) = (checksum(), at + 20 <= bytes.len()) {
            bytes[at + 16..at + 20].copy_from_slice(&checksum.to_le_bytes());
        }
    }
}
