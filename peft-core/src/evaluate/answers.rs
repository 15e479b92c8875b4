//! Answers extracted from a context: the most likely span over all windows of a question.

use super::{
    assessment::{Assessment, Predicted},
    constant,
    outputs::logits,
    positions::Positions,
    predictor::Predictor,
    spans::{Answer, WindowScores, attempt, best_answers, score, text},
};
use crate::{
    contract::readback::Readback,
    data::Example,
    error::{Error, Result},
    metrics::{Attempt, Metrics, exact_match, squad_v2_scores},
};

/// By how much no answer has to score above the best one, in logits, where nothing else is said.
pub const DEFAULT_NULL_SCORE_DIFF_THRESHOLD: f64 = 0.0;

/// Checks a threshold of questions that may have no answer.
///
/// # Errors
///
/// [`Error::Setting`] if it is no number.
pub fn check_threshold(threshold: Option<f64>) -> Result<()> {
    match threshold.filter(|threshold| !threshold.is_finite()) {
        Some(found) => {
            let message = format!("found {found}, expected a number");
            Err(Error::setting("null_score_diff_threshold", message))
        }
        None => Ok(()),
    }
}

impl Predictor<'_> {
    /// Returns the most likely answer to each question, in order: from a token of the context to
    /// the same or a later one, over all windows. Windows of one question must be consecutive. A
    /// row of token ids is a question of its own, and all of its tokens count as context.
    ///
    /// With [`with_null_score_diff_threshold`](Self::with_null_score_diff_threshold) a question may
    /// have no answer, for which the first token of a row stands; see [`Answer::null`].
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] if a row does not fit, [`Error::ScoreNotFinite`] if the model's scores are no numbers.
    pub fn answer(&self, examples: &[Example]) -> Result<Vec<Answer>> {
        Ok(self.best_answers(examples, 1)?.concat())
    }

    /// As [`answer`](Self::answer), with up to `count` answers to each question, at least one, the best
    /// first. All of a question say the same of [`Answer::null`].
    ///
    /// # Errors
    ///
    /// As [`answer`](Self::answer).
    pub fn best_answers(&self, examples: &[Example], count: usize) -> Result<Vec<Vec<Answer>>> {
        let (threshold, count) = (self.null_score_diff_threshold, count.max(1));
        let windows = self.windows(examples, threshold.is_some(), count)?;
        Ok(best_answers(examples, &windows, threshold, count))
    }

    /// The threshold in force for these examples: the one that was set, or the default where a
    /// question has no answer.
    fn null_threshold(&self, examples: &[Example]) -> Option<f64> {
        let any = examples.iter().any(Example::is_unanswerable);
        self.null_score_diff_threshold.or(any.then_some(DEFAULT_NULL_SCORE_DIFF_THRESHOLD))
    }

    /// `loss` with `exact_match` and `f1` of questions with answers; with the scores of SQuAD 2.0 if
    /// questions may have none.
    pub(super) fn evaluate_answers(&self, examples: &[Example]) -> Result<Assessment> {
        let threshold = self.null_threshold(examples);
        let windows = self.windows(examples, threshold.is_some(), 1)?;
        let answers = best_answers(examples, &windows, threshold, 1).concat();
        let constant = constant::of_answers(examples, &answers);
        let predictions = answers.iter().filter_map(|answer| predicted(examples, answer)).collect();
        let losses: Vec<f64> = windows.iter().filter_map(|window| window.loss).collect();
        let no_target = || Error::Mismatch("no row has a target to evaluate".into());
        if losses.is_empty() {
            return Err(no_target());
        }
        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
        let mut metrics = Metrics::from_iter([("loss", loss)]);
        if let Some(threshold) = threshold {
            let of =
                |answer: &Answer| attempt(&examples[answer.example], answer, answer.null.as_ref()?);
            let attempts: Vec<Attempt> = answers.iter().filter_map(of).collect();
            if attempts.is_empty() {
                return Err(no_target());
            }
            metrics.extend(squad_v2_scores(&attempts, threshold)?.iter());
            return Ok(Assessment { metrics, constant, report: None, predictions });
        }
        let (mut exact, mut f1, mut questions) = (0.0, 0.0, 0.0);
        let scores = answers.iter().filter_map(|answer| score(&examples[answer.example], answer));
        for (is_exact, overlap) in scores {
            exact += f64::from(u8::from(is_exact));
            f1 += overlap;
            questions += 1.0;
        }
        if questions == 0.0 {
            return Err(no_target());
        }
        metrics.extend([("exact_match", exact / questions), ("f1", f1 / questions)]);
        Ok(Assessment { metrics, constant, report: None, predictions })
    }

    /// What each example says about its question.
    fn windows(
        &self,
        examples: &[Example],
        may_be_null: bool,
        count: usize,
    ) -> Result<Vec<WindowScores>> {
        let mut found: Vec<Option<WindowScores>> = vec![None; examples.len()];
        self.each_batch(examples, |slices| {
            let mut together = Readback::default();
            for slice in slices {
                let states = self.states(&Positions::all_tokens(slice.batch), slice)?;
                together.add(logits(self.model, self.head.as_ref(), self.task, states)?);
            }
            let mut scores = together.read()?;
            for slice in slices {
                let pairs = scores.numbers::<f64>()?;
                let mut pairs = pairs.chunks_exact(2);
                for (in_slice, (row, example)) in
                    slice.indices.iter().zip(slice.examples).enumerate()
                {
                    let own: Vec<&[f64]> = pairs.by_ref().take(example.input_ids.len()).collect();
                    for pair in &own {
                        slice.check_finite(in_slice, &[pair[0] as f32, pair[1] as f32])?;
                    }
                    let column = |at: usize| own.iter().map(|pair| pair[at]).collect::<Vec<f64>>();
                    let (start, end) = (column(0), column(1));
                    found[*row] = Some(WindowScores::new(
                        example,
                        [&start, &end],
                        self.max_answer_length,
                        count,
                        may_be_null,
                    ));
                }
            }
            Ok(())
        })?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// What is answered to a question of text whose right answers are known.
fn predicted(examples: &[Example], answer: &Answer) -> Option<(usize, Predicted)> {
    let example = &examples[answer.example];
    let expected = example.window.as_ref()?.passage.answers.clone()?;
    let is_null = answer.null.is_some_and(|null| null.is_chosen);
    let found = if is_null { String::new() } else { text(example, answer).to_string() };
    let is_right = match expected.is_empty() {
        true => is_null,
        false => !is_null && exact_match(&found, &expected),
    };
    Some((answer.example, Predicted::Answer { found, expected, is_right }))
}
