//! A line at the bottom of the terminal that is drawn again and again, so that times in it go on.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

/// Between two times that a line is drawn.
const TICK: Duration = Duration::from_millis(200);
/// The columns of a terminal that does not say.
const COLUMNS: usize = 80;

/// The columns of the terminal, of which the last stays empty: some go to the next line when it is written.
pub fn columns() -> usize {
    let columns = Term::stderr().size_checked().map_or(COLUMNS, |(_, columns)| columns.into());
    columns.saturating_sub(1).max(1)
}

/// Lines at the bottom of the terminal, below what is said meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Bars(MultiProgress);

impl Bars {
    /// Adds a line below the others. `text` gives it, for a number of columns, whenever it is drawn.
    pub fn add(&self, text: impl Fn(usize) -> String + Clone + Send + Sync + 'static) -> Bar {
        let write = move |_: &ProgressState, out: &mut dyn Write| {
            // A line that cannot be drawn now is drawn the next time.
            let _: fmt::Result = out.write_str(&text(columns()));
        };
        let bar = self.0.add(ProgressBar::no_length());
        // The template is a constant and valid.
        let style = ProgressStyle::with_template("{line}").unwrap_or(ProgressStyle::default_bar());
        bar.set_style(style.with_key("line", write));
        bar.enable_steady_tick(TICK);
        Bar(bar)
    }

    /// Says something above the lines.
    pub fn above(&self, say: impl FnOnce()) {
        self.0.suspend(say);
    }
}

/// One such line; it disappears with this.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
