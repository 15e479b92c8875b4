//! Transposes blocks of a matrix whose columns are stored one after another, as PyTorch's weights are. A general
//! product packs such a matrix element by element; transposing sixteen vectors with shuffles costs a tenth.

use std::arch::x86_64::{
    __m512, __mmask16, _MM_HINT_T0, _mm_prefetch, _mm512_castpd_ps, _mm512_castps_pd,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_setzero_ps, _mm512_shuffle_f32x4,
    _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};

use super::view::span;

/// Elements of a vector register.
const LANES: usize = 16;

/// `count` columns of `depth` elements, `stride` apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns<'a> {
    pub data: &'a [f32],
    pub count: usize,
    pub depth: usize,
    pub stride: usize,
}

impl Columns<'_> {
    /// The distance between rows of `count` elements: an odd number of cache lines, so that the sixteen rows that are
    /// written at once do not evict one another.
    pub(super) const fn row_stride(count: usize) -> usize {
        match (count.div_ceil(LANES) | 1).checked_mul(LANES) {
            Some(stride) => stride,
            None => panic!("a row beyond memory"),
        }
    }
}

/// Writes the columns as `depth` rows of `count` elements, [`row_stride`](Columns::row_stride) apart.
///
/// # Safety
///
/// The machine has AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn transpose(columns: Columns<'_>, to: &mut [f32]) {
    let Columns { data, count, depth, stride } = columns;
    let row_stride = Columns::row_stride(count);
    let space = row_stride.checked_mul(depth);
    assert!(space.is_some_and(|space| space <= to.len()), "space for a transposed matrix");
    assert!(span([count, depth], [stride, 1]) <= data.len(), "a matrix beyond its slice");
    for column in (0..count).step_by(LANES) {
        let rows = LANES.min(count - column);
        for at in (0..depth).step_by(LANES) {
            let len = LANES.min(depth - at);
            let first = column * stride + at;
            // SAFETY: both squares are inside their slices, as was checked.
            unsafe {
                let from = data.as_ptr().add(first);
                let to = to.as_mut_ptr().add(at * row_stride + column);
                if rows == LANES && len == LANES {
                    // Prefetches the next rows; beyond the matrix, that does nothing.
                    for row in 0..LANES {
                        let ahead = from.wrapping_add((LANES + row) * stride);
                        _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                    }
                    square(from, stride, to, row_stride, [LANES, LANES]);
                } else {
                    square(from, stride, to, row_stride, [rows, len]);
                }
            }
        }
    }
}

/// Transposes `rows` rows of `len` elements, both up to 16.
///
/// # Safety
///
/// The machine has AVX-512; `from` points to such rows `from_stride` apart, and `to` to space for the transposed ones
/// `to_stride` apart.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn square(
    from: *const f32,
    from_stride: usize,
    to: *mut f32,
    to_stride: usize,
    [rows, len]: [usize; 2],
) {
    let mask = |count: usize| -> __mmask16 { if count >= LANES { !0 } else { (1 << count) - 1 } };
    let (of_len, of_rows) = (mask(len), mask(rows));
    let mut x = [_mm512_setzero_ps(); LANES];
    for (row, x) in x.iter_mut().enumerate().take(rows) {
        // SAFETY: the mask keeps the load inside the row.
        *x = unsafe { _mm512_maskz_loadu_ps(of_len, from.add(row * from_stride)) };
    }
    // Pairs of rows, then fours: lane l of `fours[4 i + j]` is column 4 l + j of the rows from 4 i on.
    let mut pairs = x;
    for i in 0..LANES / 2 {
        pairs[2 * i] = _mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]);
    }
    let mut fours = x;
    for i in 0..LANES / 4 {
        let [a, b, c, d] = [0, 1, 2, 3].map(|j| _mm512_castps_pd(pairs[4 * i + j]));
        fours[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
        fours[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        fours[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
        fours[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    }
    let put = |column: usize, values: __m512| {
        if column < len {
            // SAFETY: the mask keeps the store inside the row.
            unsafe { _mm512_mask_storeu_ps(to.add(column * to_stride), of_rows, values) };
        }
    };
    for j in 0..4 {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| fours[4 * i + j]);
        // Lanes 0 and 2, then 1 and 3.
        let (even, odd) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
        let (next_even, next_odd) =
            (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d));
        put(j, _mm512_shuffle_f32x4::<0x88>(even, next_even));
        put(8 + j, _mm512_shuffle_f32x4::<0xdd>(even, next_even));
        put(4 + j, _mm512_shuffle_f32x4::<0x88>(odd, next_odd));
        put(12 + j, _mm512_shuffle_f32x4::<0xdd>(odd, next_odd));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::simd::Level, *};

    proptest! {
        #[test]
        fn columns_become_rows(count in 1usize..40, depth in 1usize..40, gap in 0usize..5) {
            if Level::of_machine() != Level::Avx512 {
                return Ok(());
            }
            let stride = depth + gap;
            let data: Vec<f32> = (0..count * stride - gap).map(|x| x as f32).collect();
            let row = Columns::row_stride(count);
            let mut to = vec![-1.0; row * depth];
            // SAFETY: the machine was asked.
            unsafe { transpose(Columns { data: &data, count, depth, stride }, &mut to) };
            for at in 0..depth {
                for column in 0..count {
                    prop_assert_eq!(to[at * row + column], (column * stride + at) as f32);
                }
            }
        }
    }
}
