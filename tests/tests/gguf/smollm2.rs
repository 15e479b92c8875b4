//! SmolLM2-135M-Instruct in GGUF: what transformers makes of the same file.
//!
//! Vectors: `python/make_smollm2.py`.

use std::{fs, sync::Arc};

use burn::tensor::Device;
use peft_core::{
    PaddingSide, Task, TokenBatch, VirtualTokens,
    text::{ChatSource, Clock, EncoderConfig, ModelTokenizer, load_tokenizer, read_records},
};
use peft_models::{
    Loaded,
    generate::{GenerateConfig, generate},
    load,
};
use peft_tests::{smollm2, vectors};
use serde_json::Value;

use crate::support::{read_lines, slices, token_ids};

/// Greedy search for 64 tokens gives the ids in each row's `new`.
fn check_new_tokens(loaded: &Loaded, rows: &[Vec<u32>], expected: &[Value]) {
    let config = GenerateConfig::for_model(loaded, 64).unwrap();
    let none = VirtualTokens::none();
    let made = generate(loaded.model.as_ref(), &slices(rows), &none, &config, &mut ()).unwrap();
    assert_eq!(made.len(), expected.len());
    let mut wrong = String::new();
    for (row, made) in expected.iter().zip(made) {
        let expected = token_ids(&row["new"]);
        if made[0].ids != expected {
            wrong += &format!("{row}: {:?}, expected {expected:?}\n", made[0].ids);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn smollm2_continues_prompts_as_transformers_does() {
    let Some(path) = smollm2() else { return };
    let text = fs::read_to_string(vectors("gguf/smollm2.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let tokenizer = load_tokenizer(&path).unwrap();
    let loaded = load(&path, &Device::default()).unwrap();
    let prompts = expected["prompts"].as_array().unwrap();
    let rows: Vec<Vec<u32>> = prompts.iter().map(|row| token_ids(&row["ids"])).collect();
    for (row, ids) in prompts.iter().zip(&rows) {
        let text = row["prompt"].as_str().unwrap();
        assert_eq!(tokenizer.encode(text, true).unwrap().get_ids(), ids, "{text:?}");
    }
    let step = expected["step"].as_u64().unwrap() as usize;
    for (row, ids) in expected["logits"].as_array().unwrap().iter().zip(&rows) {
        let batch = TokenBatch::new(&[ids], PaddingSide::Right);
        let hidden = loaded.model.forward(&batch, &VirtualTokens::none()).unwrap().tokens;
        let [_, t, h] = hidden.dims();
        let last = hidden.narrow(1, t - 1, 1).reshape([1, h]);
        let logits: Vec<f32> = loaded.model.lm_logits(last).unwrap().try_into_vec_as().unwrap();
        let scale = row["largest"].as_f64().unwrap();
        let chosen = row["chosen"].as_array().unwrap();
        assert_eq!(chosen.len(), logits.len().div_ceil(step));
        for (found, expected) in logits.iter().step_by(step).zip(chosen) {
            let difference = (f64::from(*found) - expected.as_f64().unwrap()).abs();
            assert!(difference < 1e-3 * scale, "{found}, expected {expected} of {scale}");
        }
    }
    check_new_tokens(&loaded, &rows, prompts);
}

/// Twenty conversations: several roles, a system or none, several turns.
#[test]
fn smollm2_answers_chats_as_transformers_does() {
    let Some(path) = smollm2() else { return };
    let chats = vectors("gguf/smollm2_chats.jsonl");
    let loaded = load(&path, &Device::default()).unwrap();
    let tokenizer = ModelTokenizer::load(&path).unwrap();
    let chat = ChatSource::read(&path, &tokenizer.special_tokens, None, Clock::now()).unwrap();
    let chat = Some(Arc::new(chat));
    let vocab_size = loaded.model.spec().vocab_size;
    let config =
        EncoderConfig { chat, targets: false, ..EncoderConfig::new(Task::CausalLm, vocab_size) };
    let encoder = config.init(Some(tokenizer.tokenizer)).unwrap();
    let expected = read_lines(&chats);
    assert_eq!(expected.len(), 20);
    let encoded = encoder.encode(&read_records(&chats).unwrap()).unwrap();
    let rows: Vec<_> = encoded.examples.into_iter().map(|example| example.input_ids).collect();
    for (row, ids) in expected.iter().zip(&rows) {
        assert_eq!(token_ids(&row["ids"]), *ids, "{row}");
    }
    check_new_tokens(&loaded, &rows, &expected);
}
