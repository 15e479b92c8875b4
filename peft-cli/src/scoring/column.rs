//! A class or a number of each row, or several classes.

use std::{collections::BTreeSet, path::PathBuf};

use peft_core::{
    Error, Result,
    text::{Record, label_text},
};
use serde_json::Value;

use super::{
    Kind,
    fields::{self, inexact},
    sets,
    source::{Source, is_blank},
};

/// Where values stand.
#[derive(Clone, Debug)]
pub struct Places {
    /// The file.
    pub path: PathBuf,
    /// The line of each.
    pub lines: Vec<usize>,
}

impl Places {
    /// An error about one of them.
    pub fn error(&self, at: usize, message: String) -> Error {
        Error::data(&self.path, self.lines.get(at).copied().unwrap_or(1), message)
    }
}

/// The field of a file, or its lines.
#[derive(Clone, Debug)]
pub struct Column<'a> {
    source: &'a Source,
    kind: Kind,
    count: usize,
    field: String,
}

impl<'a> Column<'a> {
    /// That of the field that `field` names in rows, or of the first `count` lines.
    ///
    /// # Errors
    ///
    /// Those of `field`.
    pub fn of(
        source: &'a Source,
        kind: Kind,
        count: usize,
        field: impl Fn(&[Record]) -> Result<String>,
    ) -> Result<Self> {
        let field = source.rows().map(field).transpose()?.unwrap_or_default();
        Ok(Self { source, kind, count, field })
    }

    /// Whether each value is a list of classes, blank and missing ones aside. A text among others may look like one.
    pub fn all_lists(&self) -> bool {
        let are_lists: Vec<bool> = match self.source {
            Source::Lines(_, lines) => {
                let lines = lines.iter().take(self.count).filter(|line| !is_blank(line));
                lines.map(|line| sets::is_list(&line.as_str().into())).collect()
            }
            Source::Rows(_, rows) => {
                let values = rows.iter().filter_map(|row| row.optional(&self.field));
                let values = values.filter(|value| !value.as_str().is_some_and(is_blank));
                values.map(sets::is_list).collect()
            }
        };
        !are_lists.is_empty() && are_lists.into_iter().all(|is_list| is_list)
    }

    /// Whether rows have lists of classes: all, or one that is no text.
    pub fn has_lists(&self) -> bool {
        let is_array = |row: &Record| row.optional(&self.field).is_some_and(Value::is_array);
        self.all_lists() || self.source.rows().is_some_and(|rows| rows.iter().any(is_array))
    }

    /// The classes of each row, of which it may have several.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] as [`sets::names_of`], and for rows without the field.
    pub fn sets(&self) -> Result<Vec<BTreeSet<String>>> {
        match self.source {
            Source::Lines(path, lines) => {
                let of = |(at, line): (usize, &String)| {
                    sets::names_of(&line.as_str().into())
                        .map_err(|found| Error::data(path, at + 1, found))
                };
                lines.iter().take(self.count).enumerate().map(of).collect()
            }
            Source::Rows(_, rows) => {
                rows.iter().map(|row| sets::several(row, &self.field)).collect()
            }
        }
    }

    /// The value of each row, and where they stand; empty where it is null.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] for rows without the field, a list or an object, and a class that was not read exactly.
    pub fn values(&self) -> Result<(Vec<String>, Places)> {
        let path = self.source.path().to_path_buf();
        match self.source {
            Source::Lines(_, lines) => {
                let own = |line: &String| {
                    // As the same value is read from a row.
                    label_text(&line.trim().into()).unwrap_or_default()
                };
                let values = lines.iter().take(self.count).map(own).collect();
                Ok((values, Places { path, lines: (1..=self.count).collect() }))
            }
            Source::Rows(_, rows) => {
                let value = |row: &Record| match row.value(&self.field) {
                    // As an empty cell of a table.
                    Some(Value::Null) => Ok(String::new()),
                    Some(value) if self.kind == Kind::Class && !fields::is_exact(value) => {
                        Err(row.error(format!("field `{}`: {}", self.field, inexact(value))))
                    }
                    _ => fields::plain(row, &self.field),
                };
                let values = rows.iter().map(value).collect::<Result<_>>()?;
                Ok((values, Places { path, lines: rows.iter().map(|row| row.line).collect() }))
            }
        }
    }
}
