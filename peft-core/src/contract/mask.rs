//! Which entries of an array are real: neither padding nor masked virtual tokens.

/// Which entries of a `[rows, len]` array are real.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    pub(super) rows: usize,
    pub(super) len: usize,
    pub(super) real: Vec<bool>,
}

impl Mask {
    /// Creates a mask from its rows, concatenated; `real.len()` must be `rows * len`.
    ///
    /// Returns `None` otherwise.
    pub fn new(rows: usize, len: usize, real: Vec<bool>) -> Option<Self> {
        (real.len() == rows * len).then_some(Self { rows, len, real })
    }

    /// Creates a mask with every entry real.
    pub fn full(rows: usize, len: usize) -> Self {
        Self { rows, len, real: vec![true; rows * len] }
    }

    /// Creates a mask with no entry real.
    pub(crate) fn empty(rows: usize, len: usize) -> Self {
        Self { rows, len, real: vec![false; rows * len] }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of entries per row.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether a row has no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[bool] {
        &self.real[row * self.len..(row + 1) * self.len]
    }

    /// Whether every entry of every row is real.
    pub fn all(&self) -> bool {
        self.real.iter().all(|real| *real)
    }

    /// The number of real entries of a row.
    pub fn count(&self, row: usize) -> usize {
        self.row(row).iter().filter(|real| **real).count()
    }

    /// The number of real entries of the fullest row.
    pub fn max_count(&self) -> usize {
        (0..self.rows).map(|row| self.count(row)).max().unwrap_or(0)
    }

    /// Repeats a mask of one row `rows` times.
    pub fn repeat(&self, rows: usize) -> Mask {
        if self.rows == rows { self.clone() } else { self.concat(&Mask::full(rows, 0)) }
    }

    /// Selects rows, in the given order; a mask of one row is shared and stays so.
    #[must_use]
    pub fn select_rows(&self, rows: &[usize]) -> Mask {
        if self.rows == 1 {
            return self.clone();
        }
        let real = rows.iter().flat_map(|row| self.row(*row).iter().copied()).collect();
        Mask { rows: rows.len(), len: self.len, real }
    }

    /// Stacks the rows of `self` on those of `other`; they have the same length unless `self` is
    /// empty.
    pub(crate) fn above(&self, other: &Mask) -> Mask {
        let real = [self.real.as_slice(), other.real.as_slice()].concat();
        Mask { rows: self.rows + other.rows, len: other.len, real }
    }

    /// Puts `self` in front of `other`, row by row. A single row is shared by all rows of `other`.
    pub fn concat(&self, other: &Mask) -> Mask {
        let shared = self.rows == 1;
        let real = (0..other.rows)
            .flat_map(|row| {
                let left = self.row(if shared { 0 } else { row });
                left.iter().chain(other.row(row)).copied().collect::<Vec<_>>()
            })
            .collect();
        Mask { rows: other.rows, len: self.len + other.len, real }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_row_is_put_in_front_of_all() {
        let tokens = Mask::new(2, 2, vec![true, true, true, false]).unwrap();
        let joined = Mask::full(1, 1).concat(&tokens);
        assert_eq!(joined.row(0), [true, true, true]);
        assert_eq!(joined.row(1), [true, true, false]);
        assert_eq!((joined.count(1), joined.max_count(), joined.all()), (2, 3, false));
    }
}
