//! What a tile fetches from memory while it computes: the columns that are laid out next, and the rows that it is about to
//! write.
//!
//! A core waits for about a dozen lines at a time. Fetched in one go, a panel would keep it from reading anything else; a pair
//! of lines every few terms does not. Where few tiles share a panel, each fetches several pairs at a time.

use std::ops::Range;

use super::{parallel::part, view::MatrixView};

/// Terms between one pair of lines and the next.
pub(super) const TERMS: usize = 16;

/// Elements of a line of the cache.
const LINE: usize = 16;

/// Pairs of lines that are fetched while a tile passes its terms, some of them at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    /// The first pair of the next time.
    lines: [*const f32; 2],
    /// From one pair of a time to the next.
    stride: usize,
    /// From the first pair of a time to that of the next.
    stride_of_times: usize,
    /// How many pairs there are at a time.
    at_once: usize,
    /// How many pairs there are still.
    count: usize,
}

impl Ahead {
    pub(super) const NOTHING: Self =
        Self { lines: [std::ptr::null(); 2], stride: 0, stride_of_times: 0, at_once: 0, count: 0 };

    /// Part `index` of `parts` of a matrix of up to 32 columns, into the second cache: some of their terms if rows are
    /// stored in order, else some of the columns. A tile with as many terms as the matrix has rows fetches all of it.
    pub(super) fn part(columns: MatrixView<'_>, parts: usize, index: usize) -> Self {
        let MatrixView { data, rows: depth, row_stride, column_stride, .. } = columns;
        let element =
            |row, column| data.as_ptr().wrapping_add(row * row_stride + column * column_stride);
        if column_stride == 1 {
            let terms = part(depth, parts, index);
            // A row that begins within a line, as those of most files do, lies in three: the first also has the last of the columns
            // before, so that it is there already.
            let is_aligned = element(terms.start, 0).addr().is_multiple_of(LINE * size_of::<f32>());
            let columns = if is_aligned { [0, LINE] } else { [LINE, 2 * LINE - 1] };
            let lines = columns.map(|column| element(terms.start, column));
            let at_once = terms.len().div_ceil(depth.div_ceil(TERMS).max(1));
            let stride_of_times = at_once * row_stride;
            return Self {
                lines,
                stride: row_stride,
                stride_of_times,
                at_once,
                count: terms.len(),
            };
        }
        let own = part(columns.columns, parts, index);
        if row_stride != 1 || own.is_empty() {
            return Self::NOTHING;
        }
        // The first half of the columns and the second, which share one if their number is odd: a line of each at a time.
        let at_once = own.len().div_ceil(2);
        Self {
            lines: [own.start, own.end - at_once].map(|column| element(0, column)),
            stride: column_stride,
            stride_of_times: LINE,
            at_once,
            count: at_once * depth.div_ceil(LINE),
        }
    }

    /// How many pairs of lines a row has that is stored in order; one that begins within a line may have one more.
    pub(super) fn pairs(rows: MatrixView<'_>) -> usize {
        let before = rows.data.as_ptr().addr() / size_of::<f32>() % LINE;
        (before + rows.columns).div_ceil(2 * LINE)
    }

    /// How often a tile of so many terms fetches.
    pub(super) fn times(depth: usize) -> usize {
        depth.div_ceil(TERMS).max(1)
    }

    /// Some pairs of lines of a row that is stored in order, in so many times.
    pub(super) fn run(rows: MatrixView<'_>, row: usize, pairs: Range<usize>, times: usize) -> Self {
        let at_once = pairs.len().div_ceil(times);
        let start = row * rows.row_stride + 2 * LINE * pairs.start;
        let stride_of_times = 2 * LINE * at_once;
        Self { count: pairs.len(), ..Self::in_order(rows, start, at_once, stride_of_times) }
    }

    /// Some rows that are stored in order, one each time.
    pub(super) fn runs(rows: MatrixView<'_>, first: usize, count: usize) -> Self {
        let pairs = Self::pairs(rows);
        let start = first * rows.row_stride;
        Self { count: count * pairs, ..Self::in_order(rows, start, pairs, rows.row_stride) }
    }

    fn in_order(
        rows: MatrixView<'_>,
        start: usize,
        at_once: usize,
        stride_of_times: usize,
    ) -> Self {
        let lines = [0, LINE].map(|line| rows.data.as_ptr().wrapping_add(start + line));
        Self { lines, stride: 2 * LINE, stride_of_times, at_once, count: 0 }
    }

    /// Fetches the pairs of the next time.
    #[inline(always)]
    pub(super) fn fetch(&mut self) {
        let now = self.at_once.min(self.count);
        let mut lines = self.lines;
        for _ in 0..now {
            for line in &mut lines {
                prefetch::<false>(*line);
                *line = line.wrapping_add(self.stride);
            }
        }
        for line in &mut self.lines {
            *line = line.wrapping_add(self.stride_of_times);
        }
        self.count -= now;
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
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(unused_variables, reason = "no instruction for it there")
)]
fn prefetch<const FIRST: bool>(line: *const f32) {
    #[cfg(test)]
    tests::note::<FIRST>(line);
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
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::RefCell;

    use super::{
        super::{
            destination::Destination, few_rows, product::product_by_tiles, tests::LEVELS_DOWN,
            tile::Tiles,
        },
        *,
    };

    thread_local! {
        /// The addresses that were fetched into the second cache, while a test looks.
        static FETCHED: RefCell<Option<Vec<usize>>> = const { RefCell::new(None) };
    }

    pub(super) fn note<const FIRST: bool>(line: *const f32) {
        FETCHED.with_borrow_mut(|fetched| {
            if let (Some(fetched), false) = (fetched, FIRST) {
                fetched.push(line as usize);
            }
        });
    }

    /// The elements of `b` of which a line is fetched in a product with `m` rows, made of tiles.
    fn fetched(m: usize, b: MatrixView<'_>) -> Vec<usize> {
        fetched_by(product_by_tiles, m, b)
    }

    fn fetched_by(
        product: unsafe fn(Destination, MatrixView<'_>, MatrixView<'_>),
        m: usize,
        b: MatrixView<'_>,
    ) -> Vec<usize> {
        let (k, n) = (b.rows, b.columns);
        let (a, mut to) = (vec![0.5; m * k], vec![0.0; m * n]);
        FETCHED.set(Some(Vec::new()));
        // SAFETY: `to` has m rows of n elements.
        unsafe {
            let to = Destination::of(&mut to, n, false);
            product(to, MatrixView::by_rows(&a, m, k, k), b);
        }
        let place = |line: usize| (line - b.data.as_ptr() as usize) / size_of::<f32>();
        let mut all: Vec<usize> = FETCHED.take().into_iter().flatten().map(place).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Numbers that begin where a line of the cache does, or elsewhere.
    fn at_line(data: &[f32], is_aligned: bool) -> &[f32] {
        let begins = |at: &usize| data[*at..].as_ptr().addr().is_multiple_of(64) == is_aligned;
        &data[(0..LINE).find(begins).unwrap()..]
    }

    /// Whatever the number of tiles that share a panel: from two of them on, with all vector instructions.
    #[test]
    fn tiles_fetch_all_of_the_next_panel() {
        for level in 0..=2 {
            LEVELS_DOWN.set(level);
            for k in [5, 100, 300] {
                let data = vec![0.25; k.max(96) * 400 + 16];
                for m in [13, 37, 180] {
                    for (is_aligned, columns) in
                        [(true, [32, 48, 64, 80]), (false, [48, 63, 80, 95])]
                    {
                        let by_rows = MatrixView::by_rows(at_line(&data, is_aligned), k, 96, 400);
                        let expected: Vec<usize> =
                            (0..k).flat_map(|row| columns.map(|at| 400 * row + at)).collect();
                        assert_eq!(fetched(m, by_rows), expected, "{level} {m} {k} {is_aligned}");
                    }
                    let by_columns = MatrixView::by_rows(&data, 96, k, 400).transposed();
                    let expected: Vec<usize> = (32..96)
                        .flat_map(|column| (0..k).step_by(LINE).map(move |at| 400 * column + at))
                        .collect();
                    assert_eq!(fetched(m, by_columns), expected, "{level} {m} {k}");
                }
                // One tile: nothing is laid out twice, and nothing is fetched.
                assert!(fetched(6, MatrixView::by_rows(&data, k, 96, 400)).is_empty());
            }
            LEVELS_DOWN.set(0);
        }
    }

    /// Whatever the number of panels that they multiply: all but what the first tile reads.
    #[test]
    fn tiles_of_few_rows_fetch_the_columns_of_the_next() {
        for level in 0..=2 {
            LEVELS_DOWN.set(level);
            let first = Tiles::for_columns(32).rows;
            for (k, n) in [(5, 12), (100, 96), (256, 100), (512, 49)] {
                let data = vec![0.25; n * 700];
                let b = MatrixView::by_rows(&data, n, k, 700).transposed();
                let expected: Vec<usize> = (0..n)
                    .flat_map(|column| (0..k).step_by(LINE).map(move |at| (column, at)))
                    .filter(|(column, at)| *column >= first || *at >= 256)
                    .map(|(column, at)| 700 * column + at)
                    .collect();
                for m in [9, 32, 40] {
                    assert!(fetched_by(few_rows::product, m, b) == expected, "{level} {m} {k}");
                }
            }
            LEVELS_DOWN.set(0);
        }
    }

    /// All but the terms that come first, each as one run of lines, and whatever the number of tiles that share them.
    #[test]
    fn tiles_of_few_rows_fetch_the_terms_after_theirs() {
        const STRIDE: usize = 800;
        let data = vec![0.25; 100 * STRIDE + 16];
        for level in 0..=2 {
            LEVELS_DOWN.set(level);
            for (is_aligned, n) in [(true, 700), (false, 700), (true, 736)] {
                let b = MatrixView::by_rows(at_line(&data, is_aligned), 100, n, STRIDE);
                let before = b.data.as_ptr().addr() / 4 % LINE;
                let lines = 2 * (before + n).div_ceil(2 * LINE);
                let expected: Vec<usize> = (32..100)
                    .flat_map(|row| (0..lines).map(move |line| row * STRIDE + line * LINE))
                    .collect();
                for m in [9, 32, 40] {
                    let found = fetched_by(few_rows::product, m, b);
                    assert!(found == expected, "{level} {m} {n} {is_aligned}");
                }
            }
            LEVELS_DOWN.set(0);
        }
    }

    #[test]
    fn a_narrow_panel_is_fetched_and_one_without_order_is_not() {
        let data = vec![0.25; 40 * 400];
        let narrow = MatrixView::by_rows(&data, 35, 50, 400).transposed();
        let expected: Vec<usize> = (32..35)
            .flat_map(|column| (0..50).step_by(LINE).map(move |at| 400 * column + at))
            .collect();
        for m in [13, 30, 300] {
            assert_eq!(fetched(m, narrow), expected, "{m}");
        }
        assert!(fetched(30, MatrixView::strided(&data, [40, 100], [400, 2])).is_empty());
    }

    /// Where there are as many tiles as chunks of terms, each fetches a pair of lines at a time.
    #[test]
    fn of_many_tiles_each_fetches_little_at_a_time() {
        let data = vec![0.0; 256 * 96];
        let by_rows = MatrixView::by_rows(&data, 256, 32, 96);
        let by_columns = MatrixView::by_rows(&data, 32, 256, 256).transposed();
        for (parts, expected) in [(2, 8), (4, 4), (8, 2), (16, 1), (22, 1), (64, 1)] {
            for columns in [by_rows, by_columns] {
                let most = (0..parts).map(|index| Ahead::part(columns, parts, index).at_once).max();
                assert_eq!(most, Some(expected), "{parts}");
            }
        }
    }
}
