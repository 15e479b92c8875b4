//! A few rows, laid out in panels.

use std::ops::Range;

use super::super::panel::{Panel, WIDTH};

/// Panels of rows.
pub(super) const PANELS: usize = 2;

/// The most rows.
pub(in super::super) const MOST: usize = PANELS * WIDTH;

/// Rows that share a panel.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// The rows, term by term.
    pub(super) terms: Panel,
    /// Their sums with some of the columns.
    pub(super) sums: Panel,
}

/// The rows in a panel, of so many.
pub(super) fn of_panel(index: usize, rows: usize) -> Range<usize> {
    index * WIDTH..rows.min((index + 1) * WIDTH)
}
