//! P-tuning v2 (Liu et al. 2021, <https://arxiv.org/abs/2110.07602>): deep prompts. Every layer of a frozen
//! transformer, or each of the layers chosen, gets P trained keys and values of its own.
//!
//! ```text
//! in layer i:  attention(q, [key_i ; keys], [value_i ; values])       key_i, value_i: [K, P, D], trained
//! ```
//!
//! Here P is the number of virtual tokens and l that of the chosen layers; the model has K key/value heads of
//! size D, and the hidden size H. `[a ; b]` is a followed by b.
//!
//! | what | shape | name of the tensor |
//! |---|---|---|
//! | l chosen layers, layer by layer, key then value, head by head | `[P, l * 2 * K * D]` | `prompt_embeddings` |
//! | virtual tokens: one key and one value per chosen layer | `[1, K, P, D]` each | |
//! | trained = deployed parameters | `P * l * 2 * K * D` | |
//! | trained parameters with the projection, an MLP of width M | `P * H + M * (H + 1) + l * 2 * K * D * (M + 1)` | |
//!
//! Unlike prefix tuning it has no MLP unless asked for ([`PTuningV2Config::prefix_projection`]), a choice of
//! layers ([`PTuningV2Config::layers`]), and for understanding tasks a linear head that is trained beside the
//! virtual tokens: [`peft_core::Head`].
//!
//! Virtual tokens have keys and values but no queries, so hidden states keep the length of the text. The
//! first real token takes position P.
//!
//! An encoder-decoder has three attention sites, each with parameters of its own, as in prefix tuning; the
//! counts above are those of one site. There positions are unshifted unless [`PTuningV2Config::placement`]
//! says otherwise.
//!
//! The parameters are shared with prefix tuning: [`SitePrefixes`](peft_core::methods::prefix::SitePrefixes),
//! which [`to_key_values`](peft_core::contract::layout::to_key_values) cuts into layers and heads.
//! `[key_i ; keys]` is the model's part, which finds key_i in [`StackInput::past`](peft_core::StackInput::past).
//!
//! # Training
//!
//! `Block` is the transformer that the first page of `peft-prompt` shows: any type that implements
//! [`FrozenModel`](peft_core::FrozenModel).
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc_block.rs"));
//! use burn::tensor::activation::log_softmax;
//! use peft_core::{Mode, PaddingSide, PeftMethod, TokenBatch, contract::params};
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
//! - Dropout of keys and values is off unless asked for (in the paper's code it is the model's own, 0.1), and
//!   draws one mask per step for all rows of the batch, which share the virtual tokens. The frozen model runs
//!   without dropout.
//! - Widths come from the model's own number of key/value heads and head size (K, D).
//! - The projection is folded away after training.
//! - The choice of layers is an ablation in the paper; its code always uses all of them.

mod config;
mod init;
mod ptv2;

#[cfg(test)]
mod tests;

pub use config::PTuningV2Config;
pub use init::PTuningV2Init;
pub use peft_core::methods::prefix::FitConfig;
pub use ptv2::PTuningV2;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
