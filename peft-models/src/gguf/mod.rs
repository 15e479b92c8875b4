//! What a GGUF file calls the parts of a model, in the words of transformers.
//!
//! | file | what it holds |
//! |---|---|
//! | `config` | [`config`]: the metadata as a `config.json` |
//! | `names` | [`Naming`]: the names of tensors, and what llama.cpp changes in their values |

mod config;
mod names;

pub use config::config;
pub use names::{Change, Naming};
