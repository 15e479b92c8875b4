//! Prefix tuning (Li & Liang 2021, <https://arxiv.org/abs/2101.00190>): P trained keys and values in
//! front of those of the tokens, in every attention layer of a frozen transformer.
//!
//! During training an MLP makes them from a small matrix Z, one row per virtual token, which keeps training
//! stable. Afterwards the MLP is folded away:
//!
//! ```text
//! MLP(Z) = tanh(Z W_inᵀ + b_in) W_outᵀ + b_out       Z, W_in, b_in, W_out, b_out: trained
//!
//! attention(q, [prefix keys ; keys], [prefix values ; values])      in every layer
//! ```
//!
//! Here P is the number of virtual tokens, E the width of Z, M that of the MLP's hidden layer; the model has L
//! layers of K key/value heads of size D, and the hidden size H. `[a ; b]` is a followed by b.
//!
//! | what | shape | name of the tensor |
//! |---|---|---|
//! | Z, the small matrix | `[P, E]`, E = H unless set | `embedding.weight` |
//! | W_in, b_in | `[M, E]`, `[M]` | `transform.0.weight`, `transform.0.bias` |
//! | W_out, b_out | `[L * 2 * K * D, M]`, `[L * 2 * K * D]` | `transform.2.weight`, `transform.2.bias` |
//! | folded: layer by layer, key then value, head by head | `[P, L * 2 * K * D]` | `prompt_embeddings` |
//! | virtual tokens: one key and one value per layer | `[1, K, P, D]` each | |
//! | trained parameters | `P * E + M * (E + 1) + L * 2 * K * D * (M + 1)` | |
//! | deployed parameters | `P * L * 2 * K * D` | |
//!
//! Virtual keys already are in the space of projected keys: no projection, no norm and no rotation is
//! applied to them.
//!
//! As an infix (section 7.3; [`Placement::infix`](peft_core::methods::prefix::Placement::infix)) they stand in the row of
//! a decoder, in front of the last token of its source: `[keys before ; prefix keys ; keys after]`, where what comes
//! before does not see them.
//!
//! # Where the equation is computed
//!
//! The methods that train keys and values share their parameters, so the equation is in `peft-core`:
//!
//! - `MLP(Z)`: [`Transform::forward`](peft_core::methods::prefix::Transform::forward),
//!   with its tensors in [`PrefixMlp`](peft_core::methods::prefix::PrefixMlp).
//! - The cut into layers and heads: [`to_key_values`](peft_core::contract::layout::to_key_values).
//! - The prefix of every attention site, with its dropout:
//!   [`SitePrefixes::virtual_tokens`](peft_core::methods::prefix::SitePrefixes::virtual_tokens).
//! - `[prefix keys ; keys]`: in the model, which finds the prefix of a layer in
//!   [`StackInput::past`](peft_core::StackInput::past). The first page of `peft-prompt` shows this on a small
//!   block; the models of `peft-models` do it in `blocks/attention.rs`.
//!
//! # Encoders, decoders, encoder-decoders
//!
//! A model with one stack has one attention site, and its first real token takes position P. An
//! encoder-decoder has three: the encoder's self-attention, the decoder's, and the decoder's attention to
//! the encoder. As in the paper each gets a prefix, made by an MLP of its own, and the names of its tensors
//! end in the site: `prompt_embeddings.cross`. [`PrefixConfig::placement`] chooses among the sites, and says
//! how positions go on after a prefix (default: unshifted, as if it were not there) and whether a relative
//! position bias reaches over it (default: no). The counts above are those of one site.
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
//! - The MLP is not deployed, as the paper says; its code stores it.
//! - Widths come from the model's own number of key/value heads and head size (K, D), so models with
//!   grouped-query attention, or with heads that do not fill H, are handled correctly.
//! - Free parameters ([`PrefixConfig::prefix_projection`] off) start from N(0, 0.02²), not N(0, 1).
//! - Dropout of keys and values draws one mask per step for all rows of the batch, which share the prefix.

mod config;
mod init;
mod prefix;

#[cfg(test)]
mod tests;

pub use config::PrefixConfig;
pub use init::PrefixInit;
pub use peft_core::methods::prefix::FitConfig;
pub use prefix::PrefixTuning;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
