//! Relative position bias (Raffel et al. 2020, arXiv 1910.10683, section 2.1): one learned value per head and bucket of
//! distances, added to the scores of every layer of a stack.

use burn::tensor::{Int, Tensor, TensorData};
use peft_core::{Distances, Result, StackInput};

use crate::{
    class_defaults::refuse_null, config::ModelConfig, named_tensors::named_tensors,
    weights::Weights,
};

/// Which distances share a bucket. Half of the buckets of a direction hold one distance each; the others widen
/// logarithmically up to `max_distance`, beyond which all distances share the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// Buckets in all.
    pub count: usize,
    /// The distance from which all are in the last bucket.
    pub max_distance: usize,
    /// Whether keys before and after a query have half of the buckets each. Otherwise all keys after it are in the
    /// bucket of distance 0.
    pub bidirectional: bool,
}

impl Buckets {
    /// `relative_attention_num_buckets` and `relative_attention_max_distance`.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Config`] if they leave no space for exact and wide buckets.
    pub fn from_config(config: &ModelConfig, bidirectional: bool) -> Result<Self> {
        let (count_key, distance_key) =
            ("relative_attention_num_buckets", "relative_attention_max_distance");
        for (key, default) in [(count_key, 32), (distance_key, 128)] {
            refuse_null(config, key, default)?;
        }
        let count = config.optional_size(count_key)?.unwrap_or(32);
        let max_distance = config.optional_size(distance_key)?.unwrap_or(128);
        if count < 4 || count % 2 != 0 {
            let message = format!("found {count}, expected an even number of at least 4");
            return Err(config.error(count_key, message));
        }
        let buckets = Self { count, max_distance, bidirectional };
        if max_distance <= buckets.exact() {
            let message = format!(
                "found {max_distance}, expected more than the {} distances that have a bucket each",
                buckets.exact()
            );
            return Err(config.error(distance_key, message));
        }
        Ok(buckets)
    }

    /// The number of buckets.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Buckets of one direction.
    fn one_way(&self) -> usize {
        if self.bidirectional { self.count / 2 } else { self.count }
    }

    /// Distances of one direction that have a bucket each.
    fn exact(&self) -> usize {
        self.one_way() / 2
    }

    /// The bucket of a key that is `distance` positions after its query, or before it if `distance` is negative.
    pub fn of(&self, distance: i64) -> usize {
        let (start, distance) = match (self.bidirectional, distance > 0) {
            (true, true) => (self.one_way(), distance.unsigned_abs()),
            (false, true) => (0, 0),
            (_, false) => (0, distance.unsigned_abs()),
        };
        let (exact, one_way) = (self.exact(), self.one_way());
        if distance < exact as u64 {
            return start + distance as usize;
        }
        // In f32, like the original: the rounding decides where a bucket ends.
        let ratio = (distance as f32 / exact as f32).ln()
            / (self.max_distance as f64 / exact as f64).ln() as f32;
        let wide = exact + (ratio * (one_way - exact) as f32) as usize;
        start + wide.min(one_way - 1)
    }
}

/// The bias of a stack.
#[derive(Clone, Debug)]
pub struct RelativeBias {
    /// `[buckets, N]`.
    weight: Tensor<2>,
    buckets: Buckets,
}

named_tensors!(RelativeBias { weight });

impl RelativeBias {
    /// Loads `name.weight`, `[buckets, N]`.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Tensor`] for a missing or misshapen tensor.
    pub fn load(weights: &mut Weights, name: &str, buckets: Buckets, heads: usize) -> Result<Self> {
        let weight = weights.take(&format!("{name}.weight"), [buckets.count, heads])?;
        Ok(Self { weight, buckets })
    }

    /// The bias of one pass, shared by its layers.
    pub fn of_pass(&self, input: &StackInput) -> PassBias {
        let Distances { rows, queries, columns, values } = input.distances();
        let [none, heads] = self.weight.dims();
        let buckets: Vec<i64> = values
            .iter()
            .map(|distance| distance.map_or(none, |distance| self.buckets.of(distance)) as i64)
            .collect();
        let device = self.weight.device();
        let options = (&device, self.weight.dtype());
        // A last row of zeros for keys without a bias.
        let table = Tensor::cat(vec![self.weight.clone(), Tensor::zeros([1, heads], options)], 0);
        let data = TensorData::new(buckets, [rows * queries * columns]);
        let index: Tensor<1, Int> = Tensor::from_data(data, &device);
        let bias = table.select(0, index).reshape([rows, queries, columns, heads]);
        PassBias(bias.permute([0, 3, 1, 2]))
    }
}

/// The bias of one pass, `[B or 1, N, S, columns]`.
#[derive(Clone, Debug)]
pub struct PassBias(Tensor<4>);

impl PassBias {
    /// The bias of a layer with `columns` keys: one without virtual tokens has the rightmost ones.
    pub fn rightmost(&self, columns: usize) -> Tensor<4> {
        let extra = self.0.dims()[3] - columns;
        if extra == 0 { self.0.clone() } else { self.0.clone().narrow(3, extra, columns) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    /// The values of the original's formula in float32.
    #[test]
    fn buckets_end_where_the_original_ends_them() {
        let both = Buckets { count: 32, max_distance: 128, bidirectional: true };
        let found =
            [0, -1, -7, -8, -11, -12, -15, -16, -22, -23, -127, -128, -9999].map(|d| both.of(d));
        assert_eq!(found, [0, 1, 7, 8, 8, 9, 9, 10, 10, 11, 15, 15, 15]);
        assert_eq!([1, 7, 8, 64, 500].map(|d| both.of(d)), [17, 23, 24, 30, 31]);
        let back = Buckets { bidirectional: false, ..both };
        assert_eq!(
            [5, 0, -15, -16, -18, -19, -127, -128].map(|d| back.of(d)),
            [0, 0, 15, 16, 16, 17, 31, 31]
        );
    }

    #[test]
    fn too_few_buckets_or_distances_are_refused() {
        for (count, distance) in [(3, 128), (2, 128), (32, 8)] {
            let config = json!({ "relative_attention_num_buckets": count,
                                 "relative_attention_max_distance": distance });
            let config = ModelConfig::from_value(config, Path::new("config.json")).unwrap();
            let error = Buckets::from_config(&config, true).unwrap_err().to_string();
            assert!(error.contains("relative_attention_"), "{error}");
        }
    }
}
