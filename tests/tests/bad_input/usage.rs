//! Command lines with flags that are unknown, missing, twice or out of range.

use super::{Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "unknown flag",
        build: |dir| {
            model(dir, "gpt2");
            train("--learning-rate 1")
        },
        says: &["error: --learning-rate: peft train has no such flag; did you mean --lr?"],
        ..USAGE
    },
    Case {
        name: "unknown command",
        build: |_| words("trian"),
        says: &["error: found `trian`, expected a command: demo, train, ", "; did you mean train?"],
        ..USAGE
    },
    Case {
        name: "flag of another command",
        build: |_| words("eval --model model --input rows.jsonl"),
        says: &["error: --input: peft eval has no such flag; did you mean --data?"],
        ..USAGE
    },
    Case {
        name: "a word too many",
        build: |_| words("info model other"),
        says: &["error: found `other`, which belongs to no flag (see `peft info --help`)"],
        ..USAGE
    },
    Case {
        name: "no number",
        build: |_| words("train --steps many"),
        says: &["error: --steps: found `many`, expected a whole number"],
        ..USAGE
    },
    Case {
        name: "a negative number",
        build: |_| words("train --seed -1"),
        says: &["error: --seed: found `-1`, expected a whole number from 0"],
        ..USAGE
    },
    Case {
        name: "the run in the folder of the model",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"text\": \"the sea\", \"label\": 1}\n");
            words(
                "train --model model --method prompt --task seq-cls --train rows.jsonl --steps 1 --out model",
            )
        },
        says: &["error: --out: found model, the folder of the base model: give another"],
        ..USAGE
    },
    Case {
        name: "the run in the folder of the model's GGUF file",
        build: |dir| {
            std::fs::create_dir(dir.join("gguf")).unwrap();
            std::fs::write(dir.join("gguf/model.gguf"), "GGUF").unwrap();
            rows(dir, "{\"text\": \"the sea\", \"label\": 1}\n");
            words(
                "train --model gguf/model.gguf --method prompt --task seq-cls --train rows.jsonl --steps 1 --out gguf",
            )
        },
        says: &["error: --out: found gguf, the folder of the base model: give another"],
        ..USAGE
    },
    Case {
        name: "no number of rows",
        build: |_| words("predict --model model --input rows.jsonl --batch-size some"),
        says: &["error: --batch-size: found `some`, expected a whole number"],
        ..USAGE
    },
    Case {
        name: "a flag twice",
        build: |_| words("train --lr 1 --lr 2"),
        says: &["error: --lr: found twice, expected once"],
        ..USAGE
    },
    Case {
        name: "a flag without its value",
        build: |_| words("train --lr"),
        says: &["error: --lr: found no value, expected --lr <LR>"],
        ..USAGE
    },
    Case {
        name: "predictions of nothing",
        build: |_| words("eval --model model --data rows.jsonl --predictions out.jsonl"),
        says: &["error: --predictions: needs --max-new-tokens or --rank-classes"],
        ..USAGE
    },
    Case {
        name: "a misspelled method",
        build: |_| words("train --method promt"),
        says: &[
            "error: --method: found `promt`, expected prompt, prefix, ptv2 or head; did you mean prompt?",
        ],
        ..USAGE
    },
    Case {
        name: "several required flags missing",
        build: |_| words("train --lr 1 --train rows.jsonl"),
        says: &[
            "error: --model, --method, --task and --out are required (as flags or in --config)",
        ],
        ..USAGE
    },
    Case {
        name: "required flags of a command missing",
        build: |_| words("forward --model model"),
        says: &[
            "error: --input <FILE> and --output <FILE> are required (see `peft forward --help`)",
        ],
        ..USAGE
    },
    Case {
        name: "required flag missing",
        build: |dir| {
            model(dir, "gpt2");
            words("train --model model --task causal-lm --train rows.jsonl --out out")
        },
        says: &["--method", "required"],
        ..USAGE
    },
    Case {
        name: "backend that is not compiled in",
        build: |dir| {
            model(dir, "gpt2");
            train("--device cuda")
        },
        says: &["--device cuda", "built without", "--features cuda"],
        ..USAGE
    },
    Case {
        name: "batches of no rows to evaluate",
        build: |_| words("eval --model model --data rows.jsonl --batch-size 0"),
        says: &["--batch-size", "found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "no threads",
        build: |_| words("--threads 0 eval --model model --data rows.jsonl"),
        says: &["--threads", "found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "more threads than anybody has",
        build: |_| words("eval --model model --data rows.jsonl --threads 1000000"),
        says: &["--threads: found 1000000, expected at most 4096"],
        ..USAGE
    },
    Case {
        name: "batches of no rows to predict",
        build: |_| words("predict --model model --input rows.jsonl --batch-size 0"),
        says: &["--batch-size", "found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "batches of no rows to read",
        build: |_| words("forward --model model --input rows.jsonl --output out --batch-size 0"),
        says: &["--batch-size", "found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "--greedy with --num-beams",
        build: |_| words("generate --model model --prompt a --greedy --num-beams 2"),
        says: &["--greedy", ": cannot be used with --", "--num-beams"],
        ..USAGE
    },
    Case {
        name: "unknown side of padding",
        build: |dir| {
            model(dir, "gpt2");
            [forward(), words("--padding both")].concat()
        },
        says: &["--padding: found \"both\", expected right or left"],
        ..USAGE
    },
    Case {
        name: "neither rows nor a text",
        build: |_| words("predict --model model"),
        says: &["--input <FILE>"],
        ..USAGE
    },
    Case {
        name: "new tokens without end",
        build: |dir| {
            model(dir, "t5");
            words("generate --model model --input rows.jsonl --max-new-tokens 2000000")
        },
        says: &["--max-new-tokens: found 2000000, expected at most 1048576"],
        ..USAGE
    },
];
