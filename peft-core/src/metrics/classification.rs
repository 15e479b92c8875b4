//! Scores of one predicted class per row, defined as in scikit-learn.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    score::{Score, f1_of_counts},
    set::Metrics,
};
use crate::error::{Error, Result};

/// The fraction of predictions that are right.
///
/// # Errors
/// [`Error::Mismatch`] if there are no rows, or the numbers of predictions and references differ.
pub fn accuracy<T: Ord>(predictions: &[T], references: &[T]) -> Result<f64> {
    check(predictions.len(), references.len())?;
    let right = predictions.iter().zip(references).filter(|(p, r)| p == r).count();
    Ok(right as f64 / references.len() as f64)
}

/// F1 over the pooled counts of all classes. With one class per row, each wrong prediction is one
/// false positive and one false negative, so this equals [`accuracy`].
///
/// # Errors
/// As for [`accuracy`].
pub fn f1_micro<T: Ord>(predictions: &[T], references: &[T]) -> Result<f64> {
    accuracy(predictions, references)
}

/// The mean over the classes of F1 = 2 TP / (2 TP + FP + FN). Only classes that occur in the
/// predictions or references count.
///
/// # Errors
/// As for [`accuracy`].
pub fn f1_macro<T: Ord>(predictions: &[T], references: &[T]) -> Result<f64> {
    check(predictions.len(), references.len())?;
    let (predicted, actual) = (counts(predictions), counts(references));
    let right = counts(predictions.iter().zip(references).filter(|(p, r)| p == r).map(|(p, _)| p));
    let classes: BTreeSet<&T> = predicted.keys().chain(actual.keys()).copied().collect();
    let f1 =
        |class: &&T| f1_of_counts([&right, &predicted, &actual].map(|counts| count(counts, class)));
    Ok(classes.iter().filter_map(f1).sum::<f64>() / classes.len() as f64)
}

/// F1 = 2 TP / (2 TP + FP + FN) of one class against all others, of rows with their predicted and their right class; `None` if
/// the class is in neither.
pub fn f1_of_class<T: PartialEq>(rows: &[(T, T)], class: &T) -> Option<f64> {
    f1_of_counts(counts_of(rows.iter().map(|(found, wanted)| (found, wanted)), class))
}

/// Precision, recall and F1 of one class against all others, as scikit-learn's `average="binary"`.
///
/// # Errors
/// As for [`accuracy`].
pub fn binary_score<T: Ord>(predictions: &[T], references: &[T], positive: &T) -> Result<Score> {
    check(predictions.len(), references.len())?;
    Ok(Score::of_counts(counts_of(predictions.iter().zip(references), positive)))
}

/// How often a class is rightly predicted, predicted, and in the references.
fn counts_of<'a, T: PartialEq + 'a>(
    rows: impl Iterator<Item = (&'a T, &'a T)>,
    class: &T,
) -> [usize; 3] {
    rows.fold([0; 3], |[right, predicted, actual], (found, wanted)| {
        let (found, wanted) = (found == class, wanted == class);
        [
            right + usize::from(found && wanted),
            predicted + usize::from(found),
            actual + usize::from(wanted),
        ]
    })
}

/// Matthews correlation coefficient, for any number of classes (R_K, Gorodkin 2004).
///
/// With s rows, c of them right, and p_k predictions and t_k references of class k: (c s - Σ p_k
/// t_k) / sqrt((s² - Σ p_k²) (s² - Σ t_k²)), or 0 if the denominator is 0.
///
/// # Errors
/// As for [`accuracy`].
pub fn matthews<T: Ord>(predictions: &[T], references: &[T]) -> Result<f64> {
    check(predictions.len(), references.len())?;
    let (predicted, actual) = (counts(predictions), counts(references));
    // Integers, because the terms cancel and floats would lose digits; i128 is wide enough.
    let rows = references.len() as i128;
    let right = predictions.iter().zip(references).filter(|(p, r)| p == r).count() as i128;
    let product = |class, n: u64| i128::from(n) * i128::from(*actual.get(class).unwrap_or(&0));
    let both: i128 = predicted.iter().map(|(class, &n)| product(class, n)).sum();
    let spread = |counts: &BTreeMap<&T, u64>| {
        rows * rows - counts.values().map(|&n| i128::from(n) * i128::from(n)).sum::<i128>()
    };
    let denominator = (spread(&predicted) as f64).sqrt() * (spread(&actual) as f64).sqrt();
    match denominator == 0.0 {
        true => Ok(0.0),
        false => Ok((right * rows - both) as f64 / denominator),
    }
}

/// All of these scores: `accuracy`, `f1_macro`, `f1_micro`, `matthews`.
///
/// # Errors
/// As for [`accuracy`].
pub fn classification_metrics<T: Ord>(predictions: &[T], references: &[T]) -> Result<Metrics> {
    Ok(Metrics::from_iter([
        ("accuracy", accuracy(predictions, references)?),
        ("f1_macro", f1_macro(predictions, references)?),
        ("f1_micro", f1_micro(predictions, references)?),
        ("matthews", matthews(predictions, references)?),
    ]))
}

pub(super) fn check(predictions: usize, references: usize) -> Result<()> {
    if predictions != references {
        let message = format!("found {predictions} predictions for {references} references");
        return Err(Error::Mismatch(message));
    }
    if references == 0 {
        return Err(Error::Mismatch("there are no predictions to score".to_owned()));
    }
    Ok(())
}

fn counts<'a, T: Ord>(classes: impl IntoIterator<Item = &'a T>) -> BTreeMap<&'a T, u64> {
    let mut counts = BTreeMap::new();
    classes.into_iter().for_each(|class| *counts.entry(class).or_insert(0) += 1);
    counts
}

fn count<T: Ord>(counts: &BTreeMap<&T, u64>, class: &T) -> usize {
    *counts.get(class).unwrap_or(&0) as usize
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strings_are_scored_too() {
        assert_eq!(accuracy(&["a", "b"], &["a", "c"]).unwrap(), 0.5);
        assert_eq!(f1_macro(&["a", "b"], &["a", "c"]).unwrap(), 1.0 / 3.0);
    }

    #[test]
    fn a_class_that_is_nowhere_has_no_f1() {
        let rows = [("a", "a"), ("b", "a"), ("a", "b")];
        assert_eq!(f1_of_class(&rows, &"a"), Some(2.0 / 4.0));
        assert_eq!(f1_of_class(&rows, &"b"), Some(0.0));
        assert_eq!(f1_of_class(&rows, &"c"), None);
    }

    #[test]
    fn a_constant_prediction_is_uncorrelated() {
        assert_eq!(matthews(&[1, 1, 1], &[1, 0, 1]).unwrap(), 0.0);
        assert_eq!(matthews(&[1, 0, 1], &[1, 1, 1]).unwrap(), 0.0);
        assert_eq!(matthews(&[2, 2], &[2, 2]).unwrap(), 0.0);
    }

    #[test]
    fn rows_that_cannot_be_scored_are_refused() {
        let refusal = |p: &[u8], r: &[u8]| {
            let errors = [accuracy(p, r), f1_micro(p, r), f1_macro(p, r), matthews(p, r)]
                .map(|score| score.unwrap_err().to_string());
            assert!(errors.iter().all(|error| *error == errors[0]));
            errors[0].clone()
        };
        assert_eq!(refusal(&[1], &[1, 2]), "found 1 predictions for 2 references");
        assert_eq!(refusal(&[], &[]), "there are no predictions to score");
        assert!(classification_metrics::<u8>(&[], &[]).is_err());
    }

    proptest! {
        /// All scores stay in their range, are best for the references themselves, and do not
        /// depend on the names of the classes.
        #[test]
        fn scores_are_bounded_and_blind_to_names(
            rows in prop::collection::vec((0i32..5, 0i32..5), 1..40),
        ) {
            let (p, r): (Vec<i32>, Vec<i32>) = rows.into_iter().unzip();
            let renamed = |classes: &[i32]| classes.iter().map(|c| 7 - 3 * c).collect::<Vec<_>>();
            let (metrics, other) = (
                classification_metrics(&p, &r).unwrap(),
                classification_metrics(&renamed(&p), &renamed(&r)).unwrap(),
            );
            for ((name, value), (_, other)) in metrics.iter().zip(other.iter()) {
                let least = if name == "matthews" { -1.0 } else { 0.0 };
                prop_assert!((least - 1e-12..=1.0 + 1e-12).contains(&value), "{name} {value}");
                prop_assert!((value - other).abs() < 1e-12, "{name}");
            }
            prop_assert_eq!(f1_macro(&r, &r).unwrap(), 1.0);
            prop_assert_eq!(accuracy(&r, &r).unwrap(), 1.0);
        }
    }
}
