//! BLEU (Papineni et al. 2002, ACL): how many n-grams of the predictions, n = 1 to 4, are in the references, times a
//! penalty for predictions that are shorter than these.
//!
//! BLEU = BP · exp(¼ Σₙ ln pₙ), where pₙ are the n-grams that were found, each at most as often as in the reference that
//! has most of it, among all n-grams of all predictions; BP = exp(1 - r / c) where the predictions' length c is below r,
//! the sum of the lengths of the references that are closest to their prediction in length (the shorter of two).

use super::{
    mteval::mteval_tokens,
    ngrams::Ngrams,
    segments::{Segment, check},
};
use crate::error::Result;

/// The longest n-grams.
const ORDERS: usize = 4;

/// BLEU as E2E's script (`pymteval.py` of tuetschek/e2e-metrics) computes it, as a fraction: mteval-v13a's tokens in
/// lower case.
///
/// In that script a prediction of c words counts c + 1 - n n-grams even if that is below 0, and one without words counts
/// as one word; where there are no n-grams or none is right, a tiny number stands for 0.
///
/// # Errors
/// [`Error::Mismatch`](crate::Error::Mismatch) if there are no segments, or one has no references.
pub fn bleu(segments: &[Segment]) -> Result<f64> {
    const TINY: f64 = 1e-15;
    const SMALL: f64 = 1e-9;
    check(segments)?;
    let mut counts = Counts::default();
    for segment in segments {
        let (found, references) = segment.map(lower_case_tokens);
        counts.add(&found, &references);
        let length = found.len() as i64;
        (0..ORDERS).for_each(|n| counts.totals[n] += length - n as i64);
    }
    let precisions: f64 = (counts.hits.iter().zip(counts.totals))
        .map(|(hits, total)| (*hits as f64).max(TINY) / (total as f64).max(SMALL))
        .map(f64::ln)
        .sum();
    Ok(counts.brevity_penalty() * (precisions / ORDERS as f64).exp())
}

/// The tokens of `pymteval.py`: mteval-v13a's in lower case; of a text without any, one that is empty.
pub(super) fn lower_case_tokens(text: &str) -> Vec<String> {
    let tokens: Vec<String> =
        mteval_tokens(text).iter().map(|token| token.to_lowercase()).collect();
    if tokens.is_empty() { vec![String::new()] } else { tokens }
}

/// BLEU as sacrebleu computes it by default, as a fraction (it prints 100 times as much): mteval-v13a's tokens with their
/// case; where no n-gram of a length is right, a count of 1/2, of the next such length 1/4, and so on.
///
/// # Errors
/// [`Error::Mismatch`](crate::Error::Mismatch) if there are no segments, or one has no references.
pub fn sacrebleu(segments: &[Segment]) -> Result<f64> {
    check(segments)?;
    let mut counts = Counts::default();
    for segment in segments {
        let (found, references) = segment.map(mteval_tokens);
        counts.add(&found, &references);
        (0..ORDERS).for_each(|n| counts.totals[n] += found.len().saturating_sub(n) as i64);
    }
    if counts.hits == [0; ORDERS] || counts.totals.contains(&0) {
        return Ok(0.0);
    }
    let mut smoothing = 1.0;
    let mut precisions = 0.0;
    for (hits, total) in counts.hits.iter().zip(counts.totals) {
        let hits = match hits {
            0 => {
                smoothing /= 2.0;
                smoothing
            }
            hits => *hits as f64,
        };
        precisions += (hits / total as f64).ln();
    }
    Ok(counts.brevity_penalty() * (precisions / ORDERS as f64).exp())
}

/// What is counted over all segments.
#[derive(Default)]
struct Counts {
    /// n-grams of predictions that are in the references, for n = 1 to 4.
    hits: [usize; ORDERS],
    /// n-grams of predictions.
    totals: [i64; ORDERS],
    /// Words of predictions.
    length: usize,
    /// Words of the references that are closest in length.
    reference_length: usize,
}

impl Counts {
    /// Adds the hits and lengths of a prediction.
    fn add(&mut self, found: &[String], references: &[Vec<String>]) {
        for (n, hits) in (1..).zip(&mut self.hits) {
            *hits += Ngrams::of(found, n).shared(&Ngrams::most(references, n));
        }
        self.length += found.len();
        let lengths = references.iter().map(Vec::len);
        self.reference_length +=
            lengths.min_by_key(|length| (length.abs_diff(found.len()), *length)).unwrap_or(0);
    }

    fn brevity_penalty(&self) -> f64 {
        match self.length {
            0 => 0.0,
            length if length >= self.reference_length => 1.0,
            length => (1.0 - self.reference_length as f64 / length as f64).exp(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_are_clipped_and_the_closest_length_counts() {
        // 2 of 7 words, no pair of 6, none of 5 and 4.
        let the = "the the the the the the the";
        let segment = [Segment::new(the, ["The cat is on the mat", "There is a cat on the mat"])];
        let tiny: f64 = 2.0 / 7.0 * (1e-15 / 6.0) * (1e-15 / 5.0) * (1e-15 / 4.0);
        assert!((bleu(&segment).unwrap() / tiny.powf(0.25) - 1.0).abs() < 1e-9);
        // With its case one word is right.
        let smoothed: f64 = 2.0 / 7.0 * (0.5 / 6.0) * (0.25 / 5.0) * (0.125 / 4.0);
        let one = [Segment::new(the, ["The cat is on the mat", "The cat is there on the the"])];
        assert!((sacrebleu(&one).unwrap() / smoothed.powf(0.25) - 1.0).abs() > 0.1);
        assert!(
            (sacrebleu(&segment[..1]).unwrap() / (smoothed / 2.0).powf(0.25) - 1.0).abs() < 1e-9
        );
    }

    #[test]
    fn short_predictions_have_no_score() {
        let one = [Segment::new("yes", ["yes"])];
        assert_eq!(sacrebleu(&one).unwrap(), 0.0);
        assert!(bleu(&one).unwrap() < 1e-3);
        let none = [Segment::new("", ["yes it is so"])];
        assert_eq!(sacrebleu(&none).unwrap(), 0.0);
        assert!(bleu(&none).unwrap() < 1e-3);
        assert!(bleu(&[]).is_err() && sacrebleu(&[]).is_err());
    }

    proptest! {
        /// A copy of a reference has 1, whatever the other references are; their order does not count.
        #[test]
        fn copies_are_perfect(rows in prop::collection::vec(prop::collection::vec("[a-d]( [a-dA-D.]){3,9}", 1..4), 1..6)) {
            let copied: Vec<_> = rows.iter().map(|texts| Segment::new(&texts[0], texts)).collect();
            prop_assert!((bleu(&copied).unwrap() - 1.0).abs() < 1e-12);
            prop_assert!((sacrebleu(&copied).unwrap() - 1.0).abs() < 1e-12);
            let others = |turned: bool| -> Vec<Segment> {
                let found = rows.iter().rev().map(|texts| &texts[0]);
                let of = |(found, texts): (&String, &Vec<String>)| {
                    let mut texts = texts.clone();
                    if turned { texts.reverse(); }
                    Segment::new(found, texts)
                };
                found.zip(&rows).map(of).collect()
            };
            for score in [bleu, sacrebleu] {
                let found = score(&others(false)).unwrap();
                prop_assert!((0.0..=1.0 + 1e-12).contains(&found));
                prop_assert_eq!(found, score(&others(true)).unwrap());
            }
        }
    }
}
