//! Geometry of a frozen model: what a method must know to make virtual tokens for it.

use std::{fmt, str::FromStr};

use burn::tensor::DType;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the model's parts are put together.
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

/// A place where a model attends, and so a place that takes keys and values.
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
    /// Its name in settings, files and tensors: `encoder-self`.
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

    /// Also by the short names `encoder` and `decoder`.
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
    /// Which site.
    pub site: Site,
    /// L: layers that have this site.
    pub num_layers: usize,
    /// N: query heads.
    pub num_heads: usize,
    /// K: key/value heads, K <= N.
    pub num_kv_heads: usize,
    /// D: size of one head; not always H / N.
    pub head_dim: usize,
}

impl SiteSpec {
    /// Numbers that one virtual token holds in one layer: keys and values, `2 * K * D`.
    pub fn kv_width(&self) -> usize {
        2 * self.num_kv_heads * self.head_dim
    }
}

/// Geometry of a frozen model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// The architecture as the model's config names its type: `gpt2`, `llama`, `bert`.
    pub model_type: String,
    /// How its parts are put together.
    pub topology: Topology,
    /// H: width of the embeddings and hidden states.
    pub hidden_size: usize,
    /// V: rows of the embedding table.
    pub vocab_size: usize,
    /// Attention sites, in the order encoder self, decoder self, cross.
    pub sites: Vec<SiteSpec>,
    /// Positions of the input side; `None` where the model has no limit (T5).
    pub max_positions: Option<usize>,
    /// Positions of the decoder of an encoder-decoder; `None` where there is no limit or no such side.
    pub max_decoder_positions: Option<usize>,
    /// Type of the weights, and so of the computation.
    pub dtype: DType,
}

impl ModelSpec {
    /// Geometry of the site that a single-stack method writes to: the self-attention of the only
    /// stack.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for an encoder-decoder, which has three sites.
    pub fn self_site(&self) -> Result<&SiteSpec> {
        match self.sites.as_slice() {
            [site] => Ok(site),
            sites => Err(Error::Mismatch(format!(
                "a {} model has {} attention sites; this method writes to models with one",
                self.model_type,
                sites.len()
            ))),
        }
    }

    /// Geometry of one attention site, where the model has it.
    pub fn site(&self, site: Site) -> Option<&SiteSpec> {
        self.sites.iter().find(|found| found.site == site)
    }

    /// Positions of a side; `None` where there is no limit.
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

    /// Whether tokens see only what stands before them on the input side.
    pub fn is_causal(&self) -> bool {
        self.topology == Topology::DecoderOnly
    }
}
