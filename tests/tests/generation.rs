//! Greedy generation gives what transformers gives, token by token.
//!
//! Vectors: `python/make_generation.py`.

use std::{fs, path::Path};

use peft_cli::session::Session;
use peft_core::{Adapter, data::Example};
use peft_models::generate::{Stop, greedy};
use peft_tests::{device, shared, vectors};
use serde_json::Value;

fn session(model: &Path, adapter: Option<&Path>) -> Session {
    let base = peft_models::load(model, &device()).unwrap();
    let adapter = adapter.map(|dir| Adapter::load(dir).unwrap());
    Session::new(base, model.to_path_buf(), adapter, &device()).unwrap()
}

fn rows(file: &Path) -> Vec<(Vec<u32>, Vec<u32>)> {
    let ids = |value: &Value| {
        value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    };
    fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|row| (ids(&row["input_ids"]), ids(&row["output_ids"])))
        .collect()
}

/// One at a time and all in one batch, left-padded: both must give the reference.
fn check(session: &Session, file: &Path, max_new_tokens: usize) {
    let rows = rows(file);
    assert!(!rows.is_empty(), "{}", file.display());
    let end_tokens = session.base.config.token_ids("eos_token_id");
    let stop = Stop { max_new_tokens, end_tokens };
    for (input, expected) in &rows {
        let made =
            greedy(session.model(), &[input], &session.virtual_tokens, &stop, |_, _| {}).unwrap();
        assert_eq!(&made[0], expected, "{} from {input:?}", file.display());
    }
    let examples: Vec<Example> = rows
        .iter()
        .map(|(input, _)| Example::new(input.clone(), peft_core::data::Target::None, 1))
        .collect();
    let made = peft_cli::commands::generate::continue_rows(session, &examples, &stop, 7).unwrap();
    for ((input, expected), made) in rows.iter().zip(made) {
        assert_eq!(&made, expected, "batched: {} from {input:?}", file.display());
    }
}

fn length(file: &Path) -> usize {
    rows(file).iter().map(|(_, output)| output.len()).max().unwrap()
}

#[test]
fn stories260k_continues_as_in_transformers() {
    let Some(model) = shared("models/stories260k") else { return };
    let file = vectors("generation/stories260k.jsonl");
    check(&session(&model, None), &file, 40);
}

#[test]
fn tiny_models_with_adapters_continue_as_in_peft() {
    for model in ["gpt2", "llama"] {
        let dir = vectors(&format!("logits/{model}"));
        let file = vectors(&format!("generation/{model}.jsonl"));
        check(&session(&dir, None), &file, length(&file));
        for adapter in ["prompt", "prefix", "prefix-mlp"] {
            let file = vectors(&format!("generation/{model}-{adapter}.jsonl"));
            check(&session(&dir, Some(&dir.join(adapter))), &file, length(&file));
        }
    }
}
