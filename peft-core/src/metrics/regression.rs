//! Scores of predicted numbers.

use super::Metrics;
use crate::error::{Error, Result};

/// The mean of the squared differences; 0 of no numbers. Not a number if there are not as many of both.
pub fn mean_squared_error(predictions: &[f64], references: &[f64]) -> f64 {
    if predictions.len() != references.len() {
        return f64::NAN;
    }
    let squares = predictions.iter().zip(references).map(|(p, r)| (p - r) * (p - r));
    squares.sum::<f64>() / predictions.len().max(1) as f64
}

/// Pearson's correlation coefficient, as scipy's `pearsonr`. Not a number if either side does not
/// vary, or has fewer than two numbers, or there are not as many of both.
pub fn pearson(predictions: &[f64], references: &[f64]) -> f64 {
    let centred = |values: &[f64]| -> Vec<f64> {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| value - mean).collect()
    };
    let constant = |values: &[f64]| values.iter().all(|value| *value == values[0]);
    let are_pairs = predictions.len() == references.len() && predictions.len() > 1;
    if !are_pairs || constant(predictions) || constant(references) {
        return f64::NAN;
    }
    let (p, r) = (centred(predictions), centred(references));
    let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let product: f64 = p.iter().zip(&r).map(|(p, r)| p * r).sum();
    (product / norm(&p) / norm(&r)).clamp(-1.0, 1.0)
}

/// Spearman's rank correlation coefficient, as scipy's `spearmanr`: [`pearson`] of the ranks, where
/// equal numbers share the mean of theirs.
pub fn spearman(predictions: &[f64], references: &[f64]) -> f64 {
    pearson(&ranks(predictions), &ranks(references))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let mean = before as f64 + (group.len() as f64 + 1.0) / 2.0;
        group.iter().for_each(|index| ranks[*index] = mean);
        before += group.len();
    }
    ranks
}

/// `pearson`, `spearman` and `mse`, each the mean over the outputs.
///
/// # Errors
/// [`Error::Mismatch`] if there are no rows, or the numbers of rows or outputs differ.
pub fn regression_metrics(predictions: &[Vec<f32>], references: &[Vec<f32>]) -> Result<Metrics> {
    let outputs = references.first().map_or(0, Vec::len);
    let rows = predictions.iter().chain(references);
    if predictions.len() != references.len()
        || outputs == 0
        || rows.into_iter().any(|row| row.len() != outputs)
    {
        return Err(Error::Mismatch("predictions and references are not of one shape".to_owned()));
    }
    let column = |rows: &[Vec<f32>], output: usize| -> Vec<f64> {
        rows.iter().map(|row| f64::from(row[output])).collect()
    };
    let mean = |score: fn(&[f64], &[f64]) -> f64| {
        let of = |output| score(&column(predictions, output), &column(references, output));
        (0..outputs).map(of).sum::<f64>() / outputs as f64
    };
    Ok(Metrics::from_iter([
        ("pearson", mean(pearson)),
        ("spearman", mean(spearman)),
        ("mse", mean(mean_squared_error)),
    ]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_does_not_vary_has_no_correlation() {
        assert!(pearson(&[1.0, 1.0], &[0.0, 1.0]).is_nan());
        assert!(spearman(&[1.0], &[0.0]).is_nan());
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        assert!(regression_metrics(&[], &[]).is_err());
        assert!(regression_metrics(&[vec![1.0]], &[vec![1.0, 2.0]]).is_err());
    }

    #[test]
    fn numbers_without_a_partner_have_no_score() {
        let (two, three) = ([1.0, 2.0], [1.0, 2.0, 4.0]);
        for score in [mean_squared_error, pearson, spearman] {
            assert!(score(&two, &three).is_nan() && score(&three, &two).is_nan());
            assert!(score(&[], &two).is_nan() && score(&two, &[]).is_nan());
            assert!(score(&three, &three).is_finite());
        }
    }

    proptest! {
        /// Both are 1 for the references themselves and do not depend on scale and place.
        #[test]
        fn correlations_are_blind_to_scale(rows in prop::collection::vec((-9i32..9, -9i32..9), 2..40)) {
            let (p, r): (Vec<f64>, Vec<f64>) = rows.iter().map(|(p, r)| (f64::from(*p), f64::from(*r))).unzip();
            let moved: Vec<f64> = p.iter().map(|p| 3.0 * p - 7.0).collect();
            for score in [pearson, spearman] {
                let found = score(&p, &r);
                prop_assert!(found.is_nan() || (found - score(&moved, &r)).abs() < 1e-9);
                let own = score(&r, &r);
                prop_assert!(own.is_nan() || (own - 1.0).abs() < 1e-12);
            }
        }
    }
}
