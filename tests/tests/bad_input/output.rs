//! A place that cannot be written to, or that holds what is not to be lost.

use std::fs;

use super::{CASE, Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "--out is a file",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("out"), "mine").unwrap();
            train("")
        },
        says: &["cannot write out"],
        ..CASE
    },
    Case {
        name: "--out is below a file",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("file"), "mine").unwrap();
            train("--out file/out")
        },
        says: &["cannot write file/out", "Not a directory"],
        ..CASE
    },
    Case {
        name: "--output is below a file",
        build: |dir| {
            model(dir, "gpt2");
            words("forward --model model --input rows.jsonl --output rows.jsonl/out.safetensors")
        },
        says: &["cannot write rows.jsonl/out.safetensors", "Not a directory"],
        ..CASE
    },
    Case {
        name: "--output in a folder that is not there",
        build: |dir| {
            model(dir, "gpt2");
            words("forward --model model --input rows.jsonl --output no/out.jsonl")
        },
        says: &["cannot write no/out.jsonl", "No such file"],
        ..CASE
    },
    Case {
        name: "--output in a folder that is not there, told before the model is read",
        build: |_| words("generate --model no --input rows.jsonl --output no/out.jsonl"),
        says: &["cannot write no/out.jsonl", "No such file"],
        ..CASE
    },
    Case {
        name: "--predictions is a file of the adapter",
        build: |dir| {
            pair(dir, "gpt2");
            words(
                "eval --model model --adapter adapter --data rows.jsonl --max-new-tokens 2 --predictions \
                 adapter/adapter_config.json",
            )
        },
        says: &[
            "--predictions: found adapter/adapter_config.json",
            "a file of the adapter there: give another file",
        ],
        ..USAGE
    },
    Case {
        name: "--output is a file of the model",
        build: |dir| {
            model(dir, "gpt2");
            words("generate --model model --input rows.jsonl --output model/model.safetensors")
        },
        says: &["--output: found model/model.safetensors", "a file of the model there"],
        ..USAGE
    },
    Case {
        name: "--valid is a file that the run writes",
        build: |dir| {
            model(dir, "bert");
            fs::create_dir(dir.join("out")).unwrap();
            fs::copy(dir.join("rows.jsonl"), dir.join("out/validation.json")).unwrap();
            classify("--valid out/validation.json --overwrite")
        },
        says: &["--valid: found out/validation.json", "give another --out"],
        ..USAGE
    },
    Case {
        name: "--metrics-file is below a file",
        build: |dir| {
            model(dir, "gpt2");
            train("--metrics-file rows.jsonl/metrics.jsonl")
        },
        says: &["cannot write rows.jsonl/metrics.jsonl", "Not a directory"],
        ..CASE
    },
    Case {
        name: "--metrics-file is the file of --train",
        build: |dir| {
            model(dir, "gpt2");
            train("--metrics-file ./rows.jsonl --overwrite")
        },
        says: &["--metrics-file: found ./rows.jsonl, the file of --train"],
        ..USAGE
    },
    Case {
        name: "a device without space",
        build: |dir| {
            model(dir, "bert");
            std::os::unix::fs::symlink("/dev/full", dir.join("out.jsonl")).unwrap();
            words("predict --model model --input rows.jsonl --output out.jsonl")
        },
        says: &["cannot write out.jsonl", "No space left on device"],
        ..CASE
    },
    Case {
        name: "predictions over their own rows",
        build: |dir| {
            model(dir, "bert");
            std::os::unix::fs::symlink("rows.jsonl", dir.join("link.jsonl")).unwrap();
            words("predict --model model --input rows.jsonl --output link.jsonl")
        },
        says: &["--output: found link.jsonl, which this command reads"],
        ..USAGE
    },
    Case {
        name: "continuations over their own rows",
        build: |dir| {
            model(dir, "gpt2");
            words("generate --model model --input rows.jsonl --output ./rows.jsonl")
        },
        says: &["--output: found ./rows.jsonl, which this command reads"],
        ..USAGE
    },
    Case {
        name: "logits over their own rows",
        build: |dir| {
            model(dir, "gpt2");
            words("forward --model model --input rows.jsonl --output rows.jsonl")
        },
        says: &["--output: found rows.jsonl, which this command reads"],
        ..USAGE
    },
    Case {
        name: "--output for the text of a prompt",
        build: |dir| {
            model(dir, "gpt2");
            words("generate --model model --prompt sea --output out.txt")
        },
        says: &["--output: is for the rows of --input", "stdout"],
        ..USAGE
    },
    Case {
        name: "disk full under forward",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("out.safetensors"), "old").unwrap();
            let row = format!("{{\"input_ids\": {:?}}}\n", [1; 40]);
            rows(dir, &row);
            forward()
        },
        blocks: 8,
        says: &["cannot write out.safetensors", "File too large"],
        ..CASE
    },
];
