//! The parts that the families are put together from.

mod activation;
mod attention;
mod layer;
mod linear;
mod norm;
mod part;
mod relative_bias;
mod rotary;
mod two_sided;
mod weight;

pub use activation::Activation;
pub use attention::{Heads, LayerAttention, SelfAttention, attention};
pub use layer::{Encoded, LayerInputs};
pub use linear::Linear;
pub use norm::{LayerNorm, RmsNorm};
pub(crate) use part::parts;
pub use part::{Part, join};
pub use relative_bias::{Buckets, PassBias, RelativeBias};
pub use rotary::{Rotary, RotaryTable};
pub use two_sided::{Attention, AttentionNames, LayerPass, SidePass};
pub use weight::Matrix;
