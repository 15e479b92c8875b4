//! Scores of extracted answers, as in SQuAD's own script (Rajpurkar et al. 2016, arXiv 1606.05250).

use std::collections::HashMap;

use super::{
    score::Score,
    segments::{Segment, check},
    set::Metrics,
};
use crate::error::{Error, Result};

/// Normalises an answer for comparison: lower case, without ASCII punctuation and the articles a,
/// an and the, with single spaces.
pub fn normalized_answer(text: &str) -> String {
    let lower = text.to_lowercase();
    let letters: String = lower.chars().filter(|c| !c.is_ascii_punctuation()).collect();
    let mut words = String::with_capacity(letters.len());
    // An article counts between any two characters that are not letters or digits, not just spaces.
    let mut rest = letters.as_str();
    while !rest.is_empty() {
        let in_word = rest.starts_with(char::is_alphanumeric);
        let end = rest.find(|c: char| c.is_alphanumeric() != in_word).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        words.push_str(if matches!(run, "a" | "an" | "the") { " " } else { run });
        rest = behind;
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a prediction is one of the answers, after normalising both.
pub fn exact_match(prediction: &str, answers: &[String]) -> bool {
    let prediction = normalized_answer(prediction);
    answers.iter().any(|answer| normalized_answer(answer) == prediction)
}

/// The harmonic mean of precision and recall of a prediction's words; the best over all answers.
pub fn answer_f1(prediction: &str, answers: &[String]) -> f64 {
    let prediction = normalized_answer(prediction);
    let of_answer = |answer: &String| {
        let answer = normalized_answer(answer);
        let words =
            |text: &str| text.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect();
        overlap_f1::<String>(words(&prediction), words(&answer))
    };
    answers.iter().map(of_answer).fold(0.0, f64::max)
}

/// F1 of two bags of words; 0 if they have no words in common.
pub fn overlap_f1<W: Eq + std::hash::Hash>(prediction: Vec<W>, answer: Vec<W>) -> f64 {
    let (found, wanted) = (prediction.len(), answer.len());
    let mut counts: HashMap<W, usize> = HashMap::new();
    answer.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
    let mut shared = 0;
    for word in prediction {
        if let Some(left) = counts.get_mut(&word).filter(|left| **left > 0) {
            *left -= 1;
            shared += 1;
        }
    }
    Score::of_counts([shared, found, wanted]).f1
}

/// `exact_match` and `f1` of predictions, each with its answers: means over the questions, as
/// fractions.
///
/// # Errors
///
/// [`Error::Mismatch`] if there are no questions.
pub fn squad_scores<'a>(
    questions: impl IntoIterator<Item = (&'a str, &'a [String])>,
) -> Result<Metrics> {
    let (mut count, mut exact, mut f1) = (0.0, 0.0, 0.0);
    for (prediction, answers) in questions {
        count += 1.0;
        exact += f64::from(u8::from(exact_match(prediction, answers)));
        f1 += answer_f1(prediction, answers);
    }
    if count == 0.0 {
        return Err(Error::Mismatch("there are no answers to score".to_owned()));
    }
    Ok(Metrics::from_iter([("exact_match", exact / count), ("f1", f1 / count)]))
}

/// [`exact_match`] and [`answer_f1`] of texts that were written, means over all: ReCoRD's scores (Zhang et al. 2018, arXiv
/// 1810.12885).
///
/// # Errors
///
/// [`Error::Mismatch`] if there are no texts, or one has no references.
pub fn answer_scores(segments: &[Segment]) -> Result<Metrics> {
    check(segments)?;
    squad_scores(segments.iter().map(|one| (one.prediction.as_str(), one.references.as_slice())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn written_answers_are_scored_as_extracted_ones() {
        let segments = [Segment::new("the Cat sat", ["a dog", "cat"]), Segment::new("b", ["b."])];
        let found = answer_scores(&segments).unwrap();
        assert_eq!(
            (found.get("exact_match"), found.get("f1")),
            (Some(0.5), Some((2.0 / 3.0 + 1.0) / 2.0))
        );
        assert!(answer_scores(&[Segment::new("b", [""; 0])]).is_err());
    }

    #[test]
    fn articles_go_and_words_that_begin_like_them_stay() {
        assert_eq!(normalized_answer(" The  Theatre, an A-frame–a "), "theatre aframe–");
        assert!(exact_match("the U.S.", &["x".into(), "us".into()]));
        assert_eq!(answer_f1("a b b", &["b c".into()]), 0.5);
        assert_eq!(answer_f1("", &["b".into()]), 0.0);
        assert!(squad_scores([]).is_err());
    }
}
