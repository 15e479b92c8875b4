//! What a tile fetches from memory while it computes: the columns that are laid out next, and the rows that it is about to
//! write.
//!
//! A core waits for about a dozen lines at a time. Fetched in one go, a panel would keep it from reading anything else; a pair
//! of lines every few terms does not.

use super::{panel::WIDTH, parallel::part, view::MatrixView};

/// Terms between one pair of lines and the next.
pub(super) const TERMS: usize = 16;

/// Elements of a line of the cache.
const LINE: usize = 16;

/// Pairs of lines that are fetched one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    lines: [*const f32; 2],
    /// From one pair to the next.
    stride: usize,
    /// How many pairs there are still.
    count: usize,
}

impl Ahead {
    pub(super) const NOTHING: Self = Self { lines: [std::ptr::null(); 2], stride: 0, count: 0 };

    /// Part `index` of `parts` of the first 32 columns of a matrix, into the second cache: some of their terms if rows are
    /// stored in order, else up to two of the columns.
    pub(super) fn part(columns: MatrixView<'_>, parts: usize, index: usize) -> Self {
        let MatrixView { data, rows: depth, row_stride, column_stride, .. } = columns;
        let element =
            |row, column| data.as_ptr().wrapping_add(row * row_stride + column * column_stride);
        if column_stride == 1 {
            let terms = part(depth, parts, index);
            let lines = [0, LINE].map(|column| element(terms.start, column));
            return Self { lines, stride: row_stride, count: terms.len() };
        }
        let own = part(WIDTH.min(columns.columns), parts, index);
        match own.end.checked_sub(1) {
            Some(last) if row_stride == 1 && !own.is_empty() => Self {
                lines: [own.start, last].map(|column| element(0, column)),
                stride: LINE,
                count: depth.div_ceil(LINE),
            },
            _ => Self::NOTHING,
        }
    }

    /// Fetches the next pair.
    #[inline(always)]
    pub(super) fn fetch(&mut self) {
        if self.count > 0 {
            self.count -= 1;
            for line in &mut self.lines {
                prefetch::<false>(*line);
                *line = line.wrapping_add(self.stride);
            }
        }
    }
}

/// Fetches N elements into the first cache.
#[inline(always)]
pub(super) fn fetch_soon<const N: usize>(row: *const f32) {
    for line in (0..N).step_by(LINE) {
        prefetch::<true>(row.wrapping_add(line));
    }
}

/// Into the first cache or the second. Where there is no memory, this does nothing.
#[inline(always)]
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
fn prefetch<const FIRST: bool>(line: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: this reads nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        if FIRST {
            _mm_prefetch::<_MM_HINT_T0>(line.cast());
        } else {
            _mm_prefetch::<_MM_HINT_T1>(line.cast());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The elements of which a line is fetched, by all parts.
    fn fetched(columns: MatrixView<'_>, parts: usize) -> Vec<usize> {
        let mut all = Vec::new();
        for index in 0..parts {
            let Ahead { lines, stride, count } = Ahead::part(columns, parts, index);
            for at in 0..count {
                for line in lines {
                    let line = line.wrapping_add(at * stride) as usize;
                    all.push((line - columns.data.as_ptr() as usize) / size_of::<f32>());
                }
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    #[test]
    fn all_of_a_panel_is_fetched() {
        let data = vec![0.0; 256 * 384];
        let by_rows = MatrixView::by_rows(&data, 256, 384, 384);
        let expected: Vec<usize> = (0..256).flat_map(|row| [384 * row, 384 * row + LINE]).collect();
        assert_eq!(fetched(by_rows, 22), expected);
        let by_columns = MatrixView::by_rows(&data, 256, 384, 384).columns(0..80).transposed();
        let expected: Vec<usize> =
            (0..32).flat_map(|column| (0..5).map(move |line| 384 * column + LINE * line)).collect();
        assert_eq!(fetched(by_columns, 22), expected);
        // A narrow one, and one of whose parts some are empty.
        assert_eq!(fetched(by_columns.columns(0..2), 22).len(), 10);
        let neither = MatrixView::strided(&data, [5, 5], [384, 2]);
        assert!(fetched(neither, 3).is_empty());
    }
}
