//! Tensors by their names: what is missing, what is skipped and listed, and what the spelling changes.

use std::{fs, path::Path};

use burn::tensor::Device;
use peft_core::adapter::codec::to_safetensors;
use serde_json::json;

use super::{assert_all, build, folder, read, refusal, zeros};

/// As Lightning names them: the model is an attribute of another module.
#[test]
fn a_module_around_the_model_is_told_with_the_way_out() {
    let error = refusal("bert", |_, tensors| {
        let inner = std::mem::take(tensors).into_iter();
        *tensors = inner.map(|(name, data)| (format!("net.{name}"), data)).collect();
        tensors.insert("criterion.weight".into(), zeros([2]));
    });
    assert_all(
        &error,
        &["is missing", "The file has it as `net.bert.", "k.removeprefix(\"net.\")"],
    );
}

#[test]
fn the_encoder_of_a_t5_alone_is_told() {
    let error = refusal("t5", |_, tensors| tensors.retain(|name, _| !name.starts_with("decoder.")));
    assert_all(&error, &["decoder.block.0", "T5EncoderModel", "give the whole model"]);
}

#[test]
fn parts_of_another_member_of_the_family_are_surplus() {
    let norms = refusal("qwen2", |config, _| {
        config["model_type"] = json!("qwen3");
        config["head_dim"] = json!(8);
    });
    assert_all(&norms, &["layers.0.self_attn.q_norm.weight", "is missing"]);
    let biases = refusal("qwen2", |config, _| config["model_type"] = json!("llama"));
    assert_all(&biases, &["self_attn.", "_proj.bias", "not a part"]);
    let norms = refusal("qwen3", |config, _| config["model_type"] = json!("llama"));
    assert_all(&norms, &["_norm.weight", "not a part"]);
}

#[test]
fn masks_and_positions_of_old_versions_are_skipped() {
    let gpt2 = "transformer.h.0.crossattention";
    for (model, constants) in [
        ("gpt2", [format!("{gpt2}.bias"), format!("{gpt2}.masked_bias")]),
        (
            "bart",
            ["decoder", "encoder"].map(|side| format!("model.{side}.embed_positions.position_ids")),
        ),
    ] {
        let (config, mut tensors) = read(model);
        let mut expected = build(config.clone(), tensors.clone()).unwrap().report.skipped;
        for name in constants {
            tensors.insert(name.clone(), zeros([1, 8]));
            expected.push(name);
        }
        expected.sort();
        assert_eq!(build(config, tensors).unwrap().report.skipped, expected, "{model}");
    }
    let bias = refusal("llama", |_, tensors| {
        tensors.insert("lm_head.bias".into(), zeros([99]));
    });
    assert_all(&bias, &["lm_head.bias", "not a part", "which leaves it out"]);
}

#[test]
fn what_a_roberta_does_not_use_is_skipped_and_listed() {
    let (mut config, mut tensors) = read("roberta-tok");
    tensors.insert("roberta.pooler.dense.weight".into(), zeros([32, 32]));
    tensors.insert("roberta.embeddings.position_ids".into(), zeros([1, 42]));
    tensors.insert("lm_head.dense.bias".into(), zeros([32]));
    for model_type in ["roberta", "xlm-roberta", "camembert"] {
        config["model_type"] = json!(model_type);
        let loaded = build(config.clone(), tensors.clone()).unwrap();
        assert_eq!(
            loaded.report.skipped,
            [
                "lm_head.dense.bias",
                "roberta.embeddings.position_ids",
                "roberta.pooler.dense.weight"
            ]
        );
        assert_eq!(loaded.model.spec().model_type, model_type);
    }
    tensors.insert("roberta.encoder.layer.0.crossattention.self.query.bias".into(), zeros([32]));
    let error = build(config, tensors).unwrap_err().to_string();
    assert_all(&error, &["crossattention", "not a part"]);
}

#[test]
fn the_fingerprint_does_not_depend_on_the_spelling() {
    let (_, tensors) = read("bert");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    fs::copy(folder("bert").join("config.json"), dir.path().join("config.json")).unwrap();
    let fingerprint =
        |dir: &Path| peft_models::load(dir, &Device::default()).unwrap().report.fingerprint;
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
