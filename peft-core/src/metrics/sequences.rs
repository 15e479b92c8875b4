//! Scores of generated sequences against their references: how many are exact, and how far off the
//! others are.

use super::Metrics;

/// The number of insertions, deletions and substitutions that turn one sequence into the other
/// (Levenshtein 1966).
pub fn edit_distance<T: PartialEq>(found: &[T], expected: &[T]) -> usize {
    // One row of the table at a time: distances from the first i items of `found` to each prefix of
    // `expected`.
    let mut row: Vec<usize> = (0..=expected.len()).collect();
    for (i, item) in found.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in expected.iter().enumerate() {
            let substituted = diagonal + usize::from(item != other);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[expected.len()]
}

/// Scores of sequences, each with its references, of which the closest counts. `exact_match`: the
/// fraction of sequences that equal a reference. `token_error_rate`: the sum of the edit distances
/// divided by the number of tokens in the closest references; for sequences of letters or phonemes
/// this is the symbol error rate.
///
/// Both are absent if there are no sequences, the second also if the references have no tokens.
pub fn sequence_metrics<T: PartialEq>(pairs: &[(Vec<T>, Vec<Vec<T>>)]) -> Metrics {
    let mut metrics = Metrics::default();
    if pairs.is_empty() {
        return metrics;
    }
    let exact = pairs.iter().filter(|(found, references)| references.contains(found)).count();
    metrics.insert("exact_match", exact as f64 / pairs.len() as f64);
    // Distance and length of the closest reference; of two as close, the first.
    let closest = |(found, references): &(Vec<T>, Vec<Vec<T>>)| {
        let each =
            references.iter().map(|reference| (edit_distance(found, reference), reference.len()));
        each.min_by_key(|(distance, _)| *distance).unwrap_or((found.len(), 0))
    };
    let (errors, tokens) = pairs
        .iter()
        .map(closest)
        .fold((0, 0), |(errors, tokens), (distance, length)| (errors + distance, tokens + length));
    if tokens > 0 {
        metrics.insert("token_error_rate", errors as f64 / tokens as f64);
    }
    metrics
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn distances_of_known_words() {
        let distance = |a: &str, b: &str| edit_distance(a.as_bytes(), b.as_bytes());
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!((distance("", "abc"), distance("abc", ""), distance("a", "a")), (3, 3, 0));
        let pairs = [(vec![1, 2, 3], vec![vec![1, 2, 3]]), (vec![1], vec![vec![1, 2]])];
        let found = sequence_metrics(&pairs);
        assert_eq!(found.get("exact_match"), Some(0.5));
        assert_eq!(found.get("token_error_rate"), Some(0.2));
        let several =
            [(vec![1, 2], vec![vec![3, 4, 5], vec![1, 2]]), (vec![1], vec![vec![2, 3], vec![2]])];
        let found = sequence_metrics(&several);
        assert_eq!(found.get("exact_match"), Some(0.5));
        assert_eq!(found.get("token_error_rate"), Some(1.0 / 3.0));
        assert_eq!(sequence_metrics::<u32>(&[]).iter().count(), 0);
    }

    proptest! {
        #[test]
        fn it_is_a_metric(a: Vec<u8>, b: Vec<u8>, c: Vec<u8>) {
            prop_assert_eq!(edit_distance(&a, &b), edit_distance(&b, &a));
            prop_assert_eq!(edit_distance(&a, &b) == 0, a == b);
            prop_assert!(edit_distance(&a, &c) <= edit_distance(&a, &b) + edit_distance(&b, &c));
            prop_assert!(edit_distance(&a, &b) <= a.len().max(b.len()));
        }
    }
}
