//! What is right and what is confused, class by class.

use super::{classification::check, score::Score};
use crate::error::{Error, Result};

/// The scores of each class, and which class was taken for which.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassReport {
    /// The scores of each class.
    pub classes: Vec<Score>,
    /// How many rows of each class (first index) were predicted to be of each (second index), `[C][C]`.
    pub confusion: Vec<Vec<usize>>,
}

impl ClassReport {
    /// Compares predicted classes with those of the references, which are indices below `num_classes`; as
    /// scikit-learn's `precision_recall_fscore_support` and `confusion_matrix`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if there are no rows, their numbers differ, or a class is not below `num_classes`.
    pub fn of(predictions: &[usize], references: &[usize], num_classes: usize) -> Result<Self> {
        check(predictions.len(), references.len())?;
        let mut confusion = vec![vec![0; num_classes]; num_classes];
        for (predicted, actual) in predictions.iter().zip(references) {
            match confusion.get_mut(*actual).and_then(|row| row.get_mut(*predicted)) {
                Some(count) => *count += 1,
                None => {
                    let largest = predicted.max(actual);
                    let message = format!("found class {largest} of {num_classes} classes");
                    return Err(Error::Mismatch(message));
                }
            }
        }
        let score = |class: usize| {
            let predicted = confusion.iter().map(|row| row[class]).sum();
            let actual = confusion[class].iter().sum();
            Score::of_counts([confusion[class][class], predicted, actual])
        };
        Ok(Self { classes: (0..num_classes).map(score).collect(), confusion })
    }

    /// The mean of each score over the classes that occur in predictions or references.
    pub fn macro_average(&self) -> Score {
        let occurs = |class: usize| {
            self.classes[class].support > 0 || self.confusion.iter().any(|row| row[class] > 0)
        };
        self.average(|class| if occurs(class) { 1.0 } else { 0.0 })
    }

    /// The mean of each score over the rows: each class counts by its support.
    pub fn weighted_average(&self) -> Score {
        self.average(|class| self.classes[class].support as f64)
    }

    fn average(&self, weight: impl Fn(usize) -> f64) -> Score {
        let sum =
            |value: &dyn Fn(usize) -> f64| -> f64 { (0..self.classes.len()).map(value).sum() };
        let all = sum(&weight).max(1.0);
        let mean = |score: fn(&Score) -> f64| {
            sum(&|class| weight(class) * score(&self.classes[class])) / all
        };
        Score {
            precision: mean(|score| score.precision),
            recall: mean(|score| score.recall),
            f1: mean(|score| score.f1),
            support: self.classes.iter().map(|score| score.support).sum(),
        }
    }

    /// The pairs of a class and another that it was taken for, with the number of rows, the most frequent first.
    pub fn confused(&self) -> Vec<(usize, usize, usize)> {
        let of_row = |(actual, row): (usize, &Vec<usize>)| {
            let others = row.iter().copied().enumerate();
            let others = others.filter(|(predicted, count)| *predicted != actual && *count > 0);
            others.map(|(predicted, count)| (actual, predicted, count)).collect::<Vec<_>>()
        };
        let mut pairs: Vec<_> = self.confusion.iter().enumerate().flat_map(of_row).collect();
        pairs.sort_by_key(|(actual, predicted, count)| (usize::MAX - count, *actual, *predicted));
        pairs
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::{accuracy, f1_macro};

    #[test]
    fn rows_are_counted_by_their_own_class_and_the_predicted_one() {
        let report = ClassReport::of(&[0, 1, 1, 0, 1], &[0, 0, 1, 0, 0], 3).unwrap();
        assert_eq!(report.confusion, [[2, 2, 0], [0, 1, 0], [0, 0, 0]]);
        let score = report.classes[0];
        assert_eq!((score.precision, score.recall, score.support), (1.0, 0.5, 4));
        assert_eq!(report.classes[2], Score::default());
        assert_eq!(report.confused(), [(0, 1, 2)]);
        assert_eq!(report.macro_average().recall, 0.75);
        assert_eq!(report.weighted_average().recall, 0.6);
        assert!(
            ClassReport::of(&[3], &[0], 3).is_err() && ClassReport::of(&[0], &[0, 0], 1).is_err()
        );
    }

    proptest! {
        /// The weighted recall is the accuracy, the mean F1 that of the other module, and the names do not matter.
        #[test]
        fn averages_are_known_scores(rows in prop::collection::vec((0usize..4, 0usize..4), 1..40)) {
            let (found, wanted): (Vec<usize>, Vec<usize>) = rows.into_iter().unzip();
            let report = ClassReport::of(&found, &wanted, 5).unwrap();
            let (own, known) = (report.weighted_average().recall, accuracy(&found, &wanted).unwrap());
            prop_assert!((own - known).abs() < 1e-12);
            let (own, known) = (report.macro_average().f1, f1_macro(&found, &wanted).unwrap());
            prop_assert!((own - known).abs() < 1e-12);
            prop_assert_eq!(report.confusion.iter().flatten().sum::<usize>(), found.len());
        }
    }
}
