//! What models of two stacks share: their geometry, and one embedding under several names.

use burn::tensor::DType;
use peft_core::{ModelSpec, Result, Site, SiteSpec, Topology};

use super::{heads::load_own_lm_head, outline::LmHead};
use crate::{
    blocks::{Heads, Linear},
    class_defaults::flag,
    config::ModelConfig,
    weights::{Matrix, Weights},
};

/// Names of the embedding; a checkpoint has one or several of them.
const EMBEDDING: [&str; 3] =
    ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];

/// The name of the head's matrix.
pub const HEAD: &str = "lm_head.weight";

const TIED: &str = "tie_word_embeddings";

/// The embedding, and the language-model head if it is another matrix.
#[derive(Debug)]
pub struct Embedding {
    /// `[V, H]`.
    pub word: Matrix,
    /// `[V, H]`.
    pub own_head: Option<Linear>,
}

impl Embedding {
    /// Loads both; `tied` is what the config means. If that is that they are tied and the file has two matrices that
    /// differ, the file takes precedence: transformers 5 writes `tie_word_embeddings: true` whatever the model.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Tensor`] for a missing or misshapen tensor, including a head
    /// that the config says is not tied; and if the embeddings of encoder and decoder differ.
    pub fn load(weights: &mut Weights, tied: bool, [vocab, h]: [usize; 2]) -> Result<Self> {
        let is_tied = is_tied_in(weights, tied)?;
        let names = match is_tied && has_head_alone(weights) {
            true => [EMBEDDING[0], HEAD, HEAD],
            false => EMBEDDING,
        };
        Ok(Self {
            word: weights.take_matrix_of(names, [vocab, h])?,
            own_head: match is_tied {
                true => None,
                false => Some(load_own_lm_head(weights, [vocab, h])?),
            },
        })
    }
}

/// Whether the embedding is the head in a checkpoint; `tied` is what the config means. Two matrices that are there are
/// compared.
fn is_tied_in(weights: &Weights, tied: bool) -> Result<bool> {
    match (weights.shape(HEAD), embedding_in(weights)) {
        (Some(_), Some(name)) => weights.are_equal(name, HEAD),
        _ => Ok(tied),
    }
}

/// The name of the embedding in a checkpoint.
fn embedding_in(weights: &Weights) -> Option<&'static str> {
    EMBEDDING.into_iter().find(|name| weights.shape(name).is_some())
}

/// Whether a checkpoint has the head and no embedding.
fn has_head_alone(weights: &Weights) -> bool {
    weights.shape(HEAD).is_some() && embedding_in(weights).is_none()
}

/// Whether the config says that the embedding is the head. T5's class alone takes null for it.
///
/// # Errors
///
/// [`peft_core::Error::Config`] if the value is of another kind.
pub fn is_tied(config: &ModelConfig) -> Result<bool> {
    match config.model_type()? {
        "t5" => config.flag(TIED, true),
        _ => flag(config, TIED, true),
    }
}

/// The language-model head, as the config says.
pub fn lm_head_of(config: &ModelConfig) -> Result<LmHead> {
    is_tied(config).map(lm_head)
}

/// The language-model head of a checkpoint; `tied` is what the config means.
///
/// # Errors
///
/// [`peft_core::Error::Read`] if two matrices that are to be compared cannot be read.
pub fn lm_head_in(weights: &Weights, tied: bool) -> Result<LmHead> {
    is_tied_in(weights, tied).map(lm_head)
}

fn lm_head(is_tied: bool) -> LmHead {
    if is_tied { LmHead::Tied } else { LmHead::Own }
}

/// Whether a tensor is a copy of the embedding; loading has compared them.
pub fn is_copy(name: &str) -> bool {
    name == HEAD || EMBEDDING.contains(&name)
}

/// Sizes of one stack.
#[derive(Clone, Copy, Debug)]
pub struct StackSize {
    /// L.
    pub layers: usize,
    /// N, K and D.
    pub heads: Heads,
}

/// The geometry of an encoder-decoder whose decoder reads the encoder in every layer.
pub fn spec(
    model_type: &str,
    [hidden_size, vocab_size]: [usize; 2],
    encoder: StackSize,
    decoder: StackSize,
    positions: Option<usize>,
    dtype: DType,
) -> ModelSpec {
    let site = |site, StackSize { layers, heads }: StackSize| SiteSpec {
        site,
        num_layers: layers,
        num_heads: heads.query,
        num_kv_heads: heads.key_value,
        head_dim: heads.size,
    };
    ModelSpec {
        model_type: model_type.to_string(),
        topology: Topology::EncoderDecoder,
        hidden_size,
        vocab_size,
        sites: vec![
            site(Site::EncoderSelf, encoder),
            site(Site::DecoderSelf, decoder),
            site(Site::Cross, decoder),
        ],
        max_positions: positions,
        max_decoder_positions: positions,
        dtype,
    }
}
