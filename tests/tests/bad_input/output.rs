//! A place that cannot be written to, or a run that fails on the way there.

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
        name: "--html is the page of a run",
        build: |dir| {
            run(dir);
            words("compare out --html out/report.html")
        },
        says: &["--html: found out/report.html", "a file of the run there"],
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
        name: "--metrics-file is below a file",
        build: |dir| {
            model(dir, "gpt2");
            train("--metrics-file rows.jsonl/metrics.jsonl")
        },
        says: &["cannot write rows.jsonl/metrics.jsonl", "Not a directory"],
        ..CASE
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
        name: "--metrics-file is the file of --train",
        build: |dir| {
            model(dir, "gpt2");
            train("--metrics-file ./rows.jsonl --overwrite")
        },
        says: &["--metrics-file: found ./rows.jsonl, the file of --train"],
        ..USAGE
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
        then: "inspect out",
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
        then: "inspect out",
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
