//! Which rows of a batch are computed side by side.

use std::cmp::Reverse;

use crate::contract::lanes::Lanes;

/// What workers that share a slice do, of what they do with slices of their own: products are split among them, and
/// they wait for each other.
const SHARED: f64 = 0.85;

/// Divides rows of the given lengths, with `in_front` virtual tokens in front of each, into slices, by indices: at
/// most as many as [`Lanes::slices`] says.
///
/// Rows of similar length come together, so that a slice needs less padding than the batch; a slice costs its number
/// of rows times the length of the longest. The result depends on nothing but the arguments. Slices are in the order of their
/// first rows, and none consists of rows without tokens, unless all do. There are fewer where rows are few or of such
/// lengths that some slices would take far longer than others: workers then share slices.
pub fn slices(lengths: &[usize], in_front: usize, lanes: &dyn Lanes) -> Vec<Vec<usize>> {
    let positions = lengths
        .iter()
        .filter(|length| **length > 0)
        .fold(0, |sum: usize, length| sum.saturating_add(length.saturating_add(in_front)));
    at_most(lanes.slices(positions), lengths, in_front)
}

/// At most `most` slices.
fn at_most(most: usize, lengths: &[usize], in_front: usize) -> Vec<Vec<usize>> {
    let mut rows: Vec<usize> = (0..lengths.len()).collect();
    // Stable: rows of equal length stay in order.
    rows.sort_by_key(|&row| Reverse(lengths[row]));
    let costs: Vec<usize> = rows
        .iter()
        .map(|&row| lengths[row])
        .filter(|length| *length > 0)
        .map(|length| length.saturating_add(in_front))
        .collect();
    let mut best = (f64::INFINITY, Vec::new());
    for count in (1..=most.min(costs.len())).rev() {
        let cuts = divide(&costs, count);
        // As if there were a worker for each.
        let each = most as f64 / cuts.len() as f64;
        let speed = if each < 2.0 { 1.0 } else { SHARED * each.floor() };
        let time = largest(&costs, &cuts) as f64 / speed;
        if time < best.0 {
            best = (time, cuts);
        }
    }
    let mut cuts = best.1;
    match cuts.last_mut() {
        Some(last) => *last += rows.len() - costs.len(),
        None if rows.is_empty() => {}
        None => cuts.push(rows.len()),
    }
    let mut rest = rows.as_slice();
    let take = |count: usize| {
        let (slice, others) = rest.split_at(count);
        rest = others;
        let mut slice = slice.to_vec();
        slice.sort_unstable();
        slice
    };
    let mut slices: Vec<Vec<usize>> = cuts.into_iter().map(take).collect();
    slices.sort_unstable();
    slices
}

/// The costs of the most expensive slice.
fn largest(sorted: &[usize], cuts: &[usize]) -> usize {
    let mut start = 0;
    let cost = |count: &usize| {
        let first = sorted[start];
        start += count;
        first.saturating_mul(*count)
    };
    cuts.iter().map(cost).max().unwrap_or(0)
}

/// The numbers of rows of at most `count` slices of costs in descending order, of which the most expensive is as cheap
/// as possible.
fn divide(sorted: &[usize], count: usize) -> Vec<usize> {
    let cut = |limit: usize| -> Vec<usize> {
        let mut cuts = Vec::new();
        let mut rest = sorted;
        while let Some(first) = rest.first() {
            let taken = (limit / first).clamp(1, rest.len());
            cuts.push(taken);
            rest = &rest[taken..];
        }
        cuts
    };
    let (mut low, mut high) = (1, largest(sorted, &[sorted.len()]));
    while low < high {
        let middle = low + (high - low) / 2;
        if cut(middle).len() <= count { high = middle } else { low = middle + 1 }
    }
    cut(low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_are_divided_by_their_costs() {
        assert_eq!(at_most(2, &[7; 8], 0), [vec![0, 1, 2, 3], vec![4, 5, 6, 7]]);
        // One long row costs as much as six short ones.
        let one_long = [10, 10, 60, 10, 10, 10, 10];
        assert_eq!(at_most(2, &one_long, 0), [vec![0, 1, 3, 4, 5, 6], vec![2]]);
        // Not where virtual tokens are most of each row.
        assert_eq!(at_most(2, &one_long, 100), [vec![0, 1, 2], vec![3, 4, 5, 6]]);
        // Three equal rows: two workers that share all of them are sooner done than one with two rows.
        assert_eq!(at_most(2, &[5; 3], 0), [vec![0, 1, 2]]);
        assert_eq!(at_most(8, &[5; 2], 0), [vec![0], vec![1]]);
        // A model refuses a batch without tokens.
        assert_eq!(at_most(2, &[0, 5, 0, 5, 0], 3), [vec![0, 2, 3, 4], vec![1]]);
        assert_eq!(at_most(2, &[0, 0], 3), [vec![0, 1]]);
        assert_eq!(at_most(4, &[3], 0), [vec![0]]);
        assert!(at_most(4, &[], 0).is_empty());
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_slice(
            lengths in prop::collection::vec(0usize..300, 0..40), in_front in 0usize..100, most in 1usize..9,
        ) {
            let found = at_most(most, &lengths, in_front);
            let any = lengths.iter().any(|length| *length > 0);
            prop_assert!(found.len() <= most);
            prop_assert!(found.iter().all(|slice| !any || slice.iter().any(|row| lengths[*row] > 0)));
            let mut rows: Vec<usize> = found.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
        }
    }
}
