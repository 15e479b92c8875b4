//! What keeps the values of a file from being read, and what to do about it.

use std::{fmt, path::Path};

use crate::error::Error;

/// What to do about a file that cannot be read.
pub(super) const REWRITE: &str =
    "write it anew with pyarrow: pq.write_table(pq.read_table(file), file)";

/// What keeps values of a file from being read.
#[derive(Debug)]
pub(super) enum Fault {
    /// They are not what the file says of them.
    Damaged(String),
    /// A page that holds more than is unpacked at once.
    LargePage(String),
    /// A row that holds more than is put together.
    LargeRow(String),
}

impl Fault {
    /// The same with the place in front.
    pub fn within(self, place: &str) -> Self {
        match self {
            Self::Damaged(what) => Self::Damaged(format!("{place}: {what}")),
            Self::LargePage(what) => Self::LargePage(format!("{place}: {what}")),
            Self::LargeRow(what) => Self::LargeRow(format!("{place}: {what}")),
        }
    }

    /// The error of a file, with what to do about it.
    pub fn of(self, path: &Path) -> Error {
        Error::file(
            path,
            match self {
                Self::Damaged(what) => {
                    format!("is damaged Parquet: {what}; fetch it again, or {REWRITE}")
                }
                Self::LargePage(what) => format!("is Parquet: {what}; {REWRITE}"),
                Self::LargeRow(what) => {
                    format!("is Parquet: {what}; divide the row, or leave the column out")
                }
            },
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Damaged(what) | Self::LargePage(what) | Self::LargeRow(what)) = self;
        f.write_str(what)
    }
}

impl std::error::Error for Fault {}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Self::Damaged(what)
    }
}

impl From<&str> for Fault {
    fn from(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }
}
