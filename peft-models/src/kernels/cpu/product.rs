//! The product of two matrices on one core.
//!
//! The `gemm` crate makes it, as in Burn's flex; with AVX-512, if the columns of the right side are stored one after
//! another, there are two faster methods.

#[cfg(target_arch = "x86_64")]
use std::cell::RefCell;

use super::view::{MatrixView, span};
#[cfg(target_arch = "x86_64")]
use super::{
    dot_products::{Rows, dot_products},
    simd::Level,
    transpose::{Columns, transpose},
};

/// Where a product goes: rows `row_stride` apart, of which the product has the first columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Destination {
    pub start: *mut f32,
    /// How many elements there are from `start` on, those between the rows included.
    pub len: usize,
    pub row_stride: usize,
    /// Whether the product is added to what is there.
    pub accumulate: bool,
}

impl Destination {
    /// A slice that nobody else has.
    pub(super) fn of(slice: &mut [f32], row_stride: usize, accumulate: bool) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), row_stride, accumulate }
    }
}

/// How a product of `rows` rows and sums of `depth` terms is made on a machine with AVX-512, if columns of the
/// right side are stored one after another. docs/PERFORMANCE.md has the measurements.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// As dot products, which pack nothing. Packing costs more the fewer rows share it, and a dot product more the
    /// shorter it is.
    DotProducts,
    /// With the right side transposed, block by block.
    Transposed,
    /// By `gemm`, as it is.
    Gemm,
}

/// Rows that may be few enough for dot products: of short sums, and of long ones.
const FEW: [usize; 2] = [64, 16];

/// From so many rows on, each row of a product is the same, bit for bit, however many there are: there are no dot
/// products any more, and `gemm` has kernels of their own for a row alone, for sizes of 64 at most, and for results of
/// 256 elements at most: four columns have more.
pub(super) const ALIKE_FROM: usize = FEW[0] + 1;

/// Rows and columns that `gemm` takes for a small product, and the terms of a sum that it then adds at a time.
const SMALL: usize = 64;
const WHOLE_SUM: usize = 512;

#[cfg(target_arch = "x86_64")]
impl Method {
    fn of(rows: usize, depth: usize) -> Self {
        let few = FEW[usize::from(depth > 1024)];
        if rows <= few && 4 * rows < depth {
            Self::DotProducts
        } else if depth >= 256 {
            Self::Transposed
        } else {
            Self::Gemm
        }
    }
}

/// Rows of a transposed block.
#[cfg(target_arch = "x86_64")]
const BLOCK_ROWS: usize = 256;
/// Its columns: few enough for the block to stay in the cache of a core.
#[cfg(target_arch = "x86_64")]
const BLOCK_COLUMNS: usize = 512;

/// `to = a b`, or `to += a b`.
///
/// # Panics
///
/// Panics if the sizes do not fit each other or `to`.
///
/// # Safety
///
/// `to` points to `to.len` initialised elements. Nothing else accesses those of the product during the call.
pub(super) unsafe fn product(to: Destination, a: MatrixView<'_>, b: MatrixView<'_>) {
    assert_eq!(a.columns, b.rows, "sizes of a product");
    let (m, n, k) = (a.rows, b.columns, a.columns);
    if m == 0 || n == 0 {
        return;
    }
    assert!(m == 1 || n <= to.row_stride, "rows of a product that overlap");
    assert!(span([m, n], [to.row_stride, 1]) <= to.len, "a product beyond its destination");
    #[cfg(target_arch = "x86_64")]
    if a.column_stride == 1 && b.row_stride == 1 && Level::of_machine() == Level::Avx512 {
        match Method::of(m, k) {
            Method::DotProducts => {
                let a = Rows { data: a.data, count: m, depth: k, stride: a.row_stride };
                let b = Rows { data: b.data, count: n, depth: k, stride: b.column_stride };
                // SAFETY: the machine was asked; `to` is the caller's promise.
                return unsafe { dot_products(to.start, to.row_stride, a, b, to.accumulate) };
            }
            // SAFETY: as above.
            Method::Transposed => return unsafe { product_by_blocks(to, a, b) },
            Method::Gemm => {}
        }
    }
    // SAFETY: the caller's promise.
    unsafe { gemm(to, a, b) }
}

/// A [`product`] with blocks of `b`, each laid out by rows.
///
/// # Safety
///
/// As [`product`], on a machine with AVX-512.
#[cfg(target_arch = "x86_64")]
unsafe fn product_by_blocks(to: Destination, a: MatrixView<'_>, b: MatrixView<'_>) {
    thread_local! {
        static BLOCK: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    BLOCK.with_borrow_mut(|block| {
        block.resize(BLOCK_ROWS * Columns::row_stride(BLOCK_COLUMNS), 0.0);
        for column in (0..b.columns).step_by(BLOCK_COLUMNS) {
            let count = BLOCK_COLUMNS.min(b.columns - column);
            for row in (0..b.rows).step_by(BLOCK_ROWS) {
                let depth = BLOCK_ROWS.min(b.rows - row);
                // The last of its elements is inside, so this does not overflow.
                let data = &b.data[column * b.column_stride + row..];
                // SAFETY: the machine has what it needs; `to` is the caller's promise.
                unsafe {
                    transpose(Columns { data, count, depth, stride: b.column_stride }, block);
                    let b = MatrixView::by_rows(block, depth, count, Columns::row_stride(count));
                    let a = a.columns(row..row + depth);
                    let accumulate = to.accumulate || row > 0;
                    let (start, len) = (to.start.add(column), to.len - column);
                    gemm(Destination { start, len, accumulate, ..to }, a, b);
                }
            }
        }
    });
}

/// A [`product`] by the `gemm` crate.
///
/// # Safety
///
/// As [`product`].
unsafe fn gemm(to: Destination, a: MatrixView<'_>, b: MatrixView<'_>) {
    // With so few rows, `gemm` cuts long sums by the number of columns, which is that of one thread: bits would depend on
    // how many threads there are.
    if a.rows > SMALL || a.columns <= WHOLE_SUM {
        // SAFETY: the caller's promise.
        return unsafe { gemm_whole(to, a, b) };
    }
    for start in (0..a.columns).step_by(WHOLE_SUM) {
        let part = start..a.columns.min(start + WHOLE_SUM);
        let right = b.transposed().columns(part.clone()).transposed();
        let accumulate = to.accumulate || start > 0;
        // SAFETY: the caller's promise.
        unsafe { gemm_whole(Destination { accumulate, ..to }, a.columns(part), right) };
    }
}

/// A product by one call of the `gemm` crate.
///
/// # Safety
///
/// As [`product`].
unsafe fn gemm_whole(to: Destination, a: MatrixView<'_>, b: MatrixView<'_>) {
    let stride = |value: usize| {
        assert!(isize::try_from(value).is_ok(), "a stride beyond memory");
        value as isize
    };
    // SAFETY: a and b lie inside their slices (checked where they are made); `to` is the caller's promise.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            to.start,
            1,
            stride(to.row_stride),
            to.accumulate,
            a.data.as_ptr(),
            stride(a.column_stride),
            stride(a.row_stride),
            b.data.as_ptr(),
            stride(b.column_stride),
            stride(b.row_stride),
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::{super::tests::LEVELS_DOWN, *};

    /// Every method, with partial blocks and strides with gaps, against sums in f64.
    #[test]
    fn products_of_all_sizes_are_sums() {
        let number = |at: usize| ((at * 7919) % 1009) as f32 / 1009.0 - 0.5;
        for m in [1, 3, 20, 70] {
            for k in [1, 30, 256, 257, 600] {
                for n in [1, 33, 513, 1100] {
                    let (a_stride, b_stride, to_stride) = (k + 2, k + 3, n + 5);
                    let a: Vec<f32> = (0..m * a_stride).map(number).collect();
                    let b: Vec<f32> = (0..n * b_stride).map(|at| number(at + 17)).collect();
                    for accumulate in [false, true] {
                        let mut to = vec![2.0f32; m * to_stride];
                        let left = MatrixView::by_rows(&a, m, k, a_stride);
                        let right = MatrixView::by_rows(&b, n, k, b_stride).transposed();
                        let result = Destination::of(&mut to, to_stride, accumulate);
                        // SAFETY: `to` has m rows of n elements.
                        unsafe { product(result, left, right) };
                        for row in 0..m {
                            for column in (0..n).step_by(if m * n > 10_000 { 37 } else { 1 }) {
                                let pairs =
                                    (0..k).map(|i| [row * a_stride + i, column * b_stride + i]);
                                let sum: f64 =
                                    pairs.map(|[i, j]| f64::from(a[i]) * f64::from(b[j])).sum();
                                let expected = sum + if accumulate { 2.0 } else { 0.0 };
                                let found = f64::from(to[row * to_stride + column]);
                                assert!(
                                    (found - expected).abs() < 1e-4,
                                    "{m} {k} {n} at {row} {column}"
                                );
                            }
                            // What lies between the rows is not touched.
                            assert!(
                                to[row * to_stride + n..(row + 1) * to_stride]
                                    .iter()
                                    .all(|x| *x == 2.0)
                            );
                        }
                    }
                }
            }
        }
    }

    /// Whatever the vector instructions and the layout of the right side.
    #[test]
    fn from_enough_rows_on_each_is_the_same() {
        const MOST: usize = 400;
        let number = |at: usize| ((at * 7919) % 1009) as f32 / 1009.0 - 0.5;
        for level in 0..=2 {
            LEVELS_DOWN.set(level);
            for k in [3, 33, 64, 257, 384, 1536, 2050] {
                let a: Vec<f32> = (0..MOST * k).map(number).collect();
                for n in [4, 33, 100, 700] {
                    let b: Vec<f32> = (0..n * k).map(|at| number(at + 17)).collect();
                    let right = MatrixView::by_rows(&b, n, k, k).transposed();
                    let across = MatrixView::by_rows(&b, k, n, n);
                    for (right, accumulate) in [(right, false), (right, true), (across, true)] {
                        let rows = |m: usize| {
                            let mut to = vec![0.25f32; m * n];
                            let left = MatrixView::by_rows(&a[..m * k], m, k, k);
                            // SAFETY: `to` has m rows of n elements.
                            unsafe {
                                product(Destination::of(&mut to, n, accumulate), left, right)
                            };
                            to
                        };
                        let all = rows(MOST);
                        for m in [ALIKE_FROM, ALIKE_FROM + 1, 96, 127, 128, 257, MOST - 1] {
                            assert!(
                                rows(m) == all[..m * n],
                                "{level}: {m} rows of {k}, {n} columns"
                            );
                        }
                    }
                }
            }
            LEVELS_DOWN.set(0);
        }
    }

    #[test]
    fn columns_are_alike_however_many_there_are() {
        let number = |at: usize| ((at * 7919) % 1009) as f32 / 1009.0 - 0.5;
        const N: usize = 768;
        for level in 0..=2 {
            LEVELS_DOWN.set(level);
            for k in [384, 768, 1536] {
                let b: Vec<f32> = (0..N * k).map(|at| number(at + 17)).collect();
                for m in [1, 2, 7, 40, 64, 65, 130] {
                    let a: Vec<f32> = (0..m * k).map(number).collect();
                    let left = MatrixView::by_rows(&a, m, k, k);
                    for right in [
                        MatrixView::by_rows(&b, k, N, N),
                        MatrixView::by_rows(&b, N, k, k).transposed(),
                    ] {
                        let by = |each: usize| {
                            let mut all = vec![0.0f32; m * N];
                            for start in (0..N).step_by(each) {
                                let to = Destination::of(&mut all[start..], N, false);
                                let right = right.columns(start..start + each);
                                // SAFETY: from `start` on there are m rows of `each` elements.
                                unsafe { product(to, left, right) };
                            }
                            all
                        };
                        let whole = by(N);
                        // `gemm` has a kernel of its own for results of 256 elements at most.
                        for each in [32, 64, 384].into_iter().filter(|each| m * each > 256) {
                            assert!(by(each) == whole, "{level}: {m} x {k}, {each} columns");
                        }
                    }
                }
            }
            LEVELS_DOWN.set(0);
        }
    }

    #[test]
    fn a_result_that_does_not_fit_is_refused() {
        let (a, b) = ([1.0f32; 12], [1.0f32; 20]);
        let left = MatrixView::by_rows(&a, 3, 4, 4);
        let right = MatrixView::by_rows(&b, 4, 5, 5);
        let mut to = [0.0f32; 19];
        // Rows of 5 elements, and gaps of 2 between them.
        // SAFETY: what does not fit is refused.
        let make = |len: usize, row_stride: usize, to: &mut [f32]| {
            let to = Destination::of(&mut to[..len], row_stride, false);
            catch_unwind(|| unsafe { product(to, left, right) }).is_ok()
        };
        assert!(make(19, 7, &mut to) && to[18] == 4.0 && to[5] == 0.0);
        for (len, row_stride) in
            [(18, 7), (19, 8), (19, 4), (19, usize::MAX), (19, usize::MAX / 2 + 1)]
        {
            assert!(!make(len, row_stride, &mut to), "{len} {row_stride}");
        }
        let other = MatrixView::by_rows(&b, 3, 5, 5);
        let to = Destination::of(&mut to, 7, false);
        // SAFETY: as above.
        assert!(catch_unwind(|| unsafe { product(to, left, other) }).is_err());
    }
}
