//! The encoder of P-tuning, which makes the rows of a prompt while it is trained.
//!
//! | file | what it is |
//! |---|---|
//! | `config` | [`EncoderConfig`]: which layers, and how wide |
//! | `prompt_encoder` | [`PromptEncoder`]: the layers, from Z to W |
//! | `lstm` | [`Lstm`]: a bidirectional LSTM |
//! | `linear` | [`Linear`]: a linear layer |

mod config;
mod linear;
mod lstm;
mod prompt_encoder;

#[cfg(test)]
mod tests;

pub use config::EncoderConfig;
pub use linear::Linear;
pub use lstm::{Lstm, LstmDirection, LstmLayer};
pub use prompt_encoder::PromptEncoder;
