//! Standard input and output in place of files that they cannot be.

use std::fs;

use super::{CASE, Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "--predictions on standard output, where scores are",
        build: |dir| {
            model(dir, "gpt2");
            words("eval --model model --data rows.jsonl --max-new-tokens 2 --predictions -")
        },
        says: &["--predictions: found -, standard output", "./-"],
        ..USAGE
    },
    Case {
        name: "--output of tensors on standard output",
        build: |dir| {
            model(dir, "gpt2");
            words("forward --model model --input rows.jsonl --output -")
        },
        says: &["--output: found -, standard output"],
        ..USAGE
    },
    Case {
        name: "--out of a run on standard output",
        build: |dir| {
            model(dir, "gpt2");
            train("--out -")
        },
        says: &["--out: found -, standard output, where a folder is written", "./-"],
        ..USAGE
    },
    Case {
        name: "--out of an ensemble on standard output",
        build: |dir| {
            model(dir, "gpt2");
            train("--ensemble 2 --out -")
        },
        says: &["--out: found -, standard output, where a folder is written"],
        ..USAGE
    },
    Case {
        name: "--out of an evaluation on standard output",
        build: |dir| {
            model(dir, "gpt2");
            words("eval --model model --data rows.jsonl --out -")
        },
        says: &["--out: found -, standard output, where a folder is written"],
        ..USAGE
    },
    Case {
        name: "--out of a sweep on standard output",
        build: |dir| {
            fs::write(dir.join("sweep.toml"), "method = \"prompt\"\n").unwrap();
            words("sweep sweep.toml --out -")
        },
        says: &["--out: found -, standard output, where a folder is written"],
        ..USAGE
    },
    Case {
        name: "a converted adapter on standard output",
        build: |dir| {
            pair(dir, "gpt2");
            words("convert --from adapter --to -")
        },
        says: &["--to: found -, standard output, where a folder is written"],
        ..USAGE
    },
    Case {
        name: "the demo on standard output",
        build: |_| words("demo --export -"),
        says: &["--export: found -, standard output, where a folder is written"],
        ..USAGE
    },
    Case {
        name: "manual pages on standard output",
        build: |_| words("man -"),
        says: &["DIR: found -, standard output, where a folder is written"],
        ..USAGE
    },
    Case {
        name: "settings on standard input",
        build: |_| words("train --config - --out out"),
        says: &["cannot read -: ", "; - stands for standard input where rows are read, not here"],
        ..CASE
    },
    Case {
        name: "--metrics-file on standard output",
        build: |dir| {
            model(dir, "gpt2");
            train("--metrics-file -")
        },
        says: &["--metrics-file: found -, standard output: give /dev/stdout"],
        ..USAGE
    },
    Case {
        name: "scores of what merge writes to standard output",
        build: |_| words("merge a.jsonl --output - --metric accuracy"),
        says: &["--output: scores are of a file"],
        ..USAGE
    },
];
