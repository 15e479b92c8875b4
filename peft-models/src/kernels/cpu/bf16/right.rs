//! The right side of products: a frozen matrix, rounded to bf16 and laid out for the instructions once.

use std::ops::Range;

use super::{
    super::view::{MatrixView, count},
    left::TILE_ROWS,
    lines::{LINE, Line, nearest_bits, round_into, round_pairs},
};

/// Columns of a panel: two tiles, or two vectors of sums.
pub(super) const PANEL: usize = 32;
/// Lines of 32 rows of a panel.
pub(super) const STEP: usize = 2 * TILE_ROWS;

/// A matrix in panels of 32 columns. Of each panel, 32 rows make two tiles of 16 columns, one after the other, and a
/// line of a tile holds two rows, pair by pair: `w[0][0], w[1][0], w[0][1], w[1][1], ..`. What is beyond the matrix is
/// zero.
#[derive(Debug)]
pub(in super::super) struct RightSide {
    lines: Vec<Line>,
    rows: usize,
    columns: usize,
    /// Tiles downwards: each has 32 rows.
    depth: usize,
}

impl RightSide {
    /// A matrix of zeros.
    pub(in super::super) fn zeros(rows: usize, columns: usize) -> Self {
        let depth = rows.div_ceil(LINE).max(1);
        let panels = columns.div_ceil(PANEL);
        let len = count(panels.checked_mul(count(depth.checked_mul(STEP))));
        Self { lines: vec![Line::ZERO; len], rows, columns, depth }
    }

    /// Rounds a matrix into the place that begins at a row and a column.
    pub(in super::super) fn set(&mut self, row: usize, column: usize, part: MatrixView<'_>) {
        assert!(part.rows <= self.rows && row <= self.rows - part.rows, "rows of a part");
        assert!(part.columns <= self.columns && column <= self.columns - part.columns, "columns");
        if part.row_stride == 1 && row.is_multiple_of(LINE) {
            self.set_by_columns(row, column, part);
        } else if part.column_stride == 1 && row.is_multiple_of(2) {
            self.set_by_rows(row, column, part);
        } else {
            for i in 0..part.rows {
                for j in 0..part.columns {
                    let x = part.data[i * part.row_stride + j * part.column_stride];
                    let (line, pair) = self.place(row + i, column + j);
                    self.lines[line].0[pair + (row + i) % 2] = nearest_bits(x);
                }
            }
        }
    }

    /// The line of an element, and where its pair begins in it.
    fn place(&self, row: usize, column: usize) -> (usize, usize) {
        let (panel, within) = (column / PANEL, column % PANEL);
        let tile = (panel * self.depth + row / LINE) * STEP + within / TILE_ROWS * TILE_ROWS;
        (tile + row % LINE / 2, within % TILE_ROWS * 2)
    }

    /// [`set`](Self::set) of columns that are stored one after another: 32 values of one go into 16 lines.
    fn set_by_columns(&mut self, row: usize, column: usize, part: MatrixView<'_>) {
        for i in (0..part.rows).step_by(LINE) {
            for j in 0..part.columns {
                let start = j * part.column_stride + i;
                let values = &part.data[start..start + LINE.min(part.rows - i)];
                let mut rounded = Line::ZERO;
                round_into(values, std::slice::from_mut(&mut rounded), 1);
                let (line, pair) = self.place(row + i, column + j);
                let lines = &mut self.lines[line..line + values.len().div_ceil(2)];
                for (line, values) in lines.iter_mut().zip(rounded.0.chunks_exact(2)) {
                    line.0[pair..pair + 2].copy_from_slice(values);
                }
            }
        }
    }

    /// [`set`](Self::set) of rows that are stored one after another: two make a line of each tile.
    fn set_by_rows(&mut self, row: usize, column: usize, part: MatrixView<'_>) {
        let zeros = [0.0; TILE_ROWS];
        for i in (0..part.rows).step_by(2) {
            let mut j = 0;
            while j < part.columns {
                let (line, pair) = self.place(row + i, column + j);
                let count = (TILE_ROWS - pair / 2).min(part.columns - j);
                let values = |i: usize| {
                    let start = i * part.row_stride + j;
                    if i < part.rows { &part.data[start..start + count] } else { &zeros[..count] }
                };
                let to = &mut self.lines[line].0[pair..pair + 2 * count];
                round_pairs(values(i), values(i + 1), to);
                j += count;
            }
        }
    }

    pub(in super::super) fn num_rows(&self) -> usize {
        self.rows
    }

    pub(in super::super) fn num_columns(&self) -> usize {
        self.columns
    }

    /// Tiles downwards.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The lines of some of the tiles of a panel.
    pub(super) fn panel(&self, panel: usize, depth: Range<usize>) -> &[Line] {
        assert!(depth.end <= self.depth);
        let start = panel * self.depth * STEP;
        &self.lines[start + depth.start * STEP..start + depth.end * STEP]
    }
}
