//! Questions whose answers do not stand where they should.

use std::fs;

use super::{CASE, Case, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "answer_start outside of the context",
        build: |dir| {
            let row = r#"{"question": "the", "context": "sea", "answers": [{"text": "sea",
                "answer_start": 3}]}"#;
            ask(dir, &row.replace('\n', ""), "")
        },
        says: &["rows.jsonl, line 1: field `answers`", "answer_start is 3, the context has 3"],
        ..CASE
    },
    Case {
        name: "an answer that stands elsewhere",
        build: |dir| {
            let row = r#"{"question": "the", "context": "is sea", "answers": {"text": ["sea"],
                "answer_start": [0]}}"#;
            ask(dir, &row.replace('\n', ""), "")
        },
        says: &["rows.jsonl, line 1", "the context has `is ` at character 0, expected `sea`"],
        ..CASE
    },
    Case {
        name: "a question without room for its context",
        build: |dir| {
            let row = r#"{"question": "the sea is blue", "context": "is sea", "answers": {"text":
                ["sea"], "answer_start": [3]}}"#;
            ask(dir, &row.replace('\n', ""), "--max-length 4")
        },
        says: &["rows.jsonl, line 1", "4 tokens, which leaves no room for the context", "of 4"],
        ..CASE
    },
    Case {
        name: "an answer to an impossible question",
        build: |dir| {
            let row = r#"{"question": "the sea is blue", "context": "is sea", "is_impossible": true,
                "answers": [{"text": "sea", "answer_start": 3}]}"#;
            ask(dir, &row.replace('\n', ""), "")
        },
        says: &["rows.jsonl, line 1: field `answers`: found 1, but `is_impossible` is true"],
        ..CASE
    },
    Case {
        name: "no answer to a possible question",
        build: |dir| {
            let row = r#"{"question": "the sea", "context": "is sea", "is_impossible": false,
                "answers": {"text": [], "answer_start": []}}"#;
            ask(dir, &row.replace('\n', ""), "")
        },
        says: &["rows.jsonl, line 1: field `answers`: found none, but `is_impossible` is false"],
        ..CASE
    },
    Case {
        name: "an answer without a text",
        build: |dir| {
            let row = r#"{"question": "the sea", "context": "is sea", "answers": {"text": [""],
                "answer_start": [-1]}}"#;
            ask(dir, &row.replace('\n', ""), "")
        },
        says: &[
            "rows.jsonl, line 1: field `answers.text`",
            "the list is empty where there is no answer",
        ],
        ..CASE
    },
    Case {
        name: "an answer behind the row's end",
        build: |dir| {
            let row = "{\"input_ids\": [3], \"start_positions\": 0, \"end_positions\": 1}\n";
            ask(dir, row, "")
        },
        says: &["rows.jsonl, line 1: field `end_positions`: found the number 1", "1 tokens"],
        ..CASE
    },
    Case {
        name: "SQuAD's layout without questions",
        build: |dir| {
            let args = ask(dir, "", "");
            fs::write(dir.join("rows.json"), "{\"data\": [{\"paragraphs\": [{}]}]}").unwrap();
            fs::remove_file(dir.join("rows.jsonl")).unwrap();
            args.iter().map(|arg| arg.replace("rows.jsonl", "rows.json")).collect()
        },
        says: &["rows.json: data[0].paragraphs[0] has no `qas`"],
        ..CASE
    },
];
