//! What goes to the terminal: results on stdout, everything else on stderr.

use std::io::{IsTerminal, Write, stderr, stdout};

use comfy_table::{CellAlignment, Table, presets::NOTHING};

use crate::error::{CliError, CliResult};

/// Prints a line of results.
///
/// # Errors
///
/// [`CliError::Closed`] where nobody reads any more.
pub fn line(text: impl AsRef<str>) -> CliResult {
    writeln!(stdout(), "{}", text.as_ref()).map_err(|_| CliError::Closed)
}

/// Prints a piece of results at once, without ending the line.
///
/// # Errors
///
/// [`CliError::Closed`] where nobody reads any more.
pub fn piece(text: &str) -> CliResult {
    let mut out = stdout();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(|_| CliError::Closed)
}

/// Prints a remark for a person.
pub fn note(text: impl AsRef<str>) {
    // Nothing can be done about a closed stderr.
    let _ = writeln!(stderr(), "{}", text.as_ref());
}

/// Prints an error.
pub fn error(error: &CliError) {
    if !matches!(error, CliError::Closed) {
        note(format!("error: {error}"));
    }
}

/// Whether a person is watching: progress bars make sense.
pub fn is_watched() -> bool {
    stderr().is_terminal()
}

/// An aligned table: columns of numbers to the right, others to the left.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        let numbers = rows
            .iter()
            .filter_map(|row| row.get(index))
            .all(|cell| cell.starts_with(|first: char| first.is_ascii_digit() || first == '-'));
        if numbers {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>().join("\n")
}

/// A number in groups of three digits: 12 345 678.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        // Decimal digits are ASCII.
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_columns_align() {
        assert_eq!(grouped(1_234_567), "1 234 567");
        assert_eq!(grouped(12), "12");
        let text =
            table(&["name", "n"], &[vec!["a".into(), "1".into()], vec!["bb".into(), "22".into()]]);
        assert_eq!(text, "name   n\na      1\nbb    22");
    }
}
