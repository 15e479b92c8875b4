//! Products of a few rows with a matrix whose columns are stored one after another, as PyTorch's weights are. Each
//! element of the result is a dot product of two slices of memory, so nothing is packed; a general product packs the
//! matrix first, which costs as much as the product itself if rows are few. AVX-512 only: its 32 registers hold a
//! tile of the result.

use std::arch::x86_64::{
    __m512, __mmask16, _MM_HINT_T0, _mm_prefetch, _mm512_fmadd_ps, _mm512_maskz_loadu_ps,
    _mm512_reduce_add_ps, _mm512_setzero_ps,
};

/// Elements of a vector register.
const LANES: usize = 16;
/// Columns of a tile.
const COLUMNS: usize = 3;
/// Rows of a tile: 24 sums, 3 vectors of the matrix and one of a row are 28 registers.
const ROWS: usize = 8;

/// `count` rows of `depth` elements, `stride` apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    pub data: &'a [f32],
    pub count: usize,
    pub depth: usize,
    pub stride: usize,
}

impl<'a> Rows<'a> {
    fn row(&self, index: usize) -> &'a [f32] {
        &self.data[index * self.stride..index * self.stride + self.depth]
    }
}

/// `to[i][j] = a[i] · b[j]`, or `+=`. Rows of `to` are `row_stride` apart.
///
/// # Safety
///
/// The machine has AVX-512, and `to` points to rows that nothing else accesses during the call, initialised if they
/// are added to.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn dot_products(
    to: *mut f32,
    row_stride: usize,
    a: Rows<'_>,
    b: Rows<'_>,
    accumulate: bool,
) {
    let mut column = 0;
    while column < b.count {
        let columns = COLUMNS.min(b.count - column);
        // The last tiles repeat columns and rows rather than have a size of their own.
        let of_b = std::array::from_fn(|i| b.row((column + i).min(b.count - 1)));
        let mut row = 0;
        while row < a.count {
            let rows = ROWS.min(a.count - row);
            // Prefetches what the next tiles read, one row in each of the first tiles.
            let next = column + COLUMNS + row / ROWS;
            let ahead = if row / ROWS < COLUMNS && next < b.count { b.row(next) } else { of_b[0] };
            // SAFETY: the tile's rows and columns are inside the rows that the caller gave.
            unsafe {
                let to = to.add(row * row_stride + column);
                if rows > 2 {
                    let of_a = std::array::from_fn(|i| a.row((row + i).min(a.count - 1)));
                    let sums = tile::<ROWS>(&of_a, &of_b, ahead);
                    put(to, row_stride, &sums[..rows], columns, accumulate);
                } else {
                    // For so few rows a whole tile would not pay.
                    for i in 0..rows {
                        let sums = tile::<1>(&[a.row(row + i)], &of_b, ahead);
                        put(to.add(i * row_stride), row_stride, &sums, columns, accumulate);
                    }
                }
            }
            row += rows;
        }
        column += columns;
    }
}

/// Writes rows of a tile, the first `columns` of each.
///
/// # Safety
///
/// As [`dot_products`], for the tile at `to`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn put(
    to: *mut f32,
    row_stride: usize,
    sums: &[[__m512; COLUMNS]],
    columns: usize,
    accumulate: bool,
) {
    for (i, sums) in sums.iter().enumerate() {
        for (j, sum) in sums.iter().enumerate().take(columns) {
            let sum = _mm512_reduce_add_ps(*sum);
            // SAFETY: the caller's promise.
            let to = unsafe { &mut *to.add(i * row_stride + j) };
            *to = if accumulate { *to + sum } else { sum };
        }
    }
}

/// The dot products of each of M rows with each of the columns, lane by lane. `ahead` is a row to prefetch: the rows of
/// a matrix are too short for the machine to predict the next one.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn tile<const M: usize>(
    a: &[&[f32]; M],
    b: &[&[f32]; COLUMNS],
    ahead: &[f32],
) -> [[__m512; COLUMNS]; M] {
    let depth = a[0].len();
    assert!(a.iter().chain(b).chain([&ahead]).all(|row| row.len() == depth));
    let mut sums = [[_mm512_setzero_ps(); COLUMNS]; M];
    let mut at = 0;
    while at < depth {
        let left = depth - at;
        let mask: __mmask16 = if left >= LANES { !0 } else { (1 << left) - 1 };
        // SAFETY: the mask keeps the load inside the row.
        let load = |row: &[f32]| -> __m512 {
            unsafe { _mm512_maskz_loadu_ps(mask, row.as_ptr().add(at)) }
        };
        _mm_prefetch::<_MM_HINT_T0>(ahead[at..].as_ptr().cast());
        let of_b = [load(b[0]), load(b[1]), load(b[2])];
        for (sums, row) in sums.iter_mut().zip(a) {
            let x = load(row);
            for (sum, y) in sums.iter_mut().zip(of_b) {
                *sum = _mm512_fmadd_ps(x, y, *sum);
            }
        }
        at += LANES;
    }
    sums
}
