//! Gives up the runs that are behind after a part of their steps, and takes up again those that no longer are.

use peft_core::{Error, Result, adapter::FolderLock};

use super::{halving::Halving, plan::Plan, screen::Screen};
use crate::{
    compare::{Metric, Run, State},
    training::{ending::Ending, run_result::RunResult},
};

/// Leaves out those of the runs at these places that are worse than others after a part of their steps. What is decided
/// follows from the scores up to there alone, so it is the same after a kill.
///
/// # Errors
///
/// [`Error::Mismatch`] naming a run without a score up to there; as [`Run::read`].
pub(super) fn give_up(
    (plan, halving): (&Plan, &Halving),
    places: &mut Vec<usize>,
    part: f64,
    screen: &Screen,
) -> Result<()> {
    let read = |place: &usize| Run::read(&plan.runs[*place].folder);
    let runs: Vec<Run> = places.iter().map(read).collect::<Result<_>>()?;
    let Some(first) = runs.first() else { return Ok(()) };
    let metric = Metric::named(&first.best_metric);
    let mut scores = Vec::with_capacity(runs.len());
    for run in &runs {
        let last = steps_of(part, run.total_steps.unwrap_or(0));
        let result = RunResult::read(&run.path)?.unwrap_or_default();
        scores.push(score(run, &metric, last, result.last_step)?);
    }
    let goes_on = halving.goes_on(&scores, metric.maximise);
    for ((place, run), goes_on) in places.iter().zip(&runs).zip(&goes_on) {
        let last = steps_of(part, run.total_steps.unwrap_or(0));
        if decide(run, last, *goes_on)? {
            match goes_on {
                true => screen.take_up(),
                false => screen.end(*place, &plan.runs[*place].name, "given up"),
            }
        }
    }
    let mut kept = goes_on.iter();
    places.retain(|_| kept.next().copied().unwrap_or(true));
    Ok(())
}

/// Writes what becomes of a run after the step `last`. Returns whether that is new.
fn decide(run: &Run, last: usize, goes_on: bool) -> Result<bool> {
    let _lock = FolderLock::new(&run.path)?;
    let result = RunResult::read(&run.path)?.unwrap_or_default();
    let Some((ending, last_step)) = decided(&result, last, goes_on) else { return Ok(false) };
    RunResult { ending, last_step, ..result }.write(&run.path)?;
    Ok(true)
}

/// What becomes of a run after the step `last`, if that is not what it says: the file of a sweep may have more runs than
/// when this one was given up. One that was given up later on is judged there.
fn decided(result: &RunResult, last: usize, goes_on: bool) -> Option<(Ending, Option<usize>)> {
    match (result.ending, goes_on) {
        (Ending::Begun, false) => Some((Ending::Halted, Some(last))),
        (Ending::Halted, true) if result.last_step.is_none_or(|step| step <= last) => {
            Some((Ending::Begun, None))
        }
        _ => None,
    }
}

/// The best score of a run up to the step `last`; `None` if it had diverged by then, at the step `ended`.
fn score(run: &Run, metric: &Metric, last: usize, ended: Option<usize>) -> Result<Option<f64>> {
    if run.state == State::Diverged && ended.is_none_or(|step| step <= last) {
        return Ok(None);
    }
    // Without evaluations the curve has losses of steps, which say nothing of the score.
    let points = run.curve.iter().filter(|point| point.step <= last);
    let scores: Vec<_> = points.filter_map(|point| point.scores.get(&metric.name)).collect();
    if scores.is_empty() {
        return Err(Error::Mismatch(format!(
            "{} has no {} up to step {last}, where runs are compared: set `eval_every` to at most {last}, and \
             `best_metric` to the same score for all runs",
            run.path.display(),
            metric.name
        )));
    }
    let better = |a: f64, b: f64| if metric.maximise { a.max(b) } else { a.min(b) };
    Ok(scores.into_iter().filter_map(serde_json::Value::as_f64).reduce(better))
}

/// The step at which a part of the steps is made.
pub(super) fn steps_of(part: f64, total: usize) -> usize {
    ((part * total as f64).ceil() as usize).clamp(1, total.max(1))
}

/// Refuses a run that has no evaluation by the step `until`, where it is compared with others: a step that is made
/// could not be taken back by another `eval_every`.
///
/// # Errors
///
/// [`Error::Mismatch`].
pub(super) fn check_evaluated(eval_every: Option<usize>, until: usize) -> Result<()> {
    match eval_every {
        Some(every) if every > until => Err(Error::Mismatch(format!(
            "[halving] compares runs after step {until}, and the first evaluation comes after step {every}: set \
             `eval_every` to at most {until}, or the first of `at` higher"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::training::file_names::{EVALUATIONS, METRICS, RUN_FILE};

    /// A run with these lines of evaluations, that ended so at this step.
    fn run(ending: Ending, last_step: usize, evaluations: &str) -> Run {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(RUN_FILE), "steps = 8\n").unwrap();
        fs::write(dir.path().join(METRICS), "{\"step\":1,\"loss\":0.5}\n").unwrap();
        if !evaluations.is_empty() {
            fs::write(dir.path().join(EVALUATIONS), evaluations).unwrap();
        }
        let best_metric = Some("accuracy".to_string());
        let last_step = Some(last_step);
        RunResult { ending, last_step, best_metric, ..RunResult::default() }
            .write(dir.path())
            .unwrap();
        Run::read(dir.path()).unwrap()
    }

    const LINES: &str = "{\"step\":2,\"accuracy\":0.5}\n{\"step\":4,\"accuracy\":0.25}\n{\"step\":6,\"accuracy\":0.75}\n";

    #[test]
    fn runs_are_judged_by_their_best_score_up_to_a_step() {
        let metric = Metric::named("accuracy");
        let found = run(Ending::Begun, 6, LINES);
        assert_eq!(score(&found, &metric, 4, None).unwrap(), Some(0.5));
        assert_eq!(score(&found, &metric, 6, None).unwrap(), Some(0.75));
        // The loss of a step is no score, and neither is that of another name.
        for (evaluations, last) in [("", 4), (LINES, 1), ("{\"step\":2,\"f1\":0.5}\n", 4)] {
            let found = run(Ending::Begun, 6, evaluations);
            let message = score(&found, &metric, last, None).unwrap_err().to_string();
            let says = format!("has no accuracy up to step {last}");
            assert!(message.contains(&says), "{message}");
        }
    }

    #[test]
    fn a_run_that_had_diverged_has_no_score() {
        let metric = Metric::named("accuracy");
        let found = run(Ending::Diverged, 4, LINES);
        assert_eq!(score(&found, &metric, 4, Some(4)).unwrap(), None);
        assert_eq!(score(&found, &metric, 3, Some(4)).unwrap(), Some(0.5));
        let found = run(Ending::Diverged, 1, "");
        assert_eq!(score(&found, &metric, 4, Some(1)).unwrap(), None);
    }

    #[test]
    fn a_run_that_was_given_up_goes_on_where_it_no_longer_is_behind() {
        let result = |ending, last_step| RunResult { ending, last_step, ..RunResult::default() };
        let begun = result(Ending::Begun, None);
        assert_eq!(decided(&begun, 4, false), Some((Ending::Halted, Some(4))));
        assert_eq!(decided(&begun, 4, true), None);
        let halted = result(Ending::Halted, Some(4));
        assert_eq!(decided(&halted, 4, true), Some((Ending::Begun, None)));
        assert_eq!(decided(&halted, 2, true), None);
        assert_eq!(decided(&halted, 4, false), None);
        for ending in [Ending::Finished, Ending::Diverged] {
            let ended = result(ending, Some(4));
            assert!(decided(&ended, 4, true).or(decided(&ended, 4, false)).is_none());
        }
    }

    #[test]
    fn an_evaluation_that_comes_too_late_is_refused() {
        let said = check_evaluated(Some(125), 30).unwrap_err().to_string();
        assert!(said.contains("after step 30") && said.contains("at most 30"), "{said}");
        check_evaluated(Some(30), 30).unwrap();
        check_evaluated(None, 30).unwrap();
        assert_eq!([steps_of(0.25, 12), steps_of(0.5, 5), steps_of(0.1, 0)], [3, 3, 1]);
    }
}
