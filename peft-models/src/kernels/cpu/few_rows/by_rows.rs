//! A matrix whose rows are stored one after another.
//!
//! ```text
//! for 1024 columns of b at a time:
//!     for 32 terms at a time:
//!         for 32 columns at a time, laid out in a panel by the first tile:
//!             for up to 12 rows of a at a time (6 without AVX-512): a tile, whose sums go on from those of the terms before
//! ```
//!
//! So memory is read in runs of up to 4 KB, from few pages at a time, which processors fetch ahead by themselves once they
//! see the first lines; a panel of 256 terms takes 128 bytes from each of as many pages.

use super::{
    super::{
        ahead::Ahead,
        destination::Destination,
        panel::{DEPTH, Panel, WIDTH},
        parallel::part,
        tile::{Tile, Tiles},
        view::MatrixView,
    },
    rows::{Rows, of_panel},
};

/// Columns whose sums are in the second cache.
const COLUMNS: usize = 1024;

/// Terms at a time: so many pages of the matrix.
const TERMS: usize = 32;

/// See [`super::product`].
///
/// # Safety
///
/// As there; the panels have all terms of the rows.
pub(super) unsafe fn product(to: Destination, panels: &mut [Rows], rows: usize, b: MatrixView<'_>) {
    let mut laid_out = Panel::default();
    laid_out.reserve(TERMS);
    for first in (0..b.columns).step_by(COLUMNS) {
        let own = b.columns(first..b.columns.min(first + COLUMNS));
        for (index, panel) in panels.iter_mut().enumerate() {
            panel.sums.reserve(own.columns.div_ceil(WIDTH) * of_panel(index, rows).len());
        }
        for block in (0..own.rows.max(1)).step_by(DEPTH) {
            let end = own.rows.min(block + DEPTH);
            for term in (block..end.max(block + 1)).step_by(TERMS) {
                let terms = [term, TERMS.min(end - term)];
                // SAFETY: the panels have room for the sums, which are there from the second time on.
                unsafe { add_terms(panels, rows, own, terms, term > block, &mut laid_out) };
            }
            let to = Destination {
                start: to.start.wrapping_add(first),
                accumulate: to.accumulate || block > 0,
                ..to
            };
            for (index, panel) in panels.iter_mut().enumerate() {
                // SAFETY: the caller's promise; tiles have written the sums.
                unsafe { add_sums(to, panel, index, rows, own.columns) };
            }
        }
    }
}

/// Some terms, given as the first and their number, with all rows; of the sums of the terms before, if it is not the
/// first time.
///
/// # Safety
///
/// The panels have room for the sums, and as many terms as the matrix.
unsafe fn add_terms(
    panels: &mut [Rows],
    rows: usize,
    b: MatrixView<'_>,
    [term, depth]: [usize; 2],
    resume: bool,
    laid_out: &mut Panel,
) {
    let tiles = Tiles::for_columns(WIDTH);
    let parts: usize =
        (0..panels.len()).map(|index| of_panel(index, rows).len().div_ceil(tiles.rows)).sum();
    let calls = parts * b.columns.div_ceil(WIDTH);
    let mut next = Next::new(b, term + depth, calls, depth);
    for (place, column) in (0..b.columns).step_by(WIDTH).enumerate() {
        let width = WIDTH.min(b.columns - column);
        let columns = b.transposed().columns(term..term + depth).transposed();
        let columns = columns.columns(column..column + width);
        // The first tile reads them where they lie, and lays them out for the others.
        let mut in_place = width == WIDTH;
        if !in_place {
            laid_out.set(columns);
        }
        for (index, panel) in panels.iter_mut().enumerate() {
            let own = of_panel(index, rows).len();
            let parts = own.div_ceil(tiles.rows);
            for rows in (0..parts).map(|index| part(own, parts, index)) {
                let (right, right_stride) = match in_place {
                    true => (columns.data.as_ptr(), columns.row_stride),
                    false => (laid_out.line(0).cast_const(), WIDTH),
                };
                let mut ahead = next.next().unwrap_or(Ahead::NOTHING);
                for within in (0..width).step_by(tiles.columns) {
                    let tile = Tile {
                        left: panel.terms.line(term).wrapping_add(rows.start),
                        left_strides: [1, WIDTH],
                        right: right.wrapping_add(within),
                        right_stride,
                        copy: in_place.then(|| laid_out.line(0).wrapping_add(within)),
                        depth,
                        to: panel.sums.line(place * own + rows.start).wrapping_add(within),
                        to_stride: WIDTH,
                        accumulate: false,
                        resume,
                        ahead: std::mem::replace(&mut ahead, Ahead::NOTHING),
                    };
                    // SAFETY: the caller's promise; a last panel has room for columns that the matrix does not have.
                    unsafe { tiles.multiply(rows.len(), &tile) };
                }
                in_place = false;
            }
        }
    }
}

/// Writes the sums of the rows in a panel, or adds them to what is there.
///
/// # Safety
///
/// The result has these rows and `columns`, which belong to the caller, and there are sums for them.
unsafe fn add_sums(to: Destination, panel: &mut Rows, index: usize, rows: usize, columns: usize) {
    let own = of_panel(index, rows);
    for (within, row) in own.clone().enumerate() {
        for (place, column) in (0..columns).step_by(WIDTH).enumerate() {
            let width = WIDTH.min(columns - column);
            // SAFETY: this part of a line of sums, and of a row of the result.
            unsafe {
                let sums = panel.sums.line(place * own.len() + within);
                let to_row = to.start.add(row * to.row_stride + column);
                if to.accumulate {
                    let sums = std::slice::from_raw_parts(sums, width);
                    let there = std::slice::from_raw_parts_mut(to_row, width);
                    there.iter_mut().zip(sums).for_each(|(there, sum)| *there += sum);
                } else {
                    to_row.copy_from_nonoverlapping(sums, width);
                }
            }
        }
    }
}

/// What tiles fetch of the next terms, one tile after another.
struct Next<'a> {
    terms: MatrixView<'a>,
    /// How many pairs of lines a term has.
    pairs: usize,
    /// How many tiles there are, and how often each of them fetches.
    calls: usize,
    times: usize,
    call: usize,
}

impl<'a> Next<'a> {
    fn new(b: MatrixView<'a>, term: usize, calls: usize, depth: usize) -> Self {
        let end = b.rows.min(term + TERMS);
        let terms = b.transposed().columns(term.min(end)..end).transposed();
        let (pairs, times) = (Ahead::pairs(terms), Ahead::times(depth));
        Self { terms, pairs, calls, times, call: 0 }
    }
}

impl Iterator for Next<'_> {
    type Item = Ahead;

    fn next(&mut self) -> Option<Ahead> {
        let Self { terms, pairs, calls, times, call } = *self;
        self.call += 1;
        let tiles_of_term = calls / terms.rows.max(1);
        if tiles_of_term == 0 {
            // A term each time.
            let first = call * times;
            let count = times.min(terms.rows.saturating_sub(first));
            return (count > 0).then(|| Ahead::runs(terms, first, count));
        }
        let each = pairs.div_ceil(tiles_of_term);
        let (term, at) = (call / tiles_of_term, each * (call % tiles_of_term));
        let is_there = term < terms.rows && at < pairs;
        is_there.then(|| Ahead::run(terms, term, at..pairs.min(at + each), times))
    }
}
