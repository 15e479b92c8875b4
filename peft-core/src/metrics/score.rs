//! Precision, recall and F1.

/// Precision, recall and F1, each from 0 to 1, and 0 where undefined.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// The fraction of what was predicted that is right.
    pub precision: f64,
    /// The fraction of what is right that was predicted.
    pub recall: f64,
    /// 2 · precision · recall / (precision + recall).
    pub f1: f64,
    /// How many there are in the references.
    pub support: usize,
}

impl Score {
    /// The scores of so many right ones among the predicted, and so many in the references.
    pub(super) fn of_counts([right, predicted, actual]: [usize; 3]) -> Self {
        let ratio = |part: usize, whole: usize| match whole {
            0 => 0.0,
            _ => part as f64 / whole as f64,
        };
        let (precision, recall) = (ratio(right, predicted), ratio(right, actual));
        Self { precision, recall, f1: harmonic_mean(precision, recall), support: actual }
    }
}

/// 2 · a · b / (a + b) of two shares; 0 if both are 0.
pub(super) fn harmonic_mean(a: f64, b: f64) -> f64 {
    match a + b {
        0.0 => 0.0,
        sum => 2.0 * a * b / sum,
    }
}

/// F1 = 2 TP / (2 TP + FP + FN) of so many right ones, predicted ones and ones in the references; `None` if there are none.
pub(super) fn f1_of_counts([right, predicted, actual]: [usize; 3]) -> Option<f64> {
    match predicted + actual {
        0 => None,
        all => Some(2.0 * right as f64 / all as f64),
    }
}
