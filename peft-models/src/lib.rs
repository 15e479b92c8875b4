//! BERT, GPT-2, the Llama family, T5 and BART as frozen bases for virtual tokens.
//!
//! [`load`] reads an ordinary Hugging Face folder and gives a [`FrozenModel`]; [`generate`] continues rows
//! of tokens with a K/V cache that begins with the virtual tokens.
//!
//! | `model_type` | stacks | heads |
//! |---|---|---|
//! | `bert`, `roberta`, `camembert`, `xlm-roberta` | encoder | classes of rows and of tokens, answers |
//! | `gpt2`, `llama`, `mistral`, `qwen2`, `qwen3` | decoder | language model, and these |
//! | `t5` (1.0, 1.1, LM-adapted, Flan), `mt5`, `bart` | both | language model; classifiers are skipped |
//!
//! | folder | what it is |
//! |---|---|
//! | `families` | one file a family, as short as its mathematics |
//! | `blocks` | the parts they share: attention, norms, affine maps, rotary positions, relative bias |
//! | `kernels` | what the CPU does in place of general operations (Cargo feature `cpu`) |
//! | `weights` | where tensors come from: files, shards, memory |

mod blocks;
pub mod config;
mod families;
pub mod generate;
#[cfg(feature = "cpu")]
pub mod kernels;
mod options;
pub mod weights;

use std::path::Path;

use burn::tensor::{DType, Device};
use peft_core::{FrozenModel, Result};

pub use config::ModelConfig;
pub use families::SUPPORTED;
pub use options::LoadOptions;
pub use weights::{LoadReport, WeightFormat, Weights};

/// A frozen model with what its folder says of it.
#[derive(Debug)]
pub struct Loaded {
    /// The model.
    pub model: Box<dyn FrozenModel>,
    /// Its `config.json`.
    pub config: ModelConfig,
    /// What loading found.
    pub report: LoadReport,
}

/// Loads a Hugging Face model folder onto a device, in f32.
///
/// On the CPU, tensors that the file holds in f32 are views of it and are read when they are first used. The file must
/// not be changed or cut short while the model is in use: put another in its place by renaming it.
///
/// # Errors
///
/// [`peft_core::Error`] naming the file, key or tensor that is missing or cannot be used.
pub fn load(dir: &Path, device: &Device) -> Result<Loaded> {
    load_with(dir, device, LoadOptions::default())
}

/// As [`load`], with options.
///
/// # Errors
///
/// As [`load`]; [`peft_core::Error::Setting`] naming an option that the device cannot.
pub fn load_with(dir: &Path, device: &Device, options: LoadOptions) -> Result<Loaded> {
    options.check(device)?;
    let config = ModelConfig::load(dir)?;
    // Before the tensors: an unknown family should be told as such, not as a missing file.
    families::check(&config)?;
    build_with(config, Weights::open(dir, device, DType::F32)?, options)
}

/// Builds a model from its config and tensors from anywhere, such as
/// [`Weights::memory`] or [`Weights::random`].
///
/// # Errors
///
/// As [`load`].
pub fn build(config: ModelConfig, weights: Weights) -> Result<Loaded> {
    build_with(config, weights, LoadOptions::default())
}

/// As [`build`], with options.
///
/// # Errors
///
/// As [`load_with`].
pub fn build_with(config: ModelConfig, weights: Weights, options: LoadOptions) -> Result<Loaded> {
    options.check(weights.device())?;
    config.check_token_ids("eos_token_id")?;
    let (model, report) = families::load(&config, weights.with_format(options.weights), options)?;
    Ok(Loaded { model, config, report })
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
