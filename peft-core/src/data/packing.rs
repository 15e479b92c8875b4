//! Which rows make up which packed row.

use std::{cmp::Reverse, collections::BTreeMap};

/// Packed rows of at most a number of tokens: rows are taken from the longest to the shortest, and
/// each goes where the least space remains that it fits in (best fit decreasing; Johnson et al. 1974).
/// A row longer than a packed row is alone; none is cut.
///
/// This depends on the lengths alone, so that every epoch has as many packed rows. Which rows of a
/// length take which of its places is left to the caller.
#[derive(Clone, Debug)]
pub(super) struct Packing {
    /// The packed row of each place; places are by decreasing length.
    packed_row: Vec<usize>,
    /// The number of tokens of each packed row.
    lengths: Vec<usize>,
}

impl Packing {
    /// Packs rows of the given lengths into rows of at most `most` tokens.
    pub(super) fn new(lengths: &[usize], most: usize) -> Self {
        let mut sorted = lengths.to_vec();
        sorted.sort_unstable_by_key(|length| Reverse(*length));
        // Packed rows by the space that remains in them, where any remains.
        let mut open: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut found = Self { packed_row: Vec::with_capacity(sorted.len()), lengths: Vec::new() };
        for length in sorted {
            // A row without tokens takes a place too.
            let mut best = open.range_mut(length.max(1)..).next();
            let fitting = best.as_mut().and_then(|(space, rows)| Some((**space, rows.pop()?)));
            let (space, row) = fitting.unwrap_or_else(|| {
                found.lengths.push(0);
                (most, found.lengths.len() - 1)
            });
            if best.is_some_and(|(_, rows)| rows.is_empty()) {
                open.remove(&space);
            }
            found.packed_row.push(row);
            found.lengths[row] += length;
            match space.saturating_sub(length.max(1)) {
                0 => {}
                rest => open.entry(rest).or_default().push(row),
            }
        }
        found
    }

    /// The number of packed rows.
    pub(super) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// The number of tokens of the longest packed row.
    pub(super) fn longest(&self) -> usize {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// The packed rows, each a list of `rows`, which are all rows, by decreasing length; with the
    /// number of their tokens.
    pub(super) fn of(&self, rows: &[usize]) -> Vec<(usize, Vec<usize>)> {
        let mut packed: Vec<_> = self.lengths.iter().map(|length| (*length, Vec::new())).collect();
        for (row, place) in rows.iter().zip(&self.packed_row) {
            packed[*place].1.push(*row);
        }
        packed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(lengths: &[usize], most: usize) -> Vec<Vec<usize>> {
        let mut rows: Vec<usize> = (0..lengths.len()).collect();
        rows.sort_by_key(|row| Reverse(lengths[*row]));
        Packing::new(lengths, most).of(&rows).into_iter().map(|(_, rows)| rows).collect()
    }

    #[test]
    fn the_tightest_packed_row_takes_the_next() {
        // 7 and 5 are alone at first; 3 fits both and goes to the first, 4 to the second.
        assert_eq!(pack(&[3, 7, 4, 5, 1], 10), [vec![1, 0], vec![3, 2, 4]]);
        // 12 is longer than a packed row.
        assert_eq!(pack(&[12, 4, 5, 2], 10), [vec![0], vec![2, 1], vec![3]]);
        assert_eq!(pack(&[0, 0, 0], 2), [vec![0, 1], vec![2]]);
        assert_eq!((Packing::new(&[12, 4], 10).longest(), Packing::new(&[], 3).len()), (12, 0));
    }

    proptest! {
        /// No packed row is above its length unless it is one row that is, none is left out or
        /// twice, and no two packed rows could be one.
        #[test]
        fn rows_fit_and_none_is_lost(
            lengths in prop::collection::vec(1usize..30, 1..80), most in 1usize..60,
        ) {
            let packed = pack(&lengths, most);
            let total = |rows: &Vec<usize>| rows.iter().map(|row| lengths[*row]).sum::<usize>();
            let mut totals: Vec<usize> = packed.iter().map(total).collect();
            for (rows, total) in packed.iter().zip(&totals) {
                prop_assert!(*total <= most || rows.len() == 1);
            }
            let mut rows = packed.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
            totals.sort_unstable();
            prop_assert!(totals.len() < 2 || totals[0] + totals[1] > most);
        }
    }
}
