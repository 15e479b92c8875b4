//! Products with frozen matrices, spread over the cores by columns of the result.

use super::{
    frozen::Factor,
    parallel::{SharedBuffer, split},
    product::product,
    view::{MatrixView, count, span},
};

/// Columns of one task: few enough that what follows finds them in the cache.
const COLUMNS: usize = 1024;

/// Elements of a matrix in fewer bits that each thread upcasts at a time.
const UPCAST: usize = 4 << 20;

/// `to [M, N] = start + a b` on all cores, where b consists of several factors. `start` initialises a block of columns
/// before the product is added to it; without it, the product is written. `finish` sees each block afterwards.
///
/// The order of additions does not depend on the number of threads.
pub(super) fn product_by_columns(
    to: &mut [f32],
    a: MatrixView<'_>,
    b: &[Factor<'_>],
    start: Option<&(dyn Fn(Block) + Sync)>,
    finish: Option<&(dyn Fn(Block) + Sync)>,
) {
    let m = a.rows;
    let n = b.iter().map(|factor| factor.column + factor.weight.num_columns()).max().unwrap_or(0);
    assert_eq!(to.len(), count(m.checked_mul(n)), "size of a result");
    let target = SharedBuffer::new(to);
    let threads = rayon::current_num_threads();
    let num_upcast: usize = b.iter().map(|factor| factor.weight.num_upcast()).sum();
    // Whole vectors, and whole blocks of matrices that are stored in blocks; both are powers of two.
    let step = b.iter().map(|factor| factor.weight.column_step()).max().unwrap_or(1).max(32);
    // A multiple of the number of threads.
    let parts = n.div_ceil(COLUMNS).max(num_upcast / UPCAST).next_multiple_of(threads);
    let parts = parts.min(n.div_ceil(step)).max(1);
    split(n.div_ceil(step), parts, |range| {
        let columns = range.start * step..(range.end * step).min(n);
        if columns.is_empty() || m == 0 {
            return;
        }
        let block = Block { target, rows: m, width: n, start: columns.start, len: columns.len() };
        if let Some(start) = start {
            start(block);
        }
        let mut scratch = Vec::new();
        for factor in b {
            let end = factor.column + factor.weight.num_columns();
            let (first, end) = (columns.start.max(factor.column), columns.end.min(end));
            if first >= end {
                continue;
            }
            let of_factor = first - factor.column..end - factor.column;
            let right = factor.weight.columns(of_factor, &mut scratch);
            let left = a.columns(factor.depth..factor.depth + factor.weight.num_rows());
            let accumulate = start.is_some() || factor.depth > 0;
            let to = target.destination(first, span([m, end - first], [n, 1]), n, accumulate);
            // SAFETY: these columns belong to this task alone; `start`, or the factors above, initialised them.
            unsafe { product(to, left, right) };
        }
        if let Some(finish) = finish {
            finish(block);
        }
    });
}

/// Some columns of all rows of a result that is being computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    target: SharedBuffer,
    rows: usize,
    width: usize,
    /// Its first column.
    pub(super) start: usize,
    /// How many columns it has.
    pub(super) len: usize,
}

impl Block {
    /// Initialises it with what a product is added to: a bias per column, a residual per element, or both.
    pub(super) fn start_with(self, bias: Option<&[f32]>, residual: Option<&[f32]>) {
        let bias = bias.map(|bias| &bias[self.start..self.start + self.len]);
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
    pub(super) fn each_row(self, mut work: impl FnMut(usize, &mut [f32])) {
        for row in 0..self.rows {
            let at = row * self.width + self.start;
            // SAFETY: the columns of a block belong to one task.
            work(at, unsafe { self.target.slice(at..at + self.len) });
        }
    }
}
