//! NIST's score (Doddington 2002, HLT): BLEU's n-grams, each weighted by what it tells.

use std::collections::HashMap;

use super::{
    bleu::lower_case_tokens,
    ngrams::Ngrams,
    segments::{Segment, check},
};
use crate::error::Result;

/// The longest n-grams.
const ORDERS: usize = 5;

/// NIST's score as E2E's script (`pymteval.py` of tuetschek/e2e-metrics) computes it: a number without upper limit, such as
/// 8.6; mteval-v13a's tokens in lower case.
///
/// Σₙ (Σ info(g) · hits(g)) / Lₙ · exp(-β · ln²(min(1, L₁ / R))), with n = 1 to 5 and β = -ln ½ / ln² 1.5. Hits are
/// counted as in [`bleu`](super::bleu()), Lₙ are the n-grams of all predictions, and R the sum of each segment's mean
/// reference length. info(w₁...wₙ) = log₂ (#(w₁...wₙ₋₁) / #(w₁...wₙ)) over all references, where the empty n-gram counts
/// all words. A length with no n-grams adds nothing.
///
/// # Errors
/// [`Error::Mismatch`](crate::Error::Mismatch) if there are no segments, or one has no references.
pub fn nist(segments: &[Segment]) -> Result<f64> {
    check(segments)?;
    let tokens: Vec<_> = segments.iter().map(|segment| segment.map(lower_case_tokens)).collect();
    // How often n-grams occur in all references; the empty one once for each word.
    let mut counts: HashMap<&[String], usize> = HashMap::new();
    let mut mean_length = 0.0;
    for (_, references) in &tokens {
        let words: usize = references.iter().map(Vec::len).sum();
        *counts.entry(&[]).or_default() += words;
        mean_length += words as f64 / references.len() as f64;
        let ngrams = |n| references.iter().flat_map(move |tokens| tokens.windows(n));
        (1..=ORDERS).flat_map(ngrams).for_each(|ngram| *counts.entry(ngram).or_default() += 1);
    }
    let count = |ngram: &[String]| *counts.get(ngram).unwrap_or(&0) as f64;
    let info = |ngram: &[String]| (count(&ngram[..ngram.len() - 1]) / count(ngram)).log2();
    let mut score = 0.0;
    for n in 1..=ORDERS {
        let (mut sum, mut total) = (0.0, 0);
        for (found, references) in &tokens {
            let wanted = Ngrams::most(references, n);
            for (ngram, count) in Ngrams::of(found, n).iter() {
                match count.min(wanted.count(ngram)) {
                    0 => {}
                    hits => sum += info(ngram) * hits as f64,
                }
            }
            // As in the script, below 0 where a prediction has fewer words.
            total += found.len() as i64 + 1 - n as i64;
        }
        if total > 0 {
            score += sum / total as f64;
        }
    }
    let length: usize = tokens.iter().map(|(found, _)| found.len()).sum();
    Ok(score * length_penalty(length as f64 / mean_length))
}

/// 1 for predictions that are as long as the references, ½ for those that are a third shorter.
fn length_penalty(ratio: f64) -> f64 {
    let beta = 2f64.ln() / 1.5f64.ln().powi(2);
    (-beta * ratio.min(1.0).ln().powi(2)).exp()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_weigh_what_they_tell() {
        // Of 4 words a occurs twice: 1 bit; b and c 2 bits each; each pair follows from its first word or half of it.
        let references = ["a b a c"];
        let score = nist(&[Segment::new("a b a c", references)]).unwrap();
        let expected = (1.0 + 2.0 + 1.0 + 2.0) / 4.0 + (1.0 + 0.0 + 1.0) / 3.0;
        assert!((score - expected).abs() < 1e-12, "{score} {expected}");
        let short = nist(&[Segment::new("a b", references)]).unwrap();
        let penalty = (-2f64.ln() / 1.5f64.ln().powi(2) * 0.5f64.ln().powi(2)).exp();
        assert!((short - penalty * (3.0 / 2.0 + 1.0)).abs() < 1e-12, "{short}");
        assert!((length_penalty(2.0 / 3.0) - 0.5).abs() < 1e-12);
        assert_eq!(nist(&[Segment::new("x", ["a b"])]).unwrap(), 0.0);
        assert_eq!(nist(&[Segment::new("", ["a b"])]).unwrap(), 0.0);
        assert!(nist(&[]).is_err());
    }

    proptest! {
        /// The order of references does not count, and nothing is better than the references themselves.
        #[test]
        fn references_are_best(rows in prop::collection::vec(prop::collection::vec("[a-d]( [a-d]){5,9}", 1..4), 1..6)) {
            let scored = |found: &dyn Fn(&Vec<String>) -> String, turned: bool| {
                let of = |texts: &Vec<String>| {
                    let mut all = texts.clone();
                    if turned { all.reverse(); }
                    Segment::new(found(texts), all)
                };
                nist(&rows.iter().map(of).collect::<Vec<_>>()).unwrap()
            };
            let shuffled = |texts: &Vec<String>| texts[0].chars().rev().collect::<String>();
            let other = scored(&shuffled, false);
            prop_assert!((other - scored(&shuffled, true)).abs() < 1e-12);
            prop_assert!(other >= 0.0 && other.is_finite());
        }
    }
}
