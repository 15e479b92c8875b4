//! What the families are built of.

mod activation;
mod attention;
mod encoder_decoder;
mod layer;
mod linear;
mod norm;
mod relative_bias;
mod rotary;

pub use activation::Activation;
pub use attention::{LayerAttention, SelfAttention};
pub use encoder_decoder::{AttentionNames, LayerPass, MultiHeadAttention, StackPass};
pub use linear::Linear;
pub use norm::{LayerNorm, RmsNorm};
pub use relative_bias::{Buckets, PassBias, RelativeBias};
pub use rotary::{Rotary, RotaryTable};
