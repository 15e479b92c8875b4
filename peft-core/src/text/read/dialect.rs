//! How the columns of a row are separated and enclosed.

use std::borrow::Cow;

use csv::{ReaderBuilder, Terminator};

/// How columns are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// What stands between two fields.
    pub delimiter: u8,
    /// Whether double quotes enclose fields.
    pub quotes: bool,
    /// Whether blanks after a delimiter are no part of the field.
    pub skip_space: bool,
}

impl Dialect {
    /// Tabs, without quotes.
    pub const TSV: Self = Self { delimiter: b'\t', quotes: false, skip_space: false };

    /// The number of delimiters in a row.
    pub fn count(self, row: &str) -> usize {
        let mut quotes = Quotes::new(self);
        row.bytes().filter(|&byte| quotes.push(byte)).count()
    }

    /// The fields of a row.
    pub fn fields(self, row: &str) -> Vec<String> {
        let row: Cow<'_, str> = match self.skip_space {
            true => {
                let mut quotes = Quotes::new(self);
                let kept = |c: &char| {
                    let skipped = *c == ' ' && quotes.field_start;
                    c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| _ = quotes.push(byte));
                    !skipped
                };
                row.chars().filter(kept).collect::<String>().into()
            }
            false => row.into(),
        };
        if !self.quotes || !row.contains('"') {
            return row.split(char::from(self.delimiter)).map(str::to_owned).collect();
        }
        let mut reader = ReaderBuilder::new();
        // The row ends where it was cut: a CR in it is text. No row holds a NUL byte.
        let end = Terminator::Any(0);
        reader.delimiter(self.delimiter).terminator(end).has_headers(false);
        reader.buffer_capacity(row.len());
        let fields = reader.from_reader(row.as_bytes()).into_records().next();
        // It reads from memory, UTF-8 that was cut at ASCII characters: nothing can fail.
        fields.and_then(Result::ok).unwrap_or_default().iter().map(str::to_owned).collect()
    }
}

/// Separators that a line such as Excel's `sep=;` names, in the order in which headers are searched for them.
pub(super) const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The separator that the first line of a file names.
pub(super) fn separator(line: &str) -> Option<u8> {
    let named = line.trim_matches('"');
    let named =
        named.get(..4).filter(|key| key.eq_ignore_ascii_case("sep=")).and(named.get(4..))?;
    DELIMITERS.into_iter().find(|delimiter| named.as_bytes() == [*delimiter])
}

/// Follows the quotes of a record, byte by byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quotes {
    dialect: Dialect,
    /// Whether the next byte is enclosed.
    pub quoted: bool,
    field_start: bool,
    /// Whether a quote here is the second of a doubled one, which enters the field again.
    reopens: bool,
    /// Whether the quotes around the field were closed.
    closed: bool,
    /// Whether text stands behind such quotes.
    pub stray: bool,
}

impl Quotes {
    /// At the beginning of a record.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            quoted: false,
            field_start: true,
            reopens: false,
            closed: false,
            stray: false,
        }
    }

    /// Takes the next byte; whether it separates two fields.
    pub fn push(&mut self, byte: u8) -> bool {
        let separates = byte == self.dialect.delimiter && !self.quoted;
        let before = *self;
        (self.reopens, self.field_start) = (false, separates);
        if byte == b'"'
            && self.dialect.quotes
            && (before.quoted || before.field_start || before.reopens)
        {
            self.quoted = !before.quoted;
            self.reopens = before.quoted;
            self.closed = before.quoted;
        } else if byte == b' ' && before.field_start && self.dialect.skip_space {
            self.field_start = true;
        } else if separates {
            self.closed = false;
        } else {
            self.stray |= self.closed && !byte.is_ascii_whitespace();
        }
        separates
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Fields are split as the csv crate splits them.
        #[test]
        fn fields_are_those_of_the_csv_crate(row in "[ab,\"é ]{1,20}") {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(row.as_bytes());
            let expected: Vec<String> =
                reader.records().next().unwrap().unwrap().iter().map(str::to_owned).collect();
            let dialect = Dialect { delimiter: b',', quotes: true, skip_space: false };
            prop_assert_eq!(dialect.fields(&row), expected);
        }
    }
}
