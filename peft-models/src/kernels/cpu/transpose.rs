//! Transposes squares of values with shuffles of vectors, which costs a tenth of moving value by value.

use std::arch::x86_64::{
    __m256, __m512, __mmask16, _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_shuffle_ps,
    _mm256_storeu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps, _mm512_castpd_ps, _mm512_castps_pd,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_setzero_ps, _mm512_shuffle_f32x4,
    _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};

/// The side of a square with AVX-512, which is also the length of a vector.
pub(super) const LANES: usize = 16;
/// The side of a square with AVX2.
pub(super) const HALF: usize = LANES / 2;

/// Transposes `rows` rows of `len` elements, both up to 16.
///
/// # Safety
///
/// The machine has AVX-512; `from` points to such rows `from_stride` apart, and `to` to space for the transposed ones
/// `to_stride` apart.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn square(
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

/// Transposes eight rows of eight elements.
///
/// # Safety
///
/// The machine has AVX2; `from` points to such rows `from_stride` apart, and `to` to space for the transposed ones
/// `to_stride` apart.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn square_of_eight(
    from: *const f32,
    from_stride: usize,
    to: *mut f32,
    to_stride: usize,
) {
    // SAFETY: the rows are in memory.
    let x: [__m256; HALF] =
        std::array::from_fn(|row| unsafe { _mm256_loadu_ps(from.add(row * from_stride)) });
    // Pairs of rows, then fours: lane l of `fours[4 i + j]` is column 4 l + j of the rows from 4 i on.
    let mut fours = x;
    for i in 0..2 {
        let [a, b, c, d] = [0, 1, 2, 3].map(|j| x[4 * i + j]);
        let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (next_low, next_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        fours[4 * i] = _mm256_shuffle_ps::<0x44>(low, next_low);
        fours[4 * i + 1] = _mm256_shuffle_ps::<0xee>(low, next_low);
        fours[4 * i + 2] = _mm256_shuffle_ps::<0x44>(high, next_high);
        fours[4 * i + 3] = _mm256_shuffle_ps::<0xee>(high, next_high);
    }
    for j in 0..4 {
        let (upper, lower) = (fours[j], fours[4 + j]);
        // SAFETY: there is space for the transposed rows.
        unsafe {
            let [first, second] = [j, 4 + j].map(|column| to.add(column * to_stride));
            _mm256_storeu_ps(first, _mm256_permute2f128_ps::<0x20>(upper, lower));
            _mm256_storeu_ps(second, _mm256_permute2f128_ps::<0x31>(upper, lower));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::simd::Level, *};

    proptest! {
        #[test]
        fn columns_become_rows(rows in 1usize..=16, len in 1usize..=16, gap in 0usize..5) {
            if Level::of_machine() != Level::Avx512 {
                return Ok(());
            }
            let stride = len + gap;
            let data: Vec<f32> = (0..rows * stride - gap).map(|x| x as f32).collect();
            let mut to = vec![-1.0; 20 * len];
            // SAFETY: the machine was asked; there is space for `len` rows.
            unsafe { square(data.as_ptr(), stride, to.as_mut_ptr(), 20, [rows, len]) };
            for at in 0..len {
                for row in 0..20 {
                    let expected = if row < rows { (row * stride + at) as f32 } else { -1.0 };
                    prop_assert_eq!(to[at * 20 + row], expected);
                }
            }
        }
    }

    #[test]
    fn eight_columns_become_rows() {
        if Level::of_machine() == Level::Portable {
            return;
        }
        let data: Vec<f32> = (0..8 * 11).map(|x| x as f32).collect();
        let mut to = [-1.0; 8 * 9];
        // SAFETY: the machine was asked; there are eight rows of eleven, and space for eight of nine.
        unsafe { square_of_eight(data.as_ptr(), 11, to.as_mut_ptr(), 9) };
        for (index, found) in to.iter().enumerate() {
            let (row, column) = (index / 9, index % 9);
            let expected = if column < 8 { (column * 11 + row) as f32 } else { -1.0 };
            assert_eq!(*found, expected, "{row} {column}");
        }
    }
}
