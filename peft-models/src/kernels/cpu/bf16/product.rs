//! The product of a matrix with a frozen one, both rounded to bf16, on all cores.

use std::mem::MaybeUninit;

use super::{
    super::{
        block::Block,
        destination::Destination,
        parallel::{SharedBuffer, split},
        view::{MatrixView, count, span},
    },
    Instructions,
    left::{LeftSide, TILE_ROWS},
    lines::Line,
    piece::Piece,
    right::{PANEL, RightSide},
};

/// Rows of a piece: two tiles.
const ROWS: usize = 2 * TILE_ROWS;
/// Rows of a task.
const ROWS_OF_TASK: usize = 4 * ROWS;
/// Bytes of the right side that a task reads for every 32 rows: half of a core's own cache.
const RIGHT_BYTES: usize = 512 << 10;
/// Tiles across of the left side that are added at a time, 512 terms: 32 KB for 32 rows, which stay in the first cache
/// while the panels pass.
const DEPTH: usize = 16;

/// What multiplies pieces on this thread.
enum Unit {
    #[cfg(target_arch = "x86_64")]
    Amx(super::amx::Tiles),
    #[cfg(target_arch = "x86_64")]
    Pairs,
}

impl Unit {
    /// # Safety
    ///
    /// The machine has these instructions.
    unsafe fn new(instructions: Instructions) -> Self {
        match instructions {
            // SAFETY: the caller's promise.
            #[cfg(target_arch = "x86_64")]
            Instructions::Amx => Self::Amx(unsafe { super::amx::Tiles::configure() }),
            #[cfg(target_arch = "x86_64")]
            Instructions::Pairs => Self::Pairs,
        }
    }

    /// Multiplies a piece, of which the first `rows` rows are wanted.
    ///
    /// # Safety
    ///
    /// As [`Piece`] says.
    unsafe fn multiply(&self, piece: &Piece<'_>, rows: usize) {
        match *self {
            // SAFETY: whoever made this promised the instructions; the rest is the caller's promise.
            #[cfg(target_arch = "x86_64")]
            Self::Amx(ref tiles) => unsafe { tiles.multiply(piece) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Pairs => unsafe { super::pairs::multiply(piece, rows) },
        }
    }
}

/// `to [M, N] = start + a b` on all cores, with a and b rounded to bf16 and sums in f32. `start` initialises a block
/// before the product is added to it; without it, the product is written. `finish` sees each block afterwards. Then all of
/// `to` has been written.
///
/// The order of additions depends on neither the number of threads nor that of rows.
///
/// # Panics
///
/// Panics if the sizes do not fit each other, or the machine does not have the instructions.
pub(in super::super) fn product(
    instructions: Instructions,
    to: &mut [MaybeUninit<f32>],
    a: MatrixView<'_>,
    b: &RightSide,
    start: Option<&(dyn Fn(&Block) + Sync)>,
    finish: Option<&(dyn Fn(&Block) + Sync)>,
) {
    assert!(Instructions::all_of_machine().contains(&instructions), "instructions of the machine");
    assert_eq!(a.columns, b.num_rows(), "sizes of a product");
    let (m, n) = (a.rows, b.num_columns());
    assert_eq!(to.len(), count(m.checked_mul(n)), "size of a result");
    if to.is_empty() {
        return;
    }
    let target = SharedBuffer::unwritten(to);
    let left = LeftSide::new(a);
    let threads = rayon::current_num_threads();
    let panels = n.div_ceil(PANEL);
    let tasks_down = m.div_ceil(ROWS_OF_TASK);
    // Fewer where there would be no work for some threads.
    let most = (RIGHT_BYTES / (b.depth() * PANEL * size_of::<Line>())).max(1);
    let each = most.min(panels.div_ceil(threads.div_ceil(tasks_down))).max(1);
    let tasks = count(panels.div_ceil(each).checked_mul(tasks_down));
    split(tasks, tasks.min(4 * threads), |range| {
        // SAFETY: the machine was asked above.
        let unit = unsafe { Unit::new(instructions) };
        for task in range {
            // All rows with the same panels, then the next panels.
            let (across, down) = (task / tasks_down, task % tasks_down);
            let columns = across * each * PANEL..n.min((across + 1) * each * PANEL);
            for row in (down * ROWS_OF_TASK..m.min((down + 1) * ROWS_OF_TASK)).step_by(ROWS) {
                let rows = row..m.min(row + ROWS);
                let block = Block::new(target, n, rows, columns.clone());
                if let Some(start) = start {
                    start(&block);
                }
                // SAFETY: this block belongs to this task alone; `start` initialised it if there is one.
                unsafe { multiply(&unit, target, &block, &left, b, start.is_some()) };
                if let Some(finish) = finish {
                    finish(&block);
                }
            }
        }
    });
}

/// A block of up to 32 rows.
///
/// # Safety
///
/// Nothing else accesses the block meanwhile, and it is initialised if the product is added to it.
unsafe fn multiply(
    unit: &Unit,
    target: SharedBuffer,
    block: &Block,
    left: &LeftSide,
    right: &RightSide,
    accumulate: bool,
) {
    let (first_row, rows) = (block.rows.start, block.rows.len());
    let n = right.num_columns();
    let terms = |first: usize| first..left.depth().min(first + DEPTH);
    for depth in (0..left.depth()).step_by(DEPTH).map(terms) {
        let accumulate = accumulate || depth.start > 0;
        let lower = first_row + TILE_ROWS;
        let tiles = [left.tiles(first_row, depth.clone()), left.tiles(lower, depth.clone())];
        let tiles = &tiles[..rows.div_ceil(TILE_ROWS)];
        for column in block.columns.clone().step_by(PANEL) {
            let columns = PANEL.min(n - column);
            let offset = first_row * n + column;
            let result = target.destination(offset, span([rows, columns], [n, 1]), n, accumulate);
            // The next columns, or the first ones with the next terms.
            let next = match column + PANEL < block.columns.end {
                true => right.panel(column / PANEL + 1, depth.clone()),
                false => right.panel(block.columns.start / PANEL, terms(depth.end)),
            };
            let right = right.panel(column / PANEL, depth.clone());
            let piece =
                Piece { to: result.start, row_stride: n, accumulate, left: tiles, right, next };
            // SAFETY: of a whole piece, all rows and columns are in the block, and `destination` checked that they
            // are in the buffer; the rest is the caller's promise.
            unsafe {
                if columns == PANEL && rows == tiles.len() * TILE_ROWS {
                    unit.multiply(&piece, rows);
                } else {
                    multiply_edge(unit, &piece, result, [rows, columns]);
                }
            }
        }
    }
}

/// A piece of which only some rows and columns are in the result, by way of memory for a whole one.
///
/// # Safety
///
/// `result` are these rows and columns; nothing else accesses them meanwhile, and they are initialised if the product
/// is added to them.
unsafe fn multiply_edge(
    unit: &Unit,
    piece: &Piece<'_>,
    result: Destination,
    [rows, columns]: [usize; 2],
) {
    let mut whole = [0.0f32; ROWS * PANEL];
    let row = |index: usize| result.start.wrapping_add(index * result.row_stride);
    if piece.accumulate {
        for (index, whole) in whole.chunks_mut(PANEL).take(rows).enumerate() {
            // SAFETY: `destination` checked that they are in its buffer; the rest is the caller's promise.
            unsafe { row(index).copy_to_nonoverlapping(whole.as_mut_ptr(), columns) };
        }
    }
    let inside = Piece { to: whole.as_mut_ptr(), row_stride: PANEL, ..*piece };
    // SAFETY: there is memory for two tiles downwards and across.
    unsafe { unit.multiply(&inside, rows) };
    for (index, whole) in whole.chunks(PANEL).take(rows).enumerate() {
        // SAFETY: as above.
        unsafe { row(index).copy_from_nonoverlapping(whole.as_ptr(), columns) };
    }
}
