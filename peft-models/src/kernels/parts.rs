//! Into what parts the kernels divide their work, by its size alone: the same on every machine, so that results are.

/// What makes a batch large enough for two slices. There are more, in a power of two, where each has twice as much:
/// a matrix is laid out, and upcast if it is stored in fewer bits, for each slice anew.
const POSITIONS: usize = 128;

/// About how many logits of a head in f32 are in memory at a time, 1 MB: 256 rows, a slice of a batch, with 1,024 outputs.
const LOGITS: usize = 1 << 18;

/// The fewest outputs with which rows are multiplied at a time, and about the most: 6 MB of GPT-2's head, which are still in a
/// cache when the gradient needs them.
const FEWEST_OUTPUTS: usize = 512;
const MOST_OUTPUTS: usize = 2048;

/// The most rows that are multiplied at a time.
const MOST_ROWS: usize = 2048;

/// About how many logits of a head in bf16, whose copy is multiplied whole: 256 rows of GPT-2's vocabulary are three parts.
const LOGITS_BF16: usize = 9 << 19;

/// The fewest rows that are worth reading such a copy for.
const FEWEST_ROWS: usize = 32;

/// Outputs of a layer that are laid out at a time.
const PANEL: usize = 32;

/// How many queries have their scores in memory at a time.
pub const QUERIES: usize = 64;

/// Into how many slices a batch of so many positions is divided, if it has as many rows.
pub fn slices(positions: usize) -> usize {
    match positions / POSITIONS {
        0 => 1,
        1..8 => 2,
        larger => 1 << (larger / 2).ilog2(),
    }
}

/// How the logits of rows are divided, each part into about as many as the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogitParts {
    /// Parts of the rows, one after another.
    pub of_rows: usize,
    /// Parts of the outputs, each of which all rows of a part are multiplied with while it is in the cache.
    pub of_outputs: usize,
}

/// The parts of the logits of a head that is multiplied in f32.
pub fn logit_parts(rows: usize, classes: usize) -> LogitParts {
    let of_rows = rows.div_ceil(MOST_ROWS).max(1);
    let outputs = (LOGITS / rows.div_ceil(of_rows).max(1)).clamp(FEWEST_OUTPUTS, MOST_OUTPUTS);
    LogitParts { of_rows, of_outputs: classes.div_ceil(outputs).max(1) }
}

/// The parts of the logits of a head that is multiplied as a copy in bf16.
pub fn logit_parts_bf16(rows: usize, classes: usize) -> LogitParts {
    let by_memory = rows.saturating_mul(classes).div_ceil(LOGITS_BF16);
    LogitParts { of_rows: by_memory.clamp(1, (rows / FEWEST_ROWS).max(1)), of_outputs: 1 }
}

impl LogitParts {
    /// How many logits are in memory at a time.
    pub fn at_once(self, rows: usize, classes: usize) -> usize {
        rows.div_ceil(self.of_rows).saturating_mul(self.most_outputs(classes))
    }

    /// The outputs of a part, of as many whole panels as the others. Without kernels nothing is computed in parts, and their
    /// size alone counts.
    #[cfg(any(feature = "cpu", test))]
    pub fn outputs(self, classes: usize, index: usize) -> std::ops::Range<usize> {
        let panels = classes.div_ceil(PANEL);
        let cut = |index: usize| classes.min(panels * index / self.of_outputs * PANEL);
        cut(index)..cut(index + 1)
    }

    /// The outputs of the largest part.
    fn most_outputs(self, classes: usize) -> usize {
        classes.min(classes.div_ceil(PANEL).div_ceil(self.of_outputs) * PANEL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_large_enough_and_of_one_size() {
        let parts = |(rows, classes)| {
            let LogitParts { of_rows, of_outputs } = logit_parts(rows, classes);
            [of_rows, of_outputs]
        };
        assert_eq!(
            [(256, 50257), (256, 49152), (512, 50257), (8, 50257)].map(parts),
            [[1, 50], [1, 48], [1, 99], [1, 25]]
        );
        assert_eq!(
            [(5000, 262_144), (63, 1 << 20), (0, 50257), (40, 0)].map(parts),
            [[3, 512], [1, 512], [1, 25], [1, 1]]
        );
        assert_eq!(logit_parts(256, 50257).at_once(256, 50257), 256 * 1024);
        assert_eq!(logit_parts(1, 40).at_once(1, 40), 40);
        for (rows, classes) in [(256, 50257), (7, 1), (300, 1025), (2000, 33)] {
            let parts = logit_parts(rows, classes);
            let mut end = 0;
            for index in 0..parts.of_outputs {
                let found = parts.outputs(classes, index);
                assert!(found.start == end && found.end > end, "{rows} {classes}: {found:?}");
                assert!(rows.div_ceil(parts.of_rows) * found.len() <= parts.at_once(rows, classes));
                end = found.end;
            }
            assert_eq!(end, classes);
        }
    }

    #[test]
    fn a_copy_in_bf16_is_multiplied_whole() {
        let of_rows = |(rows, classes)| {
            let parts = logit_parts_bf16(rows, classes);
            assert_eq!((parts.of_outputs, parts.outputs(classes, 0)), (1, 0..classes));
            parts.of_rows
        };
        assert_eq!(
            [(256, 50257), (256, 49152), (512, 50257), (8, 50257)].map(of_rows),
            [3, 3, 6, 1]
        );
        // A large vocabulary takes the memory that the fewest rows need.
        assert_eq!([(256, 262_144), (63, 1 << 30), (0, 50257), (40, 0)].map(of_rows), [8, 1, 1, 1]);
        let at_once = |rows, classes| logit_parts_bf16(rows, classes).at_once(rows, classes);
        assert_eq!([at_once(256, 50257), at_once(0, 9)], [86 * 50257, 0]);
    }

    #[test]
    fn slices_are_a_power_of_two() {
        assert_eq!(
            [0, 127, 128, 1023, 1024, 2047, 2048, 5000].map(slices),
            [1, 1, 2, 2, 4, 4, 8, 16]
        );
    }
}
