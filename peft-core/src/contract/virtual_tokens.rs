//! What a method contributes to one forward pass; the only interface between methods and models.
//!
//! Keys and values of virtual tokens are also known as past key values: a K/V cache that was trained instead of
//! computed. In generation the [`TokenCache`](crate::contract::token_cache::TokenCache) follows them.

mod change;
mod leaves;
mod per_row;

use burn::tensor::Tensor;

use serde::{Deserialize, Serialize};

use super::{
    mask::Mask,
    spec::{ModelSpec, Side, Site},
};
use crate::error::{Error, Result};

/// Keys and values of one attention layer, `[R, K, P, D]` each; R = 1 if the batch shares them.
#[derive(Clone, Debug)]
pub struct LayerKeyValues {
    /// Keys. If the model rotates keys, these count as already rotated.
    pub key: Tensor<4>,
    /// Values.
    pub value: Tensor<4>,
}

/// Keys and values of one attention site, one entry per layer; `None` for a layer without virtual
/// tokens.
#[derive(Clone, Debug)]
pub struct SiteKeyValues {
    /// The site.
    pub site: Site,
    /// One entry per layer of the site.
    pub layers: Vec<Option<LayerKeyValues>>,
}

/// The content of virtual tokens.
// There is one of these per forward pass: a box would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing: the base model.
    None,
    /// Rows `[R, P, H]` in front of the embedded input.
    Embeddings(Tensor<3>),
    /// Keys and values for the attention layers.
    KeyValues(Vec<SiteKeyValues>),
}

/// The position of the first real token after a prefix. Causal models and encoders always use
/// [`Shifted`](PrefixPositions::Shifted); implementations of encoder-decoder prefixes differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrefixPositions {
    /// Position p, the number of unmasked virtual tokens of the row.
    #[default]
    Shifted,
    /// Position 0, as if the prefix were not there.
    Unshifted,
}

/// The virtual tokens of one forward pass.
#[derive(Clone, Debug)]
pub struct VirtualTokens {
    /// Embeddings, keys and values, or nothing.
    pub content: Content,
    /// The number of virtual tokens, P, masked ones included.
    len: usize,
    /// `[R, P]`, if rows differ in P. A masked virtual token counts as absent.
    mask: Option<Mask>,
    /// Final hidden state `[R, 1, H]` of each row's last virtual token; it predicts token 0.
    pub last_hidden: Option<Tensor<3>>,
    /// Where positions start after a prefix.
    pub positions: PrefixPositions,
    /// Whether the relative position bias covers the prefix.
    pub relative_bias: bool,
    /// Whether keys and values are an infix, `[source ; virtual tokens ; target]` (Li & Liang 2021,
    /// section 7.3, <https://arxiv.org/abs/2101.00190>): they stand in the row of a decoder, in front of
    /// the last token of its source, the one that predicts the first token of its target. The rest of
    /// the source, in front of them, neither sees them nor is moved by them; what follows sees them as it
    /// sees a prefix, and takes the positions after theirs. Batches then say where sources end
    /// ([`TokenBatch::with_sources`]).
    ///
    /// [`TokenBatch::with_sources`]: super::batch::TokenBatch::with_sources
    pub infix: bool,
    /// Whether an encoder gives every token type 0 whatever the rows say, as PEFT does in question
    /// answering.
    pub ignores_token_types: bool,
}

impl VirtualTokens {
    fn with_content(content: Content, len: usize) -> Self {
        Self {
            content: if len == 0 { Content::None } else { content },
            len,
            mask: None,
            last_hidden: None,
            positions: PrefixPositions::Shifted,
            relative_bias: true,
            infix: false,
            ignores_token_types: false,
        }
    }

    /// No virtual tokens: the base model.
    pub fn none() -> Self {
        Self::with_content(Content::None, 0)
    }

    /// Rows `[R, P, H]` in front of the embedded input.
    pub fn embeddings(rows: Tensor<3>) -> Self {
        let len = rows.dims()[1];
        Self::with_content(Content::Embeddings(rows), len)
    }

    /// Keys and values, P of them in every layer that has any.
    pub fn key_values(sites: Vec<SiteKeyValues>) -> Self {
        let len = sites
            .iter()
            .flat_map(|site| site.layers.iter().flatten())
            .map(|layer| layer.key.dims()[2])
            .max()
            .unwrap_or(0);
        Self::with_content(Content::KeyValues(sites), len)
    }

    /// Marks which virtual tokens count, `[R, P]`.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the mask does not have the length of the virtual tokens.
    pub fn with_mask(mut self, mask: Mask) -> Result<Self> {
        if mask.len() != self.len {
            return Err(Error::Mismatch(format!(
                "a mask of {} columns for {} virtual tokens",
                mask.len(),
                self.len
            )));
        }
        self.mask = Some(mask);
        Ok(self)
    }

    /// The number of virtual tokens, P, masked ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether P = 0.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the mask `[R, P]`; all real if none was set.
    pub fn mask(&self) -> Mask {
        self.mask.clone().unwrap_or_else(|| Mask::full(1, self.len))
    }

    /// The number of rows, R: 1 if all rows of a batch share the virtual tokens.
    pub fn rows(&self) -> usize {
        let rows = match &self.content {
            Content::None => 1,
            Content::Embeddings(rows) => rows.dims()[0],
            Content::KeyValues(sites) => sites
                .iter()
                .flat_map(|site| site.layers.iter().flatten())
                .map(|layer| layer.key.dims()[0])
                .next()
                .unwrap_or(1),
        };
        rows.max(self.mask.as_ref().map_or(1, Mask::rows))
    }

    /// The positions that they take in front of each row of an encoder, which computes them with the row: P for
    /// embeddings, else 0.
    pub fn in_front(&self) -> usize {
        if matches!(self.content, Content::Embeddings(_)) { self.len } else { 0 }
    }

    /// Returns the virtual tokens of one attention site: keys and values of the other sites are
    /// left out; if there are none for this site, the result is empty. Embeddings belong to the
    /// input side.
    #[must_use]
    pub fn at(&self, site: Site) -> Self {
        let content = match &self.content {
            Content::KeyValues(sites) => {
                let own = sites.iter().find(|found| found.site == site);
                match own.filter(|found| found.layers.iter().any(Option::is_some)) {
                    Some(own) => Content::KeyValues(vec![own.clone()]),
                    None => Content::None,
                }
            }
            Content::Embeddings(_) if site != Site::EncoderSelf => Content::None,
            content => content.clone(),
        };
        match content {
            Content::None => Self::none(),
            content => Self { content, ..self.clone() },
        }
    }

    /// The number of positions that the virtual tokens of each row take on a side: `[R]`.
    ///
    /// `encoder_decoder` says whether the model has two sides; on such a model a prompt belongs to
    /// the encoder.
    pub fn positions_taken(&self, side: Side, encoder_decoder: bool) -> Vec<usize> {
        let own = match (side, encoder_decoder) {
            (_, false) => self.clone(),
            (Side::Encoder, true) => self.at(Site::EncoderSelf),
            (Side::Decoder, true) => self.at(Site::DecoderSelf),
        };
        let unshifted = own.positions == PrefixPositions::Unshifted
            && matches!(own.content, Content::KeyValues(_));
        let mask = own.mask();
        (0..mask.rows()).map(|row| if unshifted { 0 } else { mask.count(row) }).collect()
    }

    /// Returns the keys and values of one layer of one site.
    pub fn layer(&self, site: Site, layer: usize) -> Option<&LayerKeyValues> {
        match &self.content {
            Content::KeyValues(sites) => {
                sites.iter().find(|found| found.site == site)?.layers.get(layer)?.as_ref()
            }
            _ => None,
        }
    }

    /// The first layer of one site that virtual tokens enter, of `num_layers`; `num_layers` if they enter none. The
    /// hidden states below it do not depend on the values of the virtual tokens. A prompt of a decoder enters no site of
    /// it before it is [prefilled](super::frozen::FrozenModel::prefill).
    pub fn first_layer(&self, site: Site, num_layers: usize) -> usize {
        match self.at(site).content {
            Content::None => num_layers,
            Content::Embeddings(_) => 0,
            Content::KeyValues(_) => (0..num_layers)
                .find(|layer| self.layer(site, *layer).is_some())
                .unwrap_or(num_layers),
        }
    }

    /// Checks that the virtual tokens can serve a batch of `rows` rows on the model `spec`.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] naming the shape found and the shape expected; for an infix that is no keys and
    /// values of a decoder.
    pub fn check(&self, spec: &ModelSpec, rows: usize) -> Result<()> {
        if !serves(self.rows(), rows) {
            return Err(Error::Mismatch(format!(
                "virtual tokens for {} rows cannot serve a batch of {rows} rows",
                self.rows()
            )));
        }
        if let Some(mask) = self.mask.as_ref().map(Mask::rows)
            && !serves(mask, rows)
        {
            return Err(Error::Mismatch(format!(
                "a mask of virtual tokens for {mask} rows cannot serve a batch of {rows} rows"
            )));
        }
        if self.infix {
            check_has_infix(spec)?;
            if matches!(self.content, Content::Embeddings(_)) {
                let message =
                    "an infix is made of keys and values, and these virtual tokens are a prompt";
                return Err(Error::Mismatch(message.into()));
            }
            if self.positions == PrefixPositions::Unshifted {
                let message =
                    "an infix takes positions: those behind it are shifted, not unshifted";
                return Err(Error::Mismatch(message.into()));
            }
        }
        match &self.content {
            Content::None => Ok(()),
            Content::Embeddings(prompt) => check_prompt(prompt, spec, rows),
            Content::KeyValues(sites) => {
                sites.iter().try_for_each(|site| check_site(site, self.len, spec, rows))
            }
        }
    }
}

/// Checks that rows of a model have a place for an infix.
///
/// # Errors
///
/// [`Error::Mismatch`] for a model that is not a decoder alone.
pub(crate) fn check_has_infix(spec: &ModelSpec) -> Result<()> {
    if spec.is_causal() {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "an infix stands between source and target in the row of a decoder, and a {} model has no such row: \
         give it a prefix",
        spec.model_type
    )))
}

/// Whether virtual tokens of `r` rows can serve a batch of `rows` rows.
fn serves(r: usize, rows: usize) -> bool {
    r == 1 || r == rows
}

fn check_prompt(prompt: &Tensor<3>, spec: &ModelSpec, rows: usize) -> Result<()> {
    let [r, _, h] = prompt.dims();
    if serves(r, rows) && h == spec.hidden_size {
        return Ok(());
    }
    let expected = format!("[1 or {rows}, P, {}]", spec.hidden_size);
    mismatch("prompt rows", &prompt.dims(), spec, &expected)
}

fn check_site(own: &SiteKeyValues, len: usize, spec: &ModelSpec, rows: usize) -> Result<()> {
    let Some(site) = spec.sites.iter().find(|site| site.site == own.site) else {
        return Err(Error::Mismatch(format!(
            "keys and values for {:?}, which a {} model does not have",
            own.site, spec.model_type
        )));
    };
    if own.layers.len() != site.num_layers {
        return Err(Error::Mismatch(format!(
            "keys and values for {} layers, but the {} model has {}",
            own.layers.len(),
            spec.model_type,
            site.num_layers
        )));
    }
    let (heads, head_dim) = (site.num_kv_heads, site.head_dim);
    for tensor in own.layers.iter().flatten().flat_map(|layer| [&layer.key, &layer.value]) {
        let [r, k, p, d] = tensor.dims();
        if !serves(r, rows) || p > len || (k, d) != (heads, head_dim) {
            let expected = format!("[1 or {rows}, {heads}, {len}, {head_dim}]");
            return mismatch("keys or values", &tensor.dims(), spec, &expected);
        }
    }
    Ok(())
}

fn mismatch(what: &str, found: &[usize], spec: &ModelSpec, expected: &str) -> Result<()> {
    Err(Error::Mismatch(format!(
        "{what} have the shape {found:?}, but the {} model expects {expected}",
        spec.model_type
    )))
}
