//! What a part of a step does: operations, and numbers that are read and written.

use std::ops::{Add, AddAssign, Mul};

/// What a part of a step does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Operations of its products, two for each multiplication.
    pub operations: f64,
    /// Numbers of matrices that these products read, each time that they do.
    pub weights: f64,
    /// Numbers that everything else reads or writes.
    pub moved: f64,
}

impl Work {
    pub(super) fn operations(operations: f64) -> Self {
        Self { operations, ..Self::default() }
    }

    pub(super) fn moved(moved: f64) -> Self {
        Self { moved, ..Self::default() }
    }

    /// A product of rows with a matrix of so many numbers.
    pub(super) fn product(rows: f64, weights: f64) -> Self {
        Self { operations: 2.0 * rows * weights, weights, moved: 0.0 }
    }
}

impl Add for Work {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            operations: self.operations + other.operations,
            weights: self.weights + other.weights,
            moved: self.moved + other.moved,
        }
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<f64> for Work {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self {
            operations: self.operations * factor,
            weights: self.weights * factor,
            moved: self.moved * factor,
        }
    }
}
