//! What the instructions multiply at a time.

use super::{left::TILE_ROWS, lines::Line};

/// 16 or 32 rows and 32 columns of a product, and the part of the sums that is added now.
///
/// Whoever multiplies it promises that `to` points to 16 rows for each element of `left`, of 32 elements each and
/// `row_stride` apart, that these are initialised if the product is added to them, and that nothing else accesses them
/// meanwhile.
pub(super) struct Piece<'a> {
    pub(super) to: *mut f32,
    pub(super) row_stride: usize,
    /// Whether the product is added to what is there.
    pub(super) accumulate: bool,
    /// One or two rows of tiles.
    pub(super) left: &'a [&'a [Line]],
    pub(super) right: &'a [Line],
    /// The right side of the piece after this one, which may be fetched meanwhile; empty if there is none.
    pub(super) next: &'a [Line],
}

impl Piece<'_> {
    /// How many tiles are added.
    pub(super) fn depth(&self) -> usize {
        self.left.first().map_or(0, |tiles| tiles.len() / TILE_ROWS)
    }
}
