//! Prompt tuning (Lester, Al-Rfou, Constant 2021, <https://arxiv.org/abs/2104.08691>): P trained rows of
//! embeddings in front of the embedded input of a frozen transformer.
//!
//! For a row of T token ids X, whose embeddings `embed(X)` are `[T, H]`, the model computes
//!
//! ```text
//! Pr(Y | [W ; embed(X)])        W: [P, H], the only thing that is trained
//! ```
//!
//! where P is the number of virtual tokens, H the model's hidden size, and `[a ; b]` is a in front of b.
//!
//! | what | shape | |
//! |---|---|---|
//! | W, [`PromptTuning::embeddings`] | `[P, H]` | the only tensor of an adapter file, `prompt_embeddings` |
//! | virtual tokens | `[1, P, H]` | shared by all rows of a batch |
//! | trained = deployed parameters | `P * H` | |
//!
//! [`PromptInit`] says what W starts from: rows of the embedding table, the names of the classes, a text,
//! random values, or the prompt of another task.
//!
//! On an encoder the rows stand in front of the sequence, and its pooler reads the first of them. On an
//! encoder-decoder they stand in front of the encoder's input, and the decoder's cross-attention sees them.
//!
//! # A block of your own
//!
//! Any transformer can take part: it implements [`FrozenModel`](peft_core::FrozenModel). Here is one in
//! plain Burn code. It attends to the keys and values in front of its own, and hides the keys that
//! [`StackInput::hidden_keys`](peft_core::StackInput::hidden_keys) names. The trait takes care of positions,
//! masks and lengths.
//!
//! ```
#![doc = include_str!("doc_block.rs")]
//!
//! // Training: teach the frozen block to answer every row with token 7.
//! use burn::tensor::activation::log_softmax;
//! use peft_core::{Mode, PaddingSide, PeftMethod, TokenBatch, contract::params};
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
//! - On causal models the prompt is run through the layers once per step, and its keys and values serve all
//!   rows ([`FrozenModel::prefill`](peft_core::FrozenModel::prefill)); the gradient is the same.
//! - The positions of real tokens follow those of the prompt; in the paper's code absolute positions count
//!   only the tokens. (Its own model, T5, has relative positions, so there is no difference.)
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
