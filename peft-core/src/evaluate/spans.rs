//! The best span of a question over all its windows, and whether it is one to give.

use std::ops::Range;

use crate::{
    data::{Example, Target},
    metrics::{Attempt, answer_f1, exact_match, overlap_f1},
};

/// The answer to one question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The index of the example whose window holds the answer.
    pub example: usize,
    /// The first token of the answer in that example.
    pub start: usize,
    /// The last token of the answer.
    pub end: usize,
    /// The product of the probabilities of start and end, each a softmax over the tokens of the
    /// window.
    pub probability: f64,
    /// What speaks for no answer, where questions may have none.
    pub null: Option<NullAnswer>,
}

/// What speaks for it that a question has no answer in its context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NullAnswer {
    /// The score of no answer minus that of the answer. A score is the sum of the logits of start
    /// and end; that of no answer is of the first token, the smallest over all windows.
    pub score_diff: f64,
    /// Whether the difference is above the threshold: the question is taken to have no answer, and
    /// the span is only the best there is.
    pub is_chosen: bool,
    /// The probability of no answer in the window with that smallest score, as of an answer.
    pub probability: f64,
}

/// What a window says about its question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct WindowScores {
    /// Its best span: first and last token.
    span: (usize, usize),
    /// The sum of the log-probabilities of the span's ends, and of their logits.
    log_probability: f64,
    score: f64,
    /// The same of the first token as both ends.
    null_log_probability: f64,
    null_score: f64,
    /// The negative log-likelihood of the target's ends, their mean; `None` without a target.
    pub(super) loss: Option<f64>,
}

impl WindowScores {
    /// Reads the logits of start and end of each token of an example, T each, at least one.
    ///
    /// The span lies within the context, of which the first token of a row of token ids is a part
    /// unless it stands for no answer (`may_be_null`).
    pub(super) fn new(
        example: &Example,
        start: &[f64],
        end: &[f64],
        longest: usize,
        may_be_null: bool,
    ) -> Self {
        let is_context = |token: usize| match &example.window {
            Some(window) => window.bytes[token].is_some(),
            None => token > 0 || !may_be_null,
        };
        // A blank is no answer beside which there could be none.
        let is_said = |from: usize, to: usize| match &example.window {
            Some(window) if may_be_null => (from..=to).any(|token| !window.is_blank(token)),
            _ => true,
        };
        let (log_start, log_end) = (log_softmax(start), log_softmax(end));
        let sum = |a: &[f64], b: &[f64], (from, to): (usize, usize)| a[from] + b[to];
        let best = best_span(&log_start, &log_end, is_context, is_said, longest);
        let of_span = |a: &[f64], b: &[f64]| best.map_or(f64::NEG_INFINITY, |span| sum(a, b, span));
        let loss = match example.target {
            Target::Span { start, end } => Some(-sum(&log_start, &log_end, (start, end)) / 2.0),
            _ => None,
        };
        Self {
            // A row constructed by hand may have no context.
            span: best.unwrap_or((0, 0)),
            log_probability: of_span(&log_start, &log_end),
            score: of_span(start, end),
            null_log_probability: sum(&log_start, &log_end, (0, 0)),
            null_score: sum(start, end, (0, 0)),
            loss,
        }
    }
}

/// The answer to each question, from what its windows say. With a threshold, questions may have no
/// answer, and windows are compared by their logits, as in transformers' `run_qa`; without, by
/// their probabilities.
pub(super) fn best_answers(
    examples: &[Example],
    windows: &[WindowScores],
    null_threshold: Option<f64>,
) -> Vec<Answer> {
    let answer = |question: Range<usize>| {
        let key = |at: usize| match null_threshold {
            Some(_) => windows[at].score,
            None => windows[at].log_probability.exp(),
        };
        let larger = |best: usize, at: usize| if key(at) > key(best) { at } else { best };
        let example = question.clone().fold(question.start, larger);
        let best = &windows[example];
        let null = null_threshold.map(|threshold| {
            let null_score = |at: usize| windows[at].null_score;
            let smaller = |least: usize, at: usize| {
                if null_score(at) < null_score(least) { at } else { least }
            };
            let least = question.clone().fold(question.start, smaller);
            let score_diff = null_score(least) - best.score;
            NullAnswer {
                score_diff,
                is_chosen: score_diff > threshold,
                probability: windows[least].null_log_probability.exp(),
            }
        });
        let (start, end) = best.span;
        Answer { example, start, end, probability: best.log_probability.exp(), null }
    };
    questions(examples).into_iter().map(answer).collect()
}

/// The windows of each question, which are consecutive.
fn questions(examples: &[Example]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, example) in examples.iter().enumerate() {
        match found.last_mut().filter(|last| example.same_question(&examples[last.start])) {
            Some(last) => last.end = at + 1,
            None => found.push(at..at + 1),
        }
    }
    found
}

/// The span with the largest sum of log-probabilities among those that say something, the first of
/// equal ones; `None` without context.
fn best_span(
    start: &[f64],
    end: &[f64],
    is_context: impl Fn(usize) -> bool,
    is_said: impl Fn(usize, usize) -> bool,
    longest: usize,
) -> Option<(usize, usize)> {
    let mut best: Option<(usize, usize, f64)> = None;
    let tokens = start.len();
    let score = |from: usize, to: usize| start[from] + end[to];
    for from in (0..tokens).filter(|token| is_context(*token)) {
        for to in from..from.saturating_add(longest).min(tokens) {
            let score = score(from, to);
            let is_best = best.is_none_or(|(_, _, best)| score > best);
            if is_best && is_context(to) && is_said(from, to) {
                best = Some((from, to, score));
            }
        }
    }
    best.map(|(from, to, _)| (from, to))
}

fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    logits.iter().map(|logit| logit - largest - sum.ln()).collect()
}

/// Whether the answer is right, and its F1; `None` if the right answer is not known.
pub(super) fn score(example: &Example, answer: &Answer) -> Option<(bool, f64)> {
    if let Some(window) = &example.window {
        let answers = window.passage.answers.as_ref().filter(|answers| !answers.is_empty())?;
        let text = text(example, answer);
        return Some((exact_match(text, answers), answer_f1(text, answers)));
    }
    let Target::Span { start, end } = example.target else { return None };
    Some(score_of_ids(example, answer, (start, end)))
}

/// The same where questions may have no answer: the answer as it would be given.
pub(super) fn attempt(example: &Example, answer: &Answer, null: &NullAnswer) -> Option<Attempt> {
    if let Some(window) = &example.window {
        let answers = window.passage.answers.as_ref()?;
        return Some(Attempt::of_text(text(example, answer), answers, null.score_diff));
    }
    let Target::Span { start, end } = example.target else { return None };
    let has_answer = (start, end) != (0, 0);
    let right = has_answer.then(|| score_of_ids(example, answer, (start, end)));
    let (exact, f1) = right.unwrap_or((false, 0.0));
    Some(Attempt { exact, f1, is_text: true, has_answer, null_score_diff: null.score_diff })
}

/// The text of an answer, empty for a row of token ids.
fn text<'e>(example: &'e Example, answer: &Answer) -> &'e str {
    let window = example.window.as_ref();
    window.and_then(|w| w.excerpt(answer.start, answer.end)).map_or("", |excerpt| excerpt.text)
}

/// Exact match and F1 of an answer in a row of token ids, whose words are its ids.
fn score_of_ids(example: &Example, answer: &Answer, (start, end): (usize, usize)) -> (bool, f64) {
    let words = |start: usize, end: usize| example.input_ids[start..=end].to_vec();
    let (found, wanted) = (words(answer.start, answer.end), words(start, end));
    (found == wanted, overlap_f1(found, wanted))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data::{Passage, Window};
    use std::sync::Arc;

    #[test]
    fn the_best_span_goes_forward_within_the_context() {
        // Independently, the best start is token 4 and the best end token 1.
        let start = [0.0, -1.0, -4.0, -4.0, -0.5, -4.0];
        let end = [-9.0, -0.1, -5.0, -2.0, -3.0, 0.0];
        let best = |context: Range<usize>, longest| {
            best_span(&start, &end, |token| context.contains(&token), |_, _| true, longest)
        };
        assert_eq!(best(0..6, 30), Some((0, 5)));
        assert_eq!(best(0..6, 5), Some((0, 1)));
        assert_eq!(best(1..6, 30), Some((4, 5)));
        assert_eq!(best(1..5, 30), Some((1, 1)));
        assert_eq!(best(1..4, 1), Some((1, 1)));
        assert_eq!(best(2..4, 1), Some((3, 3)));
        assert_eq!(best(6..6, 30), None);
    }

    #[test]
    fn log_probabilities_sum_to_one() {
        let found = log_softmax(&[1000.0, 1000.0, -1000.0]);
        assert!((found[0] - 0.5f64.ln()).abs() < 1e-12 && found[2] < -1000.0);
    }

    /// Windows of one question with a token of their own each, after a special one.
    fn windows(answers: Option<&[&str]>) -> Vec<Example> {
        let answers = answers.map(|list| list.iter().map(|text| (*text).to_owned()).collect());
        let passage = Arc::new(Passage { context: "xy".into(), answers });
        let window = |at: usize| Example {
            window: Some(Window {
                passage: passage.clone(),
                bytes: vec![None, Some((at, at + 1))],
            }),
            ..Example::new(vec![1, 2], Target::Span { start: 0, end: 0 }, 1)
        };
        vec![window(0), window(1)]
    }

    fn read(examples: &[Example], logits: [[f64; 2]; 2], may_be_null: bool) -> Vec<WindowScores> {
        let scores = |(example, ends): (&Example, &[f64; 2])| {
            WindowScores::new(example, ends, ends, 30, may_be_null)
        };
        examples.iter().zip(&logits).map(scores).collect()
    }

    #[test]
    fn windows_are_compared_by_logits_where_there_may_be_no_answer() {
        let examples = windows(Some(&[]));
        // The second window is surer of its answer, the first gives it a larger logit.
        let scores = read(&examples, [[3.5, 4.0], [-1.0, 2.0]], true);
        assert!((scores[0].loss.unwrap() - (1.0 + 0.5f64.exp()).ln()).abs() < 1e-12);
        let [sure] = best_answers(&examples, &scores, None)[..] else { panic!("one question") };
        assert_eq!((sure.example, sure.start, sure.end, sure.null), (1, 1, 1, None));
        let at = |threshold: f64| best_answers(&examples, &scores, Some(threshold))[0];
        let large = at(0.0);
        assert_eq!((large.example, large.start), (0, 1));
        // The smallest score of no answer is that of the second window: -2 - 8.
        let null = large.null.unwrap();
        assert_eq!((null.score_diff, null.is_chosen), (-10.0, false));
        assert!((null.probability - (1.0 / (1.0 + 3f64.exp())).powi(2)).abs() < 1e-12);
        assert!(at(-10.5).null.unwrap().is_chosen && !at(-10.0).null.unwrap().is_chosen);
        let attempt = attempt(&examples[0], &large, &null).unwrap();
        assert_eq!((attempt.exact, attempt.is_text, attempt.has_answer), (false, true, false));
        assert_eq!(score(&examples[0], &large), None);
        let known = windows(Some(&["X"]));
        assert_eq!(score(&known[0], &large), Some((true, 1.0)));
        assert!(super::attempt(&windows(None)[0], &large, &null).is_none());
    }

    #[test]
    fn a_blank_is_no_answer_where_there_may_be_none() {
        let passage = Arc::new(Passage { context: "x y".into(), answers: None });
        let bytes = vec![None, Some((0, 1)), Some((1, 2)), Some((2, 2)), Some((2, 3))];
        let window = Some(Window { passage, bytes });
        let example = Example { window, ..Example::new(vec![1; 5], Target::None, 1) };
        let start = [0.0, 0.0, 3.0, 0.0, 0.0];
        let end = [0.0, 0.0, 2.0, 3.0, 1.0];
        let span = |may_be_null| WindowScores::new(&example, &start, &end, 30, may_be_null).span;
        assert_eq!((span(false), span(true)), ((2, 3), (2, 4)));
    }

    #[test]
    fn the_first_token_id_stands_for_no_answer_only_where_there_may_be_none() {
        let row = |end: usize| Example::new(vec![7, 8], Target::Span { start: end, end }, 1);
        let examples = [row(0), row(1)];
        let logits = [[2.0, 1.0], [2.0, 1.0]];
        let always = best_answers(&examples, &read(&examples, logits, false), None);
        assert_eq!((always.len(), always[0].start, always[1].start), (2, 0, 0));
        assert_eq!(score(&examples[0], &always[0]), Some((true, 1.0)));
        let perhaps = best_answers(&examples, &read(&examples, logits, true), Some(0.0));
        let null = perhaps[0].null.unwrap();
        assert_eq!((perhaps[0].start, null.score_diff, null.is_chosen), (1, 2.0, true));
        let attempts: Vec<Attempt> = examples
            .iter()
            .zip(&perhaps)
            .map(|(example, answer)| attempt(example, answer, &null).unwrap())
            .collect();
        assert_eq!((attempts[0].has_answer, attempts[0].exact), (false, false));
        assert_eq!((attempts[1].has_answer, attempts[1].exact), (true, true));
    }
}
