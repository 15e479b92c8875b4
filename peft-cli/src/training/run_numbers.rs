//! The numbers of a run at one moment, and the lines that tell them.

use std::time::Duration;

use peft_core::{
    metrics::Metrics,
    train::{Plan, StepReport},
};

use crate::{
    output::grouped,
    screen::{
        clock::{rest, time},
        line::Line,
        manners::Tone,
    },
};

/// What a new value counts for in a smoothed one.
const NEW: f64 = 0.1;

/// A value smoothed over about the last ten steps.
#[derive(Clone, Copy, Debug, Default)]
struct Smoothed {
    sum: f64,
    weight: f64,
}

impl Smoothed {
    fn add(&mut self, value: f64) {
        self.sum += NEW * (value - self.sum);
        self.weight += NEW * (1.0 - self.weight);
    }

    fn value(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// The rows that an evaluation has read.
#[derive(Clone, Copy, Debug)]
pub struct Evaluating {
    /// The step after which they are read.
    pub step: usize,
    /// Rows that are done.
    pub rows: usize,
    /// All rows.
    pub of: usize,
}

/// The numbers of a run.
#[derive(Clone, Debug)]
pub struct RunNumbers {
    name: &'static str,
    plan: Plan,
    step: usize,
    loss: Smoothed,
    speed: Smoothed,
    lr: f64,
    best: Option<(usize, f64)>,
}

impl RunNumbers {
    /// A run that begins.
    pub fn new(name: &'static str, plan: Plan) -> Self {
        let (loss, speed) = (Smoothed::default(), Smoothed::default());
        Self { name, step: plan.after_step, loss, speed, lr: 0.0, best: plan.best, plan }
    }

    /// A step was made.
    pub fn add(&mut self, report: &StepReport) {
        self.step = report.step;
        self.lr = report.lr;
        self.speed.add(report.tokens_per_second);
        // A step without targets has no loss.
        if report.labelled > 0 {
            self.loss.add(report.loss);
        }
    }

    /// The line at the bottom of a terminal, after so much time.
    pub fn on_screen(&self, elapsed: Duration) -> Line {
        let best = self.best.zip(self.plan.best_metric.as_ref());
        let best = best.map(|((step, value), by)| format!("best {} {value:.4} at {step}", by.name));
        Line::default()
            .with(0, format!("{:<6}", self.name))
            .with(0, format!("{}/{}", self.step, self.plan.total_steps))
            .bar(self.step as f64 / self.plan.total_steps.max(1) as f64)
            .with(3, self.epoch())
            .maybe(1, self.train_loss())
            .maybe(6, self.tokens_per_second())
            .with(5, format!("elapsed {}", time(elapsed)))
            .maybe(2, self.left(elapsed))
            .maybe(4, best)
    }

    /// The line of a step where nothing is drawn.
    pub fn in_words(&self, elapsed: Duration, memory: Option<u64>) -> Line {
        Line::default()
            .with(0, self.place(self.step))
            .with(3, self.epoch())
            .maybe(1, self.train_loss())
            .with(7, format!("lr {:.1e}", self.lr))
            .maybe(6, self.tokens_per_second())
            .with(5, format!("elapsed {}", time(elapsed)))
            .maybe(2, self.left(elapsed))
            .maybe(8, memory.map(|bytes| format!("memory {}", megabytes(bytes))))
    }

    /// The line at the bottom of a terminal while validation rows are read.
    pub fn evaluating(&self, now: Evaluating) -> Line {
        let Evaluating { step, rows, of } = now;
        Line::default()
            .with(0, format!("{:<6}", "valid"))
            .with(0, format!("{}/{} rows", grouped(rows), grouped(of)))
            .bar(rows as f64 / of.max(1) as f64)
            .with(1, format!("after step {step}"))
    }

    /// The line of an evaluation, whose scores may be the new best.
    pub fn scored(&mut self, step: usize, scores: &Metrics, is_best: bool) -> Line {
        let by = self.plan.best_metric.as_ref().map_or("loss", |by| by.name.as_str());
        let mut line = Line::default().with(0, self.place(step)).with(3, self.epoch());
        for (rank, (name, value)) in (4..=u8::MAX).zip(scores.iter()) {
            // The loss of the batches is another one.
            let role = if rank == 4 { "valid " } else { "" };
            let rank = if name == by || name == "loss" { 0 } else { rank };
            line = line.with(rank, format!("{role}{name} {value:.4}"));
        }
        if is_best {
            self.best = scores.get(by).map(|value| (step, value));
            return line.toned(1, "new best", Tone::Good);
        }
        line.maybe(2, self.best.map(|(step, value)| format!("best {value:.4} at step {step}")))
    }

    fn place(&self, step: usize) -> String {
        let width = self.plan.total_steps.to_string().len();
        format!("step {step:>width$}/{}", self.plan.total_steps)
    }

    fn epoch(&self) -> String {
        let of = |steps| self.plan.epochs(steps);
        format!("epoch {:.1}/{:.1}", of(self.step), of(self.plan.total_steps))
    }

    fn train_loss(&self) -> Option<String> {
        self.loss.value().map(|loss| format!("train loss {loss:.4}"))
    }

    fn tokens_per_second(&self) -> Option<String> {
        self.speed.value().map(|speed| format!("{} tokens/s", grouped(speed.round() as usize)))
    }

    fn left(&self, elapsed: Duration) -> Option<String> {
        let done = self.step.saturating_sub(self.plan.after_step);
        let left = rest(elapsed, done, self.plan.total_steps.saturating_sub(self.step))?;
        Some(format!("left {}", time(left)))
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", grouped((bytes / 1_000_000) as usize))
}

#[cfg(test)]
mod tests {
    use peft_core::train::BestMetric;

    use super::*;

    fn run() -> RunNumbers {
        let plan = Plan {
            after_step: 0,
            total_steps: 430,
            steps_per_epoch: 143.0,
            best_metric: Some(BestMetric::named("accuracy")),
            best: None,
        };
        let mut numbers = RunNumbers::new("ptv2", plan);
        for step in 1..=129 {
            numbers.add(&StepReport {
                step,
                loss: 0.25,
                tasks: Default::default(),
                lr: 0.00699,
                tokens: 400,
                tokens_per_second: 8123.4,
                labelled: 32,
                grad_norm: None,
                loss_scale: None,
                skipped: false,
                exchanged: None,
            });
        }
        numbers
    }

    fn scores() -> Metrics {
        [
            ("loss", 0.231),
            ("accuracy", 0.95),
            ("f1_macro", 0.9412),
            ("f1_micro", 0.95),
            ("matthews", 0.94),
        ]
        .into_iter()
        .collect()
    }

    /// As in a terminal of 60, 80 and 120 columns, and in a pipe.
    #[test]
    fn lines_fit_the_terminal() {
        let mut run = run();
        let elapsed = Duration::from_secs(21);
        let first = run.scored(129, &scores(), true);
        let next = run.scored(129, &scores(), false);
        let words = run.in_words(elapsed, Some(1_288_490_188));
        let now = Evaluating { step: 129, rows: 700, of: 1400 };
        for (columns, expected) in [
            (
                Some(59),
                [
                    "ptv2    129/430  ███░░░░░░░░░  train loss 0.2500  left 0:49",
                    "valid   700/1 400 rows  █████████░░░░░░░░░░  after step 129",
                    "step 129/430  valid loss 0.2310  accuracy 0.9500  new best",
                    "step 129/430  valid loss 0.2310  accuracy 0.9500",
                ],
            ),
            (
                Some(79),
                [
                    "ptv2    129/430  █████░░░░░░░░░░░░  epoch 0.9/3.0  train loss 0.2500  left 0:49",
                    "valid   700/1 400 rows  ███████████████████░░░░░░░░░░░░░░░░░░░░  after step 129",
                    "step 129/430  epoch 0.9/3.0  valid loss 0.2310  accuracy 0.9500  new best",
                    "step 129/430  valid loss 0.2310  accuracy 0.9500  best 0.9500 at step 129",
                ],
            ),
            (
                Some(119),
                [
                    "ptv2    129/430  ████░░░░░░░░░░  epoch 0.9/3.0  train loss 0.2500  elapsed 0:21  \
                     left 0:49  best accuracy 0.9500 at 129",
                    "valid   700/1 400 rows  ████████████████████░░░░░░░░░░░░░░░░░░░░  after step 129",
                    "step 129/430  epoch 0.9/3.0  valid loss 0.2310  accuracy 0.9500  f1_macro 0.9412  \
                     f1_micro 0.9500  new best",
                    "step 129/430  epoch 0.9/3.0  valid loss 0.2310  accuracy 0.9500  f1_macro 0.9412  \
                     best 0.9500 at step 129",
                ],
            ),
            (
                None,
                [
                    "ptv2    129/430  epoch 0.9/3.0  train loss 0.2500  8 123 tokens/s  elapsed 0:21  \
                     left 0:49  best accuracy 0.9500 at 129",
                    "valid   700/1 400 rows  after step 129",
                    "step 129/430  epoch 0.9/3.0  valid loss 0.2310  accuracy 0.9500  f1_macro 0.9412  \
                     f1_micro 0.9500  matthews 0.9400  new best",
                    "step 129/430  epoch 0.9/3.0  valid loss 0.2310  accuracy 0.9500  f1_macro 0.9412  \
                     f1_micro 0.9500  matthews 0.9400  best 0.9500 at step 129",
                ],
            ),
        ] {
            let found = [run.on_screen(elapsed), run.evaluating(now), first.clone(), next.clone()];
            let found = found.map(|line| line.fit(columns));
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!(found, expected, "{columns:?}");
                assert!(columns.is_none_or(|columns| found.chars().count() <= columns), "{found}");
            }
        }
        assert_eq!(
            words.fit(None),
            "step 129/430  epoch 0.9/3.0  train loss 0.2500  lr 7.0e-3  8 123 tokens/s  elapsed 0:21  left 0:49  \
             memory 1 288 MB"
        );
    }

    #[test]
    fn a_smoothed_value_begins_with_the_first() {
        let mut value = Smoothed::default();
        assert_eq!(value.value(), None);
        for (new, expected) in [(2.0, 2.0), (2.0, 2.0), (4.0, 2.738)] {
            value.add(new);
            assert!(value.value().is_some_and(|found| (found - expected).abs() < 1e-3));
        }
    }
}
