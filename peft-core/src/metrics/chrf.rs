//! chrF and chrF++ (Popović 2015 and 2017, WMT), as sacrebleu computes them: n-grams of characters, and of words, that a
//! prediction shares with a reference.

use super::{
    ngrams::Ngrams,
    segments::{Segment, check, words},
};
use crate::error::Result;

/// The longest n-grams of characters.
const CHARACTERS: usize = 6;
/// Recall counts β² times as much as precision.
const BETA: f64 = 2.0;

/// chrF, as a fraction (sacrebleu prints 100 times as much): F₂ of the mean precision and the mean recall of n-grams of
/// 1 to 6 characters, blanks left out. Counts are summed over all segments, each with the reference that is best for
/// it. Lengths that a text is too short for are left out of the means.
///
/// # Errors
/// [`Error::Mismatch`](crate::Error::Mismatch) if there are no segments, or one has no references.
pub fn chrf(segments: &[Segment]) -> Result<f64> {
    of_orders(segments, 0)
}

/// chrF++: [`chrf`] with n-grams of 1 and 2 words beside those of characters. ASCII punctuation at an end of a word, the
/// last character before the first, is a word of its own.
///
/// # Errors
/// As for [`chrf`].
pub fn chrf_plus_plus(segments: &[Segment]) -> Result<f64> {
    of_orders(segments, 2)
}

fn of_orders(segments: &[Segment], word_orders: usize) -> Result<f64> {
    check(segments)?;
    let mut sums = vec![Counts::default(); CHARACTERS + word_orders];
    for segment in segments {
        let (found, references) = segment.map(Units::of);
        let (mut best, mut best_score) = (Vec::new(), -1.0);
        for reference in &references {
            let counts = found.compared(reference, word_orders);
            let score = f_score(&counts);
            if score > best_score {
                (best, best_score) = (counts, score);
            }
        }
        sums.iter_mut().zip(best).for_each(|(sum, counts)| sum.add(counts));
    }
    Ok(f_score(&sums))
}

/// A text as characters and as words.
struct Units {
    characters: Vec<char>,
    words: Vec<String>,
}

impl Units {
    fn of(text: &str) -> Self {
        Self {
            characters: words(text).flat_map(str::chars).collect(),
            words: words(text).flat_map(apart).map(str::to_owned).collect(),
        }
    }

    /// The counts of each order with a reference.
    fn compared(&self, reference: &Self, word_orders: usize) -> Vec<Counts> {
        let characters =
            (1..=CHARACTERS).map(|n| Counts::of(&self.characters, &reference.characters, n));
        let words = (1..=word_orders).map(|n| Counts::of(&self.words, &reference.words, n));
        characters.chain(words).collect()
    }
}

/// A word without the ASCII punctuation at one of its ends, and that punctuation.
fn apart(word: &str) -> Vec<&str> {
    let mut characters = word.char_indices();
    match (characters.next(), characters.next_back()) {
        (Some(_), Some((last, c))) if c.is_ascii_punctuation() => {
            vec![&word[..last], &word[last..]]
        }
        (Some((_, first)), Some(_)) if first.is_ascii_punctuation() => {
            vec![&word[..1], &word[1..]]
        }
        _ => vec![word],
    }
}

/// The n-grams of one length.
#[derive(Clone, Copy, Default)]
struct Counts {
    found: usize,
    wanted: usize,
    both: usize,
}

impl Counts {
    fn of<T: Ord>(found: &[T], wanted: &[T], n: usize) -> Self {
        let (found, wanted) = (Ngrams::of(found, n), Ngrams::of(wanted, n));
        let both = found.shared(&wanted);
        let (found, wanted) = (found.total(), wanted.total());
        // As in sacrebleu, what the reference is too short for does not count against the prediction.
        Self { found: if wanted == 0 { 0 } else { found }, wanted, both }
    }

    fn add(&mut self, other: Self) {
        self.found += other.found;
        self.wanted += other.wanted;
        self.both += other.both;
    }
}

fn f_score(counts: &[Counts]) -> f64 {
    let known: Vec<&Counts> = counts.iter().filter(|of| of.found > 0 && of.wanted > 0).collect();
    let mean = |whole: fn(&Counts) -> usize| {
        let sum: f64 = known.iter().map(|of| of.both as f64 / whole(of) as f64).sum();
        sum / known.len().max(1) as f64
    };
    let (precision, recall) = (mean(|of| of.found), mean(|of| of.wanted));
    match precision + recall {
        0.0 => 0.0,
        _ => (1.0 + BETA * BETA) * precision * recall / (BETA * BETA * precision + recall),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn punctuation_is_parted_from_words() {
        for (word, parts) in [
            ("(hi)", &["(hi", ")"][..]),
            ("\"hi", &["\"", "hi"]),
            (".", &["."]),
            ("é", &["é"]),
            ("é.", &["é", "."]),
            ("hi", &["hi"]),
        ] {
            assert_eq!(apart(word), parts);
        }
    }

    #[test]
    fn lengths_that_do_not_exist_are_left_out() {
        // One character: of six lengths only the first counts.
        assert_eq!(chrf(&[Segment::new("a", ["a"])]).unwrap(), 1.0);
        assert_eq!(chrf(&[Segment::new("", ["a"])]).unwrap(), 0.0);
        assert_eq!(chrf(&[Segment::new("", [""])]).unwrap(), 0.0);
        // Precision 1/2 and 0, recall 1 and nothing: the pairs are left out.
        let found = chrf(&[Segment::new("ab", ["a"])]).unwrap();
        assert!((found - 5.0 * 0.5 / (4.0 * 0.5 + 1.0)).abs() < 1e-12, "{found}");
        assert!(chrf_plus_plus(&[]).is_err());
    }

    proptest! {
        /// A copy has 1, blanks do not count for chrF, and scores are fractions.
        #[test]
        fn copies_are_perfect(text in "[a-dé.]{1,9}( [a-d.]{1,3}){0,4}", other in "[a-d. ]{0,12}") {
            let copy = [Segment::new(&text, [other.as_str(), &text])];
            prop_assert!((chrf(&copy).unwrap() - 1.0).abs() < 1e-12);
            prop_assert!((chrf_plus_plus(&copy).unwrap() - 1.0).abs() < 1e-12);
            let spread: String = text.chars().flat_map(|c| [c, ' ']).collect();
            let plain = chrf(&[Segment::new(&text, [other.as_str()])]).unwrap();
            prop_assert_eq!(plain, chrf(&[Segment::new(&spread, [other.as_str()])]).unwrap());
            prop_assert!((0.0..=1.0 + 1e-12).contains(&plain));
        }
    }
}
