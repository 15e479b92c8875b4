//! From stored blocks to f32, bit for bit as the Python package `gguf` computes it.
//!
//! In the formulas d and m are scales of half precision, and q the small whole numbers of a block. The functions are
//! written so that the compiler vectorises their loops, and always inlined, so that a caller compiles them for the
//! instructions it chooses.

use super::TensorType;

/// The values of whole blocks.
///
/// # Panics
///
/// If `bytes` are not the blocks of as many values as `to` has.
#[inline(always)]
pub fn dequantise(kind: TensorType, bytes: &[u8], to: &mut [f32]) {
    assert!(
        to.len().is_multiple_of(kind.block_len()) && bytes.len() == kind.bytes_of(to.len()),
        "{} bytes are not {} values of {kind}",
        bytes.len(),
        to.len()
    );
    match kind {
        TensorType::F32 => each(bytes, to, |block, to: &mut [f32; 1]| {
            to[0] = f32::from_le_bytes(*block);
        }),
        TensorType::F16 => each(bytes, to, |block, to: &mut [f32; 1]| to[0] = half(*block)),
        TensorType::Bf16 => each(bytes, to, |block, to: &mut [f32; 1]| {
            to[0] = f32::from_bits(u32::from(u16::from_le_bytes(*block)) << 16);
        }),
        TensorType::Q4_0 => each(bytes, to, q4_0),
        TensorType::Q4_1 => each(bytes, to, q4_1),
        TensorType::Q5_0 => each(bytes, to, q5_0),
        TensorType::Q5_1 => each(bytes, to, q5_1),
        TensorType::Q8_0 => each(bytes, to, q8_0),
        TensorType::Q2K => each(bytes, to, q2_k),
        TensorType::Q3K => each(bytes, to, q3_k),
        TensorType::Q4K => each(bytes, to, q4_k),
        TensorType::Q5K => each(bytes, to, q5_k),
        TensorType::Q6K => each(bytes, to, q6_k),
    }
}

/// One block after the other.
#[inline(always)]
fn each<const BYTES: usize, const VALUES: usize>(
    bytes: &[u8],
    to: &mut [f32],
    block: impl Fn(&[u8; BYTES], &mut [f32; VALUES]),
) {
    let (blocks, _) = bytes.as_chunks::<BYTES>();
    let (values, _) = to.as_chunks_mut::<VALUES>();
    for (bytes, values) in blocks.iter().zip(values) {
        block(bytes, values);
    }
}

/// A number of half precision, exactly.
#[inline(always)]
fn half(bytes: [u8; 2]) -> f32 {
    let bits = u32::from(u16::from_le_bytes(bytes));
    let (sign, magnitude) = ((bits & 0x8000) << 16, bits & 0x7FFF);
    // The exponent is off by 112, which a product repairs, of subnormal numbers too.
    let finite = f32::from_bits(magnitude << 13) * f32::from_bits((127 + 112) << 23);
    let value = if magnitude < 0x7C00 { finite.to_bits() } else { magnitude << 13 | 0x7F80_0000 };
    f32::from_bits(value | sign)
}

/// The number of half precision at a place of a block.
#[inline(always)]
fn half_at(block: &[u8], at: usize) -> f32 {
    half([block[at], block[at + 1]])
}

/// `d (q - 8)`; the low halves of the bytes come first, then the high ones, as in all types of 32 values.
#[inline(always)]
fn q4_0(block: &[u8; 18], to: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for i in 0..16 {
        to[i] = d * (i32::from(block[2 + i] & 15) - 8) as f32;
    }
    for i in 0..16 {
        to[16 + i] = d * (i32::from(block[2 + i] >> 4) - 8) as f32;
    }
}

/// `d q + m`.
#[inline(always)]
fn q4_1(block: &[u8; 20], to: &mut [f32; 32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for i in 0..16 {
        to[i] = d * f32::from(block[4 + i] & 15) + m;
    }
    for i in 0..16 {
        to[16 + i] = d * f32::from(block[4 + i] >> 4) + m;
    }
}

/// The 32 fifth bits that stand in four bytes.
#[inline(always)]
fn fifth_bits(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

/// `d (q - 16)`, with the fifth bit of each q apart.
#[inline(always)]
fn q5_0(block: &[u8; 22], to: &mut [f32; 32]) {
    let (d, high) = (half_at(block, 0), fifth_bits(block, 2));
    for i in 0..16 {
        let q = u32::from(block[6 + i] & 15) | (high >> i & 1) << 4;
        to[i] = d * (q as i32 - 16) as f32;
    }
    for i in 0..16 {
        let q = u32::from(block[6 + i] >> 4) | (high >> (16 + i) & 1) << 4;
        to[16 + i] = d * (q as i32 - 16) as f32;
    }
}

/// `d q + m`, with the fifth bit of each q apart.
#[inline(always)]
fn q5_1(block: &[u8; 24], to: &mut [f32; 32]) {
    let (d, m, high) = (half_at(block, 0), half_at(block, 2), fifth_bits(block, 4));
    for i in 0..16 {
        let q = u32::from(block[8 + i] & 15) | (high >> i & 1) << 4;
        to[i] = d * q as i32 as f32 + m;
    }
    for i in 0..16 {
        let q = u32::from(block[8 + i] >> 4) | (high >> (16 + i) & 1) << 4;
        to[16 + i] = d * q as i32 as f32 + m;
    }
}

/// `d q`.
#[inline(always)]
fn q8_0(block: &[u8; 34], to: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for i in 0..32 {
        to[i] = d * f32::from(block[2 + i] as i8);
    }
}

/// `(d s) q - m t`: 16 groups of 16 values, each with two small numbers s and t in one byte.
#[inline(always)]
fn q2_k(block: &[u8; 84], to: &mut [f32; 256]) {
    let (d, m) = (half_at(block, 80), half_at(block, 82));
    for group in 0..16 {
        let (first, shift) = two_bits(group);
        let scale = d * f32::from(block[group] & 15);
        let least = m * f32::from(block[group] >> 4);
        for i in 0..16 {
            let q = block[16 + first + i] >> shift & 3;
            to[16 * group + i] = scale * f32::from(q) - least;
        }
    }
}

/// Where the two bits of a group of 16 values are: its first byte, and the place in each. Each half of the block has
/// its own 32 bytes, with four values in each.
#[inline(always)]
fn two_bits(group: usize) -> (usize, usize) {
    let (half, within) = (group / 8, group % 8);
    (32 * half + 16 * (within % 2), 2 * (within / 2))
}

/// `(d s) q`: 16 groups with s of six bits, less 32; where the third bit of q is not set, q is less by 4.
#[inline(always)]
fn q3_k(block: &[u8; 110], to: &mut [f32; 256]) {
    let d = half_at(block, 108);
    let scales = &block[96..108];
    for group in 0..16 {
        let low = if group < 8 { scales[group] & 15 } else { scales[group - 8] >> 4 };
        let high = scales[8 + group % 4] >> (2 * (group / 4)) & 3;
        let scale = d * (i32::from(low | high << 4) - 32) as f32;
        let (first, shift) = two_bits(group);
        for i in 0..16 {
            let low = i32::from(block[32 + first + i] >> shift & 3);
            let third = i32::from(block[16 * (group % 2) + i] >> (group / 2) & 1);
            to[16 * group + i] = scale * (low - 4 * (1 - third)) as f32;
        }
    }
}

/// The two numbers of six bits of each of eight groups, in twelve bytes.
#[inline(always)]
fn six_bits(packed: &[u8], group: usize) -> (f32, f32) {
    let (scale, least) = if group < 4 {
        (packed[group] & 63, packed[group + 4] & 63)
    } else {
        let (low, both) = (packed[group - 4], packed[group + 4]);
        (both & 15 | low >> 2 & 0x30, both >> 4 | packed[group] >> 2 & 0x30)
    };
    (f32::from(scale), f32::from(least))
}

/// `(d s) q - m t`: 8 groups of 32 values, with s and t of six bits.
#[inline(always)]
fn q4_k(block: &[u8; 144], to: &mut [f32; 256]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for group in 0..8 {
        let (scale, least) = six_bits(&block[4..16], group);
        let (scale, least) = (d * scale, m * least);
        let first = 16 + 32 * (group / 2);
        let shift = 4 * (group % 2);
        for i in 0..32 {
            to[32 * group + i] = scale * f32::from(block[first + i] >> shift & 15) - least;
        }
    }
}

/// As [`q4_k`], with the fifth bits apart.
#[inline(always)]
fn q5_k(block: &[u8; 176], to: &mut [f32; 256]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for group in 0..8 {
        let (scale, least) = six_bits(&block[4..16], group);
        let (scale, least) = (d * scale, m * least);
        let first = 48 + 32 * (group / 2);
        let shift = 4 * (group % 2);
        for i in 0..32 {
            let q = block[first + i] >> shift & 15 | (block[16 + i] >> group & 1) << 4;
            to[32 * group + i] = scale * f32::from(q) - least;
        }
    }
}

/// `(d s) (q - 32)`: 16 groups of 16 values; four bits of each q, and two bits apart.
#[inline(always)]
fn q6_k(block: &[u8; 210], to: &mut [f32; 256]) {
    let d = half_at(block, 208);
    for group in 0..16 {
        let scale = d * f32::from(block[192 + group] as i8);
        // Rows of 32 values: in each half two rows of low bits, then two of high ones.
        let (row, within) = (group / 2, 16 * (group % 2));
        let (half, part) = (row / 4, row % 4);
        let low = 64 * half + 32 * (part % 2) + within;
        let shift = 4 * (part / 2);
        let high = 128 + 32 * half + within;
        for i in 0..16 {
            let q = block[low + i] >> shift & 15 | (block[high + i] >> (2 * part) & 3) << 4;
            to[16 * group + i] = scale * (i32::from(q) - 32) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_exact() {
        let of = |bits: u16| half(bits.to_le_bytes());
        for (bits, expected) in [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x0001, 5.960_464_5e-8),
            (0x83FF, -6.097_555e-5),
            (0x7BFF, 65504.0),
            (0x7C00, f32::INFINITY),
            (0xFC00, f32::NEG_INFINITY),
        ] {
            assert_eq!(of(bits).to_bits(), f32::to_bits(expected), "{bits:x}");
        }
        assert!(of(0x7C01).is_nan() && of(0xFFFF).is_nan());
    }
}
