//! Prompt tuning (Lester, Al-Rfou, Constant 2021, <https://arxiv.org/abs/2104.08691>): P trained rows of
//! embeddings in front of the embedded input of a frozen transformer. The rows can be made by a small network while they
//! are trained, as in P-tuning ([below](#p-tuning-rows-that-an-encoder-makes)).
//!
//! For a row of T token ids X, whose embeddings `embed(X)` are `[T, H]`, the model computes
//!
//! ```text
//! Pr(Y | [W ; embed(X)])        W: [P, H], the only thing that is trained
//! ```
//!
//! where P is the number of virtual tokens, H the model's hidden size, and `[a ; b]` is a followed by b.
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
//! # P-tuning: rows that an encoder makes
//!
//! In P-tuning (Liu et al. 2021, <https://arxiv.org/abs/2103.10385>) a small network makes the rows while they are trained,
//! so that they depend on each other:
//!
//! ```text
//! W = MLP(LSTM(Z))         MLP(y) = ReLU(y W_0ᵀ + b_0) W_2ᵀ + b_2
//! W = MLP(Z)               MLP(y) = ReLU(ReLU(y W_0ᵀ + b_0) W_2ᵀ + b_2) W_4ᵀ + b_4
//! ```
//!
//! Z and the layers are trained. The LSTM is bidirectional; its equations are at [`LstmDirection`]. M is the width of the hidden layers ([`EncoderConfig`]).
//!
//! | what | shape | name of the tensor |
//! |---|---|---|
//! | Z | `[P, H]` | `embedding.weight` |
//! | LSTM, for each layer and direction; inputs: H, from the second layer on 2 M | `[4 * M, inputs]`, `[4 * M, M]`, `[4 * M]` twice | `lstm_head.weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, `weight_ih_l0_reverse`, ... |
//! | MLP after the LSTM | `[2 * M, 2 * M]`, `[H, 2 * M]` | `mlp_head.0.weight`, `mlp_head.2.weight`, and biases |
//! | MLP alone | `[M, H]`, `[M, M]`, `[H, M]` | `mlp_head.0.weight`, `mlp_head.2.weight`, `mlp_head.4.weight`, and biases |
//! | folded: W | `[P, H]` | `prompt_embeddings` |
//! | trained parameters | `P * H +` [`EncoderConfig::num_params`] | |
//! | deployed parameters | `P * H` | |
//!
//! [`fold`](peft_core::PeftMethod::fold) computes W once and drops the rest, and an adapter holds W under PEFT's type
//! `P_TUNING`. With `Block` and `batch` of the first example, which this one trains in the same way:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc_block.rs"));
//! # use burn::tensor::activation::log_softmax;
//! # use peft_core::{Mode, PaddingSide, PeftMethod, TokenBatch, contract::params};
//! use peft_prompt::{EncoderConfig, PromptConfig, PromptInit, PromptTuning};
//!
//! # fn main() -> Result<()> {
//! # let device = Device::default();
//! # let model = Block::new(&device);
//! # let batch = TokenBatch::new(&[&[1, 2, 3], &[4, 5, 6]], PaddingSide::Right);
//! # let seed = 42;
//! let encoder = EncoderConfig::lstm().with_hidden_size(Some(8));
//! let config = PromptConfig::new(4).with_encoder(Some(encoder));
//! let mut prompt =
//!     PromptTuning::init(config, &model, &PromptInit::normal(), seed, &device.autodiff())?;
//! # let mut losses = Vec::new();
//! # for step in 0..30 {
//! #     let hidden = model.forward(&batch, &prompt.virtual_tokens(Mode::Train { seed, step }))?;
//! #     let answers = hidden.tokens.narrow(1, 2, 1).squeeze_dim(1);
//! #     let loss = -log_softmax(model.lm_logits(answers)?, 1).narrow(1, 7, 1).mean();
//! #     losses.push(loss.clone().into_scalar::<f32>());
//! #     let gradients = params::gradients(&prompt, &mut loss.backward());
//! #     let updated = params::values(&prompt).into_iter().zip(gradients.into_iter().flatten());
//! #     let updated = updated.map(|(old, gradient)| old.values - gradient * 0.2).collect();
//! #     prompt = params::replace(prompt, updated);
//! # }
//! # assert!(losses[29] < 0.5 * losses[0], "{losses:?}");
//! // ... training ...
//! assert_eq!(prompt.num_trainable(), 4 * 16 + prompt.config().encoder.as_ref().map_or(0, |of| of.num_params(16)));
//! let file = prompt.fold().state();
//! assert_eq!(file["prompt_embeddings"].shape().as_slice(), [4, 16]);
//! # Ok(())
//! # }
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
//! - P-tuning's paper puts its rows between the words of a template, and in its few-shot experiments trains the model with
//!   them. Here, as in PEFT, all rows are in front and the model stays frozen. Widths and layers are PEFT's; the paper's
//!   code has an LSTM of width H / 2 in each direction for LAMA.

mod config;
mod encoder;
mod init;
mod prompt;

#[cfg(test)]
mod tests;

pub use config::PromptConfig;
pub use encoder::{EncoderConfig, Linear, Lstm, LstmDirection, LstmLayer, PromptEncoder};
pub use init::PromptInit;
pub use prompt::PromptTuning;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
