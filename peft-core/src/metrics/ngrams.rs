//! n-grams of a sequence, counted.

/// The n-grams of a sequence with the number of times that each occurs, in order.
#[derive(Clone, Debug)]
pub(super) struct Ngrams<'t, T>(Vec<(&'t [T], usize)>);

impl<'t, T: Ord> Ngrams<'t, T> {
    /// Counts the n-grams of `tokens`; `n` is at least 1.
    pub fn of(tokens: &'t [T], n: usize) -> Self {
        let mut all: Vec<&[T]> = tokens.windows(n).collect();
        all.sort_unstable();
        Self(all.chunk_by(|a, b| a == b).map(|same| (same[0], same.len())).collect())
    }

    /// The n-grams of several sequences, each as often as in the sequence that has most of it.
    pub fn most(tokens: &'t [Vec<T>], n: usize) -> Self {
        let mut all: Vec<_> = tokens.iter().flat_map(|tokens| Self::of(tokens, n).0).collect();
        all.sort_unstable();
        // Of one n-gram the largest count comes last.
        let last = |same: &[(&'t [T], usize)]| same[same.len() - 1];
        Self(all.chunk_by(|a, b| a.0 == b.0).map(last).collect())
    }

    /// The n-grams with their counts, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'t [T], usize)> {
        self.0.iter().copied()
    }

    /// How often an n-gram occurs.
    pub fn count(&self, ngram: &[T]) -> usize {
        self.0.binary_search_by(|(known, _)| (*known).cmp(ngram)).map_or(0, |at| self.0[at].1)
    }

    /// The number of n-grams, each as often as it occurs.
    pub fn total(&self) -> usize {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The n-grams that both have, each as often as in the one that has fewer of it.
    pub fn shared(&self, other: &Self) -> usize {
        self.iter().map(|(ngram, count)| count.min(other.count(ngram))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ngrams_are_counted_merged_and_compared() {
        let tokens = ["a", "b", "a", "b", "c"];
        let pairs = Ngrams::of(&tokens, 2);
        assert_eq!(pairs.count(&["a", "b"]), 2);
        assert_eq!((pairs.count(&["c", "a"]), pairs.total(), pairs.iter().count()), (0, 4, 3));
        assert_eq!(Ngrams::of(&tokens, 6).total(), 0);
        let others = [vec!["a", "b"], vec!["a", "a", "c"]];
        let most = Ngrams::most(&others, 1);
        assert_eq!((most.count(&["a"]), most.count(&["b"]), most.total()), (2, 1, 4));
        assert_eq!(Ngrams::of(&tokens, 1).shared(&most), 4);
        assert_eq!(most.shared(&Ngrams::of(&tokens, 1)), 4);
    }
}
