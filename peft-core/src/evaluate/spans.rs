//! The best span of a question over all its windows, and whether it is one to give.

use std::{collections::BTreeSet, ops::Range};

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
    /// The sum of the logits of start and end.
    pub score: f64,
    /// What speaks for no answer, where questions may have none.
    pub null: Option<NullAnswer>,
}

/// What speaks for it that a question has no answer in its context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NullAnswer {
    /// The score of no answer minus that of the best answer. A score is the sum of the logits of
    /// start and end; that of no answer is of the first token, the smallest over all windows.
    pub score_diff: f64,
    /// The score of no answer.
    pub score: f64,
    /// Whether the difference is above the threshold: the question is taken to have no answer, and
    /// the span is only the best there is.
    pub is_chosen: bool,
    /// The probability of no answer in the window with that smallest score, as of an answer.
    pub probability: f64,
}

/// A span of a window, with what speaks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Span {
    /// The first and the last token.
    start: usize,
    end: usize,
    /// The sum of the log-probabilities of its ends, and of their logits.
    log_probability: f64,
    score: f64,
}

/// What a window says about its question.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WindowScores {
    /// Its best spans, the best first; at least one.
    spans: Vec<Span>,
    /// What speaks for no answer: the first token as both ends.
    null: Span,
    /// The negative log-likelihood of the target's ends, their mean; `None` without a target.
    pub(super) loss: Option<f64>,
}

impl WindowScores {
    /// Reads the logits of start and end of each token of an example, T each, at least one, for the
    /// `count` best spans of up to `longest` tokens.
    ///
    /// A span lies within the context, of which the first token of a row of token ids is a part
    /// unless it stands for no answer (`may_be_null`).
    pub(super) fn new(
        example: &Example,
        [start, end]: [&[f64]; 2],
        longest: usize,
        count: usize,
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
        let span = |(from, to): (usize, usize)| Span {
            start: from,
            end: to,
            log_probability: log_start[from] + log_end[to],
            score: start[from] + end[to],
        };
        let best = best_spans(&log_start, &log_end, is_context, is_said, longest, count);
        let mut spans: Vec<Span> = best.into_iter().map(span).collect();
        if spans.is_empty() {
            // A row constructed by hand may have no context.
            let none = f64::NEG_INFINITY;
            spans.push(Span { start: 0, end: 0, log_probability: none, score: none });
        }
        let loss = match example.target {
            Target::Span { start, end } => Some(-span((start, end)).log_probability / 2.0),
            _ => None,
        };
        Self { spans, null: span((0, 0)), loss }
    }
}

/// The answers to each question, up to `count` of them, the best first, from what its windows say. With a
/// threshold, questions may have no answer, and spans of different windows are compared by their
/// logits, as in transformers' `run_qa`; without, by their probabilities. What several windows hold
/// is one answer.
pub(super) fn best_answers(
    examples: &[Example],
    windows: &[WindowScores],
    null_threshold: Option<f64>,
    count: usize,
) -> Vec<Vec<Answer>> {
    let key = |span: &Span| match null_threshold {
        Some(_) => span.score,
        None => span.log_probability.exp(),
    };
    let answers = |question: Range<usize>| {
        let of_window = |at: usize| windows[at].spans.iter().map(move |span| (at, *span));
        let mut spans: Vec<(usize, Span)> = question.clone().flat_map(of_window).collect();
        // Of equal ones the first, in the order of the windows.
        spans.sort_by(|(_, a), (_, b)| key(b).total_cmp(&key(a)));
        let null = null_threshold.map(|threshold| {
            let null = |at: usize| &windows[at].null;
            let smaller = |least: usize, at: usize| {
                if null(at).score < null(least).score { at } else { least }
            };
            let least = null(question.clone().fold(question.start, smaller));
            let score_diff = least.score - spans[0].1.score;
            NullAnswer {
                score_diff,
                score: least.score,
                is_chosen: score_diff > threshold,
                probability: least.log_probability.exp(),
            }
        });
        let mut places = BTreeSet::new();
        spans.retain(|(at, span)| places.insert(place(&examples[*at], *at, span)));
        let answer = |(example, span): (usize, Span)| Answer {
            example,
            start: span.start,
            end: span.end,
            probability: span.log_probability.exp(),
            score: span.score,
            null,
        };
        spans.into_iter().take(count).map(answer).collect()
    };
    questions(examples).into_iter().map(answers).collect()
}

/// Where a span is: its characters in the context, which windows share; in a row of token ids its tokens.
fn place(example: &Example, at: usize, span: &Span) -> (usize, usize, usize) {
    let window = example.window.as_ref();
    match window.and_then(|window| window.excerpt(span.start, span.end)) {
        Some(excerpt) => (0, excerpt.start, excerpt.end),
        None => (1 + at, span.start, span.end),
    }
}

/// The windows of each question, which are consecutive.
pub fn questions(examples: &[Example]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, example) in examples.iter().enumerate() {
        match found.last_mut().filter(|last| example.same_question(&examples[last.start])) {
            Some(last) => last.end = at + 1,
            None => found.push(at..at + 1),
        }
    }
    found
}

/// The `count` spans with the largest sums of log-probabilities among those that say something, the best
/// first, of equal ones the first; none without context.
fn best_spans(
    start: &[f64],
    end: &[f64],
    is_context: impl Fn(usize) -> bool,
    is_said: impl Fn(usize, usize) -> bool,
    longest: usize,
    count: usize,
) -> Vec<(usize, usize)> {
    let mut best: Vec<(usize, usize, f64)> = Vec::new();
    let tokens = start.len();
    let score = |from: usize, to: usize| start[from] + end[to];
    for from in (0..tokens).filter(|token| is_context(*token)) {
        for to in from..from.saturating_add(longest).min(tokens) {
            let score = score(from, to);
            let is_among = best.len() < count || best.last().is_some_and(|last| score > last.2);
            if is_among && is_context(to) && is_said(from, to) {
                best.truncate(count - 1);
                let at = best.partition_point(|other| other.2 >= score);
                best.insert(at, (from, to, score));
            }
        }
    }
    best.into_iter().map(|(from, to, _)| (from, to)).collect()
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
pub(super) fn text<'e>(example: &'e Example, answer: &Answer) -> &'e str {
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
        let several = |context: Range<usize>, longest, count| {
            best_spans(&start, &end, |token| context.contains(&token), |_, _| true, longest, count)
        };
        let best = |context, longest| several(context, longest, 1).first().copied();
        assert_eq!(best(0..6, 30), Some((0, 5)));
        assert_eq!(best(0..6, 5), Some((0, 1)));
        assert_eq!(best(1..6, 30), Some((4, 5)));
        assert_eq!(best(1..5, 30), Some((1, 1)));
        assert_eq!(best(1..4, 1), Some((1, 1)));
        assert_eq!(best(2..4, 1), Some((3, 3)));
        assert_eq!(best(6..6, 30), None);
        assert_eq!(several(0..6, 30, 3), [(0, 5), (0, 1), (4, 5)]);
        assert_eq!(several(2..4, 30, 9), [(2, 3), (3, 3), (2, 2)]);
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
            WindowScores::new(example, [ends, ends], 30, 3, may_be_null)
        };
        examples.iter().zip(&logits).map(scores).collect()
    }

    #[test]
    fn windows_are_compared_by_logits_where_there_may_be_no_answer() {
        let examples = windows(Some(&[]));
        // The second window is surer of its answer, the first gives it a larger logit.
        let scores = read(&examples, [[3.5, 4.0], [-1.0, 2.0]], true);
        assert!((scores[0].loss.unwrap() - (1.0 + 0.5f64.exp()).ln()).abs() < 1e-12);
        let best = |threshold| best_answers(&examples, &scores, threshold, 1).concat();
        let [sure] = best(None)[..] else { panic!("one question") };
        assert_eq!((sure.example, sure.start, sure.end, sure.null), (1, 1, 1, None));
        let at = |threshold: f64| best(Some(threshold))[0];
        let large = at(0.0);
        assert_eq!((large.example, large.start), (0, 1));
        // The smallest score of no answer is that of the second window: -2 - 8.
        let null = large.null.unwrap();
        assert_eq!((null.score_diff, null.score, null.is_chosen), (-10.0, -2.0, false));
        assert_eq!(large.score, 8.0);
        let both = best_answers(&examples, &scores, Some(0.0), 5).remove(0);
        assert_eq!(both.iter().map(|answer| answer.example).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(both[0], large);
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
        let span = |may_be_null| {
            let found = WindowScores::new(&example, [&start, &end], 30, 1, may_be_null).spans;
            (found[0].start, found[0].end)
        };
        assert_eq!((span(false), span(true)), ((2, 3), (2, 4)));
    }

    #[test]
    fn what_several_windows_hold_is_one_answer() {
        let [first, _] = &windows(None)[..] else { panic!("two windows") };
        let examples = [first.clone(), first.clone()];
        let scores = read(&examples, [[0.0, 1.0], [0.0, 3.0]], false);
        let found = best_answers(&examples, &scores, None, 4).concat();
        assert_eq!(found.iter().map(|answer| answer.example).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn the_first_token_id_stands_for_no_answer_only_where_there_may_be_none() {
        let row = |end: usize| Example::new(vec![7, 8], Target::Span { start: end, end }, 1);
        let examples = [row(0), row(1)];
        let logits = [[2.0, 1.0], [2.0, 1.0]];
        let best = |may_be_null, threshold| {
            best_answers(&examples, &read(&examples, logits, may_be_null), threshold, 1).concat()
        };
        let always = best(false, None);
        assert_eq!((always.len(), always[0].start, always[1].start), (2, 0, 0));
        assert_eq!(score(&examples[0], &always[0]), Some((true, 1.0)));
        let perhaps = best(true, Some(0.0));
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
