//! The vocabulary tokens around the virtual tokens of a prompt, beside those around random vectors: Lester et al. 2021,
//! section 7.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{DType, Tensor, TensorData};
use peft_core::contract::{
    init::{Distribution, draw},
    rng,
};
use serde::Serialize;

use super::{
    class_words::ClassWord,
    vocabulary::{Neighbour, Vocabulary, norms, numbers},
};

/// What the neighbours of a prompt are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Neighbours of each virtual token, k.
    pub count: usize,
    /// How many sets of random vectors are compared.
    pub draws: usize,
    /// Their seed.
    pub seed: u64,
}

/// The neighbours of a prompt.
#[derive(Clone, Debug, Serialize)]
pub struct Neighbours {
    /// Neighbours of each virtual token, k.
    pub count: usize,
    /// Each virtual token.
    pub positions: Vec<Position>,
    /// Tokens that are the nearest of several virtual tokens, the most frequent first.
    pub repeated: Vec<Repeated>,
    /// What is measured of all virtual tokens, and of random vectors.
    pub figures: Vec<Figure>,
    /// Sets of random vectors: as many as there are virtual tokens, of the same norms, in directions that are drawn from
    /// the sphere.
    pub draws: usize,
    /// The seed of these.
    pub seed: u64,
    /// The mean cosine of all pairs of tokens in the vocabulary.
    pub vocabulary_mean_cosine: f64,
    /// The words that the classes are called by, if they are known.
    pub class_words: Option<Vec<ClassWord>>,
}

/// A virtual token of a prompt.
#[derive(Clone, Debug, Serialize)]
pub struct Position {
    /// Its norm.
    pub norm: f64,
    /// Its nearest tokens, with their cosines.
    pub nearest: Vec<Token>,
    /// The mean cosine of all pairs of its k neighbours.
    pub tightness: Option<f64>,
    /// Whether a neighbour is a class word, or a piece of one.
    pub has_class_word: Option<bool>,
}

/// A token beside a virtual token.
#[derive(Clone, Debug, Serialize)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// How the tokenizer spells it.
    pub token: String,
    /// The cosine.
    pub cosine: f32,
}

/// A token that is the nearest of several virtual tokens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Repeated {
    /// How the tokenizer spells it.
    pub token: String,
    /// The virtual tokens that it is the nearest of.
    pub positions: Vec<usize>,
}

/// What is measured of a set of vectors.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What it is called.
    pub name: &'static str,
    /// Of the virtual tokens.
    pub found: f64,
    /// The mean over the sets of random vectors.
    pub control_mean: f64,
    /// Their standard deviation; 0 of one set.
    pub control_std: f64,
    /// How many of the sets have as much or more.
    pub control_at_least: usize,
}

/// The neighbours of the rows `[P, H]` of a prompt.
pub fn neighbours(
    rows: &Tensor<2>,
    vocabulary: &Vocabulary<'_>,
    class_words: Option<Vec<ClassWord>>,
    asked: Asked,
) -> Neighbours {
    let ids: Option<BTreeSet<u32>> = class_words
        .as_ref()
        .map(|words| words.iter().flat_map(|word| word.ids.iter().copied()).collect());
    let found = vocabulary.nearest(rows.clone(), asked.count);
    let norms = norms(rows.clone());
    let own = Measured::of(&found, vocabulary, ids.as_ref());
    let control: Vec<Measured> = (0..asked.draws)
        .map(|number| {
            let random = random_rows(rows, &norms, asked.seed, number);
            let found = vocabulary.nearest(random, asked.count);
            Measured::of(&found, vocabulary, ids.as_ref())
        })
        .collect();
    let tightness = own.tightness.clone();
    let position = |(at, row): (usize, &Vec<Neighbour>)| Position {
        norm: norms[at],
        nearest: row.iter().map(|one| named(*one, vocabulary)).collect(),
        tightness: tightness.as_ref().map(|all| all[at]),
        has_class_word: ids.as_ref().map(|ids| holds(row, ids)),
    };
    Neighbours {
        count: found.first().map_or(0, Vec::len),
        positions: found.iter().enumerate().map(position).collect(),
        repeated: repeated(&found, vocabulary),
        figures: figures(&own, &control),
        draws: asked.draws,
        seed: asked.seed,
        vocabulary_mean_cosine: vocabulary.mean_pairwise_cosine(),
        class_words,
    }
}

fn named(one: Neighbour, vocabulary: &Vocabulary<'_>) -> Token {
    Token { id: one.id, token: vocabulary.name(one.id), cosine: one.cosine }
}

fn holds(row: &[Neighbour], ids: &BTreeSet<u32>) -> bool {
    row.iter().any(|one| ids.contains(&one.id))
}

/// Random vectors of these norms.
fn random_rows(like: &Tensor<2>, norms_of: &[f64], seed: u64, number: usize) -> Tensor<2> {
    let [p, h] = like.dims();
    let mut stream = rng::stream(seed, number as u64, "analysis.control");
    let values = draw(Distribution::Normal { std: 1.0 }, p * h, &mut stream);
    let device = like.device();
    let rows = Tensor::<2>::from_data(TensorData::new(values, [p, h]), (&device, DType::F32));
    let factors: Vec<f32> = norms_of
        .iter()
        .zip(norms(rows.clone()))
        .map(|(wanted, norm)| (wanted / norm.max(1e-12)) as f32)
        .collect();
    rows * Tensor::from_data(TensorData::new(factors, [p, 1]), (&device, DType::F32))
}

/// The tokens that are the nearest of several vectors.
fn repeated(found: &[Vec<Neighbour>], vocabulary: &Vocabulary<'_>) -> Vec<Repeated> {
    let mut places: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (at, row) in found.iter().enumerate() {
        if let Some(nearest) = row.first() {
            places.entry(nearest.id).or_default().push(at);
        }
    }
    let mut all: Vec<(u32, Vec<usize>)> =
        places.into_iter().filter(|(_, places)| places.len() > 1).collect();
    all.sort_by_key(|(id, places)| (std::cmp::Reverse(places.len()), *id));
    all.into_iter()
        .map(|(id, positions)| Repeated { token: vocabulary.name(id), positions })
        .collect()
}

/// What is measured of one set of vectors.
struct Measured {
    tightness: Option<Vec<f64>>,
    figures: Vec<(&'static str, f64)>,
}

impl Measured {
    fn of(
        found: &[Vec<Neighbour>],
        vocabulary: &Vocabulary<'_>,
        class_ids: Option<&BTreeSet<u32>>,
    ) -> Self {
        let p = found.len() as f64;
        let cosine = |one: &Neighbour| f64::from(one.cosine);
        let nearest = found.iter().filter_map(|row| row.first());
        let all = found.iter().flatten();
        let count = all.clone().count() as f64;
        let tightness = vocabulary.tightness(found);
        let distinct: BTreeSet<u32> = nearest.clone().map(|one| one.id).collect();
        let mut figures = vec![
            ("cosine of the nearest token", nearest.map(cosine).sum::<f64>() / p),
            ("cosine of all neighbours", all.map(cosine).sum::<f64>() / count),
        ];
        if let Some(tightness) = &tightness {
            figures.push(("tightness of the neighbours", tightness.iter().sum::<f64>() / p));
        }
        figures.push((
            "share of positions with a nearest token of their own",
            distinct.len() as f64 / p,
        ));
        if let Some(ids) = class_ids {
            let with = found.iter().filter(|row| holds(row, ids)).count();
            figures.push(("share of positions with a class word", with as f64 / p));
        }
        Self { tightness, figures }
    }
}

/// Each figure beside its control.
fn figures(own: &Measured, control: &[Measured]) -> Vec<Figure> {
    let figure = |(at, (name, found)): (usize, &(&'static str, f64))| {
        let values: Vec<f64> = control.iter().map(|one| one.figures[at].1).collect();
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Figure {
            name,
            found: *found,
            control_mean: mean,
            control_std: (squares / (count - 1.0).max(1.0)).sqrt(),
            control_at_least: values.iter().filter(|value| **value >= *found).count(),
        }
    };
    own.figures.iter().enumerate().map(figure).collect()
}

/// The rows of a prompt `[1, P, H]`.
pub fn prompt_rows(rows: &Tensor<3>) -> Tensor<2> {
    let [_, p, h] = rows.dims();
    rows.clone().reshape([p, h]).cast(DType::F32)
}

/// The values of each row.
pub fn as_rows(rows: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, h] = rows.dims();
    numbers(rows).chunks(h).map(<[f32]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn random_vectors_have_the_norms_asked_for() {
        let like = Tensor::<2>::zeros([3, 8], &Device::default());
        let wanted = [1.0, 0.25, 7.0];
        let random = random_rows(&like, &wanted, 3, 1);
        for (found, expected) in norms(random.clone()).iter().zip(wanted) {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
        let [same, another] = [(3, 1), (3, 2)]
            .map(|(seed, number)| numbers(random_rows(&like, &wanted, seed, number)));
        assert_eq!(numbers(random), same);
        assert_ne!(same, another);
    }

    #[test]
    fn figures_stand_beside_their_control() {
        let of = |value| Measured { tightness: None, figures: vec![("a", value)] };
        let found = figures(&of(2.0), &[of(1.0), of(2.0), of(3.0)]);
        let expected = Figure {
            name: "a",
            found: 2.0,
            control_mean: 2.0,
            control_std: 1.0,
            control_at_least: 2,
        };
        assert_eq!(found, [expected]);
    }
}
