//! From operations and bytes to seconds: a roofline (Williams et al. 2009, "Roofline: an insightful visual performance
//! model") for each part of a step.
//!
//! ```text
//! seconds = max(operations / rate, bytes of weights / bandwidth) + other bytes / bandwidth
//! ```
//!
//! and those of a step are their sum: no part is hidden behind another.

use super::work::Work;

/// What a device can do in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Operations of products, as far as they are reached.
    pub operations: f64,
    /// Bytes of its memory that it reads or writes.
    pub bytes: f64,
    /// Bytes of a number of the frozen weights.
    pub weight: f64,
    /// Bytes of any other number.
    pub number: f64,
}

impl Machine {
    /// The seconds that a part takes.
    pub fn seconds(&self, work: &Work) -> f64 {
        let products = work.operations / self.operations;
        let weights = work.weights * self.weight / self.bytes;
        products.max(weights) + work.moved * self.number / self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_takes_the_longer_of_computing_and_reading() {
        let machine = Machine { operations: 100.0, bytes: 10.0, weight: 2.0, number: 4.0 };
        let work = |operations, weights, moved| Work { operations, weights, moved };
        assert_eq!(machine.seconds(&work(200.0, 5.0, 0.0)), 2.0);
        assert_eq!(machine.seconds(&work(200.0, 50.0, 0.0)), 10.0);
        assert_eq!(machine.seconds(&work(200.0, 50.0, 5.0)), 12.0);
    }
}
