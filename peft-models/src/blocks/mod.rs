//! The parts that the families are put together from.

mod activation;
mod attention;
mod linear;
mod norm;
mod part;
mod relative_bias;
mod rotary;
mod two_sided;
mod weight;

pub use activation::Activation;
pub use attention::{Heads, SelfAttention, attention};
pub use linear::Linear;
pub use norm::{LayerNorm, RmsNorm};
pub(crate) use part::parts;
pub use part::{Part, join};
pub use relative_bias::{Buckets, RelativeBias};
pub use rotary::Rotary;
pub use two_sided::{Attention, AttentionNames, SidePass};
pub use weight::Matrix;
