//! A matrix whose columns are stored one after another: they take the place of rows.
//!
//! ```text
//! (a b)ᵀ = bᵀ aᵀ:    for 48 columns of b at a time, 256 terms of them:
//!                        for up to 12 columns at a time (6 without AVX-512), where they lie: a tile with each panel of a
//! ```
//!
//! Factors are multiplied in the other order, which changes no bit.

use std::ops::Range;

use super::{
    super::{
        ahead::Ahead,
        destination::Destination,
        panel::{DEPTH, WIDTH},
        tile::{Tile, Tiles},
        view::MatrixView,
    },
    rows::{Rows, of_panel},
};

/// Columns whose sums are in the cache: whole tiles, and whole lines of the result.
const COLUMNS: usize = 48;

/// See [`super::product`].
///
/// # Safety
///
/// As there; the panels have all terms of the rows.
pub(super) unsafe fn product(to: Destination, panels: &mut [Rows], rows: usize, b: MatrixView<'_>) {
    for first in (0..b.columns).step_by(COLUMNS) {
        let columns = first..b.columns.min(first + COLUMNS);
        for (index, panel) in panels.iter_mut().enumerate() {
            let own = of_panel(index, rows);
            panel.sums.reserve(columns.len());
            if to.accumulate {
                let start = to.start.wrapping_add(own.start * to.row_stride + first);
                // SAFETY: these columns of these rows are inside and initialised, and nobody else has them.
                unsafe {
                    panel.sums.read_transposed(own.len(), columns.len(), start, to.row_stride);
                }
            }
        }
        for term in (0..b.rows.max(1)).step_by(DEPTH) {
            let accumulate = to.accumulate || term > 0;
            // SAFETY: these are columns and terms of the matrix.
            unsafe { add_terms(panels, b, columns.clone(), term, rows, accumulate) };
        }
        for (index, panel) in panels.iter().enumerate() {
            let own = of_panel(index, rows);
            let start = to.start.wrapping_add(own.start * to.row_stride + first);
            // SAFETY: these columns of these rows are inside, and nobody else has them.
            unsafe {
                panel.sums.write_transposed(own.len(), columns.len(), start, to.row_stride);
            }
        }
    }
}

/// Up to 256 terms of some columns, from `term` on, with all rows.
///
/// # Safety
///
/// The panels have room for the sums of these columns, and as many terms as the matrix.
unsafe fn add_terms(
    panels: &mut [Rows],
    b: MatrixView<'_>,
    columns: Range<usize>,
    term: usize,
    rows: usize,
    accumulate: bool,
) {
    let depth = DEPTH.min(b.rows - term);
    // The same for panels with fewer rows.
    let tile_rows = Tiles::for_columns(WIDTH).rows;
    for at in columns.clone().step_by(tile_rows) {
        let count = tile_rows.min(columns.end - at);
        let mut ahead = next(b, &columns, at + tile_rows, term, tile_rows);
        for (index, panel) in panels.iter_mut().enumerate() {
            let own = of_panel(index, rows).len();
            let tiles = Tiles::for_columns(own);
            for within in (0..own).step_by(tiles.columns) {
                let tile = Tile {
                    left: b.data.as_ptr().wrapping_add(at * b.column_stride + term),
                    left_strides: [b.column_stride, 1],
                    right: panel.terms.line(term).wrapping_add(within),
                    right_stride: WIDTH,
                    copy: None,
                    depth,
                    to: panel.sums.line(at - columns.start).wrapping_add(within),
                    to_stride: WIDTH,
                    accumulate,
                    resume: false,
                    ahead: std::mem::replace(&mut ahead, Ahead::NOTHING),
                };
                // SAFETY: the caller's promise; what a panel has beside its rows is initialised, too.
                unsafe { tiles.multiply(count, &tile) };
            }
        }
    }
}

/// What the next tile multiplies: the columns from `at` on, or the next terms, or the next columns.
fn next(b: MatrixView<'_>, columns: &Range<usize>, at: usize, term: usize, rows: usize) -> Ahead {
    let (at, term) = if at < columns.end {
        (at, term)
    } else if term + DEPTH < b.rows {
        (columns.start, term + DEPTH)
    } else {
        (columns.end, 0)
    };
    if at >= b.columns {
        return Ahead::NOTHING;
    }
    let own = b.columns(at..b.columns.min(at + rows)).transposed();
    Ahead::part(own.columns(term..b.rows.min(term + DEPTH)).transposed(), 1, 0)
}
