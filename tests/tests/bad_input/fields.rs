//! Fields and templates that do not fit the rows.

use std::fs;

use super::{CASE, Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "field missing",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"input_ids\": [1], \"label\": 0}\n{\"input_ids\": [1]}\n");
            classify("")
        },
        says: &["rows.jsonl, line 2", "field `label` is missing", "the line has: input_ids"],
        ..CASE
    },
    Case {
        name: "field of the wrong kind",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1, \"two\"]}\n");
            forward()
        },
        says: &["rows.jsonl, line 1: field `input_ids[1]`: found the string `two`", "a token id"],
        ..CASE
    },
    Case {
        name: "a text beside a source and what may be its target",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"text\": \"the\", \"summary\": \"sea\", \"source\": \"web\"}\n");
            train("")
        },
        says: &[
            "--source-field: rows.jsonl has several fields that fit: source, text. Name the one to read here, or text \
             in --text-field to learn it alone",
        ],
        ..USAGE
    },
    Case {
        name: "a prompt and its target beside a source of one word",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"prompt\": \"the\", \"target\": \"sea\", \"source\": \"web\"}\n");
            train("")
        },
        says: &[
            "--source-field: rows.jsonl has several fields that fit: prompt, source. Name the one",
        ],
        ..USAGE
    },
    Case {
        name: "a source that may be where rows come from",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"question\": \"the\", \"response\": \"sea\", \"source\": \"web\"}\n");
            train("")
        },
        says: &[
            "--source-field: rows.jsonl has several fields that fit: question, source. Name the one",
        ],
        ..USAGE
    },
    Case {
        name: "a text that is a number",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(dir, "{\"text\": 123, \"label\": 1}\n{\"text\": \"blue\", \"label\": 0}\n");
            train("--task seq-cls --train rows.jsonl")
        },
        says: &[
            "line 1: field `text`: found the number 123, expected a string; set --source-template to \"{text}\"",
        ],
        ..CASE
    },
    Case {
        name: "a text that is null",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(dir, "{\"text\": null, \"label\": 1}\n{\"text\": \"blue\", \"label\": 0}\n");
            train("--task seq-cls --train rows.jsonl")
        },
        says: &[
            "line 1: field `text` is null (NaN counts as null), expected a string; remove the rows",
        ],
        ..CASE
    },
    Case {
        name: "lists as NumPy prints them",
        build: |dir| {
            model(dir, "bert-tok");
            fs::write(dir.join("rows.csv"), "tokens,tags\n\"['the' 'sea']\",\"['O' 'O']\"\n")
                .unwrap();
            train("--task token-cls --train rows.csv")
        },
        says: &["rows.csv, line 2: field `tags`", "a table has it as JSON ([\"a\", \"b\"]"],
        ..CASE
    },
    Case {
        name: "two fields that may be the text",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"sentence\": \"the sea\", \"review\": \"blue\", \"label\": 1}\n");
            classify("")
        },
        says: &["--text-field: rows.jsonl has several fields that fit: review, sentence. Name the"],
        ..USAGE
    },
    Case {
        name: "no field that may be the text",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"a\": \"the sea\", \"b\": {\"c\": \"blue\"}, \"label\": 1}\n");
            classify("")
        },
        says: &[
            "--text-field: rows.jsonl has none of the usual fields (text, ",
            "has: a, b.c, label.",
        ],
        ..USAGE
    },
    Case {
        name: "a field that the file lacks",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"text\": \"the sea\", \"label\": 1}\n");
            classify("--label-field labels")
        },
        says: &[
            "--label-field: found `labels`, but rows.jsonl has no such field; it has: label, text",
        ],
        ..USAGE
    },
    Case {
        name: "a field of another task",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"text\": \"the sea\", \"label\": 1}\n");
            classify("--tokens-field text")
        },
        says: &[
            "--tokens-field: not used by seq-cls, which has --text-field, --text-pair-field, --label",
        ],
        ..USAGE
    },
    Case {
        name: "a number as target",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            rows(dir, "{\"source\": \"the\", \"target\": 5}\n");
            train("")
        },
        says: &[
            "rows.jsonl, line 1: field `target`: found the number 5, expected a string; set --target-template to \"{target}\"",
        ],
        ..CASE
    },
    Case {
        name: "a field beside a template",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"a\": \"the\", \"b\": \"sea\"}\n");
            train("--source-field a --source-template {a} --target-field b")
        },
        says: &["--source-field: not used beside --source-template; give one of them"],
        ..USAGE
    },
    Case {
        name: "an object in a template",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            rows(dir, "{\"a\": {\"en\": \"the\"}, \"b\": \"sea\"}\n");
            train("--source-template {a} --target-field b")
        },
        says: &["rows.jsonl, line 1: template field `a`: found an object", "as in `a.en`"],
        ..CASE
    },
    Case {
        name: "an optional part without an end",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"a\": \"the\", \"b\": \"sea\"}\n");
            train("--source-template {?the:{a} --target-field b")
        },
        says: &["--source-template: `{?the:{a}`, character 1: found `{?` without `?}`"],
        ..USAGE
    },
    Case {
        name: "unknown field in a template",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            rows(dir, "{\"name\": \"sea\", \"colour\": \"blue\"}\n");
            train("--source-template {nome} --target-template {colour}")
        },
        says: &["rows.jsonl, line 1: field `nome` is missing; the line has: colour, name"],
        ..CASE
    },
    Case {
        name: "unclosed brace in a template",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            rows(dir, "{\"name\": \"sea\", \"colour\": \"blue\"}\n");
            train("--source-template the:{name --target-template {colour}")
        },
        says: &["--source-template: `the:{name`, character 5: found `{` without `}`"],
        ..USAGE
    },
];
