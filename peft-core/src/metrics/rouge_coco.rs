//! ROUGE-L as pycocoevalcap computes it, and with it E2E's script.

use super::{
    caption::caption_tokens,
    segments::{Segment, check},
};
use crate::error::Result;

/// How much more recall counts than precision.
const BETA: f64 = 1.2;

/// The mean ROUGE-L of [`caption_tokens`], as a fraction: the longest common subsequence, as F with β = 1.2 of the best
/// precision and the best recall over the references, which may be those of different ones.
///
/// # Errors
/// [`Error::Mismatch`](crate::Error::Mismatch) if there are no segments, or one has no references.
pub fn rouge_l_coco(segments: &[Segment]) -> Result<f64> {
    check(segments)?;
    let score = |segment: &Segment| {
        let (found, references) = segment.map(words);
        let (mut precision, mut recall) = (0f64, 0f64);
        for reference in &references {
            let common = common_length(&found, reference) as f64;
            precision = precision.max(common / found.len() as f64);
            recall = recall.max(common / reference.len() as f64);
        }
        match precision == 0.0 {
            true => 0.0,
            false => (1.0 + BETA * BETA) * precision * recall / (recall + BETA * BETA * precision),
        }
    };
    Ok(segments.iter().map(score).sum::<f64>() / segments.len() as f64)
}

/// The words of a text; as in pycocoevalcap, an empty text has one that is empty.
fn words(text: &str) -> Vec<String> {
    let tokens = caption_tokens(text);
    if tokens.is_empty() { vec![String::new()] } else { tokens }
}

/// The length of the longest common subsequence.
fn common_length(a: &[String], b: &[String]) -> usize {
    // One row of the table at a time, as in the edit distance.
    let mut row = vec![0; b.len() + 1];
    for word in a {
        let mut diagonal = 0;
        for (j, other) in b.iter().enumerate() {
            let next = if word == other { diagonal + 1 } else { row[j].max(row[j + 1]) };
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn precision_and_recall_are_those_of_different_references() {
        let of = |prediction, references: &[&str]| {
            rouge_l_coco(&[Segment::new(prediction, references.iter().copied())]).unwrap()
        };
        assert_eq!(of("a b", &["a b c d", "x a"]), 2.44 * 0.5 / (0.5 + 1.44));
        assert_eq!(of("A bee, cat.", &["a bee cat"]), 1.0);
        assert_eq!(of("x", &["a"]), 0.0);
        assert_eq!(of("", &["a"]), 0.0);
        assert!(rouge_l_coco(&[]).is_err());
    }
}
