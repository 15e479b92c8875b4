//! A base model's `config.json` or `generation_config.json` that is damaged, or asks for what does not fit or is not there.

use std::{fs, path::Path};

use serde_json::json;

use super::{CASE, Case, fixture::*};

/// `peft generate` with a model whose `generation_config.json` also has these settings.
fn asks(dir: &Path, settings: &str) -> Vec<String> {
    model(dir, "gpt2");
    let settings = format!("{{\"eos_token_id\": 35, {settings}}}");
    fs::write(dir.join("model/generation_config.json"), settings).unwrap();
    words("generate --model model --input rows.jsonl --output out.jsonl")
}

pub const CASES: &[Case] = &[
    Case {
        name: "no token to start generation from",
        build: |dir| {
            model(dir, "t5");
            fs::write(dir.join("model/generation_config.json"), r#"{"eos_token_id": 55}"#).unwrap();
            words("generate --model model --input rows.jsonl --output out.jsonl")
        },
        says: &[
            "model/generation_config.json: key `decoder_start_token_id`: is missing, and so is bos_token_id",
            "Write \"decoder_start_token_id\": 0 into it",
        ],
        ..CASE
    },
    Case {
        name: "no token to start generation from, and no generation_config.json",
        build: |dir| {
            model(dir, "t5");
            config(dir, "decoder_start_token_id", json!(null));
            words("generate --model model --input rows.jsonl --output out.jsonl")
        },
        says: &[
            "model/config.json: key `decoder_start_token_id`: is missing, and so is bos_token_id",
            "Write \"decoder_start_token_id\": 0 into it",
        ],
        ..CASE
    },
    Case {
        name: "no token to start generation from, and none that is usual",
        build: |dir| {
            model(dir, "bart");
            edit(&dir.join("model/config.json"), |config| {
                config["decoder_start_token_id"] = json!(null);
                config["bos_token_id"] = json!(null);
            });
            words("generate --model model --input rows.jsonl --output out.jsonl")
        },
        says: &[
            "model/config.json: key `decoder_start_token_id`: is missing, and so is bos_token_id",
            "Write \"decoder_start_token_id\": ID into it",
        ],
        ..CASE
    },
    Case {
        name: "config.json is not JSON",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("model/config.json"), "{\"model_type\": gpt2}").unwrap();
            train("")
        },
        says: &["model/config.json: not JSON", "line 1 column 16"],
        ..CASE
    },
    Case {
        name: "config.json with a number that Python alone reads",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("model/config.json"), "{\n  \"attn_pdrop\": NaN}").unwrap();
            forward()
        },
        says: &[
            "model/config.json: not JSON",
            "line 2 column 17 (NaN, which Python writes",
            "put a finite number in its place, or null",
        ],
        ..CASE
    },
    Case {
        name: "config.json with a comment",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("model/config.json"), "{\n  // GPT-2\n  \"model_type\": 1}")
                .unwrap();
            forward()
        },
        says: &["model/config.json: not JSON", "line 2 column 3", "a comment"],
        ..CASE
    },
    Case {
        name: "config.json in UTF-16",
        build: |dir| {
            model(dir, "gpt2");
            let text = "\u{feff}{\"model_type\": \"gpt2\"}".encode_utf16();
            let bytes: Vec<u8> = text.flat_map(u16::to_le_bytes).collect();
            fs::write(dir.join("model/config.json"), bytes).unwrap();
            forward()
        },
        says: &["model/config.json: is in UTF-16", "UTF-8"],
        ..CASE
    },
    Case {
        name: "config.json with a byte order mark",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("model/config.json"), "\u{feff}{}").unwrap();
            forward()
        },
        says: &["model/config.json: begins with a byte order mark", "UTF-8 without BOM"],
        ..CASE
    },
    Case {
        name: "no model_type and no architectures",
        build: |dir| {
            model(dir, "gpt2");
            config(dir, "model_type", json!(null));
            config(dir, "architectures", json!(null));
            forward()
        },
        says: &["model/config.json: key `model_type`: is missing", "bert, camembert, gpt2"],
        ..CASE
    },
    Case {
        name: "a quantised model",
        build: |dir| {
            model(dir, "llama");
            config(dir, "quantization_config", json!({"quant_method": "awq", "bits": 4}));
            train("")
        },
        says: &["key `quantization_config`", "quantised (awq, 4 bits)", "set --base-weights"],
        ..CASE
    },
    Case {
        name: "unknown model_type",
        build: |dir| {
            model(dir, "gpt2");
            config(dir, "model_type", json!("mamba"));
            forward()
        },
        says: &[
            "model/config.json: key `model_type`",
            "\"mamba\"",
            "bert, camembert, gpt2, llama, mistral",
        ],
        ..CASE
    },
    Case {
        name: "config key missing, and the size of its class is another",
        build: |dir| {
            model(dir, "llama");
            config(dir, "hidden_size", json!(null));
            train("")
        },
        says: &[
            "model/model.safetensors: tensor `model.layers.0.self_attn.q_proj.weight`",
            "model/config.json lacks sizes, for which those of transformers' class stand: hidden_size 4096",
        ],
        ..CASE
    },
    Case {
        name: "config key that is null",
        build: |dir| {
            model(dir, "llama");
            edit(&dir.join("model/config.json"), |config| {
                config["max_position_embeddings"] = json!(null);
            });
            train("")
        },
        says: &[
            "model/config.json: key `max_position_embeddings`: is null: set it, or remove it for 2048, which \
             transformers assumes then",
        ],
        ..CASE
    },
    Case {
        name: "config key of the wrong kind",
        build: |dir| {
            model(dir, "gpt2");
            config(dir, "n_layer", json!("three"));
            forward()
        },
        says: &["model/config.json: key `n_layer`", "whole number", "found \"three\""],
        ..CASE
    },
    Case {
        name: "a mechanism that is not implemented",
        build: |dir| {
            model(dir, "llama");
            config(dir, "rope_parameters", json!({"rope_type": "longrope"}));
            forward()
        },
        says: &[
            "model/config.json: key `rope_parameters.rope_type`",
            "\"longrope\"",
            "default, linear",
        ],
        ..CASE
    },
    Case {
        name: "end-of-text token of the wrong kind",
        build: |dir| {
            model(dir, "gpt2");
            config(dir, "eos_token_id", json!("</s>"));
            forward()
        },
        says: &["model/config.json: key `eos_token_id`", "a token id", "found \"</s>\""],
        ..CASE
    },
    Case {
        name: "heads that do not divide the hidden size",
        build: |dir| {
            model(dir, "bert");
            config(dir, "num_attention_heads", json!(5));
            forward()
        },
        says: &["model/config.json: key `num_attention_heads`: 5 does not divide 32"],
        ..CASE
    },
    Case {
        name: "end-of-text token outside the vocabulary",
        build: |dir| {
            model(dir, "gpt2");
            config(dir, "eos_token_id", json!(71));
            train("")
        },
        says: &[
            "model/config.json: key `eos_token_id`: found 71, outside the vocabulary of 71",
            "set it to a token of the vocabulary, or to null",
        ],
        // Nothing is closed or generated there.
        then: "forward --model model --input rows.jsonl --output out.safetensors",
        ..CASE
    },
    Case {
        name: "end-of-text token outside the vocabulary, in generation",
        build: |dir| {
            model(dir, "gpt2");
            config(dir, "eos_token_id", json!(50256));
            rows(dir, "{\"input_ids\": [3, 4, 5]}\n");
            words("generate --model model --input rows.jsonl --max-new-tokens 2")
        },
        says: &[
            "model/config.json: key `eos_token_id`: found 50256, outside the vocabulary of 71",
            "set it to a token of the vocabulary, or to null",
        ],
        ..CASE
    },
    Case {
        name: "generation_config.json asks for beams of sampled tokens",
        build: |dir| asks(dir, r#""num_beams": 4, "do_sample": true"#),
        says: &["model/generation_config.json: key `num_beams`", "give --greedy, --num-beams N"],
        ..CASE
    },
    Case {
        name: "generation_config.json samples at temperature 0",
        build: |dir| asks(dir, r#""temperature": 0.0, "do_sample": true"#),
        says: &[
            "model/generation_config.json: key `temperature`: found 0",
            "--temperature overrides it",
        ],
        ..CASE
    },
    Case {
        name: "generation_config.json forbids a token outside the vocabulary",
        build: |dir| asks(dir, r#""bad_words_ids": [[4, 99999]]"#),
        says: &[
            "model/generation_config.json: key `bad_words_ids`: found 99999, outside the vocabulary of 71: \
             take its list out, or set the key to null",
        ],
        ..CASE
    },
];
