//! The rows of a part.

use std::{fmt, ops::Range};

use serde_json::{Value, json};

use crate::output::{grouped, note};

/// Neighbouring rows, of all rows of some files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The rows, counted from 0.
    pub rows: Range<usize>,
    /// The number of all rows.
    pub total: usize,
}

impl Block {
    /// All rows.
    pub fn whole(total: usize) -> Self {
        Self { rows: 0..total, total }
    }

    /// Whether a row is one of these.
    pub fn contains(&self, row: usize) -> bool {
        self.rows.contains(&row)
    }

    /// Which part these are, in JSON, with its first row and its last one, counted from 1 as in the marks of lines; they are
    /// null where there are none.
    pub fn json(&self, part: impl fmt::Display) -> Value {
        let Range { start, end } = self.rows;
        let row = |row: usize| (start < end).then_some(row);
        json!({"part": part.to_string(), "first_row": row(start + 1), "last_row": row(end), "rows": self.total})
    }

    /// Where all rows are computed `size` at a time: the rows of those groups that have some of these. Numbers depend in
    /// their last digits on what they are computed with, so that a group is computed whole.
    pub fn together(&self, size: usize) -> Range<usize> {
        let size = size.max(1);
        if self.rows.is_empty() {
            return self.rows.clone();
        }
        let start = self.rows.start / size * size;
        start..self.rows.end.div_ceil(size).saturating_mul(size).min(self.total)
    }

    /// These groups one by one.
    pub fn groups(&self, size: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let size = size.max(1);
        let Range { start, end } = self.together(size);
        (start..end).step_by(size).map(move |first| first..first.saturating_add(size).min(end))
    }

    /// Tells where most of what is computed belongs to other parts; what makes that less, beside fewer parts, if anything
    /// does.
    pub fn note_together(&self, size: usize, less: Option<&str>) {
        let (computed, own) = (self.together(size).len(), self.rows.len());
        if computed > own.saturating_mul(2) {
            let less = less.map_or_else(String::new, |less| format!(" or {less}"));
            note(format!(
                "note: computes {} rows for its {}, since batches are made of {} neighbours, whatever the part: fewer \
                 parts{less} make that less",
                grouped(computed),
                grouped(own),
                grouped(size)
            ));
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = grouped(self.total);
        match self.rows.len() {
            0 => write!(f, "none of {total} rows"),
            1 => write!(f, "row {} of {total}", grouped(self.rows.end)),
            _ => write!(
                f,
                "rows {} to {} of {total}",
                grouped(self.rows.start + 1),
                grouped(self.rows.end)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_are_counted_from_1_where_a_person_reads_them() {
        let of = |rows| Block { rows, total: 1200 }.to_string();
        assert_eq!(of(0..1200), "rows 1 to 1 200 of 1 200");
        assert_eq!([of(4..5), of(7..7)], ["row 5 of 1 200", "none of 1 200 rows"]);
        assert_eq!(
            Block { rows: 7..15, total: 23 }.json("2/3"),
            json!({"part": "2/3", "first_row": 8, "last_row": 15, "rows": 23})
        );
        assert_eq!(
            Block { rows: 7..7, total: 23 }.json("2/3"),
            json!({"part": "2/3", "first_row": null, "last_row": null, "rows": 23})
        );
    }

    proptest! {
        /// A part computes groups of the whole, and all of its own rows.
        #[test]
        fn groups_are_those_of_the_whole(total in 1_usize..200, a in 0_usize..200, b in 0_usize..200, size in 1_usize..50) {
            let (a, b) = (a.min(total), b.min(total));
            let block = Block { rows: a.min(b)..a.max(b), total };
            let whole: Vec<Range<usize>> = Block::whole(total).groups(size).collect();
            let own: Vec<Range<usize>> = block.groups(size).collect();
            prop_assert!(own.iter().all(|group| whole.contains(group)));
            prop_assert!(block.rows.clone().all(|row| own.iter().any(|group| group.contains(&row))));
            prop_assert!(own.iter().all(|group| group.clone().any(|row| block.contains(row))));
            prop_assert_eq!(own.iter().map(Range::len).sum::<usize>(), block.together(size).len());
        }
    }
}
