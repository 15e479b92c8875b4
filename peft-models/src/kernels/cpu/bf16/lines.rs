//! Rounding to bf16, and memory in whole cache lines.

use super::super::simd::vectorised;

/// Values of bf16 in a line, and terms that tiles add at a time: a row of a tile.
pub(super) const LINE: usize = 32;

/// A cache line of bf16, which is also a row of a tile and a vector register.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Line(pub(super) [u16; LINE]);

impl Line {
    pub(super) const ZERO: Self = Self([0; LINE]);
}

/// The nearest value of bf16, of two the even one, as the upper half of an f32. NaN stays NaN.
#[inline(always)]
fn nearest(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let bits = if bits & 0x7fff_ffff > 0x7f80_0000 { bits | 0x0040_0000 } else { rounded };
    (bits >> 16) as u16
}

/// The nearest value of bf16, of two the even one. NaN stays NaN.
pub(in super::super) fn round(x: f32) -> f32 {
    f32::from_bits(u32::from(nearest(x)) << 16)
}

/// [`nearest`] for callers that are not vectorised.
pub(super) fn nearest_bits(x: f32) -> u16 {
    nearest(x)
}

vectorised! {
    /// Rounds values of a row into its lines, `stride` apart, and fills the last one up with zeros.
    pub(super) fn round_into<FMA>(from: &[f32], lines: &mut [Line], stride: usize) {
        let mut lines = lines.iter_mut().step_by(stride);
        let whole = from.chunks_exact(LINE);
        let rest = whole.remainder();
        for (from, line) in whole.zip(&mut lines) {
            for (to, from) in line.0.iter_mut().zip(from) {
                *to = nearest(*from);
            }
        }
        if !rest.is_empty() && let Some(line) = lines.next() {
            *line = Line::ZERO;
            for (to, from) in line.0.iter_mut().zip(rest) {
                *to = nearest(*from);
            }
        }
    }

    /// Rounds two rows into pairs.
    pub(super) fn round_pairs<FMA>(upper: &[f32], lower: &[f32], to: &mut [u16]) {
        for (to, (upper, lower)) in to.chunks_exact_mut(2).zip(upper.iter().zip(lower)) {
            to[0] = nearest(*upper);
            to[1] = nearest(*lower);
        }
    }
}
