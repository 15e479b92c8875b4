//! Initial values of prompt tuning.

use burn::tensor::{DType, Int, Tensor, TensorData};
use peft_core::{
    Error, FrozenModel, Result,
    contract::{
        init::{Distribution, draw},
        rng,
    },
};
use rand::Rng;

/// Rows of the embedding table that samples and the standard deviation are taken from.
const POPULATION: usize = 5000;

/// What a prompt `[P, H]` starts from, or with an [encoder](crate::EncoderConfig) its input Z. The default is
/// [`SampledVocab`](Self::SampledVocab) over 5000 rows; where classes have names, the paper's best is
/// [`ClassLabels`](Self::ClassLabels).
#[derive(Clone, Debug, PartialEq)]
pub enum PromptInit {
    /// Every value from U[-range, range); the paper's range is 0.5.
    Random {
        /// Half the width of the interval.
        range: f64,
    },
    /// Every value from N(0, std²), with the standard deviation of the first 5000 rows of the model's
    /// embedding table. From no paper: random rows, but on the scale of real embeddings.
    RandomScaled,
    /// Every value from N(0, std²). With 1, torch's default for an embedding, which P-tuning's encoder starts from.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Distinct rows of the model's embedding table, sampled from its first ones: the ids of SentencePiece
    /// vocabularies are ordered by frequency. Rows repeat only where P exceeds the population.
    SampledVocab {
        /// How many rows to sample from, at most V; 5000 in the paper.
        population: usize,
    },
    /// Row i is the mean of the embeddings of label i's subword tokens. Labels beyond P are dropped; rows
    /// beyond the labels come from the fallback.
    ClassLabels {
        /// Ids of the subword tokens of each label, in order, without special tokens.
        labels: Vec<Vec<u32>>,
        /// What the other rows start from.
        fallback: Box<PromptInit>,
    },
    /// Row i is the embedding of the text's i-th subword token. The text is cut at P; rows beyond it come
    /// from the fallback. (PEFT repeats the text instead.)
    Text {
        /// Ids of the subword tokens, in order, without special tokens.
        ids: Vec<u32>,
        /// What the other rows start from.
        fallback: Box<PromptInit>,
    },
    /// The rows `[P, H]` of another prompt: transfer between tasks (SPoT, Vu et al. 2022). No encoder starts from
    /// them: it would make other rows of them.
    Rows(TensorData),
}

impl Default for PromptInit {
    fn default() -> Self {
        Self::SampledVocab { population: POPULATION }
    }
}

impl PromptInit {
    /// U[-0.5, 0.5).
    pub fn random() -> Self {
        Self::Random { range: 0.5 }
    }

    /// N(0, 1).
    pub fn normal() -> Self {
        Self::Normal { std: 1.0 }
    }

    /// Labels by the ids of their subword tokens; other rows are sampled from the first 5000 of the vocabulary.
    pub fn class_labels(labels: Vec<Vec<u32>>) -> Self {
        Self::ClassLabels { labels, fallback: Box::default() }
    }

    /// A text by the ids of its subword tokens; other rows are sampled from the first 5000 of the vocabulary.
    pub fn text(ids: Vec<u32>) -> Self {
        Self::Text { ids, fallback: Box::default() }
    }

    /// The rows `[P, H]`, f32, for a prompt of `p` rows on `model`.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for `init` where the model or P does not allow it.
    pub fn rows(&self, p: usize, model: &dyn FrozenModel, seed: u64) -> Result<TensorData> {
        let h = model.spec().hidden_size;
        match self {
            Self::Rows(data) => given(data, p, h),
            _ => Ok(TensorData::new(self.values(p, model, seed)?, [p, h])),
        }
    }

    /// The P * H values, row by row.
    fn values(&self, p: usize, model: &dyn FrozenModel, seed: u64) -> Result<Vec<f32>> {
        let (h, v) = (model.spec().hidden_size, model.spec().vocab_size);
        match self {
            Self::Random { range } => {
                if !range.is_finite() || *range < 0.0 {
                    return refuse(format!("found the range {range}, expected at least 0"));
                }
                let mut stream = rng::stream(seed, 0, "prompt.random");
                Ok(draw(Distribution::Uniform { range: *range }, p * h, &mut stream))
            }
            Self::RandomScaled => {
                let first: Vec<u32> = (0..v.min(POPULATION) as u32).collect();
                let std = standard_deviation(&look_up(model, &first)?);
                let mut stream = rng::stream(seed, 0, "prompt.random-scaled");
                Ok(draw(Distribution::Normal { std }, p * h, &mut stream))
            }
            Self::Normal { std } => {
                if !std.is_finite() || *std < 0.0 {
                    return refuse(format!(
                        "found the standard deviation {std}, expected at least 0"
                    ));
                }
                let mut stream = rng::stream(seed, 0, "prompt.normal");
                Ok(draw(Distribution::Normal { std: *std }, p * h, &mut stream))
            }
            Self::SampledVocab { population } => {
                let population = (*population).min(v);
                if population == 0 {
                    return refuse("found a population of 0 rows, expected at least 1");
                }
                let mut stream = rng::stream(seed, 0, "prompt.sampled-vocab");
                look_up(model, &sample(population, p, &mut stream))
            }
            Self::ClassLabels { labels, fallback } => {
                if let Some(index) = labels.iter().position(Vec::is_empty) {
                    return refuse(format!(
                        "label {index} has no subword tokens, expected at least 1"
                    ));
                }
                let mut rows = Vec::with_capacity(p * h);
                for label in labels.iter().take(p) {
                    rows.extend(mean_row(&look_up(model, label)?, h));
                }
                fill(rows, p, model, fallback, seed)
            }
            Self::Text { ids, fallback } => {
                if ids.is_empty() {
                    return refuse("the text has no subword tokens, expected at least 1");
                }
                fill(look_up(model, &ids[..ids.len().min(p)])?, p, model, fallback, seed)
            }
            Self::Rows(data) => given(data, p, h)?.try_to_vec().map_err(|error| {
                Error::setting("init", format!("cannot read the given rows: {error:?}"))
            }),
        }
    }
}

fn refuse<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::setting("init", message))
}

/// Completes `rows` to `p` rows. The fallback makes all P of them first, as in the paper's code, so that
/// its row i does not depend on how many rows were there already.
fn fill(
    mut rows: Vec<f32>,
    p: usize,
    model: &dyn FrozenModel,
    fallback: &PromptInit,
    seed: u64,
) -> Result<Vec<f32>> {
    if rows.len() < p * model.spec().hidden_size {
        let others = fallback.values(p, model, seed)?;
        rows.extend_from_slice(&others[rows.len()..]);
    }
    Ok(rows)
}

/// Checks that given rows are `[P, H]`.
fn given(data: &TensorData, p: usize, h: usize) -> Result<TensorData> {
    if data.shape().as_slice() != [p, h] {
        return refuse(format!(
            "the given rows have the shape {:?}, expected [{p}, {h}]",
            data.shape().as_slice()
        ));
    }
    Ok(data.clone().convert_dtype(DType::F32))
}

/// Embeddings of `ids`, row by row.
fn look_up(model: &dyn FrozenModel, ids: &[u32]) -> Result<Vec<f32>> {
    let vocab_size = model.spec().vocab_size;
    if let Some(id) = ids.iter().find(|id| **id as usize >= vocab_size) {
        return refuse(format!("found the token id {id}, the vocabulary has {vocab_size} rows"));
    }
    let values: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(values, [1, ids.len()]), &model.device());
    let rows = model.embed(ids).into_data().convert_dtype(DType::F32);
    rows.try_to_vec().map_err(|error| {
        Error::Mismatch(format!("cannot read the model's embedding table: {error:?}"))
    })
}

/// `count` of the ids `0..population`: distinct ones, or any where there are too few.
fn sample(population: usize, count: usize, rng: &mut impl Rng) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..population as u32).collect();
    if count > population {
        return (0..count).map(|_| ids[rng.random_range(0..population)]).collect();
    }
    for place in 0..count {
        ids.swap(place, rng.random_range(place..population));
    }
    ids.truncate(count);
    ids
}

/// The mean of rows of width `h`.
fn mean_row(rows: &[f32], h: usize) -> Vec<f32> {
    let count = (rows.len() / h) as f64;
    (0..h)
        .map(|column| {
            let sum: f64 = rows.iter().skip(column).step_by(h).map(|value| f64::from(*value)).sum();
            (sum / count) as f32
        })
        .collect()
}

fn standard_deviation(values: &[f32]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let squares = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>();
    (squares / count).sqrt()
}
