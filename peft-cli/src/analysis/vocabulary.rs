//! The embedding table of a base model: which tokens are nearest to a vector, how tight they are, and how long.

use burn::tensor::{DType, Int, Tensor, TensorData};
use peft_core::FrozenModel;
use tokenizers::Tokenizer;

/// Vectors that are compared with the whole table at once.
const ROWS_AT_ONCE: usize = 64;

/// The embedding table of a base model.
#[derive(Clone, Debug)]
pub struct Vocabulary<'a> {
    /// Its rows, each of the length 1, `[V, H]`.
    unit: Tensor<2>,
    /// How long they were.
    norms: Vec<f64>,
    tokenizer: Option<&'a Tokenizer>,
}

/// A token beside a vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its id.
    pub id: u32,
    /// The cosine of its embedding and the vector.
    pub cosine: f32,
}

impl<'a> Vocabulary<'a> {
    /// That of a model, with the tokenizer that names its tokens.
    pub fn of(model: &dyn FrozenModel, tokenizer: Option<&'a Tokenizer>) -> Self {
        let (v, h) = (model.spec().vocab_size, model.spec().hidden_size);
        let ids: Tensor<2, Int> = Tensor::arange(0..v as i64, &model.device()).reshape([1, v]);
        let table = model.embed(ids).reshape([v, h]).cast(DType::F32);
        let norms = norms(table.clone());
        Self { unit: unit(table), norms, tokenizer }
    }

    /// The norms of all embeddings.
    pub fn norms(&self) -> &[f64] {
        &self.norms
    }

    /// A token as the tokenizer spells it, or its number.
    pub fn name(&self, id: u32) -> String {
        let named = self.tokenizer.and_then(|tokenizer| tokenizer.id_to_token(id));
        named.unwrap_or_else(|| format!("#{id}"))
    }

    /// The `k` tokens nearest to each of `rows` `[P, H]` by cosine, the nearest first.
    pub fn nearest(&self, rows: Tensor<2>, k: usize) -> Vec<Vec<Neighbour>> {
        let ([p, _], v) = (rows.dims(), self.norms.len());
        let rows = unit(rows);
        let table = self.unit.clone().transpose();
        let mut found = Vec::with_capacity(p);
        for from in (0..p).step_by(ROWS_AT_ONCE) {
            let block = rows.clone().narrow(0, from, ROWS_AT_ONCE.min(p - from));
            let cosines = numbers(block.matmul(table.clone()));
            found.extend(cosines.chunks(v).map(|cosines| largest(cosines, k)));
        }
        found
    }

    /// How tight each group of tokens is: the mean cosine of all pairs of their embeddings, `(|Σ u|² - k) / (k (k - 1))`
    /// for k embeddings u of the length 1; `None` for less than two tokens. All groups have the same size.
    pub fn tightness(&self, groups: &[Vec<Neighbour>]) -> Option<Vec<f64>> {
        let k = groups.first().map(Vec::len).filter(|k| *k > 1)?;
        let ids: Vec<i64> = groups.iter().flatten().map(|one| i64::from(one.id)).collect();
        let count = ids.len();
        let ids = Tensor::from_data(TensorData::new(ids, [count]), &self.unit.device());
        let [_, h] = self.unit.dims();
        let sums = self.unit.clone().select(0, ids).reshape([groups.len(), k, h]).sum_dim(1);
        let squares = sums.square().sum_dim(2).reshape([groups.len(), 1]);
        let k = k as f64;
        Some(
            numbers(squares)
                .into_iter()
                .map(|sum| (f64::from(sum) - k) / (k * (k - 1.0)))
                .collect(),
        )
    }

    /// The mean cosine of all pairs of tokens: above 0 where all embeddings lean to one side.
    pub fn mean_pairwise_cosine(&self) -> f64 {
        let v = self.norms.len() as f64;
        let sum = numbers(self.unit.clone().sum_dim(0));
        let square: f64 = sum.iter().map(|value| f64::from(*value).powi(2)).sum();
        // A row of zeros has no direction, and adds nothing.
        let own = self.norms.iter().filter(|norm| **norm > 0.0).count() as f64;
        (square - own) / (v * (v - 1.0)).max(1.0)
    }
}

/// The indices of the `k` largest, the largest first; of equals the first.
fn largest(cosines: &[f32], k: usize) -> Vec<Neighbour> {
    let k = k.min(cosines.len());
    let mut order: Vec<u32> = (0..cosines.len() as u32).collect();
    let by_cosine = |a: &u32, b: &u32| {
        cosines[*b as usize].total_cmp(&cosines[*a as usize]).then_with(|| a.cmp(b))
    };
    if k > 0 && k < order.len() {
        order.select_nth_unstable_by(k - 1, by_cosine);
    }
    order.truncate(k);
    order.sort_by(by_cosine);
    order.into_iter().map(|id| Neighbour { id, cosine: cosines[id as usize] }).collect()
}

/// Rows of the length 1; zeros stay zeros.
fn unit(rows: Tensor<2>) -> Tensor<2> {
    let norm = rows.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
    rows / norm
}

/// The length of each row.
pub fn norms(rows: Tensor<2>) -> Vec<f64> {
    numbers(rows.square().sum_dim(1).sqrt()).into_iter().map(f64::from).collect()
}

/// The values of a tensor.
pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert_dtype(DType::F32).iter().collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use proptest::prelude::*;

    use super::*;

    fn of(rows: &[[f32; 2]]) -> Vocabulary<'static> {
        let count = rows.len();
        let values: Vec<f32> = rows.iter().flatten().copied().collect();
        let table = Tensor::from_data(TensorData::new(values, [count, 2]), &Device::default());
        Vocabulary { unit: unit(table.clone()), norms: norms(table), tokenizer: None }
    }

    #[test]
    fn the_nearest_come_first_and_are_tight_or_not() {
        let vocabulary = of(&[[3.0, 0.0], [0.0, 2.0], [5.0, 5.0], [-1.0, 0.0]]);
        let rows = Tensor::from_data([[2.0, 0.1], [-1.0, -0.2]], &Device::default());
        let found = vocabulary.nearest(rows, 2);
        let ids: Vec<Vec<u32>> =
            found.iter().map(|row| row.iter().map(|one| one.id).collect()).collect();
        assert_eq!(ids, [[0, 2], [3, 1]]);
        let tightness = vocabulary.tightness(&found).unwrap_or_default();
        // The angles between them: 45° and 90°.
        assert!((tightness[0] - 0.5f64.sqrt()).abs() < 1e-6, "{tightness:?}");
        assert!(tightness[1].abs() < 1e-6, "{tightness:?}");
        assert_eq!(vocabulary.norms(), [3.0, 2.0, f64::from(50f32.sqrt()), 1.0]);
        assert_eq!(vocabulary.name(7), "#7");
        let single: Vec<Vec<Neighbour>> = found.iter().map(|row| row[..1].to_vec()).collect();
        assert_eq!(vocabulary.tightness(&single), None);
    }

    proptest! {
        /// The closed form of the mean over pairs, and the k largest, against the definitions.
        #[test]
        fn figures_are_what_they_say(
            rows in prop::collection::vec([-1.0f32..1.0, -1.0f32..1.0], 2..9),
            k in 0usize..9,
        ) {
            prop_assume!(rows.iter().all(|[x, y]| x.hypot(*y) > 0.05));
            let vocabulary = of(&rows);
            let cosine = |a: [f32; 2], b: [f32; 2]| {
                let [a, b] = [a, b].map(|row| row.map(f64::from));
                (a[0] * b[0] + a[1] * b[1]) / (a[0].hypot(a[1]) * b[0].hypot(b[1]))
            };
            let mut pairs = Vec::new();
            for (i, a) in rows.iter().enumerate() {
                pairs.extend(rows[i + 1..].iter().map(|b| cosine(*a, *b)));
            }
            let mean = pairs.iter().sum::<f64>() / pairs.len() as f64;
            prop_assert!((vocabulary.mean_pairwise_cosine() - mean).abs() < 1e-5);
            let all: Vec<Neighbour> =
                (0..rows.len() as u32).map(|id| Neighbour { id, cosine: 0.0 }).collect();
            let tightness = vocabulary.tightness(&[all]).unwrap_or_default();
            prop_assert!((tightness[0] - mean).abs() < 1e-5);

            let query = Tensor::from_data([rows[0]], &Device::default());
            let found = &vocabulary.nearest(query, k)[0];
            prop_assert_eq!(found.len(), k.min(rows.len()));
            prop_assert!(found.windows(2).all(|pair| pair[0].cosine >= pair[1].cosine));
            let least = found.last().map_or(f32::INFINITY, |last| last.cosine);
            for (id, row) in rows.iter().enumerate() {
                let is_in = found.iter().any(|one| one.id as usize == id);
                prop_assert!(is_in || cosine(rows[0], *row) <= f64::from(least) + 1e-5);
            }
        }
    }
}
