//! What a person sees of a download: a bar on a terminal, else a line now and then; never on stdout.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use super::name::RepoName;
use crate::output;

/// Between two lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(30);

/// Follows the download of a file.
#[derive(Debug)]
pub struct Watch {
    bar: Option<ProgressBar>,
    file: String,
    size: u64,
    told: Cell<Instant>,
}

impl Watch {
    /// For a file of `size` bytes of which `there` are there.
    pub fn new(name: &RepoName, file: &str, there: u64, size: u64) -> Self {
        let rest = match there {
            0 => String::new(),
            _ => format!(", from {} on", HumanBytes(there)),
        };
        let line = format!("downloading {name}: {file}, {}{rest}", HumanBytes(size));
        let bar = output::is_watched().then(|| {
            let bar = ProgressBar::new(size);
            let style = "{msg}  {bar:24} {bytes}/{total_bytes}  {binary_bytes_per_sec}  ETA {eta}";
            let style = ProgressStyle::with_template(style);
            // The template is a constant and valid.
            bar.set_style(style.unwrap_or(ProgressStyle::default_bar()));
            bar.set_message(format!("{name}: {file}"));
            bar.set_position(there);
            bar.reset_eta();
            bar
        });
        if bar.is_none() {
            output::note(line);
        }
        Self { bar, file: file.to_string(), size, told: Cell::new(Instant::now()) }
    }

    /// Tells that `there` bytes are there.
    pub fn at(&self, there: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(there),
            None if self.told.get().elapsed() >= PAUSE => {
                self.told.set(Instant::now());
                let (there, size) = (HumanBytes(there), HumanBytes(self.size));
                output::note(format!("{}: {there} of {size}", self.file));
            }
            None => {}
        }
    }

    /// The end; what was downloaded stays to be read.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}
