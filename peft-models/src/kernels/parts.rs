//! Into what parts the kernels divide their work, by its size alone: the same on every machine, so that results are.

/// What makes a batch large enough for two slices. There are more, in a power of two, where each has twice as much:
/// a matrix is laid out, and upcast if it is stored in fewer bits, for each slice anew.
const POSITIONS: usize = 128;

/// About how many logits are in memory at a time: 256 rows of GPT-2's vocabulary, a slice of a batch, are three parts.
const LOGITS: usize = 9 << 19;

/// The fewest rows that are worth laying out the head for.
const FEWEST: usize = 32;

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

/// In how many parts the logits of rows are computed, all about as large: the head is laid out for each of them.
pub fn logit_parts(rows: usize, classes: usize) -> usize {
    let by_memory = rows.saturating_mul(classes).div_ceil(LOGITS);
    by_memory.clamp(1, (rows / FEWEST).max(1))
}

/// Of how many rows a loss has the logits in memory at a time.
pub fn logit_rows_at_once(rows: usize, classes: usize) -> usize {
    rows.div_ceil(logit_parts(rows, classes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_large_enough_and_of_one_size() {
        assert_eq!(
            [(256, 50257), (256, 49152), (512, 50257), (8, 50257)].map(|(m, v)| logit_parts(m, v)),
            [3, 3, 6, 1]
        );
        // A large vocabulary takes the memory that the fewest rows need.
        assert_eq!(
            [(256, 262_144), (63, 1 << 30), (0, 50257), (40, 0)].map(|(m, v)| logit_parts(m, v)),
            [8, 1, 1, 1]
        );
        assert_eq!(
            [(256, 50257), (8, 50257), (0, 9)].map(|(m, v)| logit_rows_at_once(m, v)),
            [86, 8, 0]
        );
    }

    #[test]
    fn slices_are_a_power_of_two() {
        assert_eq!(
            [0, 127, 128, 1023, 1024, 2047, 2048, 5000].map(slices),
            [1, 1, 2, 2, 4, 4, 8, 16]
        );
    }
}
