//! Progress of a training run: a progress bar, one JSON line per step in a file, and Ctrl-C.

use std::{
    fs::OpenOptions,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use peft_core::{
    Error, Result,
    metrics::Metrics,
    train::{Flow, Observer, StepReport},
};

use serde_json::json;

use super::run_folder::{Begun, RunFolder};
use crate::output;

/// A flag that the first Ctrl-C sets; a second one ends the program at once.
pub fn interrupt_flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&flag);
    // A second handler in one process (tests) is refused; such a run cannot be interrupted.
    let _ = ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    });
    flag
}

/// Follows a run.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    folder: Option<RunFolder>,
    begun: Option<Begun>,
    interrupted: Arc<AtomicBool>,
    /// What kept the metrics file from being written, which stops the run.
    pub failure: Option<Error>,
    /// Tokens per second, smoothed over the steps so far.
    smoothed: f64,
}

impl Progress {
    /// A bar named `name` on a terminal, and one line per step in the file of the run's `folder`, which is
    /// made when the run begins.
    pub fn new(name: &str, folder: Option<RunFolder>, interrupted: Arc<AtomicBool>) -> Self {
        let bar = if output::is_watched() {
            ProgressBar::new(0)
        } else {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
        };
        let style = "{prefix:>8} {bar:24} {pos}/{len}  {msg}  ETA {eta}";
        // The template is a constant and valid.
        bar.set_style(ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar()));
        bar.set_prefix(name.to_string());
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { bar, folder, begun: None, interrupted, failure: None, smoothed: 0.0 }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn write(&mut self, report: &StepReport) -> Result<()> {
        let Some(Begun { path, metrics, .. }) = &mut self.begun else { return Ok(()) };
        let mut line = serde_json::to_string(report).unwrap_or_default();
        line.push('\n');
        metrics.write_all(line.as_bytes()).map_err(Error::write(path))
    }

    fn write_scores(&self, step: usize, metrics: &Metrics) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let path = folder.evaluations();
        let mut line = json!({ "step": step });
        for (name, value) in metrics.iter() {
            line[name] = json!(value);
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .map_err(Error::write(&path))
    }
}

impl Observer for Progress {
    fn started(&mut self, after_step: usize, total: usize) -> Result<()> {
        self.begun = self.folder.as_ref().map(|folder| folder.begin(after_step)).transpose()?;
        for note in self.begun.as_ref().map(|begun| begun.notes.clone()).unwrap_or_default() {
            self.note(&note);
        }
        self.bar.set_length(total as u64);
        self.bar.set_position(after_step as u64);
        self.bar.reset_eta();
        Ok(())
    }

    fn step(&mut self, report: &StepReport) -> Flow {
        if let Err(error) = self.write(report) {
            self.failure = Some(error);
        }
        self.smoothed = match self.smoothed {
            0.0 => report.tokens_per_second,
            before => 0.9 * before + 0.1 * report.tokens_per_second,
        };
        self.bar.set_position(report.step as u64);
        self.bar.set_message(format!("loss {:.4}  {:.0} tokens/s", report.loss, self.smoothed));
        if self.failure.is_some() || self.interrupted.load(Ordering::SeqCst) {
            Flow::Stop
        } else {
            Flow::Continue
        }
    }

    fn evaluated(&mut self, step: usize, metrics: &Metrics) {
        if let Err(error) = self.write_scores(step, metrics) {
            self.failure = Some(error);
        }
        if output::is_watched() {
            let scores: Vec<String> =
                metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
            self.bar.println(format!("step {step}: {}", scores.join("  ")));
        }
    }

    fn note(&mut self, message: &str) {
        self.bar.suspend(|| output::note(format!("note: {message}")));
    }
}
