//! Prompt tuning (Lester, Al-Rfou, Constant 2021, <https://arxiv.org/abs/2104.08691>): P rows of
//! embeddings, trained, in front of the embedded input of a frozen transformer.
//!
//! For an input X with embeddings `E(X)` the model computes
//!
//! ```text
//! Pr(Y | [W ; E(X)])        W: [P, H], the only thing that is trained
//! ```
//!
//! | what | shape | file |
//! |---|---|---|
//! | [`PromptTuning::embeddings`], W | `[P, H]` | the one tensor `prompt_embeddings` |
//! | its virtual tokens | `[1, P, H]` | shared by all rows of a batch |
//! | trained = deployed numbers | `P * H` | |
//!
//! [`PromptInit`] says what W starts from: rows of the embedding table, the words of the classes, a text,
//! random numbers, or the prompt of another task.
//!
//! # A block of your own
//!
//! Any transformer takes part once it implements [`FrozenModel`](peft_core::FrozenModel). Here is one in
//! plain Burn code: it attends to keys and values that stand in front of its own, and hides the keys that
//! [`Sequence::hidden_keys`](peft_core::Sequence::hidden_keys) names. Positions, masks and lengths come
//! with the trait.
//!
//! ```
#![doc = include_str!("doc_block.rs")]
//!
//! // Training: teach the frozen block to answer every row with token 7.
//! use burn::tensor::activation::log_softmax;
//! use peft_core::{Mode, PaddingSide, PeftMethod, TokenBatch, params};
//! use peft_prompt::{PromptConfig, PromptInit, PromptTuning};
//!
//! fn main() -> Result<()> {
//!     let device = Device::default();
//!     let model = Block::new(&device);
//!     let batch = TokenBatch::new(&[&[1, 2, 3], &[4, 5, 6]], PaddingSide::Right);
//!
//!     let (config, init, seed) = (PromptConfig::new(4), PromptInit::default(), 42);
//!     let mut prompt = PromptTuning::init(config, &model, &init, seed, &device.autodiff())?;
//!     let mut losses = Vec::new();
//!     for step in 0..30 {
//!         let hidden = model.forward(&batch, &prompt.virtual_tokens(Mode::Train { seed, step }))?;
//!         let answers = hidden.tokens.narrow(1, 2, 1).squeeze_dim(1); // [B, H], the last token
//!         let loss = -log_softmax(model.lm_logits(answers)?, 1).narrow(1, 7, 1).mean();
//!         losses.push(loss.clone().into_scalar::<f32>());
//!
//!         let gradients = params::gradients(&prompt, &mut loss.backward());
//!         let updated = params::values(&prompt).into_iter().zip(gradients.into_iter().flatten());
//!         let updated = updated.map(|(old, gradient)| old.values - gradient * 0.5).collect();
//!         prompt = params::replace(prompt, updated);
//!     }
//!     assert!(losses[29] < 0.5 * losses[0], "{losses:?}");
//!
//!     let file = prompt.fold().state();
//!     assert_eq!(file["prompt_embeddings"].shape().as_slice(), [4, 16]);
//!     Ok(())
//! }
//! ```
//!
//! # Where this differs from the paper's code
//!
//! - Rows drawn at random are from U[-0.5, 0.5], as the paper says; its released configuration draws from
//!   `[0, 0.5)`.
//! - On causal models the prompt is run through the layers once a step and its keys and values serve all
//!   rows ([`FrozenModel::compile`](peft_core::FrozenModel::compile)); the gradient is the same.
//! - Real tokens follow the prompt in position too; in the paper's code absolute positions count the
//!   tokens only. (Its own model, T5, has relative positions: there it is the same.)
//! - The frozen model runs without dropout.
//! - Many other programs start "from the vocabulary" with its first P rows, or draw with replacement; the
//!   paper and [`PromptInit::SampledVocab`] draw distinct rows from the first 5000.

mod config;
mod init;
mod prompt;

#[cfg(test)]
mod tests;

pub use config::PromptConfig;
pub use init::PromptInit;
pub use prompt::PromptTuning;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
