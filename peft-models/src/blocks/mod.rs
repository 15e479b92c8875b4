//! The parts that the families are put together from.

mod activation;
mod attention;
mod linear;
mod norm;
mod rotary;

pub use activation::Activation;
pub use attention::{Heads, attention};
pub use linear::Linear;
pub use norm::{LayerNorm, RmsNorm};
pub use rotary::Rotary;
