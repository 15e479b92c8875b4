//! Scores of rows that have any number of classes, defined as in scikit-learn.

use super::{score::f1_of_counts, set::Metrics};
use crate::error::{Error, Result};

/// `f1_micro`, over the pooled counts of all classes, and `f1_macro`, the mean over all classes. A
/// class that is neither predicted nor right anywhere has an F1 of 0.
///
/// # Errors
/// [`Error::Mismatch`] if there are no rows, or the numbers of rows or classes differ.
pub fn multi_label_metrics(predictions: &[Vec<bool>], references: &[Vec<bool>]) -> Result<Metrics> {
    let classes = references.first().map_or(0, Vec::len);
    let mut rows = predictions.iter().chain(references);
    if predictions.len() != references.len() || classes == 0 || rows.any(|row| row.len() != classes)
    {
        return Err(Error::Mismatch("predictions and references are not of one shape".to_owned()));
    }
    // Right predictions, predictions and references of a class.
    let counts = |class: usize| {
        let count = |rows: &[Vec<bool>]| rows.iter().filter(|row| row[class]).count();
        let both = predictions.iter().zip(references).filter(|(p, r)| p[class] && r[class]).count();
        [both, count(predictions), count(references)]
    };
    let of_classes: Vec<[usize; 3]> = (0..classes).map(counts).collect();
    let f1 = |counts| f1_of_counts(counts).unwrap_or_default();
    let pooled = [0, 1, 2].map(|which| of_classes.iter().map(|counts| counts[which]).sum());
    let macro_f1 = of_classes.into_iter().map(f1).sum::<f64>() / classes as f64;
    Ok(Metrics::from_iter([("f1_micro", f1(pooled)), ("f1_macro", macro_f1)]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_pooled_or_averaged() {
        let found = [vec![true, false, false], vec![true, true, false]];
        let expected = [vec![true, true, false], vec![false, true, false]];
        let scores = multi_label_metrics(&found, &expected).unwrap();
        // Of the classes: 2 * 1 / 3, 2 * 1 / 3, and none.
        assert_eq!(scores.get("f1_micro"), Some(4.0 / 6.0));
        assert_eq!(scores.get("f1_macro"), Some((2.0 / 3.0 + 2.0 / 3.0) / 3.0));
        assert!(multi_label_metrics(&[], &[]).is_err());
        assert!(multi_label_metrics(&found, &expected[..1]).is_err());
    }
}
