//! Matrix products: the `gemm` crate, which Burn's flex uses too, called on strided views, and spread over the
//! cores by columns of the result.

#[cfg(target_arch = "x86_64")]
use std::cell::RefCell;
use std::ops::Range;

use super::{
    frozen::Factor,
    parallel::{Target, pieces},
};
#[cfg(target_arch = "x86_64")]
use super::{
    simd::Level,
    tiles::{Rows, dot_products},
    turned::{Columns, turn},
};

/// A matrix inside a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` numbers each, `row_stride` apart.
    pub(super) fn rows(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self::strided(data, [rows, columns], [row_stride, 1])
    }

    pub(super) fn strided(
        data: &'a [f32],
        [rows, columns]: [usize; 2],
        [row_stride, column_stride]: [usize; 2],
    ) -> Self {
        if rows > 0 && columns > 0 {
            let last = (rows - 1) * row_stride + (columns - 1) * column_stride;
            assert!(last < data.len(), "a matrix beyond its slice");
        }
        Self { data, rows, columns, row_stride, column_stride }
    }

    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Some of its columns.
    fn columns(self, columns: Range<usize>) -> Self {
        assert!(columns.end <= self.columns, "columns of a matrix");
        let data = &self.data[(columns.start * self.column_stride).min(self.data.len())..];
        Self { data, columns: columns.len(), ..self }
    }

    /// Its numbers, row by row.
    pub(super) fn numbers(&self) -> impl Iterator<Item = f32> + '_ {
        (0..self.rows * self.columns).map(move |index| {
            let (row, column) = (index / self.columns, index % self.columns);
            self.data[row * self.row_stride + column * self.column_stride]
        })
    }
}

/// How a product is made on a machine with AVX-512, of `rows` rows and sums of `depth` numbers, where columns of the
/// right side are stored one after another. docs/PERFORMANCE.md has the measurements.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Without packing: see [`tiles`](super::tiles). Packing costs more the fewer rows share it, and a dot product
    /// more the shorter it is.
    Tiles,
    /// With the right side turned, block by block: see [`turned`](super::turned).
    Turned,
    /// As it is.
    General,
}

#[cfg(target_arch = "x86_64")]
impl Way {
    fn of(rows: usize, depth: usize) -> Self {
        let few = if depth <= 1024 { 64 } else { 16 };
        if rows <= few && 4 * rows < depth {
            Self::Tiles
        } else if depth >= 256 {
            Self::Turned
        } else {
            Self::General
        }
    }
}

/// Rows of a block that is turned.
#[cfg(target_arch = "x86_64")]
const TURNED_ROWS: usize = 256;
/// Its columns, so that it stays in the cache of a core.
#[cfg(target_arch = "x86_64")]
const TURNED_COLUMNS: usize = 512;

/// `to = a b`, or `to += a b` where `accumulate` says so, on one core. Rows of `to` are `row_stride` apart.
///
/// # Safety
///
/// `to` points to rows that nobody else has meanwhile, and that are initialised where they are added to.
pub(super) unsafe fn product(
    to: *mut f32,
    row_stride: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    accumulate: bool,
) {
    assert_eq!(a.columns, b.rows, "sizes of a product");
    let (m, n, k) = (a.rows, b.columns, a.columns);
    if m == 0 || n == 0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if a.column_stride == 1 && b.row_stride == 1 && Level::of_machine() == Level::Avx512 {
        match Way::of(m, k) {
            Way::Tiles => {
                let a = Rows { data: a.data, count: m, depth: k, stride: a.row_stride };
                let b = Rows { data: b.data, count: n, depth: k, stride: b.column_stride };
                // SAFETY: the machine was asked; `to` is the caller's promise.
                return unsafe { dot_products(to, row_stride, a, b, accumulate) };
            }
            // SAFETY: as above.
            Way::Turned => return unsafe { turned_product(to, row_stride, a, b, accumulate) },
            Way::General => {}
        }
    }
    // SAFETY: the caller's promise.
    unsafe { general_product(to, row_stride, a, b, accumulate) }
}

/// A [`product`] in blocks of `b`, which are laid out by rows.
///
/// # Safety
///
/// As [`product`], on a machine with AVX-512.
#[cfg(target_arch = "x86_64")]
unsafe fn turned_product(
    to: *mut f32,
    row_stride: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    accumulate: bool,
) {
    thread_local! {
        static ROOM: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    ROOM.with_borrow_mut(|room| {
        room.resize(TURNED_ROWS * Columns::row_stride(TURNED_COLUMNS), 0.0);
        for column in (0..b.columns).step_by(TURNED_COLUMNS) {
            let count = TURNED_COLUMNS.min(b.columns - column);
            for row in (0..b.rows).step_by(TURNED_ROWS) {
                let depth = TURNED_ROWS.min(b.rows - row);
                let data = &b.data[column * b.column_stride + row..];
                // SAFETY: the machine has what it needs; `to` is the caller's promise.
                unsafe {
                    turn(Columns { data, count, depth, stride: b.column_stride }, room);
                    let b = Matrix::rows(room, depth, count, Columns::row_stride(count));
                    let a = a.columns(row..row + depth);
                    general_product(to.add(column), row_stride, a, b, accumulate || row > 0);
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
unsafe fn general_product(
    to: *mut f32,
    row_stride: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    accumulate: bool,
) {
    let stride = |value: usize| value as isize;
    // SAFETY: a and b lie inside their slices (checked where they are made); `to` is the caller's promise.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            to,
            1,
            stride(row_stride),
            accumulate,
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

/// Columns of one piece of a large product: few enough that what follows finds them in the cache.
const PIECE: usize = 1024;

/// Numbers of a matrix in fewer bits that are f32 at a time, in each thread.
const WIDENED: usize = 4 << 20;

/// `to [M, N] = start + a b` on all cores, where b is made of parts. `start` fills the rows of a range of columns
/// before the product is added, or says that there is nothing to add to; `finish` sees these columns of all rows
/// afterwards.
///
/// The order of additions does not depend on the number of threads.
pub(super) fn product_by_columns(
    to: &mut [f32],
    a: Matrix<'_>,
    b: &[Factor<'_>],
    start: Option<&(dyn Fn(Block) + Sync)>,
    finish: Option<&(dyn Fn(Block) + Sync)>,
) {
    let m = a.rows;
    let n = b.iter().map(|part| part.column + part.weight.num_columns()).max().unwrap_or(0);
    assert_eq!(to.len(), m * n, "size of a result");
    let target = Target::new(to);
    let threads = rayon::current_num_threads();
    let num_widened: usize = b.iter().map(|part| part.weight.num_widened()).sum();
    // As many as there are threads, or a multiple, in whole vectors.
    let count = n.div_ceil(PIECE).max(num_widened / WIDENED).next_multiple_of(threads);
    let count = count.min(n.div_ceil(32)).max(1);
    pieces(n.div_ceil(32), count, |range| {
        let columns = range.start * 32..(range.end * 32).min(n);
        if columns.is_empty() || m == 0 {
            return;
        }
        let block = Block { target, rows: m, width: n, start: columns.start, len: columns.len() };
        if let Some(start) = start {
            start(block);
        }
        let mut room = Vec::new();
        for part in b {
            let end = part.column + part.weight.num_columns();
            let (first, end) = (columns.start.max(part.column), columns.end.min(end));
            if first >= end {
                continue;
            }
            let of_part = first - part.column..end - part.column;
            let of_part = part.weight.columns(of_part, &mut room);
            let a = a.columns(part.depth..part.depth + part.weight.num_rows());
            let to = target.at(first, (m - 1) * n + end - first);
            // SAFETY: these columns belong to this piece alone; `start`, or the parts above, initialised them.
            unsafe { product(to, n, a, of_part, start.is_some() || part.depth > 0) };
        }
        if let Some(finish) = finish {
            finish(block);
        }
    });
}

/// Some columns of all rows of a result that is being made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    target: Target,
    rows: usize,
    width: usize,
    /// The first column.
    pub(super) start: usize,
    /// How many columns.
    pub(super) len: usize,
}

impl Block {
    /// Makes it what a product is added to: a bias of each column, a residual of each number, or both.
    pub(super) fn start_with(self, bias: Option<&[f32]>, residual: Option<&[f32]>) {
        let bias = bias.map(|bias| &bias[self.start..self.start + self.len]);
        self.each_row(|at, to| match (bias, residual.map(|r| &r[at..at + to.len()])) {
            (Some(bias), None) => to.copy_from_slice(bias),
            (None, Some(residual)) => to.copy_from_slice(residual),
            (Some(bias), Some(residual)) => {
                for (to, (bias, residual)) in to.iter_mut().zip(bias.iter().zip(residual)) {
                    *to = bias + residual;
                }
            }
            (None, None) => {}
        });
    }

    /// The part of each row that belongs to the block, with where it stands in the whole.
    pub(super) fn each_row(self, mut work: impl FnMut(usize, &mut [f32])) {
        for row in 0..self.rows {
            let at = row * self.width + self.start;
            // SAFETY: the columns of a block belong to one piece of the work.
            work(at, unsafe { self.target.slice(at..at + self.len) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All ways, with blocks that are not full and strides with gaps, against sums of f64.
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
                        let left = Matrix::rows(&a, m, k, a_stride);
                        let right = Matrix::rows(&b, n, k, b_stride).transposed();
                        // SAFETY: `to` has m rows of n numbers.
                        unsafe { product(to.as_mut_ptr(), to_stride, left, right, accumulate) };
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
}
