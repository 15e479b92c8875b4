//! Settings of training, as flags and in `run.toml`, that are unknown, out of range or do not go together.

use std::fs;

use super::{CASE, Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "an unknown recipe",
        build: |dir| {
            model(dir, "gpt2");
            train("--recipe li2021-tables")
        },
        says: &[
            "error: --recipe: found \"li2021-tables\", expected one of ",
            "did you mean li2021-table?",
        ],
        ..USAGE
    },
    Case {
        name: "rows of a classifier packed",
        build: |dir| {
            model(dir, "bert");
            classify("--packing")
        },
        says: &["--packing: not used by seq-cls, it is a setting of causal-lm"],
        ..USAGE
    },
    Case {
        name: "rows of an encoder-decoder packed",
        build: |dir| {
            model(dir, "t5");
            turn("--packing")
        },
        says: &["--packing: not used by seq2seq-lm, it is a setting of causal-lm"],
        ..USAGE
    },
    Case {
        name: "packed rows within a budget of tokens",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("tokens.toml"), "batch_tokens = 64").unwrap();
            words(
                "train --config tokens.toml --packing --model model --method ptv2 --task causal-lm --train rows.jsonl \
                 --out out",
            )
        },
        says: &[
            "--packing: its batches have --batch-size packed rows: leave out it or --batch-tokens",
        ],
        ..USAGE
    },
    Case {
        name: "packed rows in the file's order",
        build: |dir| {
            model(dir, "gpt2");
            train("--packing --no-shuffle")
        },
        says: &["--packing: only shuffled rows are packed", "leave out one of them"],
        ..USAGE
    },
    Case {
        name: "packed rows of no tokens",
        build: |dir| {
            model(dir, "gpt2");
            train("--packing --max-length 0")
        },
        says: &["--max-length: found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "no steps",
        build: |dir| {
            model(dir, "gpt2");
            train("--steps 0")
        },
        says: &["--steps: found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "steps and epochs",
        build: |dir| {
            model(dir, "gpt2");
            train("--epochs 1 --steps 1")
        },
        says: &["--epochs", "--steps"],
        ..USAGE
    },
    Case {
        name: "learning rate below 0",
        build: |dir| {
            model(dir, "gpt2");
            train("--lr -1")
        },
        says: &["--lr: found -1, expected a number above 0"],
        ..USAGE
    },
    Case {
        name: "unknown optimizer",
        build: |dir| {
            model(dir, "gpt2");
            train("--optimizer lion")
        },
        says: &["--optimizer: found `lion`, expected one of adamw, adafactor, sgd"],
        ..USAGE
    },
    Case {
        name: "unknown schedule",
        build: |dir| {
            model(dir, "gpt2");
            train("--schedule step")
        },
        says: &["--schedule: found `step`, expected one of constant, linear, cosine, exponential"],
        ..USAGE
    },
    Case {
        name: "unknown best metric",
        build: |dir| {
            model(dir, "gpt2");
            train("--valid rows.jsonl --best-metric bleu")
        },
        says: &["--best-metric: found `bleu`, expected one of loss, perplexity"],
        ..USAGE
    },
    Case {
        name: "weights of classes for a language model",
        build: |dir| {
            model(dir, "gpt2");
            train("--class-weights balanced")
        },
        says: &["--class-weights: not used by causal-lm, which has no classes"],
        ..USAGE
    },
    Case {
        name: "all rows held out",
        build: |dir| {
            model(dir, "gpt2");
            train("--valid-split 1")
        },
        says: &["--valid-split", "found 1, expected a number above 0 and below 1"],
        ..USAGE
    },
    Case {
        name: "labels smoothed to nothing",
        build: |dir| {
            model(dir, "gpt2");
            train("--label-smoothing 1")
        },
        says: &["--label-smoothing", "found 1, expected a number from 0 to below 1"],
        ..USAGE
    },
    Case {
        name: "an unknown reparameterization in run.toml",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("run.toml"), "reparameterization = \"LSTM\"\n").unwrap();
            train("--config run.toml")
        },
        says: &[
            "run.toml: TOML parse error at line 1",
            "`LSTM`, expected one of `none`, `mlp`, `lstm`",
        ],
        ..USAGE
    },
    Case {
        name: "evaluations without validation rows",
        build: |dir| {
            model(dir, "gpt2");
            train("--eval-every 2")
        },
        says: &["--eval-every: needs validation rows (--valid, --valid-split)"],
        ..USAGE
    },
    Case {
        name: "steps and epochs in run.toml",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("run.toml"), "steps = 3\nepochs = 1\n").unwrap();
            train("--config run.toml")
        },
        says: &["run.toml: holds both `steps` and `epochs`"],
        ..USAGE
    },
    Case {
        name: "missing run.toml",
        build: |_| words("train --config run.toml"),
        says: &["cannot read run.toml", "No such file"],
        ..CASE
    },
    Case {
        name: "unknown key in run.toml",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("run.toml"), "steps = 3\noptimiser = \"adamw\"\n").unwrap();
            train("--config run.toml")
        },
        says: &["run.toml: ", "line 2", "`optimiser` is no setting; did you mean `optimizer`?"],
        ..USAGE
    },
    Case {
        name: "value of the wrong kind in run.toml",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("run.toml"), "lr = 0.1\nsteps = \"many\"\n").unwrap();
            train("--config run.toml")
        },
        says: &["run.toml: ", "line 2", "steps", "\"many\"", "expected usize"],
        ..USAGE
    },
];
