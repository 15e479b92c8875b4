//! Which tensors of a checkpoint are used, skipped or missed, on the small checkpoints of the tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::{DType, Device, TensorData};
use peft_core::{
    NamedTensors, Result, Task,
    adapter::folder::{from_safetensors, to_safetensors},
};
use serde_json::{Value, json};

use crate::{Loaded, ModelConfig, Weights};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/logits").join(name)
}

fn read(name: &str) -> (Value, NamedTensors) {
    let dir = folder(name);
    let config = serde_json::from_str(&fs::read_to_string(dir.join("config.json")).unwrap());
    let path = dir.join("model.safetensors");
    (config.unwrap(), from_safetensors(&fs::read(&path).unwrap(), &path).unwrap())
}

fn build(config: Value, tensors: NamedTensors) -> Result<Loaded> {
    let config = ModelConfig::from_value(config, Path::new("config.json"))?;
    crate::build(config, Weights::memory(tensors, &Device::default(), DType::F32))
}

fn zeros<const D: usize>(shape: [usize; D]) -> TensorData {
    TensorData::zeros::<f32, _>(shape)
}

#[test]
fn the_layout_of_a_task_is_that_of_its_checkpoint() {
    for (name, task) in [
        ("gpt2-cls", Task::SeqCls),
        ("gpt2-tok", Task::TokenCls),
        ("llama-cls", Task::SeqCls),
        ("llama-tok", Task::TokenCls),
        ("bert", Task::SeqCls),
        ("bert-tok", Task::TokenCls),
    ] {
        let (config, tensors) = read(name);
        let loaded = build(config, tensors.clone()).unwrap();
        assert!(loaded.report.skipped.is_empty(), "{name}");
        let layout = loaded.model.head_layout(task);
        let state = loaded.model.classifier().unwrap().state(layout);
        assert_eq!(state.len(), 1 + usize::from(layout.bias), "{name}");
        for (tensor, data) in state {
            assert_eq!(tensors.get(&tensor), Some(&data), "{name} {tensor}");
        }
    }
}

#[test]
fn heads_of_other_tasks_are_skipped_and_listed() {
    for (name, own) in [("gpt2", false), ("llama", false), ("gpt2-tok", true)] {
        let (config, mut tensors) = read(name);
        let others = ["qa_outputs.bias", "qa_outputs.weight", "score.weight"];
        // `score` is the head of every llama classifier.
        let others = if name == "llama" { &others[..2] } else { &others[..] };
        for other in others {
            let data = if other.ends_with("bias") { zeros([2]) } else { zeros([2, 32]) };
            tensors.insert((*other).to_string(), data);
        }
        let loaded = build(config, tensors).unwrap();
        if name == "gpt2" {
            // No task names a head of its own there, so the one that is there can be used.
            assert_eq!(loaded.report.skipped, &others[..2]);
        } else {
            assert_eq!(loaded.report.skipped, others, "{name}");
            assert_eq!(loaded.model.classifier().is_some(), own, "{name}");
        }
    }
}

#[test]
fn an_untied_decoder_without_a_language_model_head_says_so() {
    let (mut config, tensors) = read("gpt2");
    config["tie_word_embeddings"] = json!(false);
    let mut without = tensors;
    without.remove("lm_head.weight");
    let error = build(config, without).unwrap_err().to_string();
    assert!(error.contains("lm_head.weight"), "{error}");

    let (mut config, tensors) = read("gpt2-cls");
    config["tie_word_embeddings"] = json!(false);
    let loaded = build(config, tensors).unwrap();
    let hidden = burn::tensor::Tensor::zeros([1, 32], &Device::default());
    assert!(loaded.model.lm_logits(hidden).is_err());
}

#[test]
fn a_classifier_of_rows_needs_its_pooler() {
    let (mut config, mut tensors) = read("bert");
    tensors.retain(|name, _| !name.contains("pooler"));
    let error = build(config.clone(), tensors.clone()).unwrap_err().to_string();
    assert!(error.contains("pooler.dense.weight"), "{error}");
    config["architectures"] = json!(["BertForTokenClassification"]);
    build(config, tensors).unwrap();
}

#[test]
fn the_fingerprint_does_not_depend_on_the_spelling() {
    let (_, tensors) = read("bert");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    fs::copy(folder("bert").join("config.json"), dir.path().join("config.json")).unwrap();
    let fingerprint = |dir: &Path| crate::load(dir, &Device::default()).unwrap().report.fingerprint;
    let spelled = |rename: fn(&str) -> String| {
        let tensors = tensors.iter().map(|(name, data)| (rename(name), data.clone())).collect();
        fs::write(&path, to_safetensors(&tensors, &path).unwrap()).unwrap();
        fingerprint(dir.path())
    };
    let expected = fingerprint(&folder("bert"));
    assert_eq!(spelled(|name| name.replace("bert.", "")), expected);
    assert_eq!(spelled(|name| name.replace("LayerNorm.weight", "LayerNorm.gamma")), expected);
    let mut other = tensors.clone();
    other.insert("classifier.bias".into(), zeros([3]));
    fs::write(&path, to_safetensors(&other, &path).unwrap()).unwrap();
    assert_ne!(fingerprint(dir.path()), expected);
}
