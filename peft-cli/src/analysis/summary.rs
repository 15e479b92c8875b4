//! The mean and the extremes of some numbers.

use serde::Serialize;

/// The mean and the extremes of some numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Their mean.
    pub mean: f64,
    /// The smallest.
    pub min: f64,
    /// The one in the middle; of an even count the mean of two.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// That of some numbers; `None` of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => (values[middle - 1] + values[middle]) / 2.0,
            _ => values[middle],
        };
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Some(Self { mean, min, median, max })
    }

    /// Its cells in a table, in the order of [`Self::HEADER`].
    pub fn cells(&self) -> [String; 4] {
        [self.mean, self.min, self.median, self.max].map(|value| format!("{value:.3}"))
    }

    /// What its cells are called.
    pub const HEADER: [&str; 4] = ["mean", "min", "median", "max"];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_summed_up() {
        let of = |values: &[f64]| Summary::of(values.iter().copied());
        assert_eq!(of(&[]), None);
        let expected = Summary { mean: 2.0, min: 1.0, median: 1.5, max: 4.0 };
        assert_eq!(of(&[4.0, 1.0, 2.0, 1.0]), Some(expected));
        assert_eq!(of(&[3.0, 1.0, 2.0]).map(|found| found.median), Some(2.0));
    }
}
