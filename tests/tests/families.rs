//! Which tensors of a checkpoint are used, skipped or missing, on the small checkpoints of the tests.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use burn::tensor::{DType, Device, TensorData};
use peft_core::{
    NamedTensors, PaddingSide, ProblemType, Result, Task, TokenBatch, VirtualTokens,
    adapter::codec::{from_safetensors, to_safetensors},
};
use peft_models::{LmHead, Loaded, ModelConfig, Weights, outline_of, outline_with};
use serde_json::{Value, json};

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

#[test]
fn the_layout_of_a_task_is_that_of_its_checkpoint() {
    for (name, task) in [
        ("gpt2-cls", Task::SeqCls),
        ("gpt2-tok", Task::TokenCls),
        ("llama-cls", Task::SeqCls),
        ("llama-tok", Task::TokenCls),
        ("bert", Task::SeqCls),
        ("bert-tok", Task::TokenCls),
        ("bert-qa", Task::QuestionAns),
        ("roberta-cls", Task::SeqCls),
        ("roberta-tok", Task::TokenCls),
        ("roberta-qa", Task::QuestionAns),
        ("gpt2-qa", Task::QuestionAns),
        ("llama-qa", Task::QuestionAns),
        ("mistral-qa", Task::QuestionAns),
        ("qwen2-qa", Task::QuestionAns),
        ("qwen3-qa", Task::QuestionAns),
        ("qwen3-tok", Task::TokenCls),
    ] {
        let (config, tensors) = read(name);
        let loaded = build(config, tensors.clone()).unwrap();
        assert!(loaded.report.skipped.is_empty(), "{name}");
        let layout = loaded.model.head_layout(task);
        let state = loaded.model.classifier().unwrap().state(layout);
        assert_eq!(state.len(), layout.names().len(), "{name}");
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
fn an_untied_decoder_without_a_language_model_head_says_so() {
    let (mut config, tensors) = read("gpt2");
    config["tie_word_embeddings"] = json!(false);
    let mut without = tensors;
    without.remove("lm_head.weight");
    let error = build(config, without).unwrap_err().to_string();
    assert_all(&error, &["lm_head.weight", "write \"tie_word_embeddings\": true into config.json"]);

    let (mut config, tensors) = read("gpt2-cls");
    config["tie_word_embeddings"] = json!(false);
    let loaded = build(config, tensors).unwrap();
    let hidden = burn::tensor::Tensor::zeros([1, 32], &Device::default());
    assert!(loaded.model.lm_logits(hidden).is_err() && !loaded.model.has_lm_head());
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

/// The error of a checkpoint whose config was changed.
fn refusal(name: &str, change: impl FnOnce(&mut Value, &mut NamedTensors)) -> String {
    let (mut config, mut tensors) = read(name);
    change(&mut config, &mut tensors);
    build(config, tensors).unwrap_err().to_string()
}

fn assert_all(error: &str, parts: &[&str]) {
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
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

#[test]
fn a_tagger_without_a_bias_is_refused() {
    let error =
        refusal("llama-tok", |config, _| config["token_classification_bias"] = json!(false));
    assert_all(&error, &["token_classification_bias", "found false"]);
    let (mut config, tensors) = read("llama");
    config["token_classification_bias"] = json!(false);
    build(config, tensors).unwrap();
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
    let begin = Instant::now();
    let names = config.labels().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert_eq!((names.len(), names[CLASSES - 1].as_str()), (CLASSES, "class 299999"));
}

#[test]
fn a_head_for_answers_has_two_rows() {
    let error = refusal("gpt2-qa", |_, tensors| {
        tensors.insert("qa_outputs.weight".into(), zeros([3, 32]));
    });
    assert_all(&error, &["qa_outputs.weight", "3 rows"]);
    let error = refusal("roberta-qa", |_, tensors| {
        tensors.remove("qa_outputs.bias");
    });
    assert_all(&error, &["qa_outputs.bias", "is missing"]);
}

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
fn a_backbone_alone_has_no_language_model() {
    let (mut config, tensors) = read("mistral");
    let tensors = tensors.into_iter().filter(|(name, _)| name != "lm_head.weight");
    let tensors: NamedTensors =
        tensors.map(|(name, data)| (name.replace("model.", ""), data)).collect();
    config["architectures"] = json!(["MistralModel"]);
    let loaded = build(config, tensors).unwrap();
    let hidden = burn::tensor::Tensor::zeros([1, 32], &Device::default());
    let error = loaded.model.lm_logits(hidden).unwrap_err().to_string();
    assert_all(&error, &["mistral", "no language-model head"]);
    assert!(!loaded.model.has_lm_head());
}

/// Logits of one hidden state of ones: what the head and its scale make of it.
fn head_of_ones(loaded: &Loaded) -> TensorData {
    assert!(loaded.model.has_lm_head());
    let h = loaded.model.spec().hidden_size;
    let ones = burn::tensor::Tensor::ones([1, h], &Device::default());
    loaded.model.lm_logits(ones).unwrap().into_data()
}

#[test]
fn a_t5_scales_the_states_of_its_head_unless_its_config_says_otherwise() {
    let (config, tensors) = read("t5");
    let tied = head_of_ones(&build(config.clone(), tensors.clone()).unwrap());
    // A copy of the embedding is no head of its own.
    let mut copied = tensors.clone();
    copied.insert("lm_head.weight".into(), tensors["shared.weight"].clone());
    let loaded = build(config.clone(), copied.clone()).unwrap();
    assert_eq!(head_of_ones(&loaded), tied);
    assert_eq!(loaded.report.skipped, ["lm_head.weight"]);

    let mut own = tensors;
    own.insert("lm_head.weight".into(), copied["encoder.final_layer_norm.weight"].clone());
    let error = build(config.clone(), own.clone()).unwrap_err().to_string();
    assert!(error.contains("lm_head.weight"), "{error}");
    let doubled = &copied["shared.weight"];
    let shape = doubled.shape().as_slice().to_vec();
    let doubled: Vec<f32> = doubled.iter::<f32>().map(|x| 2.0 * x).collect();
    own.insert("lm_head.weight".into(), TensorData::new(doubled, shape));
    let mut said_nothing = config;
    said_nothing.as_object_mut().unwrap().remove("scale_decoder_outputs");
    // As transformers 5.23: a head of its own is used, whatever `tie_word_embeddings` says, and the key scales.
    let unscaled = 24f32.sqrt();
    for (ties, factor) in [(json!(true), 1.0), (json!(null), 1.0), (json!(false), unscaled)] {
        said_nothing["tie_word_embeddings"] = ties;
        let found = head_of_ones(&build(said_nothing.clone(), own.clone()).unwrap());
        for (found, tied) in found.iter::<f32>().zip(tied.iter::<f32>()) {
            assert!((found - 2.0 * factor * tied).abs() < 1e-4, "{factor}: {found} {tied}");
        }
    }
}

#[test]
fn the_encoder_of_a_t5_alone_is_told() {
    let error = refusal("t5", |_, tensors| tensors.retain(|name, _| !name.starts_with("decoder.")));
    assert_all(&error, &["decoder.block.0", "T5EncoderModel", "give the whole model"]);
}

/// As transformers 5.23, whose `T5Config` and `MT5Config` set `tie_word_embeddings` to true: `false` in the file only says
/// that a T5 does not scale.
#[test]
fn the_embedding_is_the_head_of_an_untied_t5_whose_file_has_none() {
    for (model_type, factor) in [("t5", 24f32.sqrt()), ("mt5", 1.0)] {
        let (mut config, mut tensors) = read("t5v11-v4");
        tensors.remove("lm_head.weight");
        config["model_type"] = json!(model_type);
        config.as_object_mut().unwrap().remove("scale_decoder_outputs");
        config["tie_word_embeddings"] = json!(true);
        let tied = head_of_ones(&build(config.clone(), tensors.clone()).unwrap());
        config["tie_word_embeddings"] = json!(false);
        for architecture in ["T5ForConditionalGeneration", "T5ForSequenceClassification"] {
            config["architectures"] = json!([architecture]);
            let untied = head_of_ones(&build(config.clone(), tensors.clone()).unwrap());
            for (found, tied) in untied.iter::<f32>().zip(tied.iter::<f32>()) {
                assert!((found - factor * tied).abs() < 1e-4, "{model_type}: {found} {tied}");
            }
        }
    }
}

/// A config may tell of a head that the file lacks, or of none, or of the embedding, where the file has one.
#[test]
fn the_head_is_counted_as_it_is_loaded() {
    let without = |tensors: &mut NamedTensors, name: &str| tensors.remove(name).map(drop).unwrap();
    let copied = |tensors: &mut NamedTensors, from: &str| {
        let word = tensors[from].clone();
        tensors.insert("lm_head.weight".into(), word);
    };
    type Change<'a> = &'a dyn Fn(&mut Value, &mut NamedTensors);
    let cases: [(&str, LmHead, LmHead, Change); 10] = [
        ("t5v11-v4", LmHead::Own, LmHead::Own, &|_, _| ()),
        ("t5v11-v4", LmHead::Own, LmHead::Tied, &|_, tensors| without(tensors, "lm_head.weight")),
        ("t5v11-v4", LmHead::Own, LmHead::Tied, &|config, tensors| {
            config["model_type"] = json!("mt5");
            without(tensors, "lm_head.weight");
        }),
        ("t5v11", LmHead::Tied, LmHead::Own, &|_, _| ()),
        ("t5", LmHead::Tied, LmHead::Tied, &|_, tensors| copied(tensors, "shared.weight")),
        ("bart", LmHead::Tied, LmHead::Own, &|_, tensors| {
            let shape = tensors["model.shared.weight"].shape().as_slice().to_vec();
            tensors.insert("lm_head.weight".into(), zeros([shape[0], shape[1]]));
        }),
        // What is there counts, not whether it differs.
        ("gpt2", LmHead::Tied, LmHead::Own, &|_, tensors| {
            copied(tensors, "transformer.wte.weight")
        }),
        ("llama", LmHead::Tied, LmHead::Tied, &|config, tensors| {
            config["tie_word_embeddings"] = json!(true);
            without(tensors, "model.embed_tokens.weight");
        }),
        ("llama", LmHead::None, LmHead::Own, &|config, _| {
            config["architectures"] = json!(["LlamaModel"]);
        }),
        ("llama", LmHead::None, LmHead::None, &|config, tensors| {
            config["architectures"] = json!(["LlamaModel"]);
            without(tensors, "lm_head.weight");
        }),
    ];
    for (index, (name, of_config, of_file, change)) in cases.into_iter().enumerate() {
        let (mut config, mut tensors) = read(name);
        change(&mut config, &mut tensors);
        let loaded = build(config.clone(), tensors.clone()).unwrap();
        let config = ModelConfig::from_value(config, Path::new("config.json")).unwrap();
        let weights = Weights::memory(tensors, &Device::default(), DType::F32);
        let outline = outline_with(&config, weights).unwrap();
        assert_eq!(outline.lm_head, of_file, "{index}: {name}");
        assert_eq!(outline_of(&config).unwrap().lm_head, of_config, "{index}: {name}");
        assert_eq!(outline.lm_head != LmHead::None, loaded.model.has_lm_head(), "{index}: {name}");
        // A bias of the logits, which is not counted.
        let bias = if name == "bart" { outline.spec.vocab_size } else { 0 };
        let parameters = loaded.report.num_parameters - bias;
        assert_eq!(outline.parameters.total(), parameters, "{index}: {name}");
    }
}

/// transformers 5.23 initialises such a head anew and warns.
#[test]
fn an_untied_bart_without_a_head_is_told_the_way_out() {
    let (mut config, mut tensors) = read("bart");
    tensors.remove("lm_head.weight");
    config["tie_word_embeddings"] = json!(false);
    let error = build(config, tensors).unwrap_err().to_string();
    let way_out = "write \"tie_word_embeddings\": true into config.json";
    assert_all(&error, &["lm_head.weight", "is missing", "`tie_word_embeddings`", way_out]);
}

#[test]
fn the_embedding_of_two_stacks_has_one_of_three_names() {
    for (name, prefix) in [("t5", ""), ("bart", "model.")] {
        let (config, tensors) = read(name);
        let shared = format!("{prefix}shared.weight");
        let expected = head_of_ones(&build(config.clone(), tensors.clone()).unwrap());
        for side in ["encoder", "decoder"] {
            let mut other = tensors.clone();
            let name = format!("{prefix}{side}.embed_tokens.weight");
            let word = other.remove(&shared).unwrap();
            other.insert(name.clone(), word.clone());
            assert_eq!(head_of_ones(&build(config.clone(), other.clone()).unwrap()), expected);
            other.insert(shared.clone(), TensorData::zeros::<f32, _>(word.shape().clone()));
            let error = build(config.clone(), other).unwrap_err().to_string();
            assert!(error.contains(&name) && error.contains("differs"), "{error}");
        }
    }
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
fn heads_of_two_stacks_are_skipped_and_listed() {
    for name in ["t5", "bart"] {
        let (config, mut tensors) = read(name);
        let others = ["classification_head.dense.weight", "qa_outputs.bias"];
        others.iter().for_each(|other| _ = tensors.insert((*other).to_string(), zeros([2])));
        assert_eq!(build(config, tensors).unwrap().report.skipped, others);
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
