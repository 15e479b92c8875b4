//! The contract between frozen transformers and the methods that train virtual tokens for them.
//!
//! A [`PeftMethod`] makes [`VirtualTokens`]; a [`FrozenModel`] takes them. Neither knows the other: a new
//! method touches no model, a new model touches no method.
//!
//! | module | what it is |
//! |---|---|
//! | [`spec`] | geometry of a model: what a method must know of it |
//! | [`virtual_tokens`] | what a method contributes to one forward pass |
//! | [`frozen`] | the model's side, with everything that is the same for all models |
//! | [`cache`] | what generation continues from |
//! | [`sequence`] | one pass through a stack of layers: positions and visibility |
//! | [`room`] | whether rows fit beside the virtual tokens |
//! | [`method`] | the method's side |
//! | [`baseline`] | the head alone, which a method has to beat |
//! | [`reparameterization`] | flat keys and values, or the MLP that makes them while training lasts |
//! | [`head`] | the task head that is trained beside the virtual tokens |
//! | [`adapter`] | the folder on disk, as Python's `peft` reads it |
//! | [`params`], [`mod@init`], [`rng`] | parameters as a flat list; initial values; random streams |
//! | [`optim`] | optimisers, clipping, schedules |
//! | `data` | feature `data`: files, templates, tokenisation, batches |
//! | `train`, `metrics` | feature `train`: the loop, evaluation, checkpoints, scores |
//!
//! Symbols, here and everywhere: B batch, T tokens in a row, P virtual tokens, H hidden size, L layers,
//! N attention heads, K key/value heads, D head dimension, V vocabulary, C classes, R = 1 or B.

pub mod adapter;
pub mod baseline;
pub mod batch;
pub mod cache;
#[cfg(feature = "data")]
pub mod data;
pub mod error;
pub mod frozen;
pub mod head;
pub mod init;
pub mod loss;
pub mod method;
#[cfg(feature = "train")]
pub mod metrics;
pub mod optim;
pub mod params;
pub mod reparameterization;
pub mod rng;
pub mod room;
pub mod sequence;
pub mod spec;
pub mod task;
#[cfg(feature = "train")]
pub mod train;
pub mod virtual_tokens;
mod visibility;

pub use adapter::{Adapter, AdapterConfig, MethodFields, PROMPT_EMBEDDINGS, PeftType, Pooling};
pub use batch::{Mask, PaddingSide, TokenBatch};
pub use cache::{Cache, TokenCache};
pub use error::{Error, Result};
pub use frozen::{FrozenModel, Hidden};
pub use head::{Head, HeadLayout};
pub use method::{Mode, NamedTensors, PeftMethod};
pub use room::Room;
pub use sequence::{CrossInput, Distances, Run, Sequence, Side};
pub use spec::{ModelSpec, Site, SiteSpec, Topology};
pub use task::Task;
pub use virtual_tokens::{Content, LayerKeyValues, PrefixPositions, SiteKeyValues, VirtualTokens};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
