//! What the families are built of.
//!
//! | file | what it holds |
//! |---|---|
//! | `linear` | linear layers, several of them as one, and the loss of a language-model head |
//! | `norm` | LayerNorm and RMSNorm |
//! | `activation` | activation functions by their names in configs, and SwiGLU |
//! | `rotary` | rotary positions and their scaling |
//! | `relative_bias` | T5's relative position bias |
//! | `attention` | self-attention over virtual tokens, earlier tokens and rows |
//! | `stack_pass` | the encoder or decoder of an encoder-decoder, with cross-attention |
//! | `layer` | one layer, with or without gradient checkpointing |

mod activation;
mod attention;
mod layer;
mod linear;
mod norm;
mod relative_bias;
mod rotary;
mod stack_pass;

pub use crate::kernels::Heads;
pub use activation::Activation;
pub use attention::{LayerAttention, SelfAttention};
pub use linear::Linear;
pub use norm::{LayerNorm, RmsNorm};
pub use relative_bias::{Buckets, PassBias, RelativeBias};
pub use rotary::{Rotary, RotaryTable};
pub use stack_pass::{AttentionNames, LayerPass, MultiHeadAttention, StackPass};
