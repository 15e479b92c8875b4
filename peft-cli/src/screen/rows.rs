//! How many rows of a long loop are done: a bar on a terminal, otherwise a line now and then.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    bar::{Bar, Bars},
    clock::{rest, time},
    line::Line,
    manners::{is_quiet, is_watched},
};
use crate::output::{self, grouped};

/// Time between two lines without a terminal.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// Rows of a loop.
#[derive(Debug)]
pub struct RowsDone {
    name: &'static str,
    total: usize,
    done: Arc<AtomicUsize>,
    begun: Instant,
    last: Cell<Instant>,
    bar: Option<Bar>,
}

impl RowsDone {
    /// A loop over `total` rows, with its bar among `bars`. `name` says what is done with them.
    pub fn new(name: &'static str, total: usize, bars: &Bars) -> Self {
        let (begun, done) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        let shared = Arc::clone(&done);
        let text = move |columns: usize| {
            line(name, shared.load(Ordering::Relaxed), total, begun.elapsed()).fit(Some(columns))
        };
        // One row is too soon done to be waited for.
        let bar = (is_watched() && total > 1).then(|| bars.add(text));
        Self { name, total, done, begun, last: Cell::new(begun), bar }
    }

    /// So many rows are done.
    pub fn set(&self, done: usize) {
        self.done.store(done, Ordering::Relaxed);
        match &self.bar {
            Some(_) => {}
            None if is_quiet() || self.last.get().elapsed() < INTERVAL => {}
            None => {
                self.last.set(Instant::now());
                output::progress(
                    &line(self.name, done, self.total, self.begun.elapsed()).fit(None),
                );
            }
        }
    }

    /// One row more is done.
    pub fn add_one(&self) {
        self.set(self.done.load(Ordering::Relaxed) + 1);
    }
}

fn line(name: &str, done: usize, total: usize, elapsed: Duration) -> Line {
    let left = rest(elapsed, done, total.saturating_sub(done));
    Line::default()
        .with(0, name)
        .bar(done as f64 / total.max(1) as f64)
        .with(0, format!("{} of {} rows", grouped(done), grouped(total)))
        .with(2, format!("elapsed {}", time(elapsed)))
        .maybe(1, left.map(|left| format!("left {}", time(left))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_with_the_time_that_is_left() {
        let text = line("eval", 1000, 4000, Duration::from_secs(20));
        assert_eq!(text.fit(None), "eval  1 000 of 4 000 rows  elapsed 0:20  left 1:00");
        assert_eq!(text.fit(Some(48)), "eval  ██░░░░░░░░  1 000 of 4 000 rows  left 1:00");
        let begun = line("eval", 0, 4, Duration::ZERO);
        assert_eq!(begun.fit(None), "eval  0 of 4 rows  elapsed 0:00");
    }
}
