//! The left side of a product, rounded to bf16 in the layout of tiles.

use std::{cell::Cell, ops::Range};

use rayon::prelude::*;

use super::{
    super::view::{MatrixView, count},
    lines::{LINE, Line, nearest_bits, round_into},
};

/// Rows of a tile.
pub(super) const TILE_ROWS: usize = 16;

/// Rows that are worth a thread of their own.
const ROWS_OF_TASK: usize = 4 * TILE_ROWS;

/// A matrix in tiles of 16 rows of 32 values, each 16 lines, those of the same rows one after another. What is beyond
/// the matrix is zero.
#[derive(Debug)]
pub(super) struct LeftSide {
    lines: Vec<Line>,
    /// Tiles across.
    depth: usize,
}

thread_local! {
    /// The memory of the last left side of this thread, for the next.
    static FREE: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

impl LeftSide {
    pub(super) fn new(a: MatrixView<'_>) -> Self {
        // At least one tile, so that a sum of nothing is a sum of zeros.
        let depth = a.columns.div_ceil(LINE).max(1);
        let padded = a.rows.next_multiple_of(2 * TILE_ROWS);
        let len = count(padded.checked_mul(depth));
        // Another product on this thread, while this one lasts, takes memory of its own.
        let mut lines = FREE.take();
        if lines.len() < len {
            lines.resize(len, Line::ZERO);
        }
        let task = ROWS_OF_TASK * depth;
        lines[..len].par_chunks_mut(task).enumerate().for_each(|(index, lines)| {
            for (tiles, first) in lines.chunks_mut(TILE_ROWS * depth).zip((0..).step_by(TILE_ROWS))
            {
                fill(a, index * ROWS_OF_TASK + first, tiles);
            }
        });
        Self { lines, depth }
    }

    /// Tiles across: each has 32 terms of the sums.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Tiles of 16 rows from a multiple of 16 on, one after the other.
    pub(super) fn tiles(&self, first_row: usize, depth: Range<usize>) -> &[Line] {
        assert!(depth.end <= self.depth && first_row.is_multiple_of(TILE_ROWS));
        let start = first_row * self.depth;
        &self.lines[start + depth.start * TILE_ROWS..start + depth.end * TILE_ROWS]
    }
}

impl Drop for LeftSide {
    fn drop(&mut self) {
        FREE.set(std::mem::take(&mut self.lines));
    }
}

/// Fills the tiles of 16 rows from `first` on.
fn fill(a: MatrixView<'_>, first: usize, tiles: &mut [Line]) {
    for row in 0..TILE_ROWS {
        let lines = &mut tiles[row..];
        if first + row >= a.rows || a.columns == 0 {
            lines.iter_mut().step_by(TILE_ROWS).for_each(|line| *line = Line::ZERO);
        } else if a.column_stride == 1 {
            let start = (first + row) * a.row_stride;
            round_into(&a.data[start..start + a.columns], lines, TILE_ROWS);
        } else {
            let start = (first + row) * a.row_stride;
            for (index, line) in lines.iter_mut().step_by(TILE_ROWS).enumerate() {
                *line = Line::ZERO;
                let columns = index * LINE..a.columns.min((index + 1) * LINE);
                for (to, column) in line.0.iter_mut().zip(columns) {
                    *to = nearest_bits(a.data[start + column * a.column_stride]);
                }
            }
        }
    }
}
