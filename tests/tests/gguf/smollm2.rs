//! SmolLM2-135M-Instruct in GGUF: what transformers makes of the same file.
//!
//! Vectors: `python/make_smollm2.py`.

use std::fs;

use burn::tensor::Device;
use peft_core::{PaddingSide, TokenBatch, VirtualTokens, text::load_tokenizer};
use peft_models::{
    generate::{GenerateConfig, generate},
    load,
};
use peft_tests::{smollm2, vectors};
use serde_json::Value;

use crate::support::{slices, token_ids};

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
    let config = GenerateConfig::for_model(&loaded, 64).unwrap();
    let slices = slices(&rows);
    let none = VirtualTokens::none();
    let made = generate(loaded.model.as_ref(), &slices, &none, &config, &mut ()).unwrap();
    let mut wrong = String::new();
    for (row, made) in prompts.iter().zip(made) {
        let expected = token_ids(&row["new"]);
        if made[0].ids != expected {
            wrong += &format!("{}: {:?}, expected {expected:?}\n", row["prompt"], made[0].ids);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
