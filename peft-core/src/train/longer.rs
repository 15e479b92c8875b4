//! What there is to know of a run that goes on for more steps than were planned.

use super::{config::TrainConfig, snapshot::Counters};
use crate::optim::Schedule;

/// Whether the result of a run of `then` steps that goes on for `now` steps is that of `now` steps from the
/// start; `made` is what it has done so far.
pub(super) fn note(config: &TrainConfig, (then, now): (usize, usize), made: &Counters) -> String {
    let longer = format!("{now} steps instead of {then}");
    let same = format!("the result is that of {now} steps from the start");
    let schedule = config.schedule;
    if !matches!(schedule, Schedule::Constant | Schedule::Exponential) {
        return format!(
            "{longer}: from step {} on, the learning rate follows the {} schedule of {now} steps; before, it \
             followed that of {then}, so the result is not that of {now} steps from the start",
            made.step + 1,
            schedule.name()
        );
    }
    // The last step is always evaluated.
    let is_extra = config.eval_every.is_some_and(|every| !then.is_multiple_of(every))
        && made.history.last().is_some_and(|last| last.step == then);
    match is_extra {
        false => format!("{longer}: {same}"),
        true => format!(
            "{longer}: {same}, but for the evaluation after step {then}, the end of the shorter run, which counts too"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{metrics::Metrics, train::Evaluation};

    #[test]
    fn what_is_another_result_is_told() {
        let of = |schedule, every, evaluated: Option<usize>| {
            let evaluation = |step| Evaluation { step, metrics: Metrics::new() };
            let history = evaluated.map(evaluation).into_iter().collect();
            let config = TrainConfig { schedule, eval_every: every, ..TrainConfig::default() };
            note(&config, (6, 12), &Counters { step: 6, history, ..Counters::default() })
        };
        let same = "12 steps instead of 6: the result is that of 12 steps from the start";
        assert_eq!(of(Schedule::Constant, Some(2), Some(6)), same);
        assert_eq!(of(Schedule::Constant, None, None), same);
        assert_eq!(of(Schedule::Exponential, None, None), same);
        let extra = of(Schedule::Constant, Some(4), Some(6));
        assert!(
            extra.starts_with(same) && extra.contains("the evaluation after step 6"),
            "{extra}"
        );
        let linear = of(Schedule::Linear, None, None);
        assert!(
            linear.contains("from step 7 on") && linear.contains("linear schedule of 12 steps")
        );
        assert!(
            linear.ends_with("so the result is not that of 12 steps from the start"),
            "{linear}"
        );
    }
}
