//! How data files are read, and what the readers say of them.

use std::path::Path;

/// How data files are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The names of the columns of CSV and TSV files that have no header, and of CoNLL files; a column with an
    /// empty name is not read.
    pub columns: Option<Vec<String>>,
    /// The names of the columns of CSV and TSV files without a header, where nothing else names them: used where the first
    /// row has as many columns and looks like data.
    pub without_header: Option<Vec<String>>,
    /// Whether `columns` were remembered, not given for these files: it is then said where they are used.
    pub remembered: bool,
}

impl ReadOptions {
    /// Says that remembered names are used for a file.
    pub(super) fn say_remembered(&self, path: &Path, notes: &mut Notes) {
        if let Some(names) = self.columns.as_ref().filter(|_| self.remembered) {
            let names = names.join(", ");
            notes.say(format!(
                "{}: the columns are called {names} as in training; `columns` calls them otherwise",
                path.display()
            ));
        }
    }
}

/// What is worth saying about the files.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<String>);

impl Notes {
    /// Adds a note, once.
    pub fn say(&mut self, note: String) {
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    /// Returns the notes and forgets them.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.0)
    }
}
