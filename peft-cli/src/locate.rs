//! The local folder of a model or an adapter, with what a person sees of its download: a bar on a terminal, otherwise
//! one line now and then; never on stdout.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};

use crate::{
    hub::{self, Download, HubError, Progress, Report},
    nearest::nearest_path,
    output,
    screen::manners::is_watched,
};

/// Time between two lines without a terminal.
const INTERVAL: Duration = Duration::from_secs(30);

/// As [`hub::model`].
///
/// # Errors
///
/// Returns a [`HubError`], which says what to do.
pub fn model(given: &Path) -> Result<PathBuf, HubError> {
    hub::model(given, &Stderr).inspect_err(|_| note_meant(given))
}

/// As [`hub::model_config`].
///
/// # Errors
///
/// Returns a [`HubError`], which says what to do.
pub fn model_config(given: &Path) -> Result<PathBuf, HubError> {
    hub::model_config(given, &Stderr).inspect_err(|_| note_meant(given))
}

/// As [`hub::adapter`].
///
/// # Errors
///
/// Returns a [`HubError`], which says what to do.
pub fn adapter(given: &Path) -> Result<PathBuf, HubError> {
    hub::adapter(given, &Stderr).inspect_err(|_| note_meant(given))
}

/// Names the folder here that was probably meant by what looks like a name on the Hub and is none.
fn note_meant(given: &Path) {
    // An address is no path: `hf` is not near `hf://org/name`.
    let is_address = given.to_str().is_some_and(|text| text.contains("://"));
    if let Some(meant) = nearest_path(given).filter(|_| !given.exists() && !is_address) {
        output::note(format!(
            "note: there is no {} here; did you mean {}?",
            given.display(),
            meant.display()
        ));
    }
}

/// Reports on stderr.
struct Stderr;

impl Report for Stderr {
    fn note(&self, remark: &str) {
        output::note(remark);
    }

    fn begin(&self, download: &Download<'_>) -> Box<dyn Progress> {
        let &Download { name, file, received, size } = download;
        if is_watched() {
            let bar = ProgressBar::new(size);
            let style = "{msg}  {bar:24} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  ETA {eta}";
            let style = ProgressStyle::with_template(style);
            // The template is a constant and valid.
            bar.set_style(style.unwrap_or(ProgressStyle::default_bar()));
            bar.set_message(format!("{name}: {file}"));
            bar.set_position(received);
            bar.reset_eta();
            return Box::new(Bar(bar));
        }
        let resumed = match received {
            0 => String::new(),
            _ => format!(", resuming at {}", DecimalBytes(received)),
        };
        output::note(format!("downloading {name}: {file}, {}{resumed}", DecimalBytes(size)));
        Box::new(Lines { file: file.to_string(), size, last: Cell::new(Instant::now()) })
    }
}

/// A progress bar, which stays on the screen at the end.
struct Bar(ProgressBar);

impl Progress for Bar {
    fn update(&self, received: u64) {
        self.0.set_position(received);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// A line per [`INTERVAL`].
struct Lines {
    file: String,
    size: u64,
    last: Cell<Instant>,
}

impl Progress for Lines {
    fn update(&self, received: u64) {
        if self.last.get().elapsed() >= INTERVAL {
            self.last.set(Instant::now());
            let (received, size) = (DecimalBytes(received), DecimalBytes(self.size));
            output::note(format!("{}: {received} of {size}", self.file));
        }
    }
}
