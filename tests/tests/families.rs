//! Which checkpoints are the models of a family: their heads, their config and their tensors, on the small ones of the tests.

mod config;
mod heads;
mod tensors;

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::{DType, Device, TensorData};
use peft_core::{NamedTensors, Result, adapter::codec::from_safetensors};
use peft_models::{Loaded, ModelConfig, Weights};
use serde_json::Value;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/logits").join(name)
}

fn read(name: &str) -> (Value, NamedTensors) {
    let dir = folder(name);
    let config = serde_json::from_str(&fs::read_to_string(dir.join("config.json")).unwrap());
    let path = dir.join("model.safetensors");
    (config.unwrap(), from_safetensors(&fs::read(&path).unwrap(), &path).unwrap())
}

fn build(config: Value, tensors: NamedTensors) -> Result<Loaded> {
    let config = ModelConfig::from_value(config, Path::new("config.json"))?;
    peft_models::build(config, Weights::memory(tensors, &Device::default(), DType::F32))
}

fn zeros<const D: usize>(shape: [usize; D]) -> TensorData {
    TensorData::zeros::<f32, _>(shape)
}

/// The error of a checkpoint whose config was changed.
fn refusal(name: &str, change: impl FnOnce(&mut Value, &mut NamedTensors)) -> String {
    let (mut config, mut tensors) = read(name);
    change(&mut config, &mut tensors);
    build(config, tensors).unwrap_err().to_string()
}

fn assert_all(error: &str, parts: &[&str]) {
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
}
