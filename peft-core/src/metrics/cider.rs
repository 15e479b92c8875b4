//! CIDEr-D (Vedantam et al. 2015, arXiv 1411.5726), as pycocoevalcap computes it: how alike the n-grams of a prediction
//! and of its references are, where those that occur with few inputs count more.

use std::collections::{HashMap, HashSet};

use super::{
    caption::caption_tokens,
    ngrams::Ngrams,
    segments::{Segment, check},
};
use crate::error::Result;

/// The longest n-grams.
const ORDERS: usize = 4;
/// The deviation of the penalty for other lengths, in pairs of words.
const SIGMA: f64 = 6.0;

/// CIDEr-D, from 0 to 10, of [`caption_tokens`].
///
/// For each n from 1 to 4, g(n-gram) = count · ln(I / number of the I segments whose references have it); the similarity of
/// prediction and reference is Σ min(g, g') · g' / (‖g‖ ‖g'‖) · exp(-δ² / 2σ²), with δ the difference of their lengths and
/// σ = 6. The score is ten times its mean over n, references and segments. One segment alone has 0.
///
/// # Errors
/// [`Error::Mismatch`](crate::Error::Mismatch) if there are no segments, or one has no references.
pub fn cider(segments: &[Segment]) -> Result<f64> {
    check(segments)?;
    let tokens: Vec<_> = segments.iter().map(|segment| segment.map(caption_tokens)).collect();
    let mut known_by: HashMap<&[String], usize> = HashMap::new();
    for (_, references) in &tokens {
        let ngrams = |n| references.iter().flat_map(move |tokens| tokens.windows(n));
        let own: HashSet<&[String]> = (1..=ORDERS).flat_map(ngrams).collect();
        own.into_iter().for_each(|ngram| *known_by.entry(ngram).or_default() += 1);
    }
    let all = (segments.len() as f64).ln();
    let weight = |ngram: &[String]| all - (*known_by.get(ngram).unwrap_or(&1) as f64).ln();
    let mut sum = 0.0;
    for (found, references) in &tokens {
        let found = Weighted::of(found, &weight);
        let similarity = |words: &Vec<String>| found.similarity(&Weighted::of(words, &weight));
        sum += references.iter().map(similarity).sum::<f64>() / references.len() as f64;
    }
    Ok(10.0 * sum / segments.len() as f64)
}

/// The n-grams of one length in order, each with its weight.
type Weights<'t> = Vec<(&'t [String], f64)>;

/// The n-grams of a text with their weights.
struct Weighted<'t> {
    /// Those of each length, and their norm.
    orders: Vec<(Weights<'t>, f64)>,
    /// The number of pairs of words.
    pairs: usize,
}

impl<'t> Weighted<'t> {
    fn of(words: &'t [String], weight: &impl Fn(&[String]) -> f64) -> Self {
        let order = |n| {
            let weigh =
                |(ngram, count): (&'t [String], usize)| (ngram, count as f64 * weight(ngram));
            let weighed: Weights<'_> = Ngrams::of(words, n).iter().map(weigh).collect();
            let norm = weighed.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt();
            (weighed, norm)
        };
        Self { orders: (1..=ORDERS).map(order).collect(), pairs: words.len().saturating_sub(1) }
    }

    /// The mean similarity over n.
    fn similarity(&self, reference: &Self) -> f64 {
        let mut sum = 0.0;
        for ((found, norm), (wanted, other_norm)) in self.orders.iter().zip(&reference.orders) {
            let product = |(ngram, weight): &(&[String], f64)| {
                let at = wanted.binary_search_by(|(known, _)| (*known).cmp(ngram)).ok()?;
                Some(weight.min(wanted[at].1) * wanted[at].1)
            };
            let product: f64 = found.iter().filter_map(product).sum();
            if *norm != 0.0 && *other_norm != 0.0 {
                sum += product / (norm * other_norm);
            }
        }
        let delta = self.pairs.abs_diff(reference.pairs) as f64;
        sum / ORDERS as f64 * (-delta * delta / (2.0 * SIGMA * SIGMA)).exp()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_all_inputs_have_tells_nothing() {
        let of = |first: &str| {
            cider(&[
                Segment::new(first, ["a cat sits on the mat"]),
                Segment::new("a dog runs over the street", ["a dog runs over the street"]),
            ])
            .unwrap()
        };
        assert!((of("a cat sits on the mat") - 10.0).abs() < 1e-9);
        assert!(
            (of("A cat sits on the mat.") - 10.0).abs() < 1e-9,
            "case and full stops are no words"
        );
        assert!((of("a the") - 5.0).abs() < 1e-9);
        assert!(of("a cat") > of("a the") && of("a cat") < of("a cat sits on the mat"));
        assert_eq!(cider(&[Segment::new("a cat", ["a cat"])]).unwrap(), 0.0);
        assert!(cider(&[]).is_err());
    }
}
