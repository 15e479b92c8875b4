//! Keys of `config.json`: what a missing one, a null and each value means, and which are refused.

use std::path::Path;

use peft_core::{PaddingSide, ProblemType, TokenBatch, VirtualTokens};
use peft_models::ModelConfig;
use serde_json::{Value, json};

use super::{assert_all, build, read, refusal};

/// Those of transformers 5.23's classes; each fits the tensors of its checkpoint.
#[test]
fn a_size_that_the_config_lacks_is_that_of_its_class() {
    let key = "max_position_embeddings";
    for (name, limit) in [("llama", 2048), ("mistral", 131_072), ("qwen2", 32768), ("qwen3", 32768)]
    {
        let (mut config, tensors) = read(name);
        config.as_object_mut().unwrap().remove(key).unwrap();
        let loaded = build(config, tensors).unwrap();
        assert_eq!(loaded.model.spec().max_positions, Some(limit), "{name}");
        assert_eq!(peft_models::assumed_sizes(&loaded.config), [(key, limit)], "{name}");
    }
    // An mT5 has more layers than a T5.
    let error = refusal("t5v11", |config, _| {
        config["model_type"] = json!("mt5");
        config.as_object_mut().unwrap().remove("num_layers").unwrap();
    });
    assert_all(&error, &["encoder.block.2.", "is missing", "num_layers 8"]);
}

/// As transformers 5.23, where it refuses null or computes nothing with it (`KeyError`, `TypeError`).
#[test]
fn null_is_refused_where_the_class_of_transformers_takes_none() {
    let yarn = |key: &str| {
        let mut scaling = json!({"rope_type": "yarn", "factor": 2.0});
        scaling[key] = json!(null);
        ("llama", "rope_scaling", scaling)
    };
    for (name, key, value) in [
        ("bert", "layer_norm_eps", json!(null)),
        ("bert", "hidden_act", json!(null)),
        ("roberta-tok", "pad_token_id", json!(null)),
        ("gpt2", "layer_norm_epsilon", json!(null)),
        ("gpt2", "activation_function", json!(null)),
        ("gpt2", "scale_attn_weights", json!(null)),
        ("gpt2", "scale_attn_by_inverse_layer_idx", json!(null)),
        ("gpt2", "tie_word_embeddings", json!(null)),
        ("llama", "rms_norm_eps", json!(null)),
        ("llama", "hidden_act", json!(null)),
        ("llama", "attention_bias", json!(null)),
        ("llama", "mlp_bias", json!(null)),
        ("llama", "rope_parameters", json!({"rope_theta": null, "rope_type": "default"})),
        (
            "llama",
            "rope_parameters",
            json!({"rope_theta": 1e4, "rope_type": null, "type": "linear"}),
        ),
        ("llama", "rope_scaling", json!({"type": null})),
        yarn("original_max_position_embeddings"),
        ("qwen2", "use_sliding_window", json!(null)),
        ("qwen3", "max_window_layers", json!(null)),
        ("t5", "layer_norm_epsilon", json!(null)),
        ("t5", "feed_forward_proj", json!(null)),
        ("t5", "dense_act_fn", json!(null)),
        ("t5", "relative_attention_num_buckets", json!(null)),
        ("t5", "relative_attention_max_distance", json!(null)),
        ("bart", "activation_function", json!(null)),
        ("bart", "tie_word_embeddings", json!(null)),
    ] {
        let (mut config, tensors) = read(name);
        if key == "max_window_layers" {
            config.as_object_mut().unwrap().remove("layer_types");
        }
        config[key] = value.clone();
        let error = build(config, tensors).map(drop).unwrap_err().to_string();
        let parts = [key, "is null: set it, or remove it for", "which transformers assumes then"];
        assert!(parts.iter().all(|part| error.contains(part)), "{name} {key} {value}: {error}");
    }
}

/// In transformers 5.23 `truncate` is on where it is missing, and off where it is null; a T5 whose `is_gated_act` is null has
/// no gate, and so lacks a matrix here. For other keys null is the default.
#[test]
fn null_means_what_it_means_in_transformers() {
    let logits = |truncate: Option<Value>| {
        let (mut config, tensors) = read("llama");
        config["rope_scaling"] = json!({"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64,
            "rope_theta": 50.0, "beta_fast": 3.0, "attention_factor": null, "mscale": null});
        truncate.into_iter().for_each(|value| config["rope_scaling"]["truncate"] = value);
        let loaded = build(config, tensors).unwrap();
        let batch = TokenBatch::new(&[&[5, 9, 3, 7]], PaddingSide::Right);
        loaded.model.forward(&batch, &VirtualTokens::none()).unwrap().tokens.into_data()
    };
    let [missing, on, off, null] =
        [None, Some(json!(true)), Some(json!(false)), Some(json!(null))].map(logits);
    assert_eq!((&missing, &null), (&on, &off));
    assert_ne!(on, off);

    let error = refusal("t5v11", |config, _| config["is_gated_act"] = json!(null));
    assert_all(&error, &["DenseReluDense.wi.weight", "is missing"]);

    for (name, key) in [
        ("llama", "rope_theta"),
        ("llama", "rope_scaling"),
        ("mistral", "layer_types"),
        ("qwen2", "layer_types"),
        ("t5", "tie_word_embeddings"),
        ("t5", "is_gated_act"),
        ("bart", "scale_embedding"),
        ("bert", "position_embedding_type"),
        ("gpt2", "n_inner"),
        ("gpt2", "is_causal"),
    ] {
        let (mut config, tensors) = read(name);
        config[key] = json!(null);
        build(config, tensors).unwrap();
    }
}

#[test]
fn what_changes_the_mathematics_of_two_stacks_is_refused() {
    for (name, key, value) in [
        ("t5", "model_type", json!("umt5")),
        ("bart", "model_type", json!("mbart")),
        ("t5", "feed_forward_proj", json!("sparse-relu")),
        ("t5", "dense_act_fn", json!("prelu")),
        ("t5", "relative_attention_num_buckets", json!(7)),
        ("t5", "is_encoder_decoder", json!(false)),
        ("bart", "normalize_before", json!(true)),
        ("bart", "decoder_attention_heads", json!(3)),
    ] {
        let (mut config, tensors) = read(name);
        config[key] = value;
        let error = build(config, tensors).unwrap_err().to_string();
        assert!(error.contains(key), "{name} {key}: {error}");
    }
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let types = |types: Value| {
        refusal("qwen3", |config, _| {
            config["use_sliding_window"] = json!(true);
            config["sliding_window"] = json!(4);
            config["layer_types"] = types;
        })
    };
    assert_all(&types(json!(["full_attention"])), &["layer_types", "found 1 of them"]);
    assert_all(&types(json!("full_attention")), &["layer_types", "a list of strings"]);
    let chunked = types(json!(["full_attention", "chunked_attention"]));
    assert_all(&chunked, &["layer_types", "chunked_attention", "sliding_attention"]);
    let off = refusal("qwen2", |config, _| {
        config["layer_types"] = json!(["full_attention", "sliding_attention"]);
    });
    assert_all(&off, &["layer_types", "use_sliding_window"]);
    let mixed = refusal("mistral-window", |config, _| {
        config["layer_types"] = json!(["full_attention", "sliding_attention"]);
    });
    assert_all(
        &mixed,
        &["layer_types", "full_attention", "mistral", "remove the key to compute as"],
    );
    let none = refusal("mistral-window", |config, _| config["sliding_window"] = json!(0));
    assert_all(&none, &["sliding_window", "found 0"]);
}

/// The name of early versions of transformers.
#[test]
fn layers_without_a_window_have_two_names() {
    let (mut config, tensors) = read("qwen3");
    let expected = build(config.clone(), tensors.clone()).unwrap().model.spec().clone();
    config["layer_types"] = json!(["attention", "full_attention"]);
    assert_eq!(build(config, tensors).unwrap().model.spec(), &expected);
}

#[test]
fn a_roberta_counts_positions_from_its_padding_id_on() {
    let (config, tensors) = read("roberta-tok");
    let table = config["max_position_embeddings"].as_u64().unwrap() as usize;
    let padding = config["pad_token_id"].as_u64().unwrap() as usize;
    let loaded = build(config, tensors).unwrap();
    assert_eq!(loaded.model.spec().max_positions, Some(table - padding - 1));
    let error = refusal("roberta-tok", |config, _| config["pad_token_id"] = json!(table));
    assert_all(&error, &["max_position_embeddings", "first token"]);
    let error = refusal("roberta-tok", |config, _| config["pad_token_id"] = json!("a"));
    assert_all(&error, &["pad_token_id", "token id"]);
}

/// As transformers: `num_labels` counts only where the classes have no names.
#[test]
fn one_output_is_a_score_by_the_names_of_the_classes() {
    let of = |fields: Value| {
        let (mut config, _) = read("bert");
        let config = config.as_object_mut().unwrap();
        config.remove("id2label");
        config.extend(fields.as_object().unwrap().clone());
        let config = ModelConfig::from_value(json!(config), Path::new("config.json")).unwrap();
        config.problem_type().unwrap()
    };
    let (one, two) = (json!({"0": "a"}), json!({"0": "a", "1": "b"}));
    assert_eq!(of(json!({"id2label": one, "num_labels": 2})), Some(ProblemType::Regression));
    assert_eq!(of(json!({"id2label": two, "num_labels": 1})), None);
    assert_eq!(of(json!({"num_labels": 1})), Some(ProblemType::Regression));
    assert_eq!(of(json!({})), None);
}

/// As where one has none, `id2label` with a name twice counts as none: transformers asks it for names alone.
#[test]
fn names_that_do_not_tell_classes_apart_are_none() {
    let of = |names: Value| {
        let (mut config, _) = read("gpt2");
        config["id2label"] = names;
        let config = ModelConfig::from_value(config, Path::new("config.json")).unwrap();
        (config.labels(), config.labels_fault())
    };
    let (labels, fault) = of(json!({"0": "no", "1": "yes"}));
    assert_eq!((labels.unwrap(), fault), (vec!["no".to_string(), "yes".into()], None));
    for (names, says) in [
        (json!({"0": "x", "1": "x"}), "`x` is both class 0 and class 1"),
        (json!({"0": "", "1": "x"}), "class 0 has no name"),
        (json!({"0": "x", "2": "y"}), "class 1 has no name"),
    ] {
        assert_eq!(of(names.clone()), (None, Some(says.to_string())), "{names}");
    }
}

/// Compared name by name, so many take minutes.
#[test]
fn the_names_of_many_classes_are_read_at_once() {
    const CLASSES: usize = 300_000;
    let (mut config, _) = read("gpt2");
    config["id2label"] =
        (0..CLASSES).map(|i| (i.to_string(), json!(format!("class {i}")))).collect();
    let config = ModelConfig::from_value(config, Path::new("config.json")).unwrap();
    let names = config.labels().unwrap();
    assert_eq!((names.len(), names[CLASSES - 1].as_str()), (CLASSES, "class 299999"));
}
