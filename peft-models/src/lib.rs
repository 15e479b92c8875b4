//! BERT, RoBERTa, GPT-2, the Llama family, T5 and BART as frozen bases for virtual tokens.
//!
//! [`load()`] reads an ordinary Hugging Face folder, or a GGUF file, and returns a [`FrozenModel`](peft_core::FrozenModel);
//! [`generate`] continues rows of tokens with a K/V cache that begins with the virtual tokens.
//!
//! | `model_type` | stacks | heads |
//! |---|---|---|
//! | `bert`, `roberta`, `camembert`, `xlm-roberta` | encoder | classification of rows and of tokens, question answering |
//! | `gpt2`, `llama`, `mistral`, `qwen2`, `qwen3` | decoder | the same, and language model |
//! | `t5` (1.0, 1.1, LM-adapted, Flan), `mt5`, `bart` | both | language model; classifiers are skipped |
//!
//! | module | what it holds |
//! |---|---|
//! | `load`, `options`, `compute` | from a folder to a model, and how it computes |
//! | `not_a_model` | where the model is, for a path that leads to none |
//! | `adapter_beside` | an adapter in the folder of a base model |
//! | `quantised` | weights that another tool quantised, refused by name |
//! | [`config`] | reading `config.json` |
//! | `class_defaults` | what transformers assumes where `config.json` lacks a key |
//! | `gguf` | the metadata and tensor names of GGUF files, translated to those of transformers |
//! | [`weights`] | where tensors come from: files, shards, memory; matrices of fewer bits |
//! | [`kernels`] | what the CPU computes in place of Burn's general operations (Cargo feature `cpu`) |
//! | `named_tensors` | the tensors of a model, named after its fields |
//! | `blocks` | what the families share: attention, norms, linear layers, rotary positions, relative bias |
//! | `families` | the families, each as short as its mathematics |
//! | [`cost`] | what a training step costs, counted from a config |
//! | [`generate`] | greedy generation, sampling, beam search |
//! | `bench` | blocks for the benchmarks of the workspace; not part of the interface |
//! | `random_model` | small random models of every family, for tests; not part of the interface |

mod adapter_beside;
#[doc(hidden)]
pub mod bench;
mod blocks;
mod class_defaults;
mod compute;
pub mod config;
pub mod cost;
mod families;
pub mod generate;
mod gguf;
pub mod kernels;
mod load;
mod named_tensors;
mod not_a_model;
mod options;
mod quantised;
#[doc(hidden)]
pub mod random_model;
pub mod weights;

pub use adapter_beside::adapter_beside;
pub use class_defaults::special_tokens;
pub use compute::Compute;
pub use config::ModelConfig;
pub use families::{
    LmHead, Outline, Parameters, SUPPORTED, assumed_sizes, outline_of, outline_with,
};
pub use load::{Loaded, build, build_with, load, load_with};
pub use options::LoadOptions;
pub use weights::{LoadReport, WeightFormat, Weights};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
