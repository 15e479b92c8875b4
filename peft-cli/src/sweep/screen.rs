//! How far a sweep is: a line at the bottom of a terminal, elsewhere a line for each run that has ended and now and then.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    output,
    screen::{
        bar::{Bar, Bars, columns},
        clock::time,
        line::Line,
        manners::{Tone, is_watched},
    },
};

/// A run that is made now.
#[derive(Clone, Debug)]
struct Running {
    place: usize,
    name: String,
    /// Steps before this process took it up, those made, and all.
    from: usize,
    step: usize,
    of: usize,
}

/// The numbers of a sweep.
#[derive(Debug)]
struct Numbers {
    all: usize,
    /// Runs that have ended, those of earlier processes included.
    ended: usize,
    /// Runs to be made by this process, and those that it has made.
    todo: usize,
    made: usize,
    begun: Instant,
    running: Vec<Running>,
    told: Instant,
    warned: BTreeSet<String>,
}

/// Shows a sweep.
#[derive(Debug)]
pub(super) struct Screen {
    numbers: Arc<Mutex<Numbers>>,
    bars: Bars,
    bar: Option<Bar>,
    every: Duration,
}

impl Screen {
    /// A sweep of so many runs, of which some have ended and some are to be made.
    pub(super) fn new(
        (all, ended, todo): (usize, usize, usize),
        every: Duration,
        bars: Bars,
    ) -> Self {
        let now = Instant::now();
        let numbers = Numbers {
            all,
            ended,
            todo,
            made: 0,
            begun: now,
            running: Vec::new(),
            told: now,
            warned: BTreeSet::new(),
        };
        let numbers = Arc::new(Mutex::new(numbers));
        let bar = (is_watched() && todo > 0).then(|| {
            let numbers = Arc::clone(&numbers);
            bars.add(move |columns| locked(&numbers).line().fit(Some(columns)))
        });
        Self { numbers, bars, bar, every }
    }

    /// A run begins, or goes on after a step.
    pub(super) fn begin(&self, place: usize, name: &str, from: usize, of: usize) {
        let name = name.to_string();
        locked(&self.numbers).running.push(Running { place, name, from, step: from, of });
    }

    /// It has made a step.
    pub(super) fn step(&self, place: usize, step: usize) {
        let mut numbers = locked(&self.numbers);
        if let Some(run) = numbers.running.iter_mut().find(|run| run.place == place) {
            run.step = step;
        }
        if self.bar.is_none() && numbers.told.elapsed() >= self.every {
            numbers.told = Instant::now();
            let line = numbers.line().fit(None);
            drop(numbers);
            self.say(&line);
        }
    }

    /// It rests, and goes on later.
    pub(super) fn pause(&self, place: usize) {
        locked(&self.numbers).running.retain(|run| run.place != place);
    }

    /// One that had ended is to be made after all.
    pub(super) fn take_up(&self) {
        let mut numbers = locked(&self.numbers);
        numbers.ended = numbers.ended.saturating_sub(1);
        numbers.todo += 1;
    }

    /// It has ended so.
    pub(super) fn end(&self, place: usize, name: &str, how: &str) {
        let mut numbers = locked(&self.numbers);
        numbers.running.retain(|run| run.place != place);
        numbers.ended += 1;
        numbers.made += 1;
        numbers.told = Instant::now();
        let line = Line::default()
            .with(0, numbers.count())
            .with(0, name)
            .toned(1, how, Tone::Plain)
            .maybe(2, numbers.left());
        drop(numbers);
        self.say(&line.fit(self.bar.as_ref().map(|_| columns())));
    }

    /// Those of the warnings that were not said of another run.
    pub(super) fn new_warnings(&self, warnings: Vec<String>) -> Vec<String> {
        let mut numbers = locked(&self.numbers);
        warnings.into_iter().filter(|warning| numbers.warned.insert(warning.clone())).collect()
    }

    /// Says something that nobody should miss.
    pub(super) fn tell(&self, text: &str) {
        self.bars.above(|| output::tell(text));
    }

    fn say(&self, line: &str) {
        self.bars.above(|| output::progress(line));
    }
}

impl Numbers {
    fn count(&self) -> String {
        let width = self.all.to_string().len();
        format!("{:>width$}/{} runs", self.ended, self.all)
    }

    /// The runs that this process has made, those that it is making in part.
    fn done(&self) -> f64 {
        let part = |run: &Running| {
            (run.step - run.from) as f64 / (run.of.saturating_sub(run.from)).max(1) as f64
        };
        self.made as f64 + self.running.iter().map(part).sum::<f64>()
    }

    fn left(&self) -> Option<String> {
        let (done, todo) = (self.done(), self.todo as f64);
        let rest = self.begun.elapsed().as_secs_f64() / done * (todo - done).max(0.0);
        let rest = Duration::try_from_secs_f64(rest).ok().filter(|_| done > 0.0)?;
        Some(format!("left {}", time(rest)))
    }

    fn line(&self) -> Line {
        let first = self.running.first();
        let more = match self.running.len() {
            0 | 1 => String::new(),
            many => format!(" and {} more", many - 1),
        };
        let running = first.map(|run| format!("{} step {}/{}{more}", run.name, run.step, run.of));
        Line::default()
            .with(0, self.count())
            .bar((self.ended as f64 + self.done() - self.made as f64) / self.all.max(1) as f64)
            .maybe(3, running)
            .with(2, format!("elapsed {}", time(self.begun.elapsed())))
            .maybe(1, self.left())
    }
}

/// A panic elsewhere leaves numbers that can still be shown.
fn locked(shared: &Mutex<Numbers>) -> MutexGuard<'_, Numbers> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_what_is_done() {
        let screen = Screen::new((30, 10, 20), Duration::MAX, Bars::default());
        assert_eq!(locked(&screen.numbers).left(), None);
        screen.begin(4, "lr=1", 0, 100);
        screen.begin(5, "lr=2", 50, 100);
        screen.step(4, 25);
        screen.step(5, 75);
        let line = {
            let mut numbers = locked(&screen.numbers);
            assert_eq!(numbers.done(), 0.75);
            // 0.75 of 20 runs took 3 seconds.
            numbers.begun = Instant::now() - Duration::from_secs(3);
            numbers.line().fit(None)
        };
        assert_eq!(line, "10/30 runs  lr=1 step 25/100 and 1 more  elapsed 0:03  left 1:17");
        screen.end(4, "lr=1", "accuracy 0.5000");
        screen.pause(5);
        let numbers = locked(&screen.numbers);
        assert_eq!((numbers.count(), numbers.done()), ("11/30 runs".to_string(), 1.0));
        drop(numbers);
        screen.take_up();
        assert_eq!(locked(&screen.numbers).count(), "10/30 runs");
        assert_eq!(screen.new_warnings(vec!["a".into(), "b".into()]), ["a", "b"]);
        assert_eq!(screen.new_warnings(vec!["a".into(), "c".into()]), ["c"]);
    }
}
