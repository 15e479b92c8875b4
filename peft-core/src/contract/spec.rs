//! Geometry of a frozen model: what a method must know to produce virtual tokens for it.

use std::{fmt, str::FromStr};

use burn::tensor::DType;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The overall structure of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// One causal stack (GPT-2, Llama).
    DecoderOnly,
    /// One bidirectional stack (BERT).
    EncoderOnly,
    /// A bidirectional stack read by a causal one (T5, BART).
    EncoderDecoder,
}

/// An attention site: a place where a model attends, and where virtual tokens can add keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Site {
    /// Self-attention of a bidirectional stack.
    EncoderSelf,
    /// Self-attention of a causal stack.
    DecoderSelf,
    /// Attention of a decoder to the encoder's output.
    Cross,
}

impl Site {
    /// The name in settings, files and tensors, such as `encoder-self`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EncoderSelf => "encoder-self",
            Self::DecoderSelf => "decoder-self",
            Self::Cross => "cross",
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Site {
    type Err = Error;

    /// Also accepts the short names `encoder` and `decoder`.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "encoder-self" | "encoder" => Ok(Self::EncoderSelf),
            "decoder-self" | "decoder" => Ok(Self::DecoderSelf),
            "cross" => Ok(Self::Cross),
            _ => Err(Error::setting(
                "sites",
                format!("found `{name}`, expected encoder, decoder or cross"),
            )),
        }
    }
}

/// A stack of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The bidirectional stack.
    Encoder,
    /// The causal stack.
    Decoder,
}

/// Geometry of one attention site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSpec {
    /// The site.
    pub site: Site,
    /// The number of layers with this site, L.
    pub num_layers: usize,
    /// The number of query heads, N.
    pub num_heads: usize,
    /// The number of key/value heads, K <= N.
    pub num_kv_heads: usize,
    /// The size of one head, D; not always H / N.
    pub head_dim: usize,
}

impl SiteSpec {
    /// The number of values of one virtual token in one layer: a key and a value, `2 * K * D`.
    pub fn kv_width(&self) -> usize {
        2 * self.num_kv_heads * self.head_dim
    }

    /// The number of values of one virtual token in all layers: the width of a stored prefix, `L * 2 * K * D`.
    pub fn prefix_width(&self) -> usize {
        self.num_layers * self.kv_width()
    }
}

/// Geometry of a frozen model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// The architecture, as the model's config names it: `gpt2`, `llama`, `bert`.
    pub model_type: String,
    /// The overall structure.
    pub topology: Topology,
    /// The width of the embeddings and hidden states, H.
    pub hidden_size: usize,
    /// The number of rows of the embedding table, V.
    pub vocab_size: usize,
    /// The attention sites, in the order encoder self, decoder self, cross.
    pub sites: Vec<SiteSpec>,
    /// The number of positions on the input side; `None` if there is no limit (T5).
    pub max_positions: Option<usize>,
    /// The number of decoder positions of an encoder-decoder; `None` if there is no limit or no
    /// such side.
    pub max_decoder_positions: Option<usize>,
    /// The type of the weights, and hence of the computation.
    pub dtype: DType,
}

impl ModelSpec {
    /// Returns the geometry of the site that a single-stack method writes to: the self-attention of
    /// the only stack.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for an encoder-decoder, which has three sites.
    pub fn self_site(&self) -> Result<&SiteSpec> {
        match self.sites.as_slice() {
            [site] => Ok(site),
            sites => Err(Error::Mismatch(format!(
                "a {} model has {} attention sites, but this method supports models with one",
                self.model_type,
                sites.len()
            ))),
        }
    }

    /// Returns the geometry of one attention site, if the model has it.
    pub fn site(&self, site: Site) -> Option<&SiteSpec> {
        self.sites.iter().find(|found| found.site == site)
    }

    /// The number of positions on a side; `None` if there is no limit.
    pub fn positions(&self, side: Side) -> Option<usize> {
        match (side, self.topology) {
            (Side::Decoder, Topology::EncoderDecoder) => self.max_decoder_positions,
            _ => self.max_positions,
        }
    }

    /// Whether a decoder reads an encoder's output.
    pub fn is_encoder_decoder(&self) -> bool {
        self.topology == Topology::EncoderDecoder
    }

    /// Whether tokens on the input side see only what precedes them.
    pub fn is_causal(&self) -> bool {
        self.topology == Topology::DecoderOnly
    }
}
