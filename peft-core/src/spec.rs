//! Geometry of a frozen model: what a method must know to make virtual tokens for it.

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

    /// Checks that virtual tokens, a row's tokens and those that are to come have positions.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`].
    pub fn check_length(
        &self,
        virtual_tokens: usize,
        tokens: usize,
        new_tokens: usize,
    ) -> Result<()> {
        // The last new token is never fed back, so it needs no position.
        let needed =
            virtual_tokens.saturating_add(tokens).saturating_add(new_tokens.saturating_sub(1));
        match self.max_positions {
            Some(limit) if needed > limit => {
                Err(Error::TooLong { virtual_tokens, tokens, new_tokens, limit })
            }
            _ => Ok(()),
        }
    }

    /// Whether tokens see only what stands before them on the input side.
    pub fn is_causal(&self) -> bool {
        self.topology == Topology::DecoderOnly
    }
}
