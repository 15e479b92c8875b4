//! ROUGE (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"), as the Python package rouge-score
//! computes it with its stemmer: n-grams or a longest common subsequence that a prediction shares with a reference.
//!
//! Each score is F1, the harmonic mean of precision (shared among the prediction's) and recall (among the reference's);
//! of several references the best one counts, and of several predictions the mean.

use std::collections::HashMap;

use super::{
    ngrams::Ngrams,
    porter::porter_stem,
    score::Score,
    segments::{Segment, check},
};
use crate::error::{Error, Result};

/// What prediction and reference are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rouge {
    /// n-grams of this length, 1 or more.
    N(usize),
    /// The longest common subsequence of words.
    L,
    /// The union of the longest common subsequences of each sentence of the reference with all sentences of the
    /// prediction. Sentences are lines.
    Lsum,
}

/// The mean F1 over the segments, as a fraction.
///
/// # Errors
/// [`Error::Mismatch`] if there are no segments, or one has no references; for n-grams of length 0.
pub fn rouge(kind: Rouge, segments: &[Segment]) -> Result<f64> {
    check(segments)?;
    if kind == Rouge::N(0) {
        return Err(Error::Mismatch("found n-grams of length 0, expected 1 or more".into()));
    }
    let best = |segment: &Segment| match kind {
        Rouge::N(n) => {
            best_of(segment.map(rouge_tokens), |found, wanted| of_ngrams(found, wanted, n))
        }
        Rouge::L => {
            best_of(segment.map(rouge_tokens), |found, wanted| of_subsequence(found, wanted))
        }
        Rouge::Lsum => best_of(segment.map(sentences), |found, wanted| of_sentences(found, wanted)),
    };
    Ok(segments.iter().map(best).sum::<f64>() / segments.len() as f64)
}

/// Runs of ASCII letters and digits in lower case, those of more than three by their stem.
pub fn rouge_tokens(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| if word.len() > 3 { porter_stem(word) } else { word.to_owned() }).collect()
}

fn sentences(text: &str) -> Vec<Vec<String>> {
    text.split('\n').filter(|line| !line.is_empty()).map(rouge_tokens).collect()
}

fn best_of<T>((found, references): (T, Vec<T>), score: impl Fn(&T, &T) -> f64) -> f64 {
    references.iter().map(|reference| score(&found, reference)).fold(0.0, f64::max)
}

/// F1 of `hits` among so many of the prediction and of the reference.
fn f1(hits: usize, found: usize, wanted: usize) -> f64 {
    Score::of_counts([hits, found, wanted]).f1
}

fn of_ngrams(found: &[String], wanted: &[String], n: usize) -> f64 {
    let (found, wanted) = (Ngrams::of(found, n), Ngrams::of(wanted, n));
    f1(found.shared(&wanted), found.total(), wanted.total())
}

fn of_subsequence(found: &[String], wanted: &[String]) -> f64 {
    f1(common_subsequence(wanted, found).len(), found.len(), wanted.len())
}

/// A word counts at most as often as on either side.
fn of_sentences(found: &[Vec<String>], wanted: &[Vec<String>]) -> f64 {
    let counts = |sentences: &[Vec<String>]| {
        let mut counts: HashMap<String, usize> = HashMap::new();
        sentences.iter().flatten().for_each(|word| *counts.entry(word.clone()).or_default() += 1);
        counts
    };
    let (mut left_found, mut left_wanted) = (counts(found), counts(wanted));
    let mut hits = 0;
    for sentence in wanted {
        let common = found.iter().flat_map(|other| common_subsequence(sentence, other));
        let mut union: Vec<usize> = common.collect();
        union.sort_unstable();
        union.dedup();
        for word in union.into_iter().map(|at| &sentence[at]) {
            if let (Some(a @ 1..), Some(b @ 1..)) =
                (left_found.get_mut(word), left_wanted.get_mut(word))
            {
                hits += 1;
                *a -= 1;
                *b -= 1;
            }
        }
    }
    let length = |sentences: &[Vec<String>]| sentences.iter().map(Vec::len).sum();
    f1(hits, length(found), length(wanted))
}

/// The places in `wanted` of one of the longest common subsequences, from the last on; of several, the one that
/// rouge-score finds.
fn common_subsequence(wanted: &[String], found: &[String]) -> Vec<usize> {
    // Lengths for the first i words of one and the first j of the other.
    let mut lengths = vec![vec![0usize; found.len() + 1]; wanted.len() + 1];
    for (i, word) in wanted.iter().enumerate() {
        for (j, other) in found.iter().enumerate() {
            lengths[i + 1][j + 1] = match word == other {
                true => lengths[i][j] + 1,
                false => lengths[i][j + 1].max(lengths[i + 1][j]),
            };
        }
    }
    let (mut i, mut j, mut places) = (wanted.len(), found.len(), Vec::new());
    while i > 0 && j > 0 {
        if wanted[i - 1] == found[j - 1] {
            places.push(i - 1);
            (i, j) = (i - 1, j - 1);
        } else if lengths[i][j - 1] > lengths[i - 1][j] {
            j -= 1;
        } else {
            i -= 1;
        }
    }
    places
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Rouge; 4] = [Rouge::N(1), Rouge::N(2), Rouge::L, Rouge::Lsum];

    fn of(kind: Rouge, prediction: &str, references: &[&str]) -> f64 {
        rouge(kind, &[Segment::new(prediction, references.iter().copied())]).unwrap()
    }

    #[test]
    fn words_are_compared_by_stem() {
        assert_eq!(
            rouge_tokens("Über-cats, RUNNING; it's 3.14 é!"),
            ["ber", "cat", "run", "it", "s", "3", "14"]
        );
        assert_eq!(of(Rouge::N(1), "the cat runs", &["a cat", "the cats running"]), 1.0);
        assert_eq!(of(Rouge::N(2), "police killed the gunman", &["police kill the gunman"]), 1.0);
        assert_eq!(of(Rouge::L, "police kill the gunman", &["the gunman kill police"]), 0.5);
        ALL.iter().for_each(|kind| assert_eq!(of(*kind, "", &["a"]), 0.0));
        ALL.iter().for_each(|kind| assert_eq!(of(*kind, "…", &["…"]), 0.0));
        let error = rouge(Rouge::N(0), &[Segment::new("a", ["a"])]).unwrap_err().to_string();
        assert!(error.contains("length 0, expected 1 or more"), "{error}");
    }

    #[test]
    fn lines_are_sentences() {
        let reference = "w1 w2 w3 w4 w5";
        // The example of the paper: the union of both subsequences has w1, w2, w3 and w5.
        let found = of(Rouge::Lsum, "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", &[reference]);
        assert!((found - 2.0 * 0.4 * 0.8 / 1.2).abs() < 1e-12, "{found}");
        // Their order does not count, as it does within one.
        assert_eq!(of(Rouge::Lsum, "w4 w5\nw1 w2 w3", &[reference]), 1.0);
        assert_eq!(of(Rouge::L, "w4 w5\nw1 w2 w3", &[reference]), 0.6);
    }

    proptest! {
        /// A copy has 1, and the order of references does not count.
        #[test]
        fn copies_are_perfect(found in "[a-d]( [a-d]){1,9}", others in prop::collection::vec("[a-d ]{0,12}", 0..4)) {
            for kind in ALL {
                let mut all: Vec<&str> = others.iter().map(String::as_str).collect();
                let first = if all.is_empty() { 0.0 } else { of(kind, &found, &all) };
                all.reverse();
                prop_assert!(all.is_empty() || first == of(kind, &found, &all));
                all.push(&found);
                prop_assert_eq!(of(kind, &found, &all), 1.0);
            }
        }
    }
}
