//! Answers extracted from a context: the most likely span over all windows of a question.

use super::{outputs::logits, positions::Positions, predictor::Predictor};
use crate::{
    data::{Example, Target},
    error::{Error, Result},
    metrics::{Metrics, answer_f1, exact_match, overlap_f1},
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
}

/// Log-probabilities of each real token of a row being the start and the end.
struct Ends {
    start: Vec<f64>,
    end: Vec<f64>,
}

impl Predictor<'_> {
    /// Returns the most likely answer to each question, in order: from a token of the context to
    /// the same or a later one, over all windows. Windows of one question must be consecutive. A
    /// row of token ids is a question of its own, and all of its tokens count as context.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] if a row does not fit.
    pub fn answer(&self, examples: &[Example]) -> Result<Vec<Answer>> {
        let ends = self.ends(examples)?;
        Ok(self.best_answers(examples, &ends))
    }

    /// `loss`, `exact_match` and `f1` of questions with answers.
    pub(super) fn evaluate_answers(&self, examples: &[Example]) -> Result<Metrics> {
        let ends = self.ends(examples)?;
        let (mut loss, mut rows) = (0.0, 0.0);
        for (example, ends) in examples.iter().zip(&ends) {
            if let Target::Span { start, end } = example.target {
                loss -= (ends.start[start] + ends.end[end]) / 2.0;
                rows += 1.0;
            }
        }
        let (mut exact, mut f1, mut questions) = (0.0, 0.0, 0.0);
        for answer in self.best_answers(examples, &ends) {
            let Some(score) = score(&examples[answer.example], &answer) else { continue };
            exact += f64::from(u8::from(score.0));
            f1 += score.1;
            questions += 1.0;
        }
        if rows == 0.0 || questions == 0.0 {
            return Err(Error::Mismatch("no row has a target to evaluate".into()));
        }
        Ok(Metrics::from_iter([
            ("loss", loss / rows),
            ("exact_match", exact / questions),
            ("f1", f1 / questions),
        ]))
    }

    /// The log-probabilities of the ends for each example.
    fn ends(&self, examples: &[Example]) -> Result<Vec<Ends>> {
        let mut found: Vec<Option<Ends>> = examples.iter().map(|_| None).collect();
        self.each_batch(examples, |read| {
            let states = self.states(&Positions::all_tokens(read.batch), read)?;
            let logits = logits(self.model, self.head.as_ref(), self.task, states)?;
            let pairs: Vec<f64> = logits.into_data().iter::<f64>().collect();
            let mut pairs = pairs.chunks_exact(2);
            for (row, example) in read.indices.iter().zip(read.examples) {
                let own: Vec<&[f64]> = pairs.by_ref().take(example.input_ids.len()).collect();
                let column = |at: usize| log_softmax(own.iter().map(|pair| pair[at]).collect());
                found[*row] = Some(Ends { start: column(0), end: column(1) });
            }
            Ok(())
        })?;
        Ok(found.into_iter().flatten().collect())
    }

    fn best_answers(&self, examples: &[Example], ends: &[Ends]) -> Vec<Answer> {
        let mut answers: Vec<Answer> = Vec::new();
        for (at, (example, ends)) in examples.iter().zip(ends).enumerate() {
            let is_context = |token: usize| {
                example.window.as_ref().is_none_or(|window| window.bytes[token].is_some())
            };
            let (start, end, score) = best_span(ends, is_context, self.max_answer_length);
            let answer = Answer { example: at, start, end, probability: score.exp() };
            match answers.last_mut().filter(|last| example.same_question(&examples[last.example])) {
                Some(last) if answer.probability > last.probability => *last = answer,
                Some(_) => {}
                None => answers.push(answer),
            }
        }
        answers
    }
}

/// The span with the largest sum of log-probabilities, the first of equal ones.
fn best_span(
    ends: &Ends,
    is_context: impl Fn(usize) -> bool,
    longest: usize,
) -> (usize, usize, f64) {
    let mut best: Option<(usize, usize, f64)> = None;
    let tokens = ends.start.len();
    for start in (0..tokens).filter(|token| is_context(*token)) {
        for end in start..start.saturating_add(longest).min(tokens) {
            let score = ends.start[start] + ends.end[end];
            if is_context(end) && best.is_none_or(|(_, _, best)| score > best) {
                best = Some((start, end, score));
            }
        }
    }
    // A row constructed by hand may have no context.
    best.unwrap_or((0, 0, f64::NEG_INFINITY))
}

fn log_softmax(logits: Vec<f64>) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    logits.into_iter().map(|logit| logit - largest - sum.ln()).collect()
}

/// Whether the answer is right, and its F1; `None` if the right answer is not known.
fn score(example: &Example, answer: &Answer) -> Option<(bool, f64)> {
    if let Some(window) = &example.window {
        let answers = &window.passage.answers;
        let text = window.excerpt(answer.start, answer.end).map_or("", |excerpt| excerpt.text);
        return (!answers.is_empty())
            .then(|| (exact_match(text, answers), answer_f1(text, answers)));
    }
    let Target::Span { start, end } = example.target else { return None };
    let words = |start: usize, end: usize| example.input_ids[start..=end].to_vec();
    let (found, wanted) = (words(answer.start, answer.end), words(start, end));
    Some((found == wanted, overlap_f1(found, wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_span_goes_forward_within_the_context() {
        // Independently, the best start is token 4 and the best end token 1.
        let ends = Ends {
            start: vec![0.0, -1.0, -4.0, -4.0, -0.5, -4.0],
            end: vec![-9.0, -0.1, -5.0, -2.0, -3.0, 0.0],
        };
        let best = |context: std::ops::Range<usize>, longest| {
            let (start, end, _) = best_span(&ends, |token| context.contains(&token), longest);
            (start, end)
        };
        assert_eq!(best(0..6, 30), (0, 5));
        assert_eq!(best(0..6, 5), (0, 1));
        assert_eq!(best(1..6, 30), (4, 5));
        assert_eq!(best(1..5, 30), (1, 1));
        assert_eq!(best(1..4, 1), (1, 1));
        assert_eq!(best(2..4, 1), (3, 3));
        assert_eq!(best(6..6, 30), (0, 0));
    }

    #[test]
    fn log_probabilities_sum_to_one() {
        let found = log_softmax(vec![1000.0, 1000.0, -1000.0]);
        assert!((found[0] - 0.5f64.ln()).abs() < 1e-12 && found[2] < -1000.0);
    }
}
