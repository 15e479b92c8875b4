//! How alike adapters are, pair by pair.

use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use peft_core::{
    Adapter, Error, PROMPT_EMBEDDINGS, PeftType, Result, contract::layout::is_virtual,
};
use serde::Serialize;

use super::measures::{Measure, Rows, chance_cka, cosine_average, cosine_pairs, linear_cka};

/// An adapter that is compared.
#[derive(Clone, Debug)]
pub struct Compared {
    /// How it was named.
    pub name: String,
    kind: PeftType,
    /// All that is stored of each virtual token.
    whole: Rows,
    /// The layers of a prefix, with what they are called.
    layers: Vec<(String, Rows)>,
    /// What tells its base model.
    base: Option<String>,
}

/// How alike adapters are.
#[derive(Clone, Debug, Serialize)]
pub struct Similarity {
    /// The measure.
    pub measure: Measure,
    /// What the adapters are called.
    pub adapters: Vec<String>,
    /// Of each with each, in this order.
    pub matrix: Vec<Vec<f64>>,
    /// CKA alone: what random keys and values of the same shape have.
    pub chance: Option<f64>,
    /// CKA alone: what the layers are called.
    pub layers: Vec<String>,
    /// CKA alone: each pair of adapters, layer by layer.
    pub pairs: Vec<PairOfLayers>,
}

/// Linear CKA of each layer of one adapter with each layer of another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairOfLayers {
    /// The place of the one among the adapters.
    pub a: usize,
    /// The place of the other.
    pub b: usize,
    /// `[l, l]`: layers of the one, each with all layers of the other.
    pub cka: Vec<Vec<f64>>,
}

impl Compared {
    /// An adapter, as it was named.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if it has no virtual tokens, or if its layers cannot be told apart.
    pub fn new(name: &Path, adapter: &Adapter) -> Result<Self> {
        let (name, config) = (name.display().to_string(), &adapter.config);
        let stored: Vec<(&String, &TensorData)> =
            adapter.tensors.iter().filter(|(tensor, _)| is_virtual(tensor)).collect();
        if stored.is_empty() {
            let message =
                format!("{name}: holds a head alone: there are no virtual tokens to compare");
            return Err(Error::Mismatch(message));
        }
        let mut layers = Vec::new();
        let parts: Vec<(&str, Rows)> = stored
            .iter()
            .map(|(tensor, data)| {
                let site = tensor.strip_prefix(PROMPT_EMBEDDINGS).unwrap_or_default();
                (site.trim_start_matches('.'), rows_of(data))
            })
            .collect();
        if !config.peft_type.is_prompt() {
            for (site, rows) in &parts {
                layers.extend(layers_of(adapter, site, rows, &name)?);
            }
        }
        let own = &config.own;
        Ok(Self {
            kind: config.peft_type,
            whole: side_by_side(parts.into_iter().map(|(_, rows)| rows).collect()),
            layers,
            base: own.base_sha256.clone().or_else(|| own.base_fingerprint.clone()),
            name,
        })
    }

    fn shape(&self) -> String {
        format!("[{}, {}]", self.whole.count, self.whole.width)
    }
}

/// The values of a tensor `[P, width]`.
fn rows_of(data: &TensorData) -> Rows {
    let shape = data.shape().as_slice();
    let values = data.clone().convert_dtype(DType::F32).iter().collect();
    Rows { count: shape[0], width: shape[1], values }
}

/// The columns of all parts, which have the same number of rows.
fn side_by_side(parts: Vec<Rows>) -> Rows {
    let count = parts.first().map_or(0, |part| part.count);
    let width = parts.iter().map(|part| part.width).sum();
    let row = |at: usize| {
        let of_part =
            move |part: &Rows| part.values[at * part.width..(at + 1) * part.width].to_vec();
        parts.iter().flat_map(of_part).collect::<Vec<f32>>()
    };
    Rows { count, width, values: (0..count).flat_map(row).collect() }
}

/// The layers of keys and values that lie flat in a tensor, with the number of each in the model.
fn layers_of(
    adapter: &Adapter,
    site: &str,
    rows: &Rows,
    name: &str,
) -> Result<Vec<(String, Rows)>> {
    let config = &adapter.config;
    let own = config.own.layers.clone();
    let count = match (&own, config.peft_type, config.token_dim) {
        (Some(layers), ..) => Some(layers.len()),
        // The two sides of an encoder-decoder may differ.
        (None, PeftType::PrefixTuningSites, Some(width)) => Some(rows.width / (2 * width.max(1))),
        _ => config.num_layers,
    };
    let Some(count) = count.filter(|count| *count > 0 && rows.width.is_multiple_of(*count)) else {
        return Err(Error::Mismatch(format!(
            "{name}: its config does not say how many layers the {} numbers of a virtual token are",
            rows.width
        )));
    };
    let width = rows.width / count;
    let number = |slot: usize| own.as_ref().map_or(slot, |layers| layers[slot]);
    let called = |slot: usize| match site {
        "" => number(slot).to_string(),
        site => format!("{site} {}", number(slot)),
    };
    Ok((0..count).map(|slot| (called(slot), rows.columns(slot * width, width))).collect())
}

/// Compares adapters.
///
/// # Errors
///
/// [`Error::Mismatch`] naming two adapters that cannot be compared, with what they hold.
pub fn similarity(adapters: &[Compared], measure: Measure) -> Result<Similarity> {
    for (place, a) in adapters.iter().enumerate() {
        adapters[place + 1..].iter().try_for_each(|b| check(a, b, measure))?;
    }
    let mut found = Similarity {
        measure,
        adapters: adapters.iter().map(|adapter| adapter.name.clone()).collect(),
        matrix: Vec::new(),
        chance: None,
        layers: Vec::new(),
        pairs: Vec::new(),
    };
    if measure == Measure::Cka {
        let first = adapters.first().map_or(&[][..], |first| first.layers.as_slice());
        found.layers = first.iter().map(|(name, _)| name.clone()).collect();
        found.chance = first.first().and_then(|(_, rows)| chance_cka(rows.count, rows.width));
    }
    for (i, a) in adapters.iter().enumerate() {
        let mut row = Vec::new();
        for (j, b) in adapters.iter().enumerate() {
            let none = |what: &str| Error::Mismatch(format!("{} and {}: {what}", a.name, b.name));
            row.push(match measure {
                Measure::CosineAverage => cosine_average(&a.whole, &b.whole)
                    .ok_or_else(|| none("the mean of the virtual tokens of one of them is zero, which has no cosine"))?,
                Measure::CosinePairs => cosine_pairs(&a.whole, &b.whole)
                    .ok_or_else(|| none("a virtual token of one of them is zero, which has no cosine"))?,
                Measure::Cka => {
                    let cka = of_layers(a, b).ok_or_else(|| {
                        none("the virtual tokens of a layer are all equal, so that they have no CKA")
                    })?;
                    let diagonal: f64 = (0..cka.len()).map(|layer| cka[layer][layer]).sum();
                    let mean = diagonal / cka.len().max(1) as f64;
                    if i < j {
                        found.pairs.push(PairOfLayers { a: i, b: j, cka });
                    }
                    mean
                }
            });
        }
        found.matrix.push(row);
    }
    Ok(found)
}

/// CKA of each layer with each.
fn of_layers(a: &Compared, b: &Compared) -> Option<Vec<Vec<f64>>> {
    let with_all =
        |(_, x): &(String, Rows)| b.layers.iter().map(|(_, y)| linear_cka(x, y)).collect();
    a.layers.iter().map(with_all).collect()
}

/// Refuses two adapters that a measure cannot compare.
fn check(a: &Compared, b: &Compared, measure: Measure) -> Result<()> {
    let refuse = |why: &str| {
        let [a_holds, b_holds] =
            [a, b].map(|one| format!("{} of shape {}", one.kind.name(), one.shape()));
        Err(Error::Mismatch(format!(
            "{} holds {a_holds}, {} holds {b_holds}: {why}",
            a.name, b.name
        )))
    };
    if a.kind.is_prompt() != b.kind.is_prompt() {
        return refuse("a prompt and a prefix are in different spaces");
    }
    let names = |one: &Compared| -> Vec<String> {
        one.layers.iter().map(|(name, _)| name.clone()).collect()
    };
    if names(a) != names(b) {
        return refuse("their virtual tokens are in different layers");
    }
    if a.whole.width != b.whole.width {
        return refuse(
            "virtual tokens of different widths cannot be compared, as of different base models",
        );
    }
    if measure != Measure::Cka {
        return Ok(());
    }
    if a.kind.is_prompt() {
        return refuse(
            "cka is for keys and values, layer by layer; cosine-average and cosine-pairs compare prompts",
        );
    }
    if a.whole.count != b.whole.count {
        return refuse(
            "cka pairs virtual tokens by their places, so it needs the same number; cosine-average and cosine-pairs do not",
        );
    }
    match a.whole.count {
        1 => refuse("cka needs at least 2 virtual tokens"),
        _ => Ok(()),
    }
}

/// Pairs of adapters that say that they were trained on different base models.
pub fn other_bases(adapters: &[Compared]) -> Option<(&str, &str)> {
    let known: Vec<&Compared> = adapters.iter().filter(|one| one.base.is_some()).collect();
    let first = known.first()?;
    let other = known.iter().find(|one| one.base != first.base)?;
    Some((&first.name, &other.name))
}

/// Names of adapters without the folders that all of them have.
pub fn short_names(paths: &[PathBuf]) -> Vec<String> {
    let parents: Vec<Option<&Path>> = paths.iter().map(|path| path.parent()).collect();
    let is_common = parents.windows(2).all(|pair| pair[0] == pair[1]);
    let name = |path: &PathBuf| match path.file_name().filter(|_| is_common) {
        Some(name) => name.to_string_lossy().into_owned(),
        None => path.display().to_string(),
    };
    paths.iter().map(name).collect()
}
