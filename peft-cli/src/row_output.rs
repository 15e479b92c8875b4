//! Rows of results, written in order as they are made: to stdout, or to the file of `--output`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use peft_core::{
    Error, Result,
    adapter::{atomic, growing::GrowingFile},
};

use serde_json::{Map, Value};

use crate::{
    error::{CliError, CliResult},
    output::{self, grouped},
    predictions::Format,
    screen::rows::RowsDone,
    shard::Cut,
    signals::Signals,
};

/// Where the rows of a command go.
#[derive(Debug)]
pub struct RowOutput {
    to: To,
    /// Which rows these are of all.
    cut: Cut,
    total: usize,
    /// Rows that are written, or stand in the table.
    made: usize,
    written: usize,
    /// Rows that were made before those in front of them.
    waiting: BTreeMap<usize, Map<String, Value>>,
    /// The format of a table, and its rows: their columns are known at its end.
    table: Option<(Format, Vec<Map<String, Value>>)>,
    /// How many are done, where that is told.
    done: Option<RowsDone>,
    /// What ends it early.
    signals: Signals,
}

#[derive(Debug)]
enum To {
    Stdout,
    /// A device or a pipe.
    Stream(PathBuf, File),
    File(GrowingFile),
}

impl RowOutput {
    /// Opens it for the rows of a cut.
    ///
    /// # Errors
    ///
    /// [`Error::Write`]; [`Error::InUse`] if another program is writing the same file; [`Error::File`] if that holds another
    /// part of the rows.
    pub fn open(output: Option<&Path>, cut: &Cut) -> Result<Self> {
        output.map_or(Ok(()), |path| cut.check_replaces(path))?;
        let to = match output {
            None => To::Stdout,
            Some(path) if atomic::is_stream(path) => {
                let stream = atomic::open_stream(path).map_err(Error::write(path))?;
                To::Stream(path.to_path_buf(), stream)
            }
            Some(path) => {
                let file = GrowingFile::create(path)?;
                if let Some(earlier) = file.earlier() {
                    output::note(format!(
                        "note: {} is there already and stays; until all rows are written they stand in {}",
                        earlier.display(),
                        file.path().display()
                    ));
                }
                To::File(file)
            }
        };
        Ok(Self {
            to,
            cut: cut.clone(),
            total: cut.block().rows.len(),
            made: 0,
            written: 0,
            waiting: BTreeMap::new(),
            table: None,
            done: None,
            signals: Signals::default(),
        })
    }

    /// With rows in a format. A table is written at its end, be that early or not.
    #[must_use]
    pub fn with_format(mut self, format: Format) -> Self {
        self.table = (format != Format::Jsonl).then(|| (format, Vec::new()));
        self
    }

    /// Which tells how many rows are done. `name` says what is done with them.
    #[must_use]
    pub fn with_progress(mut self, name: &'static str) -> Self {
        self.done = Some(RowsDone::new(name, self.total, &self.signals.bars()));
        self
    }

    /// Whose rows end early where a signal comes.
    #[must_use]
    pub fn with_signals(self, signals: &Signals) -> Self {
        Self { signals: signals.clone(), ..self }
    }

    /// Adds the next row.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn add(&mut self, fields: Map<String, Value>) -> CliResult {
        if let Some(done) = &self.done {
            done.add_one();
        }
        self.put(self.made, fields)
    }

    /// Adds the row `row`. It is written once those in front of it are.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be written; then nothing of it is.
    pub fn put(&mut self, row: usize, fields: Map<String, Value>) -> CliResult {
        self.waiting.insert(row, fields);
        while let Some(fields) = self.waiting.remove(&self.made) {
            match &mut self.table {
                Some((_, rows)) => rows.push(fields),
                None => {
                    self.write(&self.cut.line(self.made, fields))?;
                    self.written += 1;
                }
            }
            self.made += 1;
        }
        Ok(())
    }

    /// Writes whole lines.
    fn write(&mut self, lines: &str) -> CliResult {
        match &mut self.to {
            To::Stdout => output::piece(lines)?,
            To::Stream(path, stream) => {
                stream.write_all(lines.as_bytes()).map_err(Error::write(path))?;
            }
            // It adds the end of the last line.
            To::File(file) => file.push(lines.strip_suffix('\n').unwrap_or(lines))?,
        }
        Ok(())
    }

    /// Ends it. The file of a command that failed, or that a signal ended, is as it was; the rows so far are told.
    ///
    /// # Errors
    ///
    /// `result`, which the command led to; [`CliError::Interrupted`] if a signal came before all rows were written;
    /// [`Error::Write`] if the file cannot take its place.
    pub fn end(mut self, mut result: CliResult) -> CliResult {
        // The bar gives way to what is written.
        self.done = None;
        let has_ended = match &result {
            Ok(()) => self.made < self.total,
            Err(error) => is_stop(error),
        };
        let interrupted = has_ended && self.signals.came();
        let is_whole = result.is_ok() && !interrupted;
        let table = self.table.take().filter(|(_, rows)| is_whole || !rows.is_empty());
        if let Some((format, rows)) = table {
            let count = rows.len();
            match self.write(&format.text(rows)) {
                Ok(()) => self.written = count,
                // What came first is told; that the reading stopped says less.
                Err(error) if result.as_ref().err().is_none_or(is_stop) => result = Err(error),
                Err(_) => {}
            }
        }
        if interrupted && result.as_ref().err().is_none_or(is_stop) {
            return Err(self.interrupted());
        }
        let To::File(file) = self.to else { return result };
        // Another process may have written its part there in the meantime.
        if result.is_ok() {
            result = self.cut.check_replaces(file.named()).map_err(CliError::from);
        }
        let stand = format!(
            "note: {} of {} rows stand in {}",
            self.written,
            self.total,
            file.path().display()
        );
        match (&result, self.written) {
            (Ok(()), _) => file.finish().inspect_err(|_| output::note(stand))?,
            (Err(_), 0) => file.discard(),
            (Err(_), _) => output::note(stand),
        }
        result
    }

    /// What a signal left, and what to do next.
    fn interrupted(self) -> CliError {
        let (written, total) = (grouped(self.written), grouped(self.total));
        let rows = format!("interrupted: {written} of {total} rows are written");
        let message = match self.to {
            To::Stdout => format!("{rows}, to stdout"),
            To::Stream(path, _) => format!("{rows}, to {}", path.display()),
            To::File(file) if self.written == 0 => {
                file.discard();
                format!("interrupted before the first of {total} rows was written")
            }
            To::File(file) => format!(
                "{rows}, in {}; the same command begins with the first row again and leaves them there",
                file.path().display()
            ),
        };
        CliError::Interrupted { signal: self.signals.number(), message }
    }
}

/// Whether this says that a signal ended the reading.
fn is_stop(error: &CliError) -> bool {
    matches!(error, CliError::Failed(Error::Stopped { .. }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn rows_come_in_order_and_stay_when_the_command_fails() {
        let dir = tempfile::tempdir().unwrap();
        let (path, partial) = (dir.path().join("out"), dir.path().join("out.partial"));
        let run = |rows: &[usize], result: CliResult| {
            let mut output = RowOutput::open(Some(&path), &Cut::whole(4)).unwrap();
            let fields = |row: usize| Map::from_iter([("row".to_string(), row.into())]);
            rows.iter().for_each(|row| output.put(*row, fields(*row)).unwrap());
            output.end(result)
        };
        let failed = || Err(CliError::Usage("no".into()));
        let read = |path: &Path| fs::read_to_string(path).ok();
        assert!(run(&[1, 0, 3], failed()).is_err());
        let rows =
            |count: usize| (0..count).map(|row| format!("{{\"row\":{row}}}\n")).collect::<String>();
        assert_eq!((read(&path), read(&partial)), (None, Some(rows(2))));
        run(&[2, 0, 1, 3], Ok(())).unwrap();
        assert_eq!((read(&path), read(&partial)), (Some(rows(4)), Some(rows(2))));
        fs::remove_file(&partial).unwrap();
        assert!(run(&[1], failed()).is_err());
        assert_eq!((read(&path), read(&partial)), (Some(rows(4)), None));
    }
}
