//! P-tuning v2 (Liu et al. 2021, <https://arxiv.org/abs/2110.07602>): deep prompts. Each layer of a frozen
//! transformer, or each of some chosen layers, gets P trained keys and values of its own.
//!
//! ```text
//! in layer i:  attention(q, [K_i ; keys], [V_i ; values])       K_i, V_i: [K, P, D], trained
//! ```
//!
//! | what | shape | file |
//! |---|---|---|
//! | keys and values of l chosen layers, key then value, head by head | `[P, l * 2 * K * D]` | `prompt_embeddings` |
//! | its virtual tokens | `[1, K, P, D]` a key and a value a chosen layer | |
//! | trained = deployed numbers | `P * l * 2 * K * D` | |
//! | with the projection: trained numbers | `P * H + M * (H + 1) + l * 2 * K * D * (M + 1)` | |
//!
//! What sets it apart from prefix tuning: no MLP unless asked for
//! ([`PTuningV2Config::prefix_projection`]), a choice of layers ([`PTuningV2Config::layers`]), and for
//! understanding tasks a linear head, trained beside the virtual tokens: [`peft_core::Head`].
//! Virtual tokens have keys and values but no queries, so hidden states keep the length of the text; the
//! first real token takes position P.
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
//! use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};
//!
//! fn main() -> Result<()> {
//!     let device = Device::default();
//!     let model = Block::new(&device);
//!     let batch = TokenBatch::new(&[&[1, 2, 3], &[4, 5, 6]], PaddingSide::Right);
//!
//!     // Virtual tokens in the later of the two layers.
//!     let (config, seed) = (PTuningV2Config::new(4).with_layers(Some(vec![1])), 42);
//!     let init = PTuningV2Init::default();
//!     let mut deep = PTuningV2::init(config, &model, &init, seed, &device.autodiff())?;
//!     let mut losses = Vec::new();
//!     for step in 0..30 {
//!         let hidden = model.forward(&batch, &deep.virtual_tokens(Mode::Train { seed, step }))?;
//!         let answers = hidden.tokens.narrow(1, 2, 1).squeeze_dim(1); // [B, H], the last token
//!         let loss = -log_softmax(model.lm_logits(answers)?, 1).narrow(1, 7, 1).mean();
//!         losses.push(loss.clone().into_scalar::<f32>());
//!
//!         let gradients = params::gradients(&deep, &mut loss.backward());
//!         let updated = params::values(&deep).into_iter().zip(gradients.into_iter().flatten());
//!         let updated = updated.map(|(old, gradient)| old.values - gradient).collect();
//!         deep = params::replace(deep, updated);
//!     }
//!     assert!(losses[29] < 0.5 * losses[0], "{losses:?}");
//!
//!     // One layer of 2 heads of size 6, a key and a value.
//!     let file = deep.state();
//!     assert_eq!(file["prompt_embeddings"].shape().as_slice(), [4, 2 * 2 * 6]);
//!     Ok(())
//! }
//! ```
//!
//! # Where this differs from the paper's code
//!
//! - Dropout of keys and values is off unless asked for (there: the model's own, 0.1), and draws one mask
//!   a step for all rows of the batch, which share the virtual tokens. The frozen model has no dropout.
//! - Widths come from the model's own number of key/value heads and head size (K, D).
//! - The projection is folded away after training.
//! - A choice of layers is an ablation in the paper; its code has all.

mod config;
mod init;
mod ptv2;

#[cfg(test)]
mod tests;

pub use config::PTuningV2Config;
pub use init::PTuningV2Init;
pub use peft_core::reparameterization::FitConfig;
pub use ptv2::PTuningV2;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
