//! A matrix inside a slice.

use std::ops::Range;

/// A matrix inside a slice, whatever its strides. [`strided`](Self::strided) checks that it lies inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct MatrixView<'a> {
    /// From its first element on.
    pub data: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<'a> MatrixView<'a> {
    /// Rows of `columns` elements each, `row_stride` apart.
    pub(super) fn by_rows(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
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
    pub(super) fn columns(self, columns: Range<usize>) -> Self {
        assert!(columns.end <= self.columns, "columns of a matrix");
        let data = &self.data[(columns.start * self.column_stride).min(self.data.len())..];
        Self { data, columns: columns.len(), ..self }
    }

    /// Its elements, row by row.
    pub(super) fn elements(&self) -> impl Iterator<Item = f32> + '_ {
        (0..self.rows * self.columns).map(move |index| {
            let (row, column) = (index / self.columns, index % self.columns);
            self.data[row * self.row_stride + column * self.column_stride]
        })
    }
}
