//! The rows of a CSV or TSV file: where each ends, and its fields.

use crate::{
    error::{Error, Result},
    text::read::{
        dialect::{Dialect, Quotes},
        enclosing::Enclosing,
        input::{Input, strip_end},
        options::Notes,
    },
};

/// The rows of a file, the header's included.
pub(super) struct Rows {
    pub(super) input: Input,
    dialect: Dialect,
    /// Whether it was told how quotes are read.
    told: bool,
    /// Where quotes are text: whether they could still enclose fields.
    enclosing: Enclosing,
    /// Whether the last row is within such a field, or at its end.
    pub(super) within: bool,
    /// The number of columns, that of the first row.
    pub(super) columns: Option<usize>,
}

/// What to do where quotes might enclose fields, but are text.
pub(super) const IN_QUOTES: &str =
    "in a .tsv file quotes are text; if they enclose fields, name the file .csv";

impl Rows {
    pub(super) fn new(input: Input, dialect: Dialect) -> Self {
        Self {
            input,
            dialect,
            told: false,
            enclosing: Enclosing::default(),
            within: false,
            columns: None,
        }
    }

    /// Whether each tab separates two fields, whatever quotes there are.
    pub(super) fn are_split_at_tabs(&self) -> bool {
        self.dialect == Dialect::TSV
    }

    /// The next row that is not blank, and its line; `None` at the end of the file.
    pub(super) fn next(&mut self, notes: &mut Notes) -> Result<Option<(usize, Vec<String>)>> {
        loop {
            let (line, mut row) = (self.input.line, String::new());
            let mut quotes = Quotes::new(self.dialect);
            let mut seen = 0;
            loop {
                if !self.input.read_line(&mut row)? {
                    if quotes.quoted {
                        let message = "a quoted field is not closed before the file ends";
                        return Err(Error::data(&self.input.path, line, message));
                    }
                    break;
                }
                row.as_bytes()[seen..].iter().for_each(|&byte| _ = quotes.push(byte));
                seen = row.len();
                if !quotes.quoted {
                    break;
                }
            }
            if row.is_empty() {
                return Ok(None);
            }
            strip_end(&mut row);
            let delimiter = char::from(self.dialect.delimiter);
            if row.chars().all(|c| c.is_whitespace() && c != delimiter) {
                continue;
            }
            if quotes.stray && row.contains("\\\"") {
                let message = "a quote in a field is written with a backslash (\\\"), where CSV doubles it: write \\\" as \"\"";
                return Err(Error::data(&self.input.path, line, message));
            }
            if quotes.stray && self.input.line > line + 1 {
                let message = "a field in quotes goes on over several lines, and text follows its closing quote: one \
                               of the two quotes is part of the text. Enclose that field in quotes and double those in it \
                               (\"he said \"\"no\"\"\")";
                return Err(Error::data(&self.input.path, line, message));
            }
            let fields = self.dialect.fields(&row);
            let columns = *self.columns.get_or_insert(fields.len());
            let begun = match self.dialect.quotes {
                true => None,
                false => self.enclosing.push(self.dialect, (line, columns), &row, &fields),
            };
            self.within = begun.is_some() || self.enclosing.is_open();
            // A row with other columns is an error, which says the same.
            if let Some(begun) = begun.filter(|_| !self.told && fields.len() == columns) {
                // Each of the lines is a row, too, as where the sentences of a quotation have a row each.
                self.told = true;
                notes.say(format!(
                    "{}, line {begun}: a field begins with a quote that closes on line {line}, as in CSV: {IN_QUOTES}",
                    self.input.path.display()
                ));
            }
            let seems_quoted = || fields.iter().any(|field| seems_quoted(field));
            let told = match self.dialect.quotes {
                _ if self.told => None,
                true => quotes.stray.then_some(
                    "text follows the closing quote of a field; the quotes are left out, the text is read",
                ),
                false => seems_quoted().then_some(
                    "quotes are read as part of the text; if they enclose fields, name the file .csv",
                ),
            };
            if let Some(told) = told {
                self.told = true;
                notes.say(format!("{}, line {line}: {told}", self.input.path.display()));
            }
            return Ok(Some((line, fields)));
        }
    }
}

/// Whether a field looks as CSV writes one that needs quotes.
fn seems_quoted(field: &str) -> bool {
    let inside = field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inside.is_some_and(|inside| !inside.replace("\"\"", "").contains('"'))
}
