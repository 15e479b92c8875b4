//! Which rows of a batch are computed side by side.

use std::cmp::Reverse;

/// What workers that share a slice do, of what they do with slices of their own: products are split among them, and
/// they wait for each other.
const SHARED: f64 = 0.85;

/// Divides rows of the given costs into at most as many slices as there are workers, by indices.
///
/// Rows of similar length come together, so that a slice needs less padding than the batch; a slice costs its number
/// of rows times the largest cost. The result depends on nothing but the costs and the number of workers. There are
/// fewer slices than workers where rows are few: the workers then share slices.
pub fn slices(costs: &[usize], workers: usize) -> Vec<Vec<usize>> {
    let mut rows: Vec<usize> = (0..costs.len()).collect();
    // Stable: rows of equal cost stay in order.
    rows.sort_by_key(|&row| Reverse(costs[row]));
    let sorted: Vec<usize> = rows.iter().map(|&row| costs[row].max(1)).collect();
    let mut best = (f64::INFINITY, Vec::new());
    for count in (1..=workers.min(rows.len())).rev() {
        let cuts = divide(&sorted, count);
        let each = workers as f64 / cuts.len() as f64;
        let speed = if each < 2.0 { 1.0 } else { SHARED * each.floor() };
        let time = largest(&sorted, &cuts) as f64 / speed;
        if time < best.0 {
            best = (time, cuts);
        }
    }
    let mut rest = rows.as_slice();
    let mut take = |count: usize| {
        let (slice, others) = rest.split_at(count);
        rest = others;
        let mut slice = slice.to_vec();
        slice.sort_unstable();
        slice
    };
    best.1.into_iter().map(&mut take).collect()
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
        assert_eq!(slices(&[7; 8], 2), [vec![0, 1, 2, 3], vec![4, 5, 6, 7]]);
        // One long row costs as much as six short ones.
        assert_eq!(slices(&[10, 10, 60, 10, 10, 10, 10], 2), [vec![2], vec![0, 1, 3, 4, 5, 6]]);
        // Three equal rows: two workers that share all of them are sooner done than one with two rows.
        assert_eq!(slices(&[5; 3], 2), [vec![0, 1, 2]]);
        assert_eq!(slices(&[5; 2], 8), [vec![0], vec![1]]);
        assert_eq!(slices(&[3], 4), [vec![0]]);
        assert!(slices(&[], 4).is_empty());
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_slice(costs in prop::collection::vec(0usize..300, 0..40), workers in 1usize..9) {
            let found = slices(&costs, workers);
            prop_assert!(found.len() <= workers && found.iter().all(|slice| !slice.is_empty()));
            let mut rows: Vec<usize> = found.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..costs.len()).collect::<Vec<_>>());
        }
    }
}
