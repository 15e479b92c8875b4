//! Quotes of a file that has no quoting: whether they might enclose fields all the same.

use super::dialect::{Dialect, Quotes};

/// Follows a file in which quotes are text, to tell whether they might enclose fields: whether all of them stand where
/// CSV has them.
#[derive(Debug, Default)]
pub(super) enum Enclosing {
    /// No quotes, or fields in quotes.
    #[default]
    Possible,
    /// A field began with a quote on this line, and no quote has closed it yet; the quotes so far, and the number of
    /// delimiters outside them.
    Open { line: usize, quotes: Quotes, delimiters: usize },
    /// A quote stands where CSV would not have it.
    Never,
}

impl Enclosing {
    /// Whether a field began with a quote that nothing has closed.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Takes the next row. Returns the line on which a row began that CSV would end here, with the right number of
    /// columns.
    pub fn push(
        &mut self,
        dialect: Dialect,
        (line, columns): (usize, usize),
        row: &str,
        fields: &[String],
    ) -> Option<usize> {
        let opened = matches!(self, Self::Open { .. });
        let (begun, mut quotes, mut delimiters) = match *self {
            Self::Never => return None,
            Self::Open { line, quotes, delimiters } => (line, quotes, delimiters),
            Self::Possible => (line, Quotes::new(Dialect { quotes: true, ..dialect }), 0),
        };
        if opened {
            quotes.push(b'\n');
        }
        delimiters += row.bytes().filter(|&byte| quotes.push(byte)).count();
        let bare = |field: &String| field.contains('"') && !field.starts_with('"');
        *self = match quotes.quoted {
            _ if quotes.stray || !opened && fields.iter().any(bare) => Self::Never,
            true => Self::Open { line: begun, quotes, delimiters },
            false => Self::Possible,
        };
        let is_whole = matches!(self, Self::Possible) && delimiters + 1 == columns;
        (opened && is_whole).then_some(begun)
    }
}
