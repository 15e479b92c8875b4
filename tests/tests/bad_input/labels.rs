//! Classes, tags and scores that the task cannot learn.

use std::fs;

use super::{CASE, Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "class that the head does not have",
        build: |dir| {
            pair(dir, "bert");
            rows(dir, "{\"input_ids\": [1, 2], \"label\": 3}\n");
            eval()
        },
        says: &["rows.jsonl, line 1: field `label`: found class 3 of 3 classes"],
        ..CASE
    },
    Case {
        name: "label that is not in --labels",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(
                dir,
                "{\"text\": \"the sea\", \"label\": \"calm\"}\n{\"text\": \"is\", \"label\": \"wild\"}\n",
            );
            classify("--labels calm,rough")
        },
        says: &["rows.jsonl, line 2: found label `wild`, expected one of: calm, rough"],
        ..CASE
    },
    Case {
        name: "class of a validation row that no training row has",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(
                dir,
                "{\"text\": \"the sea\", \"label\": \"calm\"}\n{\"text\": \"is\", \"label\": \"rough\"}\n",
            );
            fs::write(dir.join("valid.jsonl"), "{\"text\": \"is\", \"label\": \"wild\"}\n")
                .unwrap();
            classify("--valid valid.jsonl")
        },
        says: &[
            "valid.jsonl, line 1: found label `wild`, expected one of: calm, rough",
            "no training row has this class: set --labels to the names of all classes",
        ],
        then: "train --model model --method ptv2 --task seq-cls --train rows.jsonl --valid valid.jsonl --out out --steps 2 \
               --num-virtual-tokens 4 --batch-size 2 --labels calm,rough,wild",
        ..CASE
    },
    Case {
        name: "a label twice in --labels",
        build: |dir| {
            model(dir, "bert");
            classify("--labels calm,rough,calm")
        },
        says: &["--labels: `calm` is both label 0 and label 2"],
        ..USAGE
    },
    Case {
        name: "several labels where one is expected",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"text\": \"the sea\", \"label\": [\"calm\", \"rough\"]}\n");
            classify("")
        },
        says: &[
            "rows.jsonl, line 1: field `label`: found an array",
            "set --problem-type to multi-label",
        ],
        ..CASE
    },
    Case {
        name: "a score that is no number",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            fs::write(dir.join("rows.csv"), "text,label\nthe sea,1.5\nblue,nan\n").unwrap();
            classify("--train rows.csv --problem-type regression")
        },
        says: &[
            "rows.csv, line 3: field `label`: found the string `nan`, expected a finite number",
        ],
        ..CASE
    },
    Case {
        name: "one score more than in the rows before",
        build: |dir| {
            model(dir, "bert");
            rows(
                dir,
                "{\"input_ids\": [3], \"label\": 1.5}\n{\"input_ids\": [3], \"label\": [1, 2]}\n",
            );
            classify("--problem-type regression")
        },
        says: &["rows.jsonl, line 2: found 2 numbers to predict, the rows before have 1"],
        ..CASE
    },
    Case {
        name: "a number for each class that is none",
        build: |dir| {
            model(dir, "bert");
            rows(
                dir,
                "{\"input_ids\": [3], \"label\": [1.0, 0.0]}\n{\"input_ids\": [3], \"label\": [3.0, 0.0]}\n",
            );
            classify("--problem-type multi-label")
        },
        says: &["rows.jsonl, line 2: field `label`: found 3, expected a list of labels"],
        ..CASE
    },
    Case {
        name: "numbers for another number of classes",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"input_ids\": [3], \"label\": [1.0, 0.0]}\n");
            classify("--problem-type multi-label --labels a,b,c")
        },
        says: &[
            "rows.jsonl, line 1: field `label`: found 2 numbers, expected one for each of 3 classes",
        ],
        ..CASE
    },
    Case {
        name: "a problem type of another task",
        build: |dir| {
            model(dir, "gpt2");
            train("--problem-type regression")
        },
        says: &["--problem-type: not used by causal-lm, it is a setting of seq-cls"],
        ..USAGE
    },
    Case {
        name: "class names of a regression",
        build: |dir| {
            model(dir, "bert");
            classify("--problem-type regression --labels a,b")
        },
        says: &["--labels: not used by regression, which has no classes"],
        ..USAGE
    },
    Case {
        name: "an unknown problem type",
        build: |dir| {
            model(dir, "bert");
            classify("--problem-type ranking")
        },
        says: &["ranking", "single_label_classification, multi_label_classification, regression"],
        ..USAGE
    },
    Case {
        name: "an empty list of targets",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            rows(dir, "{\"source\": \"the\", \"target\": []}\n");
            train("")
        },
        says: &["rows.jsonl, line 1: field `target`: found an empty list of targets"],
        ..CASE
    },
    Case {
        name: "lists of two classes that could be indices or marks",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(dir, &"{\"text\": \"the sea\", \"label\": [0, 1]}\n".repeat(4));
            classify("--problem-type multi_label_classification --labels wet,blue")
        },
        says: &[
            "rows.jsonl, line 1: field `label`: every row has the numbers 0 and 1",
            "wet, blue",
        ],
        ..CASE
    },
    Case {
        name: "a label that is nan",
        build: |dir| {
            model(dir, "bert");
            fs::write(dir.join("rows.csv"), "text,label\nthe sea,1.0\nblue,nan\n").unwrap();
            classify("--train rows.csv")
        },
        says: &["rows.csv, line 3: field `label`: found `nan`, as a missing value is written"],
        ..CASE
    },
    Case {
        name: "a label on which nobody agreed",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            let rows =
                "{\"text\": \"the\", \"label\": \"a\"}\n{\"text\": \"sea\", \"label\": \"-\"}\n";
            fs::write(dir.join("rows.jsonl"), rows.repeat(2)).unwrap();
            classify("")
        },
        says: &[
            "rows.jsonl, line 2: field `label`: found `-`, which stands for no label",
            "--skip-unlabelled",
        ],
        then: "train --model model --method head --task seq-cls --train rows.jsonl --out out --steps 1 \
               --skip-unlabelled",
        ..CASE
    },
    Case {
        name: "no row with a label for a list of labels",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(dir, "{\"text\": \"the\", \"label\": -1}\n{\"text\": \"sea\", \"label\": -1}\n");
            classify("--skip-unlabelled")
        },
        says: &["--label-field: no row has a label in field `label`"],
        ..USAGE
    },
    Case {
        name: "a column of labels that is null in all rows",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            let rows =
                "{\"text\": \"the\", \"label\": null}\n{\"text\": \"sea\", \"label\": null}\n";
            fs::write(dir.join("rows.jsonl"), rows).unwrap();
            classify("")
        },
        says: &[
            "--label-field: no row has a label in field `label`; name the field that has them",
            "rows without one can be predicted",
        ],
        ..USAGE
    },
    Case {
        name: "rows to score without a label",
        build: |dir| {
            pair(dir, "bert");
            rows(
                dir,
                "{\"input_ids\": [1, 2], \"label\": null}\n{\"input_ids\": [1], \"label\": null}\n",
            );
            eval()
        },
        says: &[
            "rows.jsonl: no row has a label in field `label`; set --label-field to the field that has them",
        ],
        ..CASE
    },
    Case {
        name: "no row with a label",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(dir, "{\"text\": \"the\", \"label\": -1}\n{\"text\": \"sea\", \"label\": null}\n");
            classify("--skip-unlabelled --labels a,b")
        },
        says: &["rows.jsonl: no row has a label in field `label`"],
        ..CASE
    },
    Case {
        name: "a class that looks like a flag",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            let rows = "{\"text\": \"the\", \"label\": -1}\n{\"text\": \"sea\", \"label\": 1}\n";
            fs::write(dir.join("rows.jsonl"), rows).unwrap();
            classify("")
        },
        says: &[
            "rows.jsonl, line 1: field `label`: found `-1`, which stands for no label",
            "set --labels",
        ],
        then: "train --model model --method head --task seq-cls --train rows.jsonl --out out --steps 1 \
               --labels -1,1",
        ..CASE
    },
    Case {
        name: "numbers for names that were sorted",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(
                dir,
                "{\"text\": \"the\", \"label\": \"wet\"}\n{\"text\": \"sea\", \"label\": \"dry\"}\n",
            );
            fs::write(dir.join("valid.jsonl"), "{\"text\": \"the\", \"label\": 0}\n").unwrap();
            classify("--valid valid.jsonl")
        },
        says: &[
            "valid.jsonl, line 1: found label `0`, expected one of: dry, wet; they were sorted",
            "set --labels",
        ],
        then: "train --model model --method head --task seq-cls --train rows.jsonl --valid valid.jsonl --out out \
               --steps 1 --labels wet,dry",
        ..CASE
    },
    Case {
        name: "scores with a decimal comma",
        build: |dir| {
            model(dir, "bert");
            fs::write(dir.join("rows.csv"), "text,label\nthe sea,\"3,5\"\nblue,1\n").unwrap();
            classify("--train rows.csv")
        },
        says: &[
            "rows.csv, line 2: field `label`: found `3,5`, a number with a comma",
            "set --problem-type to regression, and write them with a point (3.5)",
            "for the numbers of several classes set it to multi-label",
        ],
        ..CASE
    },
    Case {
        name: "a tag with a fraction",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(dir, "{\"tokens\": [\"the\"], \"tags\": [\"1.5\"]}\n");
            train("--task token-cls")
        },
        says: &["rows.jsonl, line 1: field `tags`: found 1.5, which is no class", "set --labels"],
        ..CASE
    },
    Case {
        name: "scores in place of classes",
        build: |dir| {
            model(dir, "bert");
            fs::write(dir.join("rows.tsv"), "text\tlabel\nthe sea\t2\nblue\t3.5\n").unwrap();
            classify("--train rows.tsv")
        },
        says: &["rows.tsv, line 3: field `label`: found 3.5, which is no class", "set --labels"],
        ..CASE
    },
    Case {
        name: "a class for each row",
        build: |dir| {
            model(dir, "bert");
            let names = (0..30).map(|i| format!("{{\"text\": \"the\", \"label\": \"id {i}\"}}\n"));
            rows(dir, &names.collect::<String>());
            classify("")
        },
        says: &["--label-field: rows.jsonl: field `label` has 30 different values in 30 rows"],
        ..USAGE
    },
    Case {
        name: "an index beyond the names",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(dir, "{\"text\": \"the sea\", \"label\": 3}\n");
            classify("--labels calm,rough")
        },
        says: &[
            "rows.jsonl, line 1: found label `3`, expected one of: calm, rough, or an index from",
        ],
        ..CASE
    },
];
