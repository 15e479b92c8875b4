//! Precision, recall and F1 of tagged entities, as in seqeval's default mode and CoNLL's
//! `conlleval` script.
//!
//! The default mode is lenient: an `I-` after `O`, or after an entity of another type, begins an
//! entity. `E-` (end) and `S-` (single) are recognised besides `B-` and `I-`. An entity counts as
//! found if its type, its beginning and its end are right.
//!
//! seqeval: <https://github.com/chakki-works/seqeval>, `metrics/sequence_labeling.py`.

use std::collections::{BTreeMap, BTreeSet};

use super::{score::Score, set::Metrics};
use crate::error::{Error, Result};

/// An entity in a sequence of tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entity {
    /// The type: what follows the tag's `B-` or `I-`; `_` if nothing does.
    pub kind: String,
    /// The index of the first tag.
    pub start: usize,
    /// The index of the last tag, inclusive.
    pub end: usize,
}

/// The scores of predicted tags.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityScores {
    /// Over all entities (micro average).
    pub overall: Score,
    /// Per type that occurs in predictions or references.
    pub by_kind: BTreeMap<String, Score>,
}

impl EntityScores {
    /// Returns the overall `precision`, `recall` and `f1`.
    pub fn metrics(&self) -> Metrics {
        let Score { precision, recall, f1, .. } = self.overall;
        Metrics::from_iter([("precision", precision), ("recall", recall), ("f1", f1)])
    }
}

/// Returns the entities in one sequence of tags, in order.
pub fn entities<S: AsRef<str>>(tags: &[S]) -> Vec<Entity> {
    let mut entities = Vec::new();
    let mut chunks = Chunks::default();
    for tag in tags.iter().map(AsRef::as_ref).chain(["O"]) {
        chunks.push(tag, |kind, start, end| {
            entities.push(Entity { kind: kind.to_owned(), start, end });
        });
    }
    entities
}

/// Scores predicted tags against references, sentence by sentence.
///
/// # Errors
/// [`Error::Mismatch`] if the numbers of sentences differ, or the numbers of tags in a sentence.
pub fn entity_scores<S: AsRef<str>>(
    predictions: &[Vec<S>],
    references: &[Vec<S>],
) -> Result<EntityScores> {
    if predictions.len() != references.len() {
        return Err(Error::Mismatch(format!(
            "found {} tagged sentences for {} references",
            predictions.len(),
            references.len()
        )));
    }
    let lengths = predictions.iter().zip(references).map(|(p, r)| (p.len(), r.len()));
    if let Some((i, (found, expected))) = lengths.enumerate().find(|(_, (p, r))| p != r) {
        return Err(Error::Mismatch(format!(
            "sentence {}: found {found} tags for {expected} references",
            i + 1
        )));
    }
    let (predicted, actual) = (by_kind(predictions), by_kind(references));
    let kinds: BTreeSet<&str> = predicted.keys().chain(actual.keys()).copied().collect();
    let (mut by_kind, mut total) = (BTreeMap::new(), [0; 3]);
    let none = BTreeSet::new();
    for kind in kinds {
        let predicted = predicted.get(kind).unwrap_or(&none);
        let actual = actual.get(kind).unwrap_or(&none);
        let counts = [predicted.intersection(actual).count(), predicted.len(), actual.len()];
        total.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        by_kind.insert(kind.to_owned(), Score::of_counts(counts));
    }
    Ok(EntityScores { overall: Score::of_counts(total), by_kind })
}

/// The beginnings and ends of all entities by type, with positions counted across sentences.
///
/// As in seqeval, the sentences are read as one sequence with an `O` after each.
fn by_kind<S: AsRef<str>>(sentences: &[Vec<S>]) -> BTreeMap<&str, BTreeSet<(usize, usize)>> {
    let mut found: BTreeMap<&str, BTreeSet<(usize, usize)>> = BTreeMap::new();
    let mut chunks = Chunks::default();
    for sentence in sentences {
        for tag in sentence.iter().map(AsRef::as_ref).chain(["O"]) {
            chunks.push(tag, |kind, start, end| {
                found.entry(kind).or_default().insert((start, end));
            });
        }
    }
    found
}

/// Follows a sequence of tags and reports where entities end.
struct Chunks<'a> {
    position: usize,
    start: usize,
    tag: char,
    kind: &'a str,
}

impl Default for Chunks<'_> {
    fn default() -> Self {
        Self { position: 0, start: 0, tag: 'O', kind: "" }
    }
}

impl<'a> Chunks<'a> {
    /// Reads the next tag; `ended` is called with the type, first and last position of an entity
    /// that ended before it.
    fn push(&mut self, tag: &'a str, ended: impl FnOnce(&'a str, usize, usize)) {
        let (tag, kind) = split(tag);
        if ends(self.tag, tag, self.kind, kind) {
            // Nothing ends before the first tag: whatever precedes it is an `O`.
            ended(self.kind, self.start, self.position.saturating_sub(1));
        }
        if starts(self.tag, tag, self.kind, kind) {
            self.start = self.position;
        }
        (self.tag, self.kind) = (tag, kind);
        self.position += 1;
    }
}

/// The letter and the type of a tag: `B` and `PER` for `B-PER`, `B` and `_` for a bare `B`. An
/// empty tag counts as `O`.
fn split(tag: &str) -> (char, &str) {
    let mut chars = tag.chars();
    let letter = chars.next().unwrap_or('O');
    let rest = chars.as_str();
    let kind = rest.split_once('-').map_or(rest, |(_, kind)| kind);
    (letter, if kind.is_empty() { "_" } else { kind })
}

/// Whether an entity ends between two tags.
fn ends(before: char, tag: char, kind_before: &str, kind: &str) -> bool {
    match (before, tag) {
        ('E' | 'S', _) | ('B' | 'I', 'B' | 'S' | 'O') => true,
        ('O' | '.', _) => false,
        _ => kind_before != kind,
    }
}

/// Whether an entity begins at the second of two tags.
fn starts(before: char, tag: char, kind_before: &str, kind: &str) -> bool {
    match (before, tag) {
        (_, 'B' | 'S') | ('E' | 'S' | 'O', 'E' | 'I') => true,
        (_, 'O' | '.') => false,
        _ => kind_before != kind,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans(tags: &str) -> Vec<(String, usize, usize)> {
        let tags: Vec<&str> = tags.split(' ').collect();
        entities(&tags).into_iter().map(|e| (e.kind, e.start, e.end)).collect()
    }

    #[test]
    fn malformed_tags_are_read_as_conlleval_reads_them() {
        let span = |kind: &str, start, end| (kind.to_owned(), start, end);
        assert_eq!(spans("O I-x I-x O"), [span("x", 1, 2)], "I after O begins");
        assert_eq!(spans("B-x I-y I-y"), [span("x", 0, 0), span("y", 1, 2)], "another type begins");
        assert_eq!(spans("B-x B-x"), [span("x", 0, 0), span("x", 1, 1)]);
        assert_eq!(spans("S-x B-x E-x I-x"), [span("x", 0, 0), span("x", 1, 2), span("x", 3, 3)]);
        assert_eq!(spans("B I O"), [span("_", 0, 1)]);
        assert_eq!(spans("B-a-b I-a-b"), [span("a-b", 0, 1)]);
        assert_eq!(spans(""), [], "an empty tag is outside");
        assert_eq!(spans("O O"), []);
    }

    #[test]
    fn entities_do_not_cross_sentences() {
        let tags = vec![vec!["B-x"], vec!["I-x"]];
        assert_eq!(entity_scores(&tags, &tags).unwrap().overall.support, 2);
    }

    #[test]
    fn what_is_undefined_is_0() {
        let (outside, inside) = (vec![vec!["O"]], vec![vec!["B-x"]]);
        let score = |p, r| entity_scores::<&str>(p, r).unwrap().overall;
        assert_eq!(score(&outside, &outside), Score::default());
        assert_eq!(score(&[], &[]), Score::default());
        assert_eq!(score(&outside, &inside), Score { support: 1, ..Score::default() });
        assert_eq!(score(&inside, &outside), Score::default());
        let metrics = entity_scores(&inside, &inside).unwrap().metrics();
        let expected = [("precision", 1.0), ("recall", 1.0), ("f1", 1.0)];
        assert_eq!(metrics, Metrics::from_iter(expected));
    }

    #[test]
    fn sequences_of_different_lengths_are_refused() {
        let one = vec![vec!["O", "O"]];
        let error = entity_scores(&one, &[vec!["O", "O"], vec![]]).unwrap_err().to_string();
        assert_eq!(error, "found 1 tagged sentences for 2 references");
        let error = entity_scores(&one, &[vec!["O"]]).unwrap_err().to_string();
        assert_eq!(error, "sentence 1: found 2 tags for 1 references");
    }

    proptest! {
        /// Well-formed IOB2 gives back the entities it was written from; its F1 with itself is 1.
        #[test]
        fn entities_come_back(
            parts in prop::collection::vec((0usize..3, 1usize..4, 0usize..2), 1..8),
        ) {
            let (mut tags, mut expected) = (Vec::new(), Vec::new());
            for (kind, length, gap) in parts {
                let kind = ["x", "y", "a-b"][kind];
                tags.extend(vec!["O".to_owned(); gap]);
                let (start, end) = (tags.len(), tags.len() + length - 1);
                expected.push(Entity { kind: kind.to_owned(), start, end });
                tags.push(format!("B-{kind}"));
                tags.extend(vec![format!("I-{kind}"); length - 1]);
            }
            prop_assert_eq!(entities(&tags), expected);
            let sentences = [tags];
            prop_assert_eq!(entity_scores(&sentences, &sentences).unwrap().overall.f1, 1.0);
        }

        /// No tags make it panic.
        #[test]
        fn any_tags_are_read(tags in prop::collection::vec("[BIESOXé.]?-?[-a]{0,2}", 0..12)) {
            let found = entities(&tags);
            prop_assert!(found.iter().all(|entity| entity.end < tags.len()));
        }
    }
}
