//! Models in GGUF files: their logits against transformers with the same values, and how they are kept in memory.
//!
//! Vectors: `python/make_gguf.py`.

use std::fs;

use burn::tensor::Device;
use peft_core::{PaddingSide, TokenBatch, VirtualTokens};
use peft_models::{LoadOptions, WeightFormat, load, load_with};
use peft_tests::vectors;

use crate::{
    comparison::{Report, difference},
    parity::check,
    support::{read_lines, read_tensors, token_ids},
};

#[test]
fn models_of_every_family_equal_transformers() {
    let mut report = Report::default();
    for name in ["llama", "llama-k", "llama-rope", "qwen2", "qwen3", "gpt2", "t5", "t5v11"] {
        let model = vectors(&format!("gguf/{name}.gguf"));
        let rows = if name.starts_with("t5") { "seq2seq" } else { "rows" };
        let rows = vectors(&format!("gguf/{rows}.jsonl"));
        let expected = vectors(&format!("gguf/{name}.safetensors"));
        let found = report.note(name, "", check(&model, None, &rows, &expected));
        println!("{name}: {found:?}");
    }
    assert_eq!(report.finish(), 8);
}

#[test]
fn hidden_states_of_bert_equal_transformers() {
    let loaded = load(&vectors("gguf/bert.gguf"), &Device::default()).unwrap();
    let expected = read_tensors(&vectors("gguf/bert.safetensors"));
    for (row, expected) in read_lines(&vectors("gguf/rows.jsonl")).iter().zip(expected.values()) {
        let ids = token_ids(&row["input_ids"]);
        let batch = TokenBatch::new(&[&ids], PaddingSide::Right);
        let hidden = loaded.model.forward(&batch, &VirtualTokens::none()).unwrap();
        let found = hidden.tokens.reshape([ids.len(), 32]).into_data();
        assert!(difference(&found, expected) < 1e-5);
    }
}

#[test]
fn matrices_stay_as_they_are_stored_unless_f32_is_asked_for() {
    let path = vectors("gguf/llama.gguf");
    let bytes = |weights| {
        let options = LoadOptions { weights, ..LoadOptions::default() };
        let loaded = load_with(&path, &Device::default(), options).unwrap();
        let tensors = loaded.model.tensors();
        (tensors.values().map(|data| data.bytes().len()).sum::<usize>(), loaded.report)
    };
    let (stored, report) = bytes(WeightFormat::Auto);
    let (widened, other) = bytes(WeightFormat::F32);
    assert_eq!(report, other);
    assert!(report.fingerprint.is_some());
    assert_eq!(widened, 4 * report.num_parameters);
    let file = fs::metadata(&path).unwrap().len() as usize;
    assert!(stored < file && 2 * stored < widened, "{stored} {file} {widened}");
}

/// The heads also say how llama.cpp interleaves the rows of queries and keys.
#[test]
fn heads_of_each_layer_are_those_of_all() {
    let mut bytes = fs::read(vectors("gguf/llama.gguf")).unwrap();
    for key in ["llama.attention.head_count", "llama.attention.head_count_kv"] {
        let name = [&(key.len() as u64).to_le_bytes()[..], key.as_bytes()].concat();
        let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len();
        // A number of 32 bits (type 4) becomes a list of such (type 9). With six of them the header is 32 bytes longer,
        // so that tensors stay where they are, counted from its end.
        assert_eq!(bytes[at..at + 4], 4u32.to_le_bytes());
        let size = bytes[at + 4..at + 8].to_vec();
        let list = [&9u32.to_le_bytes()[..], &4u32.to_le_bytes(), &6u64.to_le_bytes()].concat();
        bytes.splice(at..at + 8, [list, size.repeat(6)].concat());
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    fs::write(&path, bytes).unwrap();
    let [expected, found] = [vectors("gguf/llama.gguf"), path].map(|path| {
        let loaded = load(&path, &Device::default()).unwrap();
        loaded.model.tensors()
    });
    assert!(expected == found && !found.is_empty());
}
