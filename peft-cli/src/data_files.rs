//! Rows of data files, read one at a time, and notes on how they were read.

use std::{
    cell::RefCell,
    collections::{BTreeSet, VecDeque},
    fs,
    io::{IsTerminal, stdin},
    path::{Path, PathBuf},
};

use peft_core::{
    Error, Result,
    text::{FIRST_ROWS, FoundFiles, IdleStep, ReadOptions, Record, Records, Steps, find_files},
};

use crate::output;

/// The name of standard input where a file is expected.
const STANDARD_INPUT: &str = "-";

/// Data files. Their rows are read anew whenever they are asked for, so that they need not be in memory together.
#[derive(Debug)]
pub struct DataFiles {
    files: Vec<PathBuf>,
    options: ReadOptions,
    /// What changes the rows, and whether they are those to train on.
    steps: (Steps, bool),
    /// Whether it is told which steps no row has the field of.
    tells_idle: bool,
    /// What was said already.
    said: RefCell<BTreeSet<String>>,
}

impl DataFiles {
    /// What `names` stand for: files, the files of folders or patterns, standard input (`-`). `columns` is the value of
    /// `--columns`; they may be `remembered`.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file, the pattern or the folder that is wrong.
    pub fn find<P: AsRef<Path>>(
        names: &[P],
        columns: Option<&str>,
        remembered: bool,
    ) -> Result<Self> {
        let split = |list: &str| list.split(',').map(|name| name.trim().to_string()).collect();
        let options =
            ReadOptions { columns: columns.map(split), remembered, ..ReadOptions::default() };
        let names: Vec<PathBuf> = names.iter().map(|name| name.as_ref().to_path_buf()).collect();
        let FoundFiles { files, notes } = find_files(&names)?;
        // Before anything else is read: a typing error should not cost a minute.
        for file in files.iter().filter(|file| file.as_os_str() != STANDARD_INPUT) {
            fs::metadata(file).map_err(Error::read(file))?;
        }
        notes.iter().for_each(|note| output::note(format!("note: {note}")));
        files.iter().filter_map(|file| waits_for(file)).for_each(output::note);
        if let [first, .., last] = files.as_slice() {
            let (count, first, last) = (files.len(), first.display(), last.display());
            output::note(format!("note: {count} files of rows, from {first} to {last}"));
        }
        let steps = Default::default();
        Ok(Self { files, options, steps, tells_idle: false, said: RefCell::default() })
    }

    /// With the names of the columns of tables without a header, where `--columns` gives none: those of a task, separated
    /// by commas.
    #[must_use]
    pub fn with_columns_of_task(mut self, columns: Option<&str>) -> Self {
        let split = |list: &str| list.split(',').map(|name| name.trim().to_string()).collect();
        self.options.without_header = columns.map(split);
        self
    }

    /// With rows that are changed as they are read. Some steps are for rows to train on alone.
    #[must_use]
    pub fn with_steps(mut self, steps: Steps, training: bool) -> Self {
        self.steps = (steps, training);
        self
    }

    /// Telling, if asked, which steps did nothing since no row has their field: it may be misspelled.
    #[must_use]
    pub fn telling_idle_steps(mut self, asked: bool) -> Self {
        self.tells_idle = asked;
        self
    }

    /// The rows, in order. An item is an error naming the file and line that is wrong.
    pub fn rows(&self) -> impl Iterator<Item = Result<Record>> {
        let mut records = Records::open(&self.files, &self.options);
        let mut read = move || {
            let next = records.next();
            // Also before an error, which they may explain.
            for note in records.take_notes() {
                self.tell(note.replace("`columns`", "--columns"));
            }
            next
        };
        let (steps, training) = &self.steps;
        let (mut rows, mut of_file, mut left_out) = (VecDeque::new(), 0usize, 0usize);
        let mut idle = if self.tells_idle { steps.idle() } else { Vec::new() };
        std::iter::from_fn(move || {
            loop {
                if let Some(row) = rows.pop_front() {
                    return Some(Ok(row));
                }
                let record = match read() {
                    Some(Ok(record)) if !steps.is_empty() => record,
                    None => {
                        if left_out > 0 {
                            self.tell(format!(
                                "{left_out} of {of_file} rows are left out, as the task says"
                            ));
                        }
                        let reached = idle.iter().filter(|step| step.reached);
                        reached.for_each(|step| self.tell(does_nothing(step)));
                        return None;
                    }
                    other => return other,
                };
                match steps.apply_watched(record, *training, &mut idle) {
                    Ok(made) => {
                        of_file += 1;
                        left_out += usize::from(made.is_empty());
                        rows.extend(made);
                    }
                    Err(error) => return Some(Err(error)),
                }
            }
        })
    }

    /// Prints a note, once.
    fn tell(&self, note: String) {
        if self.said.borrow_mut().insert(note.clone()) {
            output::note(format!("note: {note}"));
        }
    }

    /// The first rows, by which the fields are chosen.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file and line that is wrong.
    pub fn first_rows(&self) -> Result<Vec<Record>> {
        self.rows().take(FIRST_ROWS).collect()
    }
}

/// What is said of a step that no row has the field of.
fn does_nothing(step: &IdleStep) -> String {
    let (number, field) = (step.place + 1, &step.field);
    format!("step {number} of the task does nothing: no row has its field `{field}`")
}

/// What reading a file would wait for without a word.
fn waits_for(file: &Path) -> Option<String> {
    if file.as_os_str() == STANDARD_INPUT {
        let end = "note: reading rows from the terminal; Ctrl-D ends them";
        return stdin().is_terminal().then(|| end.into());
    }
    let says = || format!("note: {} is a pipe: reading what is written to it", file.display());
    is_named_pipe(file).then(says)
}

#[cfg(unix)]
fn is_named_pipe(file: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    // Those that the program was given open, as a shell's `<(..)` is, have a writer.
    let is_open = ["/dev", "/proc"].iter().any(|place| file.starts_with(place));
    !is_open && fs::metadata(file).is_ok_and(|found| found.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_named_pipe(_: &Path) -> bool {
    false
}

/// Whether standard input is among the names of data files.
pub fn is_standard_input(names: &[PathBuf]) -> bool {
    names.iter().any(|name| name.as_os_str() == STANDARD_INPUT)
}

/// Names of data files in a TOML file: one, or a list of them.
pub mod one_or_several {
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(PathBuf),
        Several(Vec<PathBuf>),
    }

    /// Writes names, a single one without a list.
    ///
    /// # Errors
    ///
    /// Those of the format.
    pub fn serialize<S: Serializer>(
        names: &Option<Vec<PathBuf>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match names.as_deref() {
            Some([name]) => name.serialize(serializer),
            names => names.serialize(serializer),
        }
    }

    /// Reads names.
    ///
    /// # Errors
    ///
    /// Those of the format, and for anything but a string or a list of strings.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<PathBuf>>, D::Error> {
        Ok(Some(match Names::deserialize(deserializer)? {
            Names::One(name) => vec![name],
            Names::Several(names) => names,
        }))
    }
}
