//! Rows of data files, and notes on how they were read.

use std::path::{Path, PathBuf};

use peft_core::{
    Result,
    text::{FoundFiles, ReadOptions, Record, Records, find_files},
};

use crate::output;

/// Reads all rows of a file, of the files of a folder or a pattern, or of standard input (`-`). `columns` is the value
/// of `--columns`; they may be `remembered`.
///
/// # Errors
///
/// Returns an error naming the file and line that is wrong.
pub fn read(path: &Path, columns: Option<&str>, remembered: bool) -> Result<Vec<Record>> {
    let names = |list: &str| list.split(',').map(|name| name.trim().to_string()).collect();
    let options = ReadOptions { columns: columns.map(names), remembered };
    let FoundFiles { files, notes } = find_files(&[PathBuf::from(path)])?;
    notes.iter().for_each(|note| output::note(format!("note: {note}")));
    if let [first, .., last] = files.as_slice() {
        let (count, first, last) = (files.len(), first.display(), last.display());
        output::note(format!("note: {count} files of rows, from {first} to {last}"));
    }
    let mut records = Records::open(&files, &options);
    let found = records.by_ref().collect();
    // Also before an error, which they may explain.
    for note in records.take_notes() {
        output::note(format!("note: {}", note.replace("`columns`", "--columns")));
    }
    found
}
