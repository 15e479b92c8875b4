//! Rows whose tokens the model, its decoder or an infix has no place for.

use serde_json::json;

use super::{CASE, Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "an infix in rows without a source",
        build: |dir| {
            model(dir, "gpt2");
            train("--infix")
        },
        says: &[
            "rows.jsonl, line 1: found no source: the first token has a target. An infix stands between",
            "give rows both, or train a prefix",
        ],
        ..CASE
    },
    Case {
        name: "an infix in rows of several turns",
        build: |dir| {
            model(dir, "gpt2");
            let good = r#"{"input_ids": [3, 4, 5, 6], "labels": [-100, -100, 5, 6]}"#;
            let turns = r#"{"input_ids": [3, 4, 5, 6], "labels": [-100, 4, -100, 6]}"#;
            rows(dir, &format!("{good}\n{turns}\n"));
            train("--infix --valid rows.jsonl")
        },
        says: &[
            "rows.jsonl, line 2: found several targets with other tokens between them",
            "give each a row of its own, or train a prefix",
        ],
        ..CASE
    },
    Case {
        name: "logits of rows that do not say where an infix stands",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, &"{\"input_ids\": [3, 4, 5], \"labels\": [-100, 4, 5]}\n".repeat(4));
            must(dir, &train("--infix --out adapter"));
            words(
                "forward --model model --adapter adapter --input rows.jsonl --output out.safetensors",
            )
        },
        says: &[
            "--adapter: holds an infix",
            "these rows do not say where that is: peft eval scores",
        ],
        ..USAGE
    },
    Case {
        name: "no token to begin the decoder with",
        build: |dir| {
            model(dir, "t5");
            config(dir, "decoder_start_token_id", json!(null));
            turn("")
        },
        says: &[
            "model/config.json: key `decoder_start_token_id`: is missing, and so is bos_token_id",
            "Write \"decoder_start_token_id\": 0 into it",
        ],
        ..CASE
    },
    Case {
        name: "no token to pad the decoder with",
        build: |dir| {
            model(dir, "t5");
            rows(dir, "{\"input_ids\": [3, 4], \"labels\": [-100, 3]}\n");
            edit(&dir.join("model/config.json"), |config| config["pad_token_id"] = json!(null));
            turn("")
        },
        says: &["model/config.json: key `pad_token_id`: is missing"],
        ..CASE
    },
    Case {
        name: "labels longer than the decoder",
        build: |dir| {
            model(dir, "bart");
            let ids = vec![3; 200];
            rows(dir, &format!("{{\"input_ids\": [3, 4], \"labels\": {ids:?}}}\n"));
            turn("")
        },
        says: &["rows.jsonl, line 1: 0 virtual tokens + 200 tokens", "positions"],
        ..CASE
    },
    Case {
        name: "labels that do not fit the decoder's tokens",
        build: |dir| {
            model(dir, "t5");
            rows(
                dir,
                "{\"input_ids\": [3], \"labels\": [3, 4], \"decoder_input_ids\": [0, 3, 4]}\n",
            );
            turn("")
        },
        says: &["line 1: field `labels`: found 2 of them, expected one for each of 3 decoder"],
        ..CASE
    },
    Case {
        name: "forward without the decoder's tokens",
        build: |dir| {
            model(dir, "t5");
            forward()
        },
        says: &["rows.jsonl, line 1: field `decoder_input_ids` is missing"],
        ..CASE
    },
    Case {
        name: "token id outside the vocabulary",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1, 2]}\n{\"input_ids\": [1, 71]}\n");
            forward()
        },
        says: &["rows.jsonl, line 2: token id 71 is outside the vocabulary of 71"],
        ..CASE
    },
    Case {
        name: "token type that the model does not know",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"input_ids\": [1, 2], \"token_type_ids\": [0, 2]}\n");
            forward()
        },
        says: &["rows.jsonl, line 1: token type 2: the model knows 2 of them"],
        ..CASE
    },
    Case {
        name: "labels of another length than input_ids",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1, 2, 3], \"labels\": [1, 2]}\n");
            train("")
        },
        says: &["rows.jsonl, line 1: field `labels`: found 2", "each of 3 tokens"],
        ..CASE
    },
    Case {
        name: "row without tokens",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [], \"labels\": []}\n");
            train("")
        },
        says: &["rows.jsonl, line 1: found no tokens, expected at least one"],
        ..CASE
    },
    Case {
        name: "no row has a target",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1, 2], \"labels\": [-100, -100]}\n");
            train("")
        },
        says: &["rows.jsonl: no row has a target"],
        ..CASE
    },
    Case {
        name: "P + T too long to train",
        build: |dir| {
            model(dir, "gpt2");
            long_row(dir, 61);
            train("")
        },
        says: &[
            "rows.jsonl, line 1",
            "4 virtual tokens",
            "61 tokens",
            "limit of 64 positions; --max-length 60 cuts rows of text to what fits",
        ],
        ..CASE
    },
    Case {
        name: "P + T too long to evaluate",
        build: |dir| {
            pair(dir, "gpt2");
            long_row(dir, 60);
            eval()
        },
        says: &[
            "rows.jsonl, line 1",
            "5 virtual tokens",
            "60 tokens",
            "limit of 64 positions; --max-length 59 cuts rows of text",
        ],
        ..CASE
    },
    Case {
        name: "P + T + new tokens too long to generate",
        build: |dir| {
            pair(dir, "gpt2");
            long_row(dir, 40);
            words(
                "generate --model model --adapter adapter --input rows.jsonl --output out.jsonl \
                 --max-new-tokens 30",
            )
        },
        says: &[
            "rows.jsonl, line 1",
            "5 virtual tokens",
            "40 tokens",
            "30 new tokens",
            "limit of 64 positions; --max-length 30 cuts",
        ],
        ..CASE
    },
    Case {
        name: "a text of no tokens to continue",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            let mut args = words("generate --model model --prompt");
            args.push(String::new());
            args
        },
        says: &["--prompt: found no tokens"],
        ..USAGE
    },
    Case {
        name: "a text too long to continue",
        build: |dir| {
            pair(dir, "gpt2");
            tokenizer(dir);
            words("generate --model model --adapter adapter --prompt sea --max-new-tokens 64")
        },
        says: &[
            "5 virtual tokens",
            "1 tokens",
            "64 new tokens",
            "limit of 64 positions; --max-new-tokens 59 is the most that fits here",
        ],
        ..CASE
    },
    Case {
        name: "a row whose pairs of tokens fill the memory",
        build: |dir| {
            model(dir, "t5");
            let row = json!({ "input_ids": vec![3; 20_000], "labels": [3, 4] });
            rows(dir, &format!("{row}\n"));
            words(EVAL)
        },
        says: &[
            "rows.jsonl, line 1: 0 virtual tokens + 20000 tokens exceed 13377",
            "more than 8 GB; --max-length 13377 cuts rows of text",
        ],
        ..CASE
    },
];
