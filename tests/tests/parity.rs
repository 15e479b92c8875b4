//! Logits equal those of transformers and PEFT, and of a model's own reference run.
//!
//! Vectors: `python/make_logits.py`.

use std::{fs, path::Path};

use peft_cli::{
    commands::forward::{forward_rows, row_name},
    session::{Session, TextArgs},
};
use peft_core::{Adapter, PaddingSide, adapter::folder::from_safetensors};
use peft_tests::{device, shared, vectors};

/// Largest difference, relative to the largest expected value of the row.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0f32, |scale, x| scale.max(x.abs())).max(1e-6);
    found.iter().zip(expected).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f32::max)
}

/// Gives the largest difference.
pub(crate) fn check(model: &Path, adapter: Option<&Path>, rows: &Path, expected: &Path) -> f32 {
    let mut largest = 0f32;
    let base = peft_models::load(model, &device()).unwrap();
    let adapter_read = adapter.map(|dir| Adapter::load(dir).unwrap());
    let session = Session::new(base, model.to_path_buf(), adapter_read, &device()).unwrap();
    let (_, encoded) = session.encode(rows, &TextArgs::default(), false).unwrap();
    let reference = from_safetensors(&fs::read(expected).unwrap(), expected).unwrap();
    assert_eq!(reference.len(), encoded.examples.len());
    for (batch_size, side) in
        [(1, PaddingSide::Right), (4, PaddingSide::Right), (3, PaddingSide::Left)]
    {
        let made = forward_rows(&session, &encoded.examples, batch_size, side).unwrap();
        for (index, found) in made.into_iter().enumerate() {
            let expected_row = &reference[&row_name(index)];
            let what = format!("{} row {index} batch {batch_size} {side:?}", expected.display());
            assert_eq!(found.shape().as_slice(), expected_row.shape().as_slice(), "{what}");
            let (found, wanted) =
                (found.try_to_vec::<f32>().unwrap(), expected_row.try_to_vec::<f32>().unwrap());
            let difference = difference(&found, &wanted);
            assert!(difference < 1e-4, "{what}: {difference}");
            largest = largest.max(difference);
        }
    }
    largest
}

#[test]
fn families_with_peft_made_adapters_equal_peft() {
    let families = ["llama", "mistral", "qwen2", "qwen3", "gpt2", "bert", "roberta"];
    let heads = families.iter().flat_map(|name| {
        let heads = match *name {
            "bert" => ["", "-tok", "-qa"],
            _ => ["-cls", "-tok", "-qa"],
        };
        heads.map(|head| format!("{name}{head}"))
    });
    let more = ["gpt2", "llama", "llama3", "llama-linear", "smollm", "mistral", "mistral-window"];
    let more = more.into_iter().chain(["qwen2", "qwen3"]).map(str::to_string);
    for model in heads.chain(more) {
        let dir = vectors(&format!("logits/{model}"));
        let rows = dir.join("rows.jsonl");
        check(&dir, None, &rows, &dir.join("base.safetensors"));
        for adapter in ["prompt", "prefix", "prefix-mlp"] {
            let expected = dir.join(format!("{adapter}.safetensors"));
            check(&dir, Some(&dir.join(adapter)), &rows, &expected);
        }
    }
}

/// Settings of GPT-2, half precision, shards, and names and configs as transformers 4 wrote them.
#[test]
fn settings_and_spellings_equal_transformers() {
    let models = [
        "gpt2-gelu",
        "gpt2-gelu-fast",
        "gpt2-gelu-pytorch-tanh",
        "gpt2-quick-gelu",
        "gpt2-relu",
        "gpt2-silu",
        "gpt2-tanh",
        "gpt2-inverse-layer",
        "gpt2-unscaled",
        "gpt2-v4",
        "bert-f16",
        "bert-v4",
        "bert-gamma-v4",
        "roberta-v4",
        "llama-bf16",
        "llama-sharded",
        "llama-linear-v4",
        "llama3-v4",
        "smollm-v4",
        "mistral-v4",
        "qwen2-v4",
        "qwen3-v4",
    ];
    for model in models {
        let dir = vectors(&format!("logits/{model}"));
        check(&dir, None, &dir.join("rows.jsonl"), &dir.join("base.safetensors"));
    }
}

/// A head that reads the first real token instead of the first virtual one.
#[test]
fn first_token_pooling_equals_its_definition() {
    for model in ["bert", "roberta-cls"] {
        let dir = vectors(&format!("logits/{model}"));
        let adapter = dir.join("prompt-first-token");
        let expected = dir.join("prompt-first-token.safetensors");
        check(&dir, Some(&adapter), &dir.join("rows.jsonl"), &expected);
    }
}

#[test]
fn gpt_nano_sort_equals_its_reference_run() {
    let Some(model) = shared("models/gpt-nano-sort") else { return };
    let text = fs::read_to_string(model.join("reference.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let rows = dir.path().join("rows.jsonl");
    let lines: String = reference["input_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ids| format!("{}\n", serde_json::json!({ "input_ids": ids })))
        .collect();
    fs::write(&rows, lines).unwrap();
    let base = peft_models::load(&model, &device()).unwrap();
    let session = Session::new(base, model, None, &device()).unwrap();
    let (_, encoded) = session.encode(&rows, &TextArgs::default(), false).unwrap();
    let made = forward_rows(&session, &encoded.examples, 8, PaddingSide::Right).unwrap();
    for (row, found) in made.into_iter().enumerate() {
        let expected: Vec<f32> = reference["logits"][row]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|position| position.as_array().unwrap())
            .map(|number| number.as_f64().unwrap() as f32)
            .collect();
        let found = found.try_to_vec::<f32>().unwrap();
        let largest = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(largest < 1e-4, "row {row}: {largest}");
    }
}
