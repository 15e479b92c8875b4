//! What the first row of a file is: a header of its own, that of named columns, or a row.

use std::{path::Path, sync::Arc};

use crate::text::read::{
    header::{Header, is_row_number, looks_like_data},
    options::Notes,
};

/// The header that is the row `first`; says so if it looks like data.
pub(super) fn header(
    path: &Arc<Path>,
    line: usize,
    first: &[String],
    next: Option<&Vec<String>>,
    notes: &mut Notes,
) -> Header {
    let header = Header::new(path, first).on_line(line);
    let Some(cell) = looks_like_data(first, next) else { return header };
    let hint = format!(
        "line {line} of {} is taken as the header, but looks like a row (`{cell}`): if it is one, set \
         `columns` to the names of the columns",
        path.display()
    );
    notes.say(hint.clone());
    header.with_hint(hint)
}

/// The header of rows that have a number in front of the columns that the row `first` names, as R's `write.table` writes
/// them; `None` unless the next row has one.
pub(super) fn numbered_header(
    path: &Arc<Path>,
    line: usize,
    first: &[String],
    next: Option<&(usize, Vec<String>)>,
    notes: &mut Notes,
) -> Option<Header> {
    let (begin, row) = next?;
    // Separators at the end of a row do not make a field.
    let is_one_more =
        row.len() == first.len() + 1 && row.last().is_some_and(|last| !last.is_empty());
    // A single column may be text with a comma in it (1,000 people).
    let is_header = first.len() > 1
        && first.iter().all(|name| !name.trim().is_empty())
        && looks_like_data(first, None).is_none();
    if !(is_one_more && is_header && is_row_number(&row[0])) {
        return None;
    }
    notes.say(format!(
        "{}: rows have a number in front of the {} columns that line {line} names, as R writes it; it is not read",
        path.display(),
        first.len()
    ));
    let names: Vec<String> = std::iter::once(String::new()).chain(first.iter().cloned()).collect();
    Some(Header::new(path, &names).on_line(line).numbered_from(*begin))
}

/// Whether a row has the names of the columns, in another order.
pub(super) fn in_another_order(row: &[String], names: &[String]) -> bool {
    let sorted = |cells: &[String]| {
        let mut cells: Vec<String> = cells.iter().map(|cell| cell.trim().to_lowercase()).collect();
        cells.sort_unstable();
        cells
    };
    names.len() > 1 && names.iter().all(|name| !name.is_empty()) && sorted(row) == sorted(names)
}

/// Why a row looks like a header although it is not the one of training: it has a name of training, or a word where
/// the next row has a number.
pub(super) fn is_other_header(
    row: &[String],
    next: Option<&(usize, Vec<String>)>,
    names: &[String],
) -> Option<String> {
    let is_name = |cell: &&String| {
        let cell = cell.trim().to_lowercase();
        names.iter().any(|name| !name.is_empty() && name.to_lowercase() == cell)
    };
    if let Some(cell) = row.iter().find(is_name) {
        return Some(format!("`{}` is a name of a column", cell.trim()));
    }
    let is_number = |cell: &str| cell.trim().parse::<f64>().is_ok();
    let is_word =
        |cell: &str| cell.starts_with(char::is_alphabetic) && !cell.contains(char::is_whitespace);
    let (_, next) = next?;
    if !row.iter().all(|cell| is_word(cell.trim())) {
        return None;
    }
    let (word, number) = row.iter().zip(next).find(|(_, number)| is_number(number))?;
    Some(format!("`{}` stands above {}", word.trim(), number.trim()))
}

/// The name of a column that a row has in its place.
pub(super) fn named_in_place<'n>(row: &[String], names: &'n [String]) -> Option<&'n String> {
    let is_same = |(cell, name): &(&String, &String)| {
        !name.is_empty() && cell.trim().to_lowercase() == name.to_lowercase()
    };
    row.iter().zip(names).find(is_same).map(|(_, name)| name)
}
