//! Work on all cores, in tasks that write to disjoint parts of one buffer.

use std::ops::Range;

use rayon::prelude::*;

/// The number of elements that is worth a thread.
const GRAIN: usize = 16 * 1024;

/// Makes rows of `width` elements on all cores: each call of `work` fills a range of rows, which are zero before.
pub(super) fn make_rows(
    rows: usize,
    width: usize,
    work: impl Fn(Range<usize>, &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut out = vec![0.0; rows * width];
    change_rows(&mut out, width, |range, rows| work(range, rows));
    out
}

/// Changes rows of `width` elements on all cores: each call of `work` is given a range of rows.
pub(super) fn change_rows(
    rows: &mut [f32],
    width: usize,
    work: impl Fn(Range<usize>, &mut [f32]) + Sync,
) {
    let mut nothing = vec![(); rows.len() / width.max(1)];
    change_rows_with(rows, width, &mut nothing, |range, rows, _| work(range, rows));
}

/// As [`change_rows`], with one of `others` per row.
pub(super) fn change_rows_with<T: Send>(
    rows: &mut [f32],
    width: usize,
    others: &mut [T],
    work: impl Fn(Range<usize>, &mut [f32], &mut [T]) + Sync,
) {
    let worth = (rows.len() / GRAIN).clamp(1, rayon::current_num_threads());
    let each = others.len().div_ceil(worth).max(1);
    let tasks = rows.par_chunks_mut((each * width).max(1)).zip(others.par_chunks_mut(each));
    tasks.enumerate().for_each(|(index, (rows, others))| {
        work(index * each..index * each + others.len(), rows, others);
    });
}

/// The elements of a range of rows.
pub(super) fn elements(rows: &Range<usize>, width: usize) -> Range<usize> {
    rows.start * width..rows.end * width
}

/// Splits `0..total` into `count` ranges of nearly equal length, and runs `work` on each.
pub(super) fn split(total: usize, count: usize, work: impl Fn(Range<usize>) + Sync) {
    let count = count.clamp(1, total.max(1));
    if count == 1 {
        return work(0..total);
    }
    (0..count).into_par_iter().for_each(|index| {
        work(total * index / count..total * (index + 1) / count);
    });
}

/// A buffer that several threads write to, each to elements of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedBuffer {
    start: *mut f32,
    len: usize,
}

// SAFETY: the pointer is only used through `slice` and `at`, whose callers promise disjoint elements.
unsafe impl Send for SharedBuffer {}
// SAFETY: as above.
unsafe impl Sync for SharedBuffer {}

impl SharedBuffer {
    pub(super) fn new(buffer: &mut [f32]) -> Self {
        Self { start: buffer.as_mut_ptr(), len: buffer.len() }
    }

    /// The elements of a range.
    ///
    /// # Safety
    ///
    /// The buffer is alive, and nothing else accesses these elements meanwhile.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn slice<'a>(self, range: Range<usize>) -> &'a mut [f32] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the range is inside the buffer; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }

    /// A pointer to the elements of `offset..offset + len`, for strided writes into them.
    ///
    /// # Panics
    ///
    /// Panics if they are not inside the buffer.
    pub(super) fn at(self, offset: usize, len: usize) -> *mut f32 {
        assert!(offset + len <= self.len);
        // SAFETY: inside the buffer.
        unsafe { self.start.add(offset) }
    }
}
