//! Scores where questions may have no answer, as in the script of SQuAD 2.0 (Rajpurkar et al. 2018,
//! arXiv 1806.03822).

use super::{
    set::Metrics,
    squad::{answer_f1, exact_match, normalized_answer},
};
use crate::error::{Error, Result};

/// The best answer to a question, and what speaks against giving one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attempt {
    /// Whether the answer is exactly right.
    pub exact: bool,
    /// Its F1.
    pub f1: f64,
    /// Whether it has any text.
    pub is_text: bool,
    /// Whether the question has an answer.
    pub has_answer: bool,
    /// The score of no answer minus that of this one: the higher, the less likely is any answer.
    pub null_score_diff: f64,
}

impl Attempt {
    /// Compares a text with the accepted answers, none of which means that the question has none.
    pub fn of_text(text: &str, answers: &[String], null_score_diff: f64) -> Self {
        // Answers of which nothing is left are not compared, and where no other is, silence is right.
        let said = |text: &String| !normalized_answer(text).is_empty();
        let wanted: Vec<String> = answers.iter().filter(|text| said(text)).cloned().collect();
        let silent = normalized_answer(text).is_empty();
        let (exact, f1) = if wanted.is_empty() || silent {
            let right = wanted.is_empty() && silent;
            (right, if right { 1.0 } else { 0.0 })
        } else {
            (exact_match(text, &wanted), answer_f1(text, &wanted))
        };
        let (is_text, has_answer) = (!text.is_empty(), !answers.is_empty());
        Self { exact, f1, is_text, has_answer, null_score_diff }
    }

    /// Exact match and F1 if the answer is given up where `null_score_diff` is above `threshold`.
    fn scores(&self, threshold: f64) -> (f64, f64) {
        if self.null_score_diff > threshold {
            let right = fraction(!self.has_answer);
            return (right, right);
        }
        (fraction(self.exact), self.f1)
    }
}

/// The names of all scores that [`squad_v2_scores`] can return, in order.
pub const SQUAD_V2_SCORES: [&str; 13] = [
    "exact",
    "f1",
    "total",
    "HasAns_exact",
    "HasAns_f1",
    "HasAns_total",
    "NoAns_exact",
    "NoAns_f1",
    "NoAns_total",
    "best_exact",
    "best_exact_thresh",
    "best_f1",
    "best_f1_thresh",
];

/// The scores of SQuAD 2.0's script under its own names, as fractions: over all questions, over
/// those that have an answer (`HasAns`) and those that have none (`NoAns`), if there are any; and
/// the best that a threshold can reach, with that threshold.
///
/// It is what the script gives for the best answers as predictions, `null_score_diff` as the
/// probabilities of no answer, and `threshold` as theirs. Only where it is best to answer nothing
/// at all is the best threshold another: below every difference, where the script says 0.
///
/// # Errors
///
/// [`Error::Mismatch`] if there are no questions.
pub fn squad_v2_scores(attempts: &[Attempt], threshold: f64) -> Result<Metrics> {
    if attempts.is_empty() {
        return Err(Error::Mismatch("there are no answers to score".to_owned()));
    }
    let mut metrics = Metrics::new();
    for (prefix, has_answer) in [("", None), ("HasAns_", Some(true)), ("NoAns_", Some(false))] {
        let belongs = |attempt: &&Attempt| has_answer.is_none_or(|has| attempt.has_answer == has);
        let scores: Vec<(f64, f64)> =
            attempts.iter().filter(belongs).map(|attempt| attempt.scores(threshold)).collect();
        if scores.is_empty() {
            continue;
        }
        let total = scores.len() as f64;
        let exact = scores.iter().map(|(exact, _)| exact).sum::<f64>() / total;
        let f1 = scores.iter().map(|(_, f1)| f1).sum::<f64>() / total;
        metrics.extend(
            [("exact", exact), ("f1", f1), ("total", total)]
                .map(|(name, value)| (format!("{prefix}{name}"), value)),
        );
    }
    let mut sorted: Vec<&Attempt> = attempts.iter().collect();
    sorted.sort_by(|a, b| a.null_score_diff.total_cmp(&b.null_score_diff));
    for (name, score) in [
        ("best_exact", (|attempt| fraction(attempt.exact)) as fn(&Attempt) -> f64),
        ("best_f1", |attempt| attempt.f1),
    ] {
        let (best, threshold) = best_threshold(&sorted, score);
        metrics.insert(name, best);
        metrics.insert(format!("{name}_thresh"), threshold);
    }
    Ok(metrics)
}

/// The best mean of `score` that a threshold reaches, and the threshold; from questions in the order
/// of their differences.
fn best_threshold(sorted: &[&Attempt], score: fn(&Attempt) -> f64) -> (f64, f64) {
    // First no question is answered, then one after the other, the least doubtful first.
    let mut sum = sorted.iter().map(|attempt| fraction(!attempt.has_answer)).sum::<f64>();
    let (mut best, mut threshold) = (sum, None);
    for attempt in sorted {
        sum += match (attempt.has_answer, attempt.is_text) {
            (true, _) => score(attempt),
            (false, true) => -1.0,
            (false, false) => 0.0,
        };
        if sum > best {
            (best, threshold) = (sum, Some(attempt.null_score_diff));
        }
    }
    let below_all = || sorted.first().map_or(0.0, |first| first.null_score_diff.next_down());
    (best / sorted.len() as f64, threshold.unwrap_or_else(|| below_all().min(0.0)))
}

fn fraction(right: bool) -> f64 {
    f64::from(u8::from(right))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn silence_is_right_where_there_is_nothing_to_say() {
        let of = |text: &str, answers: &[&str]| {
            let attempt = Attempt::of_text(text, &texts(answers), 0.5);
            assert_eq!(attempt.null_score_diff, 0.5);
            (attempt.exact, attempt.f1, attempt.is_text, attempt.has_answer)
        };
        assert_eq!(of("", &[]), (true, 1.0, false, false));
        assert_eq!(of("the", &[]), (true, 1.0, true, false));
        assert_eq!(of("cat", &[]), (false, 0.0, true, false));
        assert_eq!(of("", &["cat"]), (false, 0.0, false, true));
        assert_eq!(of("a cat", &["the", "Cat"]), (true, 1.0, true, true));
        // An answer of which nothing is left is no longer one.
        assert_eq!(of("cat", &["the"]), (false, 0.0, true, true));
        assert_eq!(of("", &["the"]), (true, 1.0, false, true));
    }

    #[test]
    fn where_silence_is_best_the_threshold_lets_nothing_through() {
        let wrong = |diff| Attempt::of_text("cat", &[], diff);
        let scores = |diffs: &[f64]| {
            let attempts: Vec<Attempt> = diffs.iter().map(|diff| wrong(*diff)).collect();
            let at = squad_v2_scores(&attempts, 0.0).unwrap().get("best_exact_thresh").unwrap();
            let best = squad_v2_scores(&attempts, at).unwrap();
            assert_eq!((best.get("exact"), best.get("best_exact")), (Some(1.0), Some(1.0)));
            assert_eq!(best.get("HasAns_total"), None);
            at
        };
        assert_eq!(scores(&[1.0, 2.0]), 0.0);
        assert!(scores(&[-3.0, 2.0]) < -3.0);
        assert!(squad_v2_scores(&[], 0.0).is_err());
    }

    proptest! {
        /// The best threshold reaches the best score, and no other threshold a better one.
        #[test]
        fn the_best_threshold_is_the_best(
            // Differences of their own: between equal ones the script may draw a line.
            rows in prop::collection::btree_map(-40i32..40, (0usize..4, 0usize..4), 1..30),
        ) {
            let words = ["", "cat", "mat", "cat mat"];
            let attempts: Vec<Attempt> = rows.iter().map(|(diff, (text, answer))| {
                let answers = if *answer == 0 { Vec::new() } else { texts(&[words[*answer]]) };
                Attempt::of_text(words[*text], &answers, f64::from(*diff) / 4.0)
            }).collect();
            let scores = squad_v2_scores(&attempts, 0.0).unwrap();
            let known = |name: &str| SQUAD_V2_SCORES.contains(&name);
            prop_assert!(scores.iter().all(|(name, _)| known(name)));
            for name in ["exact", "f1"] {
                let best = scores.get(&format!("best_{name}")).unwrap();
                let at = |threshold: f64| {
                    squad_v2_scores(&attempts, threshold).unwrap().get(name).unwrap()
                };
                let threshold = scores.get(&format!("best_{name}_thresh")).unwrap();
                prop_assert!((at(threshold) - best).abs() < 1e-12);
                let others = (-42..42).map(|quarter| at(f64::from(quarter) / 4.0));
                prop_assert!(others.fold(0.0, f64::max) <= best + 1e-12);
            }
        }
    }
}
