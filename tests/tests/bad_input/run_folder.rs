//! A run's folder that another run would spoil or that none can go on in, and runs that fail on their way.

use std::fs;

use super::{CASE, Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "--html is the page of a run",
        build: |dir| {
            run(dir);
            words("compare out --html out/report.html")
        },
        says: &["--html: found out/report.html", "a file of the run there"],
        ..USAGE
    },
    Case {
        name: "--out holds a page of somebody else",
        build: |dir| {
            model(dir, "bert");
            fs::create_dir(dir.join("out")).unwrap();
            fs::write(dir.join("out/report.html"), "mine").unwrap();
            classify("")
        },
        says: &["--out out: holds report.html already", "another --out"],
        ..USAGE
    },
    Case {
        name: "--out holds the folders of runs",
        build: |dir| {
            run(dir);
            fs::create_dir(dir.join("all")).unwrap();
            fs::rename(dir.join("out"), dir.join("all/one")).unwrap();
            train("--out all")
        },
        says: &["--out all: holds the folders of runs, such as all/one", "another --out"],
        ..USAGE
    },
    Case {
        name: "a sweep in the folder of a run",
        build: |dir| {
            run(dir);
            fs::write(
                dir.join("sweep.toml"),
                "model = \"model\"\ntask = \"causal-lm\"\ntrain = \"rows.jsonl\"\nsteps = 2\nmethod = \"prompt\"\n\
                 num_virtual_tokens = 2\n[grid]\nseed = [1, 2]\n",
            )
            .unwrap();
            words("sweep sweep.toml --out out")
        },
        says: &["--out out: holds a run, beside which", "give another --out"],
        ..USAGE
    },
    Case {
        name: "--out holds a run",
        build: |dir| {
            run(dir);
            train("")
        },
        says: &["--out out: holds a run already", "--resume", "--overwrite"],
        ..USAGE
    },
    Case {
        name: "--out holds metrics of a run, and nothing to resume",
        build: |dir| {
            model(dir, "gpt2");
            fs::create_dir(dir.join("out")).unwrap();
            fs::write(dir.join("out/metrics.jsonl"), "{\"step\": 1}\n").unwrap();
            train("")
        },
        says: &["--out out: holds metrics.jsonl already", "--overwrite", "another --out"],
        ..USAGE
    },
    Case {
        name: "--overwrite by a run that cannot begin",
        build: |dir| {
            run(dir);
            long_row(dir, 61);
            train("--overwrite")
        },
        says: &["rows.jsonl, line 1", "limit of 64"],
        then: "inspect out",
        ..CASE
    },
    Case {
        name: "--resume without a run",
        build: |dir| {
            model(dir, "gpt2");
            words("train --out out --resume")
        },
        says: &["--resume", "out", "holds no run"],
        ..USAGE
    },
    Case {
        name: "--resume of a run without a complete checkpoint",
        build: |dir| {
            run(dir);
            fs::remove_dir_all(dir.join("out/checkpoints")).unwrap();
            words("train --out out --resume")
        },
        says: &["--resume: out/checkpoints holds no complete checkpoint", "--overwrite"],
        then: "inspect out",
        ..CASE
    },
    Case {
        name: "--metrics-file holds something",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("notes.jsonl"), "{\"step\": 1}\n").unwrap();
            train("--metrics-file notes.jsonl")
        },
        says: &["--metrics-file: found notes.jsonl", "exists already", "--overwrite"],
        ..USAGE
    },
    Case {
        name: "--metrics-file holds what no run wrote",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("notes.jsonl"), "mine").unwrap();
            train("--metrics-file notes.jsonl --overwrite")
        },
        says: &["--metrics-file: found notes.jsonl", "something else", "give another file"],
        ..USAGE
    },
    Case {
        name: "--resume with other settings",
        build: |dir| {
            run(dir);
            words("train --out out --resume --lr 0.5")
        },
        says: &[
            "out/checkpoints/step-000002",
            "other settings",
            "lr (then 0.01, now 0.5)",
            "--init-adapter out/checkpoints/step-000002 and another --out",
        ],
        then: "train --out out --resume",
        ..CASE
    },
    Case {
        name: "--resume with other rows",
        build: |dir| {
            run(dir);
            rows(dir, "{\"input_ids\": [9, 8], \"labels\": [9, 8]}\n");
            words("train --out out --resume")
        },
        says: &["out/checkpoints/step-000002", "training rows (other content)"],
        ..CASE
    },
    Case {
        name: "loss that is no number",
        build: |dir| {
            model(dir, "bert");
            classify("--lr 1e38 --steps 9")
        },
        says: &["the loss became", "at step", "--clip-norm"],
        leaves: &["out", "out/run.toml", "out/result.json", "out/metrics.jsonl", "out/report.html"],
        ..CASE
    },
    Case {
        name: "loss that is no number, over an old run",
        build: |dir| {
            run(dir);
            model(dir, "bert");
            classify("--lr 1e38 --steps 9 --overwrite")
        },
        says: &["the loss became", "at step", "--clip-norm"],
        leaves: &[
            "out/run.toml",
            "out/result.json",
            "out/metrics.jsonl",
            "out/report.html",
            "out/checkpoints",
            "out/report.html",
            "out/validation.json",
            "out/.peft.earlier",
        ],
        then: "convert --from out --to kept",
        ..CASE
    },
    Case {
        name: "disk full at the first checkpoint",
        build: |dir| {
            model(dir, "gpt2");
            train("--num-virtual-tokens 16")
        },
        blocks: 8,
        says: &["cannot write out/", "File too large"],
        leaves: &["out", "out/run.toml", "out/result.json", "out/metrics.jsonl", "out/checkpoints"],
        ..CASE
    },
    Case {
        name: "disk full over an old run",
        build: |dir| {
            run(dir);
            train("--num-virtual-tokens 16 --overwrite")
        },
        blocks: 8,
        says: &["cannot write out/", "File too large"],
        leaves: &[
            "out/run.toml",
            "out/result.json",
            "out/metrics.jsonl",
            "out/report.html",
            "out/checkpoints",
            "out/report.html",
            "out/validation.json",
            "out/.peft.earlier",
        ],
        then: "convert --from out --to kept",
        ..CASE
    },
    Case {
        name: "disk full at the last save of a resumed run",
        build: |dir| {
            run(dir);
            words("train --out out --resume")
        },
        blocks: 4,
        says: &["cannot write out/adapter_model.safetensors", "File too large"],
        leaves: &["out/result.json"],
        then: "inspect out",
        ..CASE
    },
    Case {
        name: "disk full while the adapter's files are written",
        build: |dir| {
            model(dir, "gpt2");
            must(
                dir,
                &train("--num-virtual-tokens 1 --layers 0,1 --clip-norm 1 --weight-decay 0.01"),
            );
            words("train --out out --resume")
        },
        blocks: 2,
        says: &["cannot write out/burn_peft.json", "File too large"],
        leaves: &["out/result.json"],
        then: "inspect out",
        ..CASE
    },
];
