//! From a folder, or a config and tensors, to a model.

use std::{path::Path, sync::Arc};

use burn::tensor::{DType, Device};
use peft_core::{FrozenModel, Result};

use crate::{
    adapter_beside::adapter_beside,
    config::ModelConfig,
    families,
    options::LoadOptions,
    weights::{LoadReport, Source, Weights, sha256},
};

/// A frozen model with what its folder says about it.
#[derive(Debug)]
pub struct Loaded {
    /// The model, which several may hold, as the replicas of a run do.
    pub model: Arc<dyn FrozenModel>,
    /// Its `config.json`.
    pub config: ModelConfig,
    /// Which tensors were used, and which were skipped.
    pub report: LoadReport,
    /// Where they are, if in files.
    files: Option<Arc<Source>>,
}

impl Loaded {
    /// SHA-256 of the weights, as their files store them: over the names, the shapes and all bytes of the tensors of the
    /// model. Neither the division into files nor other spellings of names change it. All files are read once, which
    /// takes about a second per gigabyte; `None` for weights that are in no file.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Read`] if a file cannot be read.
    pub fn sha256(&self) -> Result<Option<String>> {
        match &self.files {
            Some(files) => sha256(files, &self.report.tensors),
            None => Ok(None),
        }
    }
}

/// Loads a Hugging Face model folder, or a GGUF file, which may be the only one of a folder, onto a device. It computes
/// in f32.
///
/// On the CPU, with the feature `cpu`, tensors that the file holds in f32, and the matrices of a GGUF file whatever their
/// type, are views of it and are read when they are first used. Do not change or truncate the file while the model is in use; to replace it,
/// rename another file over it.
///
/// # Examples
///
/// ```no_run
/// use std::path::Path;
///
/// use burn::tensor::Device;
///
/// # fn main() -> peft_core::Result<()> {
/// let loaded = peft_models::load(Path::new("all-MiniLM-L6-v2"), &Device::default())?;
/// let spec = loaded.model.spec();
/// println!("{}: H {}, {} parameters", spec.model_type, spec.hidden_size, loaded.report.num_parameters);
/// # Ok(())
/// # }
/// ```
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
/// Returns the errors of [`load`], and [`peft_core::Error::Setting`] naming an option that the device does not support.
pub fn load_with(dir: &Path, device: &Device, options: LoadOptions) -> Result<Loaded> {
    options.check(device, DType::F32)?;
    let config = families::complete(ModelConfig::load(dir)?);
    // Before the tensors: an unknown family should be reported as such, not as a missing file.
    families::check(&config)?;
    adapter_beside(&config)?;
    build_with(config, Weights::open(dir, device, DType::F32)?, options)
}

/// Builds a model from its config and tensors from anywhere, such as
/// [`Weights::memory`] or [`Weights::random`].
///
/// # Examples
///
/// A small Llama with random weights, for a test:
///
/// ```
/// use std::path::Path;
///
/// use burn::tensor::{DType, Device};
/// use peft_models::{ModelConfig, Weights, build};
/// use serde_json::json;
///
/// # fn main() -> peft_core::Result<()> {
/// let config = json!({
///     "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 40,
///     "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
///     "num_attention_heads": 2, "max_position_embeddings": 32, "tie_word_embeddings": true
/// });
/// let config = ModelConfig::from_value(config, Path::new("config.json"))?;
/// let weights = Weights::random(7, 0.2, &Device::default(), DType::F32);
/// assert_eq!(build(config, weights)?.model.spec().vocab_size, 40);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Returns the errors of [`load`].
pub fn build(config: ModelConfig, weights: Weights) -> Result<Loaded> {
    build_with(config, weights, LoadOptions::default())
}

/// As [`build`], with options.
///
/// # Errors
///
/// Returns the errors of [`load_with`].
pub fn build_with(config: ModelConfig, weights: Weights, options: LoadOptions) -> Result<Loaded> {
    options.check(weights.device(), weights.dtype())?;
    let config = families::complete(config);
    config.check_whole_ids("eos_token_id")?;
    let files = weights.files();
    let (model, report) = families::load(&config, weights.with_options(options), options)?;
    Ok(Loaded { model: Arc::from(model), config, report, files })
}
