//! How alike two sets of virtual tokens are.

use peft_core::contract::{
    init::{Distribution, draw},
    rng,
};
use serde::Serialize;

/// A measure of likeness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// The cosine of the mean virtual tokens.
    CosineAverage,
    /// The mean cosine of all pairs of virtual tokens.
    CosinePairs,
    /// Linear CKA of keys and values, the mean over the layers.
    Cka,
}

impl Measure {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::CosineAverage => "cosine-average",
            Self::CosinePairs => "cosine-pairs",
            Self::Cka => "cka",
        }
    }
}

/// P vectors of one width, one for each virtual token.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// P.
    pub count: usize,
    /// Numbers in each.
    pub width: usize,
    /// All of them, `[P, width]`.
    pub values: Vec<f32>,
}

impl Rows {
    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks(self.width.max(1))
    }

    /// Some columns of all rows.
    #[must_use]
    pub fn columns(&self, from: usize, width: usize) -> Self {
        let values = self.rows().flat_map(|row| row[from..from + width].iter().copied()).collect();
        Self { count: self.count, width, values }
    }

    /// The sum of all rows, each divided by what `by` says of it.
    fn sum(&self, by: impl Fn(&[f32]) -> f64) -> Vec<f64> {
        let mut sum = vec![0.0; self.width];
        for row in self.rows() {
            let divisor = by(row);
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += f64::from(*value) / divisor;
            }
        }
        sum
    }

    /// `X Xᵀ` of the rows with their mean subtracted, `[P, P]`.
    fn centred_gram(&self) -> Vec<f64> {
        let p = self.count;
        let mean: Vec<f64> = self.sum(|_| 1.0).iter().map(|sum| sum / p as f64).collect();
        let centre = |row: &[f32]| -> Vec<f64> {
            row.iter().zip(&mean).map(|(value, mean)| f64::from(*value) - mean).collect()
        };
        let centred: Vec<Vec<f64>> = self.rows().map(centre).collect();
        let mut gram = vec![0.0; p * p];
        for i in 0..p {
            for j in 0..=i {
                let product = dot(&centred[i], &centred[j]);
                (gram[i * p + j], gram[j * p + i]) = (product, product);
            }
        }
        gram
    }
}

/// SPoT's first measure (Vu et al. 2022, arXiv 2110.07904): `cos(1/P Σ a_i, 1/Q Σ b_j)`, for P and Q virtual tokens of the
/// same width. `None` if a mean is zero.
pub fn cosine_average(a: &Rows, b: &Rows) -> Option<f64> {
    // Means and sums have the same direction.
    let [a, b] = [a, b].map(|rows| rows.sum(|_| 1.0));
    let norms = dot(&a, &a).sqrt() * dot(&b, &b).sqrt();
    (norms > 0.0).then(|| dot(&a, &b) / norms)
}

/// SPoT's second measure: `1/(P Q) Σ_i Σ_j cos(a_i, b_j)`, the mean cosine of all pairs. `None` if a virtual token is zero.
///
/// The mean of cosines is the product of the mean unit vectors, so it costs no pairs. A prompt's own is below 1, unless
/// its virtual tokens all point the same way.
pub fn cosine_pairs(a: &Rows, b: &Rows) -> Option<f64> {
    let norm = |row: &[f32]| row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if [a, b].iter().any(|rows| rows.rows().any(|row| norm(row) == 0.0)) {
        return None;
    }
    let pairs = (a.count * b.count) as f64;
    Some(dot(&a.sum(norm), &b.sum(norm)) / pairs)
}

/// Linear CKA (Kornblith et al. 2019, arXiv 1905.00414) of X and Y with one row for each virtual token:
/// `|Yᵀ X|² / (|Xᵀ X| |Yᵀ Y|)`, in Frobenius norms and with columns that are centred. `None` if all rows of one are equal.
///
/// It is computed as `tr(K L) / (|K| |L|)` with `K = X Xᵀ` and `L = Y Yᵀ`, which are `[P, P]`. Between sets of few rows and
/// many columns it is high by chance alone: [`chance_cka`] says how high.
pub fn linear_cka(x: &Rows, y: &Rows) -> Option<f64> {
    let [k, l] = [x, y].map(Rows::centred_gram);
    let norms = dot(&k, &k).sqrt() * dot(&l, &l).sqrt();
    (norms > 0.0).then(|| dot(&k, &l) / norms)
}

/// The mean linear CKA of random vectors of these shapes: pairs of sets from the normal distribution.
pub fn chance_cka(count: usize, width: usize) -> Option<f64> {
    const DRAWS: u64 = 20;
    let mut stream = rng::stream(0, 0, "analysis.chance-cka");
    let mut random = || Rows {
        count,
        width,
        values: draw(Distribution::Normal { std: 1.0 }, count * width, &mut stream),
    };
    let found: Option<Vec<f64>> = (0..DRAWS).map(|_| linear_cka(&random(), &random())).collect();
    found.map(|found| found.iter().sum::<f64>() / DRAWS as f64)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(count: std::ops::Range<usize>, width: usize) -> impl Strategy<Value = Rows> {
        prop::collection::vec(prop::collection::vec(-2.0f32..2.0, width), count)
            .prop_map(move |rows| Rows { count: rows.len(), width, values: rows.concat() })
    }

    fn scaled(rows: &Rows, factor: f32) -> Rows {
        Rows { values: rows.values.iter().map(|value| factor * value).collect(), ..rows.clone() }
    }

    proptest! {
        /// All measures are symmetric and do not see the scale; CKA does not see which way the columns stand.
        #[test]
        fn measures_are_symmetric_and_without_scale(a in rows(2..6, 4), b in rows(2..6, 4), factor in 0.1f32..9.0) {
            let near = |a: Option<f64>, b: Option<f64>| {
                a.zip(b).is_none_or(|(a, b)| (a - b).abs() < 1e-4)
            };
            for measure in [cosine_average, cosine_pairs] {
                prop_assert!(near(measure(&a, &b), measure(&b, &a)));
                prop_assert!(near(measure(&a, &b), measure(&scaled(&a, factor), &b)));
                prop_assert!(measure(&a, &b).is_none_or(|found| found.abs() <= 1.0 + 1e-9));
            }
            prop_assert!(cosine_average(&a, &a).is_none_or(|found| (found - 1.0).abs() < 1e-9));
            let b = Rows { count: a.count, width: 4, values: b.values.iter().cycle().take(a.values.len()).copied().collect() };
            prop_assert!(near(linear_cka(&a, &b), linear_cka(&b, &a)));
            prop_assert!(near(linear_cka(&a, &b), linear_cka(&scaled(&a, factor), &b)));
            prop_assert!(linear_cka(&a, &b).is_none_or(|found| (-1e-9..1.0 + 1e-9).contains(&found)));
            prop_assert!(linear_cka(&a, &a).is_none_or(|found| (found - 1.0).abs() < 1e-9));
            let turned = Rows { values: a.rows().flat_map(|row| row.iter().rev().copied()).collect(), ..a.clone() };
            prop_assert!(near(linear_cka(&a, &turned), Some(1.0)));
        }
    }

    #[test]
    fn what_has_no_direction_has_no_likeness() {
        let zeros = Rows { count: 2, width: 2, values: vec![0.0; 4] };
        let same = Rows { count: 2, width: 2, values: vec![1.0; 4] };
        assert_eq!(cosine_average(&zeros, &same), None);
        assert_eq!(cosine_pairs(&zeros, &same), None);
        assert_eq!(linear_cka(&same, &same), None);
    }

    #[test]
    fn chance_is_high_where_there_are_few_rows() {
        let (few, many) = (chance_cka(4, 64).unwrap(), chance_cka(64, 4).unwrap());
        assert!(few > 0.9 && many < 0.2, "{few} {many}");
    }
}
