//! Memory for results that are written before they are read, so that it need not be filled with zeros first.

use std::mem::MaybeUninit;

/// A result before it is computed.
#[derive(Debug)]
pub(super) struct Unwritten {
    /// Without elements, but with room for them.
    room: Vec<f32>,
    len: usize,
}

impl Unwritten {
    pub(super) fn new(len: usize) -> Self {
        Self { room: Vec::with_capacity(len), len }
    }

    pub(super) fn elements(&mut self) -> &mut [MaybeUninit<f32>] {
        &mut self.room.spare_capacity_mut()[..self.len]
    }

    /// The result.
    ///
    /// # Safety
    ///
    /// Each of the [`elements`](Self::elements) has been written.
    pub(super) unsafe fn written(mut self) -> Vec<f32> {
        // SAFETY: there is room for them, and they are written.
        unsafe { self.room.set_len(self.len) };
        self.room
    }
}

/// Elements that are written once more, by what takes them unwritten.
///
/// # Safety
///
/// Nothing but numbers is written to them: they are elements with a value afterwards, too.
pub(super) unsafe fn again(elements: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    let (start, len) = (elements.as_mut_ptr().cast(), elements.len());
    // SAFETY: the same memory, for as long; the caller promises that its values stay values.
    unsafe { std::slice::from_raw_parts_mut(start, len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_the_result() {
        let mut result = Unwritten::new(5);
        for (at, element) in result.elements().iter_mut().enumerate() {
            element.write(at as f32);
        }
        // SAFETY: all five are written.
        assert_eq!(unsafe { result.written() }, [0.0, 1.0, 2.0, 3.0, 4.0]);
        // SAFETY: there is none to write.
        assert!(unsafe { Unwritten::new(0).written() }.is_empty());
        let mut numbers = [1.0, 2.0];
        // SAFETY: a number is written.
        let elements = unsafe { again(&mut numbers) };
        elements[1].write(7.0);
        assert_eq!(numbers, [1.0, 7.0]);
    }
}
