//! The event file of a run.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use peft_core::{
    Error, Result,
    metrics::Metrics,
    train::{SpareRoom, StepReport},
};

use super::{event::Event, record::framed};

/// What the name of an event file begins with, which TensorBoard looks for.
const PREFIX: &str = "events.out.tfevents.";
/// What it ends with.
const SUFFIX: &str = ".peft";

/// Whether a file is, by its name, the event file of a run of this program.
pub fn is_of_run(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
}

/// Writes the event file of a run. Each event is written at once, so that TensorBoard shows it while the run lasts.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
    spare: SpareRoom,
}

impl EventWriter {
    /// Begins a file in `folder`, which is made, for a run that goes on after a step. What earlier files there say of later
    /// steps does not count any more.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn create(folder: &Path, after_step: usize) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::write(folder))?;
        let path = folder.join(next_name(folder, seconds() as u64)?);
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        let mut writer =
            Self { file: file.map_err(Error::write(&path))?, path, spare: SpareRoom::default() };
        writer.write(&Event::Version, 0)?;
        writer.write(&Event::Start, after_step + 1)?;
        Ok(writer)
    }

    /// Which takes this room where the disk has none.
    #[must_use]
    pub fn with_spare_room(self, spare: SpareRoom) -> Self {
        Self { spare, ..self }
    }

    /// Adds the loss, the learning rate and the norm of the gradients of a step. A step without targets has no loss.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn step(&mut self, report: &StepReport) -> Result<()> {
        let loss = (report.labelled > 0).then_some(report.loss);
        let values = [
            ("train/loss", loss),
            ("train/lr", Some(report.lr)),
            ("train/grad_norm", report.grad_norm),
        ];
        let known =
            values.into_iter().filter_map(|(tag, value)| Some((tag.to_string(), value? as f32)));
        self.write(&Event::Scalars(known.collect()), report.step)
    }

    /// Adds the scores of the validation rows after a step.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn scores(&mut self, step: usize, metrics: &Metrics) -> Result<()> {
        let values = metrics.iter().map(|(name, value)| (format!("valid/{name}"), value as f32));
        self.write(&Event::Scalars(values.collect()), step)
    }

    fn write(&mut self, event: &Event, step: usize) -> Result<()> {
        let record = framed(&event.encoded(seconds(), step));
        self.spare.write_all(&self.file, &self.path, &record)
    }
}

/// Seconds since 1970.
fn seconds() -> f64 {
    // A clock before 1970 is none.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A name behind those of the files that are there: TensorBoard reads the files of a folder in the order of their names,
/// each with the seconds since 1970 of its beginning.
fn next_name(folder: &Path, now: u64) -> Result<String> {
    let mut last = None;
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let name = entry.map_err(Error::read(folder))?.file_name();
        let own = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let begun = own.and_then(|rest| rest.split('.').next()?.parse::<u64>().ok());
        last = last.max(begun);
    }
    let begun = last.map_or(now, |last| now.max(last.saturating_add(1)));
    Ok(format!("{PREFIX}{begun:010}{SUFFIX}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn later_files_have_later_names() {
        let dir = tempfile::tempdir().unwrap();
        let next = |now| next_name(dir.path(), now).unwrap();
        assert_eq!(next(5), "events.out.tfevents.0000000005.peft");
        fs::write(dir.path().join(next(5)), "").unwrap();
        fs::write(dir.path().join("notes.txt"), "").unwrap();
        assert_eq!(next(5), "events.out.tfevents.0000000006.peft");
        assert_eq!(next(3), "events.out.tfevents.0000000006.peft");
        assert_eq!(next(1_796_000_000), "events.out.tfevents.1796000000.peft");
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("taken");
        fs::write(&file, "").unwrap();
        let error = EventWriter::create(&file, 0).unwrap_err();
        assert!(matches!(&error, Error::Write { path, .. } if *path == file), "{error}");
    }
}
