//! Work on all cores, in tasks that write to disjoint parts of one buffer.

use std::{mem::MaybeUninit, ops::Range};

use rayon::prelude::*;

use super::{destination::Destination, simd::vectorised, unwritten::Unwritten, view::count};

/// The number of elements that is worth a thread.
const GRAIN: usize = 16 * 1024;

/// Makes rows of `width` elements on all cores: each call of `work` fills a range of rows, which are zero before.
pub(super) fn make_rows(
    rows: usize,
    width: usize,
    work: impl Fn(Range<usize>, &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut out = vec![0.0; count(rows.checked_mul(width))];
    change_rows(&mut out, width, |range, rows| work(range, rows));
    out
}

vectorised! {
    fn multiply_each<FMA>(a: &[f32], b: &[f32], out: &mut [MaybeUninit<f32>]) {
        for (out, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
            out.write(a * b);
        }
    }
}

/// `a b`, element by element, on all cores.
pub(super) fn products(a: &[f32], b: &[f32]) -> Vec<f32> {
    assert_eq!(a.len(), b.len(), "one for each");
    let mut out = Unwritten::new(a.len());
    let worth = (a.len() / GRAIN).clamp(1, rayon::current_num_threads());
    let each = a.len().div_ceil(worth).max(1);
    let parts = out.elements().par_chunks_mut(each);
    parts
        .zip(a.par_chunks(each).zip(b.par_chunks(each)))
        .for_each(|(out, (a, b))| multiply_each(a, b, out));
    // SAFETY: all three are of one length.
    unsafe { out.written() }
}

/// Changes rows of `width` elements on all cores: each call of `work` is given a range of rows.
pub(super) fn change_rows<E: Send>(
    rows: &mut [E],
    width: usize,
    work: impl Fn(Range<usize>, &mut [E]) + Sync,
) {
    let mut nothing = vec![(); rows.len() / width.max(1)];
    change_rows_with(rows, width, &mut nothing, |range, rows, _| work(range, rows));
}

/// As [`change_rows`], with one of `others` per row.
pub(super) fn change_rows_with<E: Send, T: Send>(
    rows: &mut [E],
    width: usize,
    others: &mut [T],
    work: impl Fn(Range<usize>, &mut [E], &mut [T]) + Sync,
) {
    assert_eq!(rows.len(), count(others.len().checked_mul(width)), "one per row");
    let worth = (rows.len() / GRAIN).clamp(1, rayon::current_num_threads());
    let each = others.len().div_ceil(worth).max(1);
    let tasks = rows.par_chunks_mut((each * width).max(1)).zip(others.par_chunks_mut(each));
    tasks.enumerate().for_each(|(index, (rows, others))| {
        work(index * each..index * each + others.len(), rows, others);
    });
}

/// The elements of a range of rows.
pub(super) fn elements(rows: &Range<usize>, width: usize) -> Range<usize> {
    count(rows.start.checked_mul(width))..count(rows.end.checked_mul(width))
}

/// Splits `0..total` into `count` ranges of nearly equal length, and runs `work` on each.
pub(super) fn split(total: usize, parts: usize, work: impl Fn(Range<usize>) + Sync) {
    let parts = parts.clamp(1, total.max(1));
    if parts == 1 {
        return work(0..total);
    }
    (0..parts).into_par_iter().for_each(|index| work(part(total, parts, index)));
}

/// Part `index` of `parts` of `0..total`. Parts that overlapped would be written to by two threads at once.
pub(super) fn part(total: usize, parts: usize, index: usize) -> Range<usize> {
    // At most `total`. Division of wide numbers is slow, and this is asked for each tile.
    let start = |index: usize| match total.checked_mul(index) {
        Some(product) => product / parts,
        None => (total as u128 * index as u128 / parts as u128) as usize,
    };
    assert!(index < parts, "parts of a range");
    start(index)..start(index + 1)
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

    pub(super) fn unwritten(buffer: &mut [MaybeUninit<f32>]) -> Self {
        Self { start: buffer.as_mut_ptr().cast(), len: buffer.len() }
    }

    /// The elements of a range.
    ///
    /// # Safety
    ///
    /// The buffer is alive, these elements have been written, and nothing else accesses them meanwhile.
    pub(super) unsafe fn slice<'a>(self, range: Range<usize>) -> &'a mut [f32] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the range is inside the buffer; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }

    /// The elements of a range, to be written.
    ///
    /// # Safety
    ///
    /// The buffer is alive, and nothing else accesses these elements meanwhile.
    pub(super) unsafe fn unwritten_slice<'a>(
        self,
        range: Range<usize>,
    ) -> &'a mut [MaybeUninit<f32>] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start).cast(), range.len()) }
    }

    /// The elements of `offset..offset + len`, of which a product writes its rows, `row_stride` apart.
    ///
    /// # Panics
    ///
    /// Panics if they are not inside the buffer.
    pub(super) fn destination(
        self,
        offset: usize,
        len: usize,
        row_stride: usize,
        accumulate: bool,
    ) -> Destination {
        assert!(count(offset.checked_add(len)) <= self.len, "a result beyond its buffer");
        // SAFETY: inside the buffer.
        let start = unsafe { self.start.add(offset) };
        Destination { start, len, row_stride, accumulate }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn parts_follow_one_another() {
        for (total, parts) in [(0, 1), (7, 3), (100, 7), (usize::MAX, 5), (usize::MAX / 2 + 1, 64)]
        {
            let mut end = 0;
            for index in 0..parts {
                let found = part(total, parts, index);
                assert!(found.start == end && found.end >= end, "{total} {parts} {index}");
                end = found.end;
            }
            assert_eq!(end, total);
        }
    }

    #[test]
    fn every_element_is_written_once() {
        let mut numbers = vec![0.0f32; 1000];
        let buffer = SharedBuffer::new(&mut numbers);
        split(1000, 7, |range| {
            // SAFETY: ranges do not overlap.
            unsafe { buffer.slice(range) }.iter_mut().for_each(|number| *number += 1.0);
        });
        assert!(numbers.iter().all(|number| *number == 1.0));
        let rows = make_rows(50_000, 3, |range, rows| {
            for (row, out) in range.zip(rows.chunks_mut(3)) {
                out.fill(row as f32);
            }
        });
        assert!(rows.chunks(3).enumerate().all(|(row, out)| out == [row as f32; 3]));
    }

    #[test]
    fn what_is_beyond_the_buffer_is_refused() {
        let mut numbers = [0.0f32; 8];
        let buffer = SharedBuffer::new(&mut numbers);
        assert!(catch_unwind(|| buffer.destination(4, 4, 4, false)).is_ok());
        for (offset, len) in [(4, 5), (9, 0), (usize::MAX, 2), (2, usize::MAX)] {
            assert!(catch_unwind(|| buffer.destination(offset, len, 4, false)).is_err());
        }
        assert!(catch_unwind(|| make_rows(usize::MAX / 2 + 1, 2, |_, _| {})).is_err());
        assert!(catch_unwind(|| elements(&(0..usize::MAX / 2 + 1), 2)).is_err());
    }
}
