//! Columns of a matrix laid out term by term, as tiles read them.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use super::{simd::Level, tile::MOST_COLUMNS, view::MatrixView};
#[cfg(target_arch = "x86_64")]
use super::{
    transpose::{HALF, LANES, square, square_of_eight},
    view::{count, span},
};

/// Columns of a panel.
pub(super) const WIDTH: usize = MOST_COLUMNS;

/// Terms that are added at a time: 32 KB of a panel.
pub(super) const DEPTH: usize = 256;

/// One term of all columns of a panel.
#[derive(Clone, Copy, Debug)]
#[repr(align(128))]
struct Line([f32; WIDTH]);

/// Up to 32 columns of a matrix, term by term. Columns that the matrix does not have are zero, or what was there.
#[derive(Debug, Default)]
pub(super) struct Panel {
    lines: Vec<Line>,
}

impl Panel {
    /// Lays out a matrix of up to 32 columns, a term of all of them in each line.
    ///
    /// # Panics
    ///
    /// Panics if it has more columns.
    pub(super) fn set(&mut self, columns: MatrixView<'_>) {
        assert!(columns.columns <= WIDTH, "columns of a panel");
        self.reserve(columns.rows);
        match columns {
            MatrixView { column_stride: 1, .. } => self.set_by_rows(columns),
            MatrixView { row_stride: 1, .. } => self.set_by_columns(columns),
            _ => self.set_each(columns),
        }
    }

    /// Makes room for so many lines.
    pub(super) fn reserve(&mut self, lines: usize) {
        if self.lines.len() < lines {
            self.lines.resize(lines, Line([0.0; WIDTH]));
        }
    }

    /// Where a line is, if there is room for it.
    pub(super) fn line(&mut self, line: usize) -> *mut f32 {
        self.lines.as_mut_ptr().wrapping_add(line).cast()
    }

    /// Writes the first `rows` elements of the first `lines` lines: element i of line j is element j of row i.
    ///
    /// # Safety
    ///
    /// `to` points to so many rows, `row_stride` apart, which nobody else accesses meanwhile.
    pub(super) unsafe fn write_transposed(
        &self,
        rows: usize,
        lines: usize,
        to: *mut f32,
        row_stride: usize,
    ) {
        let own = &self.lines[..lines];
        // SAFETY: the machine was asked, and the caller promises the rest.
        #[cfg(target_arch = "x86_64")]
        if Level::of_machine() == Level::Avx512 {
            return unsafe { write_by_squares(own, rows, to, row_stride) };
        }
        for (column, line) in own.iter().enumerate() {
            for (row, value) in line.0[..rows].iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { to.add(row * row_stride + column).write(*value) };
            }
        }
    }

    /// Reads what [`write_transposed`](Self::write_transposed) writes: element i of line j becomes element j of row i.
    ///
    /// # Safety
    ///
    /// `from` points to so many rows of `lines` initialised elements, `row_stride` apart, which nobody writes meanwhile;
    /// what lies between them may be anybody's. There are so many lines.
    pub(super) unsafe fn read_transposed(
        &mut self,
        rows: usize,
        lines: usize,
        from: *const f32,
        row_stride: usize,
    ) {
        let own = &mut self.lines[..lines];
        // SAFETY: the machine was asked, and the caller promises the rest.
        #[cfg(target_arch = "x86_64")]
        if Level::of_machine() == Level::Avx512 {
            return unsafe { read_by_squares(own, rows, from, row_stride) };
        }
        for (column, line) in own.iter_mut().enumerate() {
            for (row, value) in line.0[..rows].iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *value = unsafe { from.add(row * row_stride + column).read() };
            }
        }
    }

    /// From rows that are stored in order.
    fn set_by_rows(&mut self, columns: MatrixView<'_>) {
        let MatrixView { data, columns: len, row_stride, .. } = columns;
        for (row, line) in self.lines.iter_mut().enumerate().take(columns.rows) {
            let from = &data[row * row_stride..row * row_stride + len];
            match <&[f32; WIDTH]>::try_from(from) {
                // Of a length that the compiler knows.
                Ok(from) => line.0 = *from,
                Err(_) => line.0[..len].copy_from_slice(from),
            }
        }
    }

    /// From columns that are stored in order, as PyTorch's weights are: a square of values at a time.
    fn set_by_columns(&mut self, columns: MatrixView<'_>) {
        match Level::of_machine() {
            // SAFETY: the machine was asked.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { self.set_by_squares(columns) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { self.set_by_squares_of_eight(columns) },
            Level::Portable => self.set_by_blocks(columns),
        }
    }

    /// Eight terms of eight columns at a time, which are read in order and written in order.
    fn set_by_blocks(&mut self, columns: MatrixView<'_>) {
        const SIDE: usize = 8;
        let MatrixView { data, columns: width, column_stride, .. } = columns;
        for (block, lines) in self.lines[..columns.rows].chunks_mut(SIDE).enumerate() {
            let term = block * SIDE;
            for column in (0..width).step_by(SIDE) {
                let mut values = [[0.0; SIDE]; SIDE];
                let end = width.min(column + SIDE);
                for (own, values) in (column..end).zip(&mut values) {
                    let first = own * column_stride + term;
                    values[..lines.len()].copy_from_slice(&data[first..first + lines.len()]);
                }
                for (at, line) in lines.iter_mut().enumerate() {
                    for (own, values) in (column..end).zip(&values) {
                        line.0[own] = values[at];
                    }
                }
            }
        }
    }

    /// # Safety
    ///
    /// The machine has AVX-512.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    unsafe fn set_by_squares(&mut self, columns: MatrixView<'_>) {
        let MatrixView { data, rows: depth, columns: width, column_stride, .. } = columns;
        assert!(span([width, depth], [column_stride, 1]) <= data.len(), "a matrix in its slice");
        assert!(depth <= self.lines.len(), "lines of a panel");
        let to: *mut f32 = self.lines.as_mut_ptr().cast();
        for column in (0..width).step_by(LANES) {
            for term in (0..depth).step_by(LANES) {
                let sizes = [LANES.min(width - column), LANES.min(depth - term)];
                let first = count(column.checked_mul(column_stride)) + term;
                // SAFETY: both squares are inside, as was checked.
                unsafe {
                    let (from, to) = (data.as_ptr().add(first), to.add(term * WIDTH + column));
                    for ahead in LANES..2 * LANES {
                        // The columns after these; beyond the matrix, that does nothing.
                        let next = from.wrapping_add(ahead.wrapping_mul(column_stride));
                        _mm_prefetch::<_MM_HINT_T0>(next.cast());
                    }
                    square(from, column_stride, to, WIDTH, sizes);
                }
            }
        }
    }

    /// # Safety
    ///
    /// The machine has AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn set_by_squares_of_eight(&mut self, columns: MatrixView<'_>) {
        let MatrixView { data, rows: depth, columns: width, column_stride, .. } = columns;
        let [whole_width, whole_depth] = [width, depth].map(|size| size - size % HALF);
        assert!(span([width, depth], [column_stride, 1]) <= data.len(), "a matrix in its slice");
        assert!(depth <= self.lines.len(), "lines of a panel");
        let to: *mut f32 = self.lines.as_mut_ptr().cast();
        for column in (0..whole_width).step_by(HALF) {
            for term in (0..whole_depth).step_by(HALF) {
                let first = count(column.checked_mul(column_stride)) + term;
                // SAFETY: both squares are inside, as was checked.
                unsafe {
                    let (from, to) = (data.as_ptr().add(first), to.add(term * WIDTH + column));
                    square_of_eight(from, column_stride, to, WIDTH);
                }
            }
        }
        // What is left of the columns, and of the terms.
        for column in 0..width {
            let terms = if column < whole_width { whole_depth..depth } else { 0..depth };
            for term in terms {
                self.lines[term].0[column] = data[column * column_stride + term];
            }
        }
    }

    /// Value by value, four columns at a time.
    fn set_each(&mut self, columns: MatrixView<'_>) {
        let MatrixView { data, row_stride, column_stride, .. } = columns;
        for first in (0..columns.columns).step_by(4) {
            let end = columns.columns.min(first + 4);
            for (row, line) in self.lines.iter_mut().enumerate().take(columns.rows) {
                for column in first..end {
                    line.0[column] = data[row * row_stride + column * column_stride];
                }
            }
        }
    }
}

/// See [`Panel::read_transposed`].
///
/// # Safety
///
/// As there, on a machine that has AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn read_by_squares(lines: &mut [Line], rows: usize, from: *const f32, row_stride: usize) {
    let count = lines.len();
    let to: *mut f32 = lines.as_mut_ptr().cast();
    for line in (0..count).step_by(LANES) {
        for row in (0..rows).step_by(LANES) {
            let sizes = [LANES.min(rows - row), LANES.min(count - line)];
            // SAFETY: both squares are inside: the caller's promise.
            unsafe {
                let from = from.add(row * row_stride + line);
                square(from, row_stride, to.add(line * WIDTH + row), WIDTH, sizes);
            }
        }
    }
}

/// See [`Panel::write_transposed`].
///
/// # Safety
///
/// As there, on a machine that has AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn write_by_squares(lines: &[Line], rows: usize, to: *mut f32, row_stride: usize) {
    let from: *const f32 = lines.as_ptr().cast();
    for line in (0..lines.len()).step_by(LANES) {
        for row in (0..rows).step_by(LANES) {
            let sizes = [LANES.min(lines.len() - line), LANES.min(rows - row)];
            // SAFETY: both squares are inside: the caller's promise.
            unsafe {
                let to = to.add(row * row_stride + line);
                square(from.add(line * WIDTH + row), WIDTH, to, row_stride, sizes);
            }
        }
    }
}
