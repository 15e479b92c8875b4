//! What a method contributes to one forward pass, and the only thing that methods and models share.
//!
//! Keys and values of virtual tokens are what the field calls past key values: a K/V cache that was
//! trained instead of computed. In generation the [`TokenCache`](crate::contract::token_cache::TokenCache) follows them.

mod per_row;

use burn::tensor::{DType, Tensor};

use serde::{Deserialize, Serialize};

use super::{
    batch::Mask,
    spec::{ModelSpec, Side, Site},
};
use crate::error::{Error, Result};

/// Keys and values of one attention layer, `[R, K, P, D]` each, with R = 1 where the batch shares
/// them.
#[derive(Clone, Debug)]
pub struct LayerKeyValues {
    /// Keys. Where the model rotates keys, these count as rotated already.
    pub key: Tensor<4>,
    /// Values.
    pub value: Tensor<4>,
}

/// Keys and values of one attention site, a layer each; `None` for a layer without virtual tokens.
#[derive(Clone, Debug)]
pub struct SiteKeyValues {
    /// Which site.
    pub site: Site,
    /// One entry for each layer of the site.
    pub layers: Vec<Option<LayerKeyValues>>,
}

/// The contribution itself.
// There is one of these in a forward pass: a box would save nothing.
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

/// Which position the first real token takes after a prefix. Causal models and encoders always use
/// [`Shifted`](PrefixPositions::Shifted); implementations of encoder-decoder prefixes differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrefixPositions {
    /// Position p, the row's count of unmasked virtual tokens.
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
    /// P, masked tokens included.
    len: usize,
    /// `[R, P]`, where rows have different P. A masked virtual token is as good as absent.
    mask: Option<Mask>,
    /// Final hidden state `[R, 1, H]` of each row's last virtual token; it predicts token 0.
    pub last_hidden: Option<Tensor<3>>,
    /// Where positions start after a prefix.
    pub positions: PrefixPositions,
    /// Whether a relative position bias reaches over the prefix columns.
    pub relative_bias: bool,
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
    /// [`Error::Mismatch`] where the mask is not as long as the virtual tokens are.
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

    /// P, masked tokens included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether P = 0.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The mask `[R, P]`; all real where none was set.
    pub fn mask(&self) -> Mask {
        self.mask.clone().unwrap_or_else(|| Mask::full(1, self.len))
    }

    /// R: 1 where all rows of a batch share the virtual tokens.
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

    /// The same virtual tokens in another float type, differentiably.
    pub fn cast(mut self, dtype: DType) -> Self {
        let to = |tensor: &mut Tensor<4>| {
            if tensor.dtype() != dtype {
                *tensor = tensor.clone().cast(dtype);
            }
        };
        match &mut self.content {
            Content::None => {}
            Content::Embeddings(rows) if rows.dtype() == dtype => {}
            Content::Embeddings(rows) => *rows = rows.clone().cast(dtype),
            Content::KeyValues(sites) => {
                for layer in sites.iter_mut().flat_map(|site| site.layers.iter_mut().flatten()) {
                    to(&mut layer.key);
                    to(&mut layer.value);
                }
            }
        }
        self
    }

    /// The same virtual tokens as constants on the plain device: for evaluation.
    #[must_use]
    pub fn without_autodiff(mut self) -> Self {
        match &mut self.content {
            Content::None => {}
            Content::Embeddings(rows) => *rows = rows.clone().without_autodiff(),
            Content::KeyValues(sites) => {
                for layer in sites.iter_mut().flat_map(|site| site.layers.iter_mut().flatten()) {
                    layer.key = layer.key.clone().without_autodiff();
                    layer.value = layer.value.clone().without_autodiff();
                }
            }
        }
        self.last_hidden = self.last_hidden.map(Tensor::without_autodiff);
        self
    }

    /// What one attention site gets of these: keys and values of the other sites are left out, and where
    /// it has none, there are no virtual tokens. Embeddings belong to the input side.
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

    /// Positions of a side that the virtual tokens of each row take, 0 where they take none: `[R]`.
    ///
    /// `encoder_decoder` says whether the model has two sides; a prompt of such a model stands on the
    /// encoder's.
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

    /// Keys and values of one layer of one site.
    pub fn layer(&self, site: Site, layer: usize) -> Option<&LayerKeyValues> {
        match &self.content {
            Content::KeyValues(sites) => {
                sites.iter().find(|found| found.site == site)?.layers.get(layer)?.as_ref()
            }
            _ => None,
        }
    }

    /// Checks that these virtual tokens can serve a batch of `rows` rows on the model `spec`.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] naming the shape found and the shape expected.
    pub fn check(&self, spec: &ModelSpec, rows: usize) -> Result<()> {
        let fits = |r: usize| r == 1 || r == rows;
        let mismatch = |what: &str, found: Vec<usize>, expected: String| {
            Err(Error::Mismatch(format!(
                "{what} have the shape {found:?}, the {} model expects {expected}",
                spec.model_type
            )))
        };
        if !fits(self.rows()) {
            return Err(Error::Mismatch(format!(
                "virtual tokens for {} rows meet a batch of {rows} rows",
                self.rows()
            )));
        }
        match &self.content {
            Content::None => {}
            Content::Embeddings(tensor) => {
                if tensor.dims()[2] != spec.hidden_size {
                    let expected = format!("[1 or {rows}, P, {}]", spec.hidden_size);
                    return mismatch("prompt rows", tensor.dims().to_vec(), expected);
                }
            }
            Content::KeyValues(sites) => {
                for found in sites {
                    let Some(site) = spec.sites.iter().find(|site| site.site == found.site) else {
                        return Err(Error::Mismatch(format!(
                            "keys and values for {:?}, which a {} model does not have",
                            found.site, spec.model_type
                        )));
                    };
                    if found.layers.len() != site.num_layers {
                        return Err(Error::Mismatch(format!(
                            "keys and values for {} layers, the {} model has {}",
                            found.layers.len(),
                            spec.model_type,
                            site.num_layers
                        )));
                    }
                    for tensor in
                        found.layers.iter().flatten().flat_map(|layer| [&layer.key, &layer.value])
                    {
                        let [r, k, p, d] = tensor.dims();
                        if !fits(r) || p > self.len || (k, d) != (site.num_kv_heads, site.head_dim)
                        {
                            let expected = format!(
                                "[1 or {rows}, {}, {}, {}]",
                                site.num_kv_heads, self.len, site.head_dim
                            );
                            return mismatch("keys or values", tensor.dims().to_vec(), expected);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
