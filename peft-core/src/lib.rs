//! The contract between frozen transformers and the methods that train virtual tokens for them.
//!
//! A [`PeftMethod`] makes [`VirtualTokens`]; a [`FrozenModel`] takes them. Neither knows the other: a new
//! method touches no model, a new model touches no method.
//!
//! The folders are storeys: each imports only what is below it.
//!
//! | folder | what it is | feature |
//! |---|---|---|
//! | `text` | data files, templates, tokenisation | `text` |
//! | `train` | the training loop and its checkpoints | `train` |
//! | `evaluate` | logits, predictions and their scores; several adapters at once | `train` |
//! | `metrics` | scores of predictions against references | `train` |
//! | `data` | rows of token ids, labels, batches | `train` or `text` |
//! | [`adapter`] | the folder on disk, as Python's `peft` reads it | |
//! | [`methods`] | what prefix methods share, with their MLP; the head alone | |
//! | [`optim`] | optimizers, gradient clipping, schedules | |
//! | [`contract`] | what methods and models agree on | |
//! | [`formats`] | reading whole files; the formats of `torch.save`, numpy and llama.cpp; Git LFS pointers | |
//! | `guard` | panics that become errors | `train` or `text` |
//! | [`error`] | the one error type | |
//!
//! Symbols, here and everywhere: B batch, T tokens in a row, P virtual tokens, H hidden size, L layers,
//! N attention heads, K key/value heads, D head dimension, V vocabulary, C classes, R = 1 or B.

pub mod adapter;
pub mod contract;
#[cfg(any(feature = "train", feature = "text"))]
pub mod data;
pub mod error;
#[cfg(feature = "train")]
pub mod evaluate;
pub mod formats;
#[cfg(any(feature = "train", feature = "text"))]
mod guard;
pub mod methods;
#[cfg(feature = "train")]
pub mod metrics;
pub mod optim;
#[cfg(feature = "text")]
pub mod text;
#[cfg(feature = "train")]
pub mod train;

pub use adapter::{Adapter, AdapterConfig};
pub use contract::{
    attention_probe::{AttentionMass, AttentionProbe, LayerProbe, PassProbe},
    batch::{PaddingSide, TokenBatch},
    block::Block,
    cache::Cache,
    context_budget::ContextBudget,
    cross_input::CrossInput,
    frozen::{FrozenModel, Hidden},
    head::{Head, HeadLayout},
    lanes::{Lanes, OneLane},
    layer_tape::LayerTape,
    layout::PROMPT_EMBEDDINGS,
    mask::Mask,
    method::{Mode, PeftMethod},
    method_fields::{MethodFields, StoredSites},
    peft_type::PeftType,
    pooling::Pooling,
    problem_type::ProblemType,
    spec::{ModelSpec, Side, Site, SiteSpec, Topology},
    stack::{LayerStates, READ_COLUMNS, StackInput, StackOutput},
    task::Task,
    tensors::NamedTensors,
    token_cache::TokenCache,
    virtual_tokens::{Content, LayerKeyValues, PrefixPositions, SiteKeyValues, VirtualTokens},
    visibility::Distances,
};
pub use error::{Error, Result};
#[cfg(any(feature = "train", feature = "text"))]
pub use guard::panics_become_errors;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
