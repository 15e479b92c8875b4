//! A block of a result that is being computed.

use std::{mem::MaybeUninit, ops::Range};

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
        for own in self.elements() {
            let residual = residual.map(|residual| &residual[own.clone()]);
            // SAFETY: a block belongs to one task.
            let to = unsafe { self.target.unwritten_slice(own) };
            match (bias, residual) {
                (Some(from), None) | (None, Some(from)) => {
                    to.write_copy_of_slice(from);
                }
                (Some(bias), Some(residual)) => {
                    for (to, (bias, residual)) in to.iter_mut().zip(bias.iter().zip(residual)) {
                        to.write(bias + residual);
                    }
                }
                (None, None) => to.fill(MaybeUninit::new(0.0)),
            }
        }
    }

    /// The elements of each row in the whole result.
    fn elements(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (width, columns) = (self.width, self.columns.clone());
        self.rows.clone().map(move |row| {
            let start = row * width;
            start + columns.start..start + columns.end
        })
    }

    /// Calls `work` with the part of each row that belongs to the block, and where it starts in the whole result.
    ///
    /// # Safety
    ///
    /// They have been written.
    pub(super) unsafe fn each_row(&self, mut work: impl FnMut(usize, &mut [f32])) {
        for own in self.elements() {
            // SAFETY: a block belongs to one task, and the caller promises the rest.
            work(own.start, unsafe { self.target.slice(own) });
        }
    }
}
