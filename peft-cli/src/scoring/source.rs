//! A file of predictions or references.

use std::path::{Path, PathBuf};

use peft_core::{
    Error, Result,
    text::{Content, Record, content, text_lines},
};

use super::Kind;
use crate::{data_files::DataFiles, shard::Mark};

/// What a file of predictions or references holds.
#[derive(Clone, Debug)]
pub enum Source {
    /// Lines, blank ones too.
    Lines(PathBuf, Vec<String>),
    /// Rows of fields: at least one.
    Rows(PathBuf, Vec<Record>),
}

impl Source {
    /// Reads a file: rows if it holds JSON or Parquet, or is a table or CoNLL by its name; else lines, and with
    /// `as_lines` always.
    ///
    /// # Errors
    ///
    /// Those of the readers.
    pub fn read(path: &Path, kind: Kind, as_lines: bool) -> Result<Self> {
        let is_rows = match content(path) {
            _ if as_lines => false,
            // It may hold the shards of a data set.
            _ if path.is_dir() => true,
            Ok(found) => found == Content::Rows || found == Content::Words && kind == Kind::Tags,
            Err(error) => return Err(error),
        };
        let lines = |path: &Path| Ok(Self::Lines(path.to_path_buf(), text_lines(path)?));
        if !is_rows {
            return lines(path);
        }
        // Sentences of as many tags each look like words with a tag.
        if kind == Kind::Tags
            && !path.is_dir()
            && content(path)? == Content::Words
            && text_lines(path)?.iter().flat_map(|line| line.split_whitespace()).all(is_tag)
        {
            return lines(path);
        }
        let files = DataFiles::find(&[path], None, false)?;
        Ok(Self::Rows(path.to_path_buf(), files.rows().collect::<Result<_>>()?))
    }

    /// Reads files of rows as one, which is called after the first; `columns` is the value of `--columns`.
    ///
    /// # Errors
    ///
    /// Those of the readers.
    pub fn of_rows(paths: &[PathBuf], columns: Option<&str>) -> Result<Self> {
        let rows = DataFiles::find(paths, columns, false)?.rows().collect::<Result<_>>()?;
        Ok(Self::Rows(paths.first().cloned().unwrap_or_default(), rows))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Lines(path, _) | Self::Rows(path, _) => path,
        }
    }

    /// An error about the whole file.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::file(self.path(), message)
    }

    /// The rows, if it has rows.
    pub fn rows(&self) -> Option<&[Record]> {
        match self {
            Self::Rows(_, rows) => Some(rows),
            Self::Lines(..) => None,
        }
    }
}

/// Refuses rows that are a part of a run's predictions: their score is not that of all.
///
/// # Errors
///
/// [`Error::File`].
pub fn check_whole(path: &Path, rows: &[Record]) -> Result<()> {
    match rows.iter().any(|row| Mark::is_in(&row.fields)) {
        true => Err(Error::file(
            path,
            "holds a part of predictions (field `shard`), whose scores are not those of all rows: `peft merge` puts all parts \
             together, and scores them with --metric",
        )),
        false => Ok(()),
    }
}

/// Whether a word is the tag of an entity, or of none.
fn is_tag(word: &str) -> bool {
    word == "O"
        || word.split_once('-').is_some_and(|(letter, kind)| {
            matches!(letter, "B" | "I" | "E" | "S" | "L" | "U" | "M") && !kind.is_empty()
        })
}

/// Whether a line is blank.
pub fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

/// The blocks of lines that are not blank, each with the number of its first line.
pub fn blocks(lines: &[String]) -> Vec<(usize, &[String])> {
    let mut first = 1;
    let mut found = Vec::new();
    for block in lines.split(|line| is_blank(line)) {
        if !block.is_empty() {
            found.push((first, block));
        }
        first += block.len() + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_separate_blocks() {
        let lines: Vec<String> =
            ["", "a", "b", " ", "", "c", ""].map(str::to_owned).into_iter().collect();
        let found: Vec<(usize, usize)> =
            blocks(&lines).into_iter().map(|(line, block)| (line, block.len())).collect();
        assert_eq!(found, [(2, 2), (6, 1)]);
        assert!(blocks(&[]).is_empty());
    }
}
