//! What the integration tests, benchmarks and examples share.
//!
//! | module | what it is |
//! |---|---|
//! | `inputs` | where files are: [`vectors`], and the real models and data of [`shared`], [`minilm`] and [`smollm2`], built examples |
//! | `family`, `random_model` | small random models of each [`Family`] |
//! | `values` | [`random_values`], and how far [`numbers`] are from others: [`relative`] |
//! | [`strategies`] | what property tests draw |
//! | [`virtual_tokens`] | random prompts and prefixes, and prompts made of real tokens |
//! | [`leaves`] | virtual tokens whose gradients a test reads |
//! | [`passes`] | a pass of rows through a random model and back |
//! | [`altered`] | a model in front of another, which says something else of itself or remembers what it was asked for |
//! | [`g2p`] | words and their pronunciation as rows of token ids |
//!
//! Nothing here imports `peft_cli`: it has an allocator, and so have tests that count what is allocated.

pub mod altered;
mod family;
pub mod g2p;
mod inputs;
pub mod leaves;
pub mod passes;
mod random_model;
pub mod strategies;
mod values;
pub mod virtual_tokens;

pub use family::{FAMILIES, Family};
pub use inputs::{example, minilm, shared, smollm2, vectors};
pub use random_model::{Shape, VOCAB, device, random_model, random_model_on, random_model_with};
pub use values::{numbers, random_values, relative};
