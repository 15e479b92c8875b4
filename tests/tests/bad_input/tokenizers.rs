//! Texts without a tokenizer, or with one that cannot be used.

use std::fs;

use serde_json::json;

use super::{CASE, Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "a text that takes too much memory, whatever is kept of it",
        build: |dir| {
            model(dir, "gpt2-cls");
            tokenizer(dir);
            rows(dir, &format!("{{\"text\": \"{}\", \"label\": 1}}\n", "a ".repeat(1 << 23)));
            words("eval --model model --data rows.jsonl --max-length 8")
        },
        says: &[
            "rows.jsonl, line 1: found a text of 16777216 bytes, expected at most 8388608",
            "--max-length cuts only what was tokenised, so cut the text",
        ],
        ..CASE
    },
    Case {
        name: "text without a tokenizer",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"text\": \"the sea is blue\"}\n");
            train("")
        },
        says: &["model: has no tokenizer", "neither tokenizer.json nor vocab.json and merges.txt"],
        ..CASE
    },
    Case {
        name: "a tokenizer class that is not supported",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            let class = "{\"tokenizer_class\": \"CodeGenTokenizer\"}";
            fs::write(dir.join("model/tokenizer_config.json"), class).unwrap();
            rows(dir, "{\"text\": \"the sea is blue\"}\n");
            train("")
        },
        says: &[
            "model/tokenizer_config.json: key `tokenizer_class`: CodeGenTokenizer is not supported",
            "name \"TokenizersBackend\" here",
        ],
        ..CASE
    },
    Case {
        name: "a tokenizer of a kind that its class would misread",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            fs::remove_file(dir.join("model/tokenizer_config.json")).unwrap();
            rows(dir, "{\"text\": \"the sea is blue\"}\n");
            train("")
        },
        says: &[
            "model/tokenizer.json: ",
            "its model is WordLevel, of which GPT2Tokenizer makes BPE",
            "write \"tokenizer_class\": \"TokenizersBackend\" into tokenizer_config.json",
        ],
        ..CASE
    },
    Case {
        name: "a tokenizer that writes a token it does not define",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            edit(&dir.join("model/tokenizer.json"), |json| {
                json["post_processor"] = json!({"type": "TemplateProcessing", "pair": [],
                    "special_tokens": {}, "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}]});
            });
            rows(dir, "{\"text\": \"the sea is blue\"}\n");
            train("")
        },
        says: &["model/tokenizer.json: ", "its post-processor writes \"[X]\", which is none of"],
        ..CASE
    },
    Case {
        name: "a tokenizer whose normalizers fill the memory",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            edit(&dir.join("model/tokenizer.json"), |json| {
                let doubling =
                    json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
                json["normalizer"] = json!({"type": "Sequence", "normalizers": vec![doubling; 32]});
            });
            rows(dir, "{\"text\": \"the sea is blue\"}\n");
            train("")
        },
        says: &[
            "model/tokenizer.json: ",
            "can make a text 4294967296 times as long, expected at most 65536",
        ],
        ..CASE
    },
    Case {
        name: "control characters in a name",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"\\u001b[31mx\": 1}\n");
            train("")
        },
        says: &["it has: \\u{1b}[31mx"],
        ..USAGE
    },
    Case {
        name: "a tokenizer.model that is none",
        build: |dir| {
            model(dir, "llama");
            fs::write(dir.join("model/tokenizer.model"), b"\x0a\xff\xff\x01").unwrap();
            rows(dir, "{\"text\": \"the sea is blue\"}\n");
            train("")
        },
        says: &["model/tokenizer.model: not a SentencePiece model: found a field of"],
        ..CASE
    },
    Case {
        name: "a tokenizer of a larger vocabulary",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            edit(&dir.join("model/tokenizer.json"), |json| {
                json["model"]["vocab"]["red"] = json!(71)
            });
            words("generate --model model --prompt red")
        },
        says: &["model: --prompt: ", "token id 71", "vocabulary of 71"],
        ..CASE
    },
    Case {
        name: "tokenizer.json is not a tokenizer",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("model/tokenizer.json"), "{}").unwrap();
            words("generate --model model --prompt hello")
        },
        says: &["model/tokenizer.json: not a tokenizer"],
        ..CASE
    },
];
