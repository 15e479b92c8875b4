//! A block of a result that is being computed.

use std::ops::Range;

use super::parallel::SharedBuffer;

/// Some columns of some rows of a result that is being computed, which belong to one task.
#[derive(Clone, Debug)]
pub(super) struct Block {
    target: SharedBuffer,
    /// Columns of the whole result.
    width: usize,
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
}

impl Block {
    pub(super) fn new(
        target: SharedBuffer,
        width: usize,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Self {
        Self { target, width, rows, columns }
    }

    /// Initialises it with what a product is added to: a bias per column, a residual per element, or both.
    pub(super) fn start_with(&self, bias: Option<&[f32]>, residual: Option<&[f32]>) {
        let bias = bias.map(|bias| &bias[self.columns.clone()]);
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

    /// Calls `work` with the part of each row that belongs to the block, and where it starts in the whole result.
    pub(super) fn each_row(&self, mut work: impl FnMut(usize, &mut [f32])) {
        for row in self.rows.clone() {
            let at = row * self.width + self.columns.start;
            // SAFETY: a block belongs to one task.
            work(at, unsafe { self.target.slice(at..at + self.columns.len()) });
        }
    }
}
