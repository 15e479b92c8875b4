//! A matrix inside a slice.

use std::ops::Range;

/// How many elements a matrix spans in memory, from its first to its last.
///
/// # Panics
///
/// Panics if no memory has so many: what is checked with the result must not have overflowed.
pub(super) fn span([rows, columns]: [usize; 2], [row_stride, column_stride]: [usize; 2]) -> usize {
    if rows == 0 || columns == 0 {
        return 0;
    }
    let of_rows = (rows - 1).checked_mul(row_stride);
    let of_columns = (columns - 1).checked_mul(column_stride);
    let last = of_rows.zip(of_columns).and_then(|(rows, columns)| rows.checked_add(columns));
    count(last.and_then(|last| last.checked_add(1)))
}

/// A number of elements that was computed with checks.
///
/// # Panics
///
/// Panics if it overflowed.
pub(super) fn count(checked: Option<usize>) -> usize {
    assert!(checked.is_some(), "more elements than memory has");
    checked.unwrap_or_default()
}

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
        let span = span([rows, columns], [row_stride, column_stride]);
        assert!(span <= data.len(), "a matrix beyond its slice");
        Self { data, rows, columns, row_stride, column_stride }
    }

    /// One that begins at element `start` of a slice; of an empty one, that does not matter.
    pub(super) fn from(
        data: &'a [f32],
        start: usize,
        sizes: [usize; 2],
        strides: [usize; 2],
    ) -> Self {
        if sizes.contains(&0) {
            return Self::strided(&[], sizes, strides);
        }
        assert!(start <= data.len(), "a matrix behind its slice");
        Self::strided(&data[start..], sizes, strides)
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
        assert!(columns.start <= columns.end && columns.end <= self.columns, "columns of a matrix");
        let start = count(columns.start.checked_mul(self.column_stride));
        let strides = [self.row_stride, self.column_stride];
        Self::from(self.data, start, [self.rows, columns.len()], strides)
    }

    /// Its elements, row by row.
    pub(super) fn elements(&self) -> impl Iterator<Item = f32> + '_ {
        (0..self.rows * self.columns).map(move |index| {
            let (row, column) = (index / self.columns, index % self.columns);
            self.data[row * self.row_stride + column * self.column_stride]
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_matrix_lies_inside_its_slice_or_is_refused() {
        let data = [0.0f32; 12];
        let fits =
            |sizes, strides| catch_unwind(|| MatrixView::strided(&data, sizes, strides)).is_ok();
        for (sizes, strides) in
            [([3, 4], [4, 1]), ([4, 3], [1, 4]), ([2, 4], [8, 1]), ([9, 12], [0, 1])]
        {
            assert!(fits(sizes, strides), "{sizes:?} {strides:?}");
        }
        let half = 1 << 63;
        for (sizes, strides) in [
            ([3, 5], [4, 1]),
            ([4, 4], [4, 1]),
            // Each of these would be 0, or a few elements, if it wrapped around.
            ([3, 1], [half, 1]),
            ([3, 3], [half, half]),
            ([half + 1, 1], [2, 1]),
            ([2, 2], [usize::MAX, 1]),
            ([2, 1], [usize::MAX, 1]),
        ] {
            assert!(!fits(sizes, strides), "{sizes:?} {strides:?}");
        }
    }

    #[test]
    fn columns_and_starts_are_checked() {
        let data = [0.0f32; 12];
        let from = |start, sizes| catch_unwind(|| MatrixView::from(&data, start, sizes, [4, 1]));
        assert_eq!(from(4, [2, 4]).unwrap().data.len(), 8);
        assert!(from(99, [0, 4]).unwrap().data.is_empty() && from(12, [1, 0]).is_ok());
        assert!(from(5, [2, 4]).is_err() && from(12, [1, 1]).is_err() && from(13, [1, 1]).is_err());
        let columns = |columns: Range<usize>| {
            catch_unwind(|| MatrixView::by_rows(&data, 3, 4, 4).columns(columns.clone()))
        };
        assert_eq!(columns(1..4).unwrap().data.len(), 11);
        assert!(columns(4..4).is_ok() && columns(2..5).is_err());
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = columns(3..2);
        assert!(reversed.is_err());
    }
}
