//! Which rows are the examples.

use std::collections::{BTreeMap, BTreeSet};

use peft_core::contract::rng;
use rand::seq::SliceRandom;

/// A row as an example: its input and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shot {
    /// The input.
    pub source: String,
    /// The answer.
    pub target: String,
}

impl Shot {
    /// Both as one text. Where neither side has a blank at the joint, one is put there.
    pub fn text(&self) -> String {
        let joined = self.source.ends_with(char::is_whitespace)
            || self.target.starts_with(char::is_whitespace)
            || self.source.is_empty();
        format!("{}{}{}", self.source, if joined { "" } else { " " }, self.target)
    }
}

/// The rows that may be drawn: of those with the same input the first, and none of an input in `scored`; with how many
/// were left out since they are.
pub fn pool(rows: impl IntoIterator<Item = Shot>, scored: &BTreeSet<String>) -> (Vec<Shot>, usize) {
    let (mut pool, mut known, mut left_out) = (Vec::new(), BTreeSet::new(), 0);
    for shot in rows {
        if scored.contains(shot.source.trim()) {
            left_out += 1;
        } else if known.insert(shot.source.trim().to_string()) {
            pool.push(shot);
        }
    }
    (pool, left_out)
}

/// `count` examples of the pool, drawn by `seed`, in the order in which they stand in front of a row. With `by_target`, one
/// of each target in turn, in an order that is drawn anew for each turn, so that no target has more than one example
/// more than another, unless its rows are too few. The first of more examples are those of fewer.
pub fn draw(pool: &[Shot], count: usize, seed: u64, by_target: bool) -> Vec<Shot> {
    let mut rng = rng::stream(seed, 0, "shots/draw");
    let mut of_target: BTreeMap<&str, Vec<&Shot>> = BTreeMap::new();
    for shot in pool {
        let key = if by_target { shot.target.trim() } else { "" };
        of_target.entry(key).or_default().push(shot);
    }
    let mut groups: Vec<Vec<&Shot>> = of_target.into_values().collect();
    groups.iter_mut().for_each(|group| group.shuffle(&mut rng));
    let mut drawn = Vec::with_capacity(count.min(pool.len()));
    while drawn.len() < count.min(pool.len()) {
        groups.shuffle(&mut rng);
        drawn.extend(groups.iter_mut().filter_map(Vec::pop).cloned());
    }
    drawn.truncate(count);
    drawn
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shot(source: impl ToString, target: impl ToString) -> Shot {
        Shot { source: source.to_string(), target: target.to_string() }
    }

    #[test]
    fn a_blank_stands_between_input_and_answer() {
        for (source, target, text) in [
            ("a:", " b", "a: b"),
            ("a\n", "b", "a\nb"),
            ("question: cause", "choice1", "question: cause choice1"),
            ("", "b", "b"),
        ] {
            assert_eq!(shot(source, target).text(), text);
        }
    }

    #[test]
    fn rows_that_are_scored_and_repetitions_are_no_examples() {
        let rows = [shot("a", 1), shot("b", 1), shot("a", 2), shot(" c ", 1), shot("c", 3)];
        let scored = BTreeSet::from(["b".to_string()]);
        let expected = vec![shot("a", 1), shot(" c ", 1)];
        assert_eq!(pool(rows, &scored), (expected, 1));
    }

    proptest! {
        /// The same for the same seed, none twice, balanced as far as the rows allow, and nested.
        #[test]
        fn examples_are_balanced_and_nested(
            sizes in prop::collection::vec(1usize..6, 1..5), seed in 0u64..50, count in 0usize..24,
        ) {
            let rows = |(class, size): (usize, &usize)| {
                (0..*size).map(move |row| shot(format!("{class}/{row}"), class)).collect::<Vec<_>>()
            };
            let pool: Vec<Shot> = sizes.iter().enumerate().flat_map(rows).collect();
            let drawn = draw(&pool, count, seed, true);
            prop_assert_eq!(&drawn, &draw(&pool, count, seed, true));
            prop_assert_eq!(drawn.len(), count.min(pool.len()));
            let distinct: BTreeSet<&String> = drawn.iter().map(|shot| &shot.source).collect();
            prop_assert_eq!(distinct.len(), drawn.len());
            let of = |class: usize| drawn.iter().filter(|shot| shot.target == class.to_string()).count();
            let most = (0..sizes.len()).map(of).max().unwrap_or_default();
            for (class, size) in sizes.iter().enumerate() {
                prop_assert!(of(class) + 1 >= most || of(class) == *size, "{:?}", drawn);
            }
            let more = draw(&pool, count + 1, seed, true);
            prop_assert_eq!(&more[..drawn.len()], &drawn[..]);
            let plain = draw(&pool, count, seed, false);
            prop_assert_eq!(&draw(&pool, count + 1, seed, false)[..plain.len()], &plain[..]);
        }
    }

    #[test]
    fn another_seed_draws_others() {
        let pool: Vec<Shot> = (0..40).map(|row| shot(row, row % 2)).collect();
        assert_ne!(draw(&pool, 6, 0, true), draw(&pool, 6, 1, true));
        assert_ne!(draw(&pool, 6, 0, false), draw(&pool, 6, 1, false));
    }
}
