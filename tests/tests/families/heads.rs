//! Heads: that of the model's own task, those of other tasks, and what a language model scores tokens with.

use std::path::Path;

use burn::tensor::{DType, Device, TensorData};
use peft_core::{NamedTensors, Task};
use peft_models::{LmHead, Loaded, ModelConfig, Weights, outline_of, outline_with};
use serde_json::{Value, json};

use super::{assert_all, build, read, refusal, zeros};

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
fn a_classifier_of_rows_needs_its_pooler() {
    let (mut config, mut tensors) = read("bert");
    tensors.retain(|name, _| !name.contains("pooler"));
    let error = build(config.clone(), tensors.clone()).unwrap_err().to_string();
    assert!(error.contains("pooler.dense.weight"), "{error}");
    config["architectures"] = json!(["BertForTokenClassification"]);
    build(config, tensors).unwrap();
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
