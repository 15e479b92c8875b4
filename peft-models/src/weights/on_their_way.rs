//! Tensors between the host and a device.
//!
//! A device takes them while the host reads on, and until it has one there is a copy on the host: CubeCL lets wgpu keep 64 of
//! them. So the host waits now and then, and never holds more of a checkpoint than its largest file.

/// More than this is not on its way at once.
const MOST: usize = 256 << 20;

/// Bytes that a device was given and may not have taken yet.
#[derive(Debug)]
pub struct OnTheirWay {
    bytes: usize,
    most: usize,
}

impl OnTheirWay {
    /// Nothing yet; `largest_file` has so many bytes, of several, if there are files.
    pub fn new(largest_file: Option<usize>) -> Self {
        Self { bytes: 0, most: largest_file.map_or(MOST, |size| size.min(MOST)) }
    }

    /// Counts a tensor that is to be read next and then goes; whether to wait for those before it first.
    pub fn add(&mut self, bytes: usize) -> bool {
        let waits = self.bytes > 0 && self.bytes.saturating_add(bytes) > self.most;
        self.bytes = if waits { bytes } else { self.bytes.saturating_add(bytes) };
        waits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_files_wait_sooner() {
        let mut small = OnTheirWay::new(Some(10));
        assert_eq!(
            [4, 6, 1, 20, 1].map(|bytes| small.add(bytes)),
            [false, false, true, true, true]
        );
        assert!(!OnTheirWay::new(Some(usize::MAX)).add(MOST));
        let mut without = OnTheirWay::new(None);
        assert_eq!([MOST, 1].map(|bytes| without.add(bytes)), [false, true]);
    }

    proptest! {
        /// A tensor that is larger than the bound goes alone; otherwise the bound holds.
        #[test]
        fn no_more_than_the_bound_is_on_its_way(
            sizes in prop::collection::vec(0usize..100, 0..40),
            file in 0usize..150,
        ) {
            let (mut counted, mut there) = (OnTheirWay::new(Some(file)), 0);
            for size in sizes {
                there = if counted.add(size) { size } else { there + size };
                prop_assert!(there <= file.max(size), "{there} of {file}");
            }
        }
    }
}
