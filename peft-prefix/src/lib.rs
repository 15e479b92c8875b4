//! Prefix tuning (Li & Liang 2021, <https://arxiv.org/abs/2101.00190>): P trained keys and values in
//! front of those of the tokens, in every attention layer of a frozen transformer.
//!
//! They come from a small matrix through an MLP, which makes training stable, and which is folded away
//! afterwards:
//!
//! ```text
//! MLP(P') = W2 tanh(W1 P' + b1) + b2          P': [P, E], trained with W1, b1, W2, b2
//! attention(q, [prefix keys ; keys], [prefix values ; values])     in every layer
//! ```
//!
//! | what | shape | tensor's name |
//! |---|---|---|
//! | P', the small matrix | `[P, E]`, E = H unless set | `embedding.weight` |
//! | W1, b1 | `[M, E]`, `[M]` | `transform.0.weight`, `transform.0.bias` |
//! | W2, b2 | `[L * 2 * K * D, M]`, `[L * 2 * K * D]` | `transform.2.weight`, `transform.2.bias` |
//! | folded: key, value, layer by layer, head by head | `[P, L * 2 * K * D]` | `prompt_embeddings` |
//! | its virtual tokens | `[1, K, P, D]` a key and a value a layer | |
//! | trained numbers | `P * E + M * (E + 1) + L * 2 * K * D * (M + 1)` | |
//! | deployed numbers | `P * L * 2 * K * D` | |
//!
//! Virtual keys are in the space of projected keys already: no projection, no norm and no rotation is
//! applied to them. The first real token takes position P.
//!
//! # Training
//!
//! `Block` is the transformer that the first page of `peft-prompt` shows: any type that implements
//! [`FrozenModel`](peft_core::FrozenModel).
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../peft-prompt/src/doc_block.rs"));
//! use burn::tensor::activation::log_softmax;
//! use peft_core::{Mode, PaddingSide, PeftMethod, TokenBatch, params};
//! use peft_prefix::{PrefixConfig, PrefixInit, PrefixTuning};
//!
//! fn main() -> Result<()> {
//!     let device = Device::default();
//!     let model = Block::new(&device);
//!     let batch = TokenBatch::new(&[&[1, 2, 3], &[4, 5, 6]], PaddingSide::Right);
//!
//!     let (config, seed) = (PrefixConfig::new(4).with_hidden_size(32), 42);
//!     let mut prefix =
//!         PrefixTuning::init(config, &model, &PrefixInit::Random, seed, &device.autodiff())?;
//!     let mut losses = Vec::new();
//!     for step in 0..30 {
//!         let hidden = model.forward(&batch, &prefix.virtual_tokens(Mode::Train { seed, step }))?;
//!         let answers = hidden.tokens.narrow(1, 2, 1).squeeze_dim(1); // [B, H], the last token
//!         let loss = -log_softmax(model.lm_logits(answers)?, 1).narrow(1, 7, 1).mean();
//!         losses.push(loss.clone().into_scalar::<f32>());
//!
//!         let gradients = params::gradients(&prefix, &mut loss.backward());
//!         let updated = params::values(&prefix).into_iter().zip(gradients.into_iter().flatten());
//!         let updated = updated.map(|(old, gradient)| old.values - gradient * 0.2).collect();
//!         prefix = params::replace(prefix, updated);
//!     }
//!     assert!(losses[29] < 0.5 * losses[0], "{losses:?}");
//!
//!     // Deployed without the MLP: 2 layers of 2 heads of size 6, a key and a value each.
//!     let file = prefix.fold().state();
//!     assert_eq!(file["prompt_embeddings"].shape().as_slice(), [4, 2 * 2 * 2 * 6]);
//!     assert!(prefix.num_deployed() < prefix.num_trainable());
//!     Ok(())
//! }
//! ```
//!
//! # Where this differs from the paper's code
//!
//! - The MLP is dropped from what is deployed, as the paper says; its code stores it.
//! - Widths come from the model's own number of key/value heads and head size (K, D), so models with
//!   grouped queries, or heads that do not fill H, are right.
//! - Free parameters ([`PrefixConfig::prefix_projection`] off) start from N(0, 0.02²), not N(0, 1).
//! - Dropout of keys and values draws one mask a step for all rows of the batch, which share the prefix.
//! - Models with one attention site only: BART's three prefixes are not made here.

mod config;
mod init;
mod prefix;

#[cfg(test)]
mod tests;

pub use config::PrefixConfig;
pub use init::PrefixInit;
pub use peft_core::reparameterization::FitConfig;
pub use prefix::PrefixTuning;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
