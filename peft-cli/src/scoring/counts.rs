//! Whether predictions and references are equally many.

use peft_core::{Error, Result};

use super::source::{Source, is_blank};
use crate::output::{grouped, note};

/// How many predictions or references a file may hold: blank lines at its end may be some, or may be nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    least: usize,
    most: usize,
}

impl Count {
    /// That of a file's lines or rows.
    pub fn of(source: &Source) -> Self {
        match source {
            Source::Rows(_, rows) => Self { least: rows.len(), most: rows.len() },
            Source::Lines(_, lines) => {
                let blank = lines.iter().rev().take_while(|line| is_blank(line)).count();
                Self { least: lines.len() - blank, most: lines.len() }
            }
        }
    }

    /// Whether the file may hold so many.
    pub fn may_be(self, count: usize) -> bool {
        (self.least..=self.most).contains(&count)
    }

    /// The least number that both may hold.
    pub fn common(self, other: Self) -> Option<usize> {
        let count = self.least.max(other.least);
        (self.may_be(count) && other.may_be(count)).then_some(count)
    }

    /// How many there are if all blank lines count, but for those that nothing requires.
    fn shown(self) -> String {
        match self.least == self.most {
            true => grouped(self.least),
            false => format!(
                "{} (with blank lines at the end {})",
                grouped(self.least),
                grouped(self.most)
            ),
        }
    }
}

/// Whether both files have as many lines, blank ones too: then each is of the other's.
pub fn are_same_lines(predictions: &Source, references: &Source) -> bool {
    Count::of(predictions).most == Count::of(references).most
}

/// The number of predictions, which is that of the references too.
///
/// # Errors
///
/// [`Error::File`] for a file of which nothing is left, [`Error::Mismatch`] if their numbers differ.
pub fn of_both(predictions: &Source, references: &Source) -> Result<usize> {
    let counts = [predictions, references].map(Count::of);
    match counts[0].common(counts[1]) {
        Some(0) => Err(nothing(predictions, references)),
        Some(count) => {
            [predictions, references].into_iter().for_each(|source| tell_left_out(source, count));
            Ok(count)
        }
        None => Err(differ(predictions, references, &counts[1].shown(), "references")),
    }
}

/// Says that blank lines at the end of a file are left out.
pub fn tell_left_out(source: &Source, count: usize) {
    let left = Count::of(source).most.saturating_sub(count);
    if left > 0 {
        let path = source.path().display();
        note(format!("note: {path}: {left} blank lines at its end are left out"));
    }
}

/// An error about files that are both empty.
pub fn nothing(predictions: &Source, references: &Source) -> Error {
    let empty = if Count::of(predictions).most == 0 { predictions } else { references };
    empty.error("holds nothing to score")
}

/// An error about files that hold different numbers.
pub fn differ(predictions: &Source, references: &Source, wanted: &str, what: &str) -> Error {
    Error::Mismatch(format!(
        "found {} predictions in {}, but {wanted} {what} in {}",
        Count::of(predictions).shown(),
        predictions.path().display(),
        references.path().display()
    ))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn blank_lines_at_the_end_count_where_they_are_wanted() {
        let of = |text: &str| {
            Count::of(&Source::Lines(PathBuf::new(), text.lines().map(str::to_owned).collect()))
        };
        assert_eq!(of("a\nb\n\n").common(of("a\nb")), Some(2));
        assert_eq!(of("a\nb\n\n").common(of("a\n\nc")), Some(3));
        assert_eq!(of("a\nb").common(of("a\nb\nc")), None);
        assert_eq!(of("\n\n").common(of("")), Some(0));
        assert_eq!(of("a\n\n").shown(), "1 (with blank lines at the end 2)");
    }
}
