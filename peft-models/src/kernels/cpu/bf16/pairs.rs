//! A piece of a product in the vectors of AVX512-BF16, whose one instruction multiplies sixteen pairs and adds both
//! products of each to a sum.

use std::arch::x86_64::{
    __m512bh, __m512i, _MM_HINT_T1, _mm_prefetch, _mm512_dpbf16_ps, _mm512_loadu_ps,
    _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
};

use super::{
    left::TILE_ROWS,
    lines::{LINE, Line},
    piece::Piece,
    right::STEP,
};

/// Rows at a time: 16 vectors of sums, two of the right side and one of the left.
const ROWS: usize = 8;

/// Multiplies a piece, of which the first `rows` rows are wanted.
///
/// # Safety
///
/// The machine has AVX512-BF16; and as [`Piece`] says.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn multiply(piece: &Piece<'_>, rows: usize) {
    let depth = piece.depth();
    assert!(depth > 0 && piece.right.len() >= depth * STEP);
    for first in (0..rows).step_by(ROWS) {
        let tiles = piece.left[first / TILE_ROWS];
        assert!(tiles.len() >= depth * TILE_ROWS);
        let left = &tiles[first % TILE_ROWS..];
        let next = piece.next.get(first..).unwrap_or_default();
        // SAFETY: `rows` are rows of the piece; the rest is the caller's promise.
        unsafe {
            let to = piece.to.add(first * piece.row_stride);
            match rows - first {
                1 => block::<1>(piece, to, left, next),
                2 => block::<2>(piece, to, left, next),
                3 | 4 => block::<4>(piece, to, left, next),
                _ => block::<ROWS>(piece, to, left, next),
            }
        }
    }
}

/// R rows of the result, from `to` on. Of each 32 lines in `next` the first 8 are fetched into the second cache meanwhile, so
/// that the four blocks of a whole piece fetch all of them.
///
/// # Safety
///
/// As [`multiply`], for R rows from `to` on, of which the left side has the first line of each tile in `left`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
unsafe fn block<const R: usize>(piece: &Piece<'_>, to: *mut f32, left: &[Line], next: &[Line]) {
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    if piece.accumulate {
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: a row of the result has 32 columns.
            unsafe {
                let from = to.add(row * piece.row_stride);
                *sums = [_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(16))];
            }
        }
    }
    for step in 0..piece.depth() {
        let left = &left[step * TILE_ROWS..step * TILE_ROWS + R];
        let right = &piece.right[step * STEP..(step + 1) * STEP];
        let (near, far) = right.split_at(TILE_ROWS);
        for line in next.iter().skip(step * STEP).take(ROWS) {
            _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(line).cast());
        }
        for pair in 0..LINE / 2 {
            // SAFETY: both are 64 bytes, whatever they mean.
            let vector = |line: &Line| -> __m512bh { unsafe { std::mem::transmute_copy(line) } };
            let (near, far) = (vector(&near[pair]), vector(&far[pair]));
            for (sums, line) in sums.iter_mut().zip(left) {
                // SAFETY: a pair is four bytes of the line.
                let pair = unsafe {
                    let pair = line.0.as_ptr().add(2 * pair).cast::<i32>().read_unaligned();
                    std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(pair))
                };
                sums[0] = _mm512_dpbf16_ps(sums[0], pair, near);
                sums[1] = _mm512_dpbf16_ps(sums[1], pair, far);
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        // SAFETY: as above.
        unsafe {
            let to = to.add(row * piece.row_stride);
            _mm512_storeu_ps(to, sums[0]);
            _mm512_storeu_ps(to.add(16), sums[1]);
        }
    }
}
