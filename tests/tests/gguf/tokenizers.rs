//! Tokenizers in GGUF files give the ids of transformers.
//!
//! Vectors: `python/make_gguf_tokenizers.py`.

use std::fs;

use peft_core::text::{ModelTokenizer, load_tokenizer};
use peft_tests::vectors;
use serde_json::Value;

use crate::support::token_ids;

#[test]
fn tokenizers_of_every_kind_give_the_ids_of_transformers() {
    let folder = vectors("gguf/tokenizers");
    let text = fs::read_to_string(folder.join("ids.json")).unwrap();
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let vectors = vectors.as_object().unwrap();
    assert_eq!(vectors.len(), 9);
    let mut wrong = String::new();
    for (name, rows) in vectors {
        let tokenizer = load_tokenizer(&folder.join(format!("{name}.gguf"))).unwrap();
        for row in rows.as_array().unwrap() {
            let text = row[0].as_str().unwrap();
            let found = tokenizer.encode(text, true).unwrap();
            if found.get_ids() != token_ids(&row[1]) {
                wrong += &format!("{name} {text:?}: {:?}\n", found.get_tokens());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// As transformers names them.
#[test]
fn special_tokens_have_names() {
    let folder = vectors("gguf/tokenizers");
    for (name, expected) in [
        ("gpt-2", &["bos_token=<|begin|>", "eos_token=<|end|>"][..]),
        ("llama", &["bos_token=<s>", "eos_token=</s>", "unk_token=<unk>"]),
        ("t5", &["eos_token=</s>", "unk_token=<unk>", "pad_token=<pad>"]),
    ] {
        let loaded = ModelTokenizer::load(&folder.join(format!("{name}.gguf"))).unwrap();
        let found: Vec<String> =
            loaded.special_tokens.iter().map(|(name, token)| format!("{name}={token}")).collect();
        assert_eq!(found, expected, "{name}");
    }
}

/// What transformers passes over, and the original tokenizers do.
#[test]
fn digits_and_composed_characters_are_as_in_the_original() {
    let folder = vectors("gguf/tokenizers");
    let tokens = |name: &str, text: &str| {
        let tokenizer = load_tokenizer(&folder.join(format!("{name}.gguf"))).unwrap();
        tokenizer.encode(text, true).unwrap().get_tokens().to_vec()
    };
    // Digits stand alone, without the spaces in front of them.
    assert_eq!(tokens("smollm", "a 12"), ["a", "Ġ", "1", "2"]);
    assert_eq!(tokens("gpt-2", "a 12"), ["a", "Ġ12"]);
    assert_eq!(tokens("qwen2", "e\u{301}"), tokens("qwen2", "\u{e9}"));
    assert_ne!(tokens("gpt-2", "e\u{301}"), tokens("gpt-2", "\u{e9}"));
}
