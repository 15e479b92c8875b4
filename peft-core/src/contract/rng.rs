//! The generator behind all random numbers of this workspace.
//!
//! Each use draws from its own stream, keyed by the run's seed, the step and the place in the
//! program. No draw depends on how many were made elsewhere before it, so a resumed run continues
//! exactly, and adding a draw in one place changes no other.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Marks the layout of the key, so that a later layout cannot repeat the streams of this one.
const LAYOUT: [u8; 8] = *b"peft-rs1";

/// Returns the random stream of one place in the program at one step.
///
/// `place` is a fixed name such as `"data/shuffle"`; `step` is whatever counts there: the training
/// step, the epoch, or 0. The 32 bytes of the ChaCha8 key are
///
/// | bytes | content |
/// |---|---|
/// | 0..8 | `seed`, little-endian |
/// | 8..16 | `step`, little-endian |
/// | 16..24 | 64-bit FNV-1a of `place`, little-endian |
/// | 24..32 | `peft-rs1`, the version of this layout |
pub fn stream(seed: u64, step: u64, place: &str) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&step.to_le_bytes());
    key[16..24].copy_from_slice(&fnv1a(place.as_bytes()).to_le_bytes());
    key[24..].copy_from_slice(&LAYOUT);
    ChaCha8Rng::from_seed(key)
}

/// 64-bit FNV-1a, used only to spread a handful of fixed names.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::RngCore;

    /// Test vectors from the FNV reference (draft-eastlake-fnv, appendix C).
    #[test]
    fn fnv1a_matches_its_reference() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn same_key_same_numbers() {
        let draw = || {
            let mut rng = stream(7, 3, "test");
            [rng.next_u64(), rng.next_u64()]
        };
        assert_eq!(draw(), draw());
    }

    #[test]
    fn each_part_of_the_key_counts() {
        let first = |seed, step, place| stream(seed, step, place).next_u64();
        let base = first(1, 2, "a");
        assert_ne!(base, first(2, 2, "a"));
        assert_ne!(base, first(1, 1, "a"));
        assert_ne!(base, first(1, 2, "b"));
        assert_ne!(base, first(2, 1, "a"));
        assert_ne!(first(u64::MAX, 0, ""), first(0, u64::MAX, ""));
    }
}
