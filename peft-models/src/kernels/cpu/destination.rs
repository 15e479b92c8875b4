//! Where a product goes.

/// Where a product goes: rows `row_stride` apart, of which the product has the first columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Destination {
    pub start: *mut f32,
    /// How many elements there are from `start` on, those between the rows included.
    pub len: usize,
    pub row_stride: usize,
    /// Whether the product is added to what is there.
    pub accumulate: bool,
}

impl Destination {
    /// A slice that nobody else has.
    pub(super) fn of(slice: &mut [f32], row_stride: usize, accumulate: bool) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), row_stride, accumulate }
    }
}
