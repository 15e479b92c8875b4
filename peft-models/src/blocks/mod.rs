//! The parts that the families are put together from.

mod activation;
mod attention;
mod linear;
mod norm;
mod part;
mod rotary;

pub use activation::Activation;
pub use attention::{Heads, SelfAttention};
pub use linear::Linear;
pub use norm::{LayerNorm, RmsNorm};
pub(crate) use part::parts;
pub use part::{Part, join};
pub use rotary::Rotary;
