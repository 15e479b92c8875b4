//! What is shown of a run while it lasts: lines at the bottom of a terminal, otherwise a line now and then.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use peft_core::{
    metrics::Metrics,
    train::{Plan, StepReport},
};

use super::run_numbers::{Evaluating, RunNumbers};
use crate::{
    output,
    screen::{
        bar::{Bar, Bars, columns},
        manners::{is_verbose, is_watched},
        memory::resident,
    },
};

/// A run that is shown.
#[derive(Debug)]
pub struct RunScreen {
    numbers: Arc<Mutex<RunNumbers>>,
    begun: Instant,
    /// Time between two lines without a terminal.
    every: Duration,
    last: Instant,
    bars: Bars,
    run: Option<Bar>,
    evaluation: Option<(Bar, Arc<Mutex<Evaluating>>)>,
}

impl RunScreen {
    /// A run that begins. Its bars are among `bars`.
    pub fn new(name: &'static str, plan: &Plan, every: Duration, bars: Bars) -> Self {
        let begun = Instant::now();
        let numbers = Arc::new(Mutex::new(RunNumbers::new(name, plan.clone())));
        let run = is_watched().then(|| {
            let numbers = Arc::clone(&numbers);
            bars.add(move |columns| locked(&numbers).on_screen(begun.elapsed()).fit(Some(columns)))
        });
        Self { numbers, begun, every, last: begun, bars, run, evaluation: None }
    }

    /// A step was made.
    pub fn step(&mut self, report: &StepReport) {
        locked(&self.numbers).add(report);
        if is_verbose() || (self.run.is_none() && self.last.elapsed() >= self.every) {
            self.last = Instant::now();
            let line = locked(&self.numbers).in_words(self.begun.elapsed(), resident());
            self.say(&line.fit(self.width()));
        }
    }

    /// Validation rows are being read.
    pub fn evaluating(&mut self, now: Evaluating) {
        if self.run.is_none() {
            return;
        }
        if let Some((_, shown)) = &self.evaluation {
            *locked(shown) = now;
            return;
        }
        let (numbers, shown) = (Arc::clone(&self.numbers), Arc::new(Mutex::new(now)));
        let now = Arc::clone(&shown);
        let text = move |columns| {
            let now = *locked(&now);
            locked(&numbers).evaluating(now).fit(Some(columns))
        };
        self.evaluation = Some((self.bars.add(text), shown));
    }

    /// They have been scored.
    pub fn scored(&mut self, step: usize, scores: &Metrics, is_best: bool) {
        self.evaluation = None;
        let line = locked(&self.numbers).scored(step, scores, is_best);
        self.say(&line.fit(self.width()));
    }

    /// The columns of the terminal, if there is one.
    fn width(&self) -> Option<usize> {
        self.run.as_ref().map(|_| columns())
    }

    fn say(&self, line: &str) {
        self.bars.above(|| output::progress(line));
    }
}

/// A panic elsewhere leaves numbers that can still be shown.
fn locked<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
