//! Cases 03, 04 (labels), 06 (numbered tags) and 10 (scores): what the values of a label mean.

use std::{fs, path::Path};

use peft_core::Adapter;
use peft_tests::shared;
use serde_json::Value;

use crate::support::{peft, succeed};

/// `peft train` for two steps in `dir`: its success, and what it said on stderr.
fn train(dir: &Path, task: &str, rows: &str, more: &[&str]) -> (bool, String) {
    let mut command = peft(dir);
    command.args(["train", "--method", "ptv2", "--steps", "2", "--batch-size", "2"]);
    command.args(["--num-virtual-tokens", "2", "--out", "out", "--overwrite", "--task", task]);
    command.arg("--model").arg(shared("models/tiny-bert-cls").unwrap());
    let output = command.args(["--train", rows]).args(more).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn labels(dir: &Path) -> Vec<String> {
    Adapter::load(&dir.join("out")).unwrap().config.own.labels.unwrap()
}

/// The bytes of what was trained.
fn tensors(dir: &Path) -> Vec<u8> {
    fs::read(dir.join("out/adapter_model.safetensors")).unwrap()
}

fn case(path: &str) -> String {
    shared(&format!("cases/{path}")).unwrap().display().to_string()
}

fn inputs() -> Option<tempfile::TempDir> {
    let here = ["cases", "models/tiny-bert-cls"].iter().all(|path| shared(path).is_some());
    here.then(|| tempfile::tempdir().unwrap())
}

#[test]
fn an_integer_is_an_index_into_given_names_and_one_point_zero_is_one() {
    let Some(dir) = inputs() else { return };
    let dir = dir.path();
    let names = ["--labels", "neg,pos"];
    let mut made = Vec::new();
    for rows in ["train.jsonl", "floats.csv", "floats.jsonl", "valid_str.jsonl"] {
        let rows = case(&format!("03-int-labels-with-names/{rows}"));
        let (done, said) = train(dir, "seq-cls", &rows, &names);
        assert!(done, "{rows}: {said}");
        made.push((labels(dir), tensors(dir)));
    }
    assert_eq!(made[0].0, ["neg", "pos"]);
    assert!(made.iter().all(|other| *other == made[0]), "four spellings of the same labels");

    // Without names the numbers are the names, alike in both formats.
    for rows in ["floats.csv", "floats.jsonl", "train.jsonl"] {
        let (done, said) =
            train(dir, "seq-cls", &case(&format!("03-int-labels-with-names/{rows}")), &[]);
        assert!(done, "{said}");
        assert_eq!(labels(dir), ["0", "1"], "{rows}");
    }
    // What was trained on numbers is scored on them in any spelling.
    let scores = |rows: &str| -> Value {
        let mut command = peft(dir);
        command.args(["eval", "--adapter", "out", "--json", "--model"]);
        command.arg(shared("models/tiny-bert-cls").unwrap());
        let rows = case(&format!("03-int-labels-with-names/{rows}"));
        serde_json::from_slice(&succeed(command.args(["--data", &rows])).stdout).unwrap()
    };
    assert_eq!(scores("floats.csv"), scores("train.jsonl"));
    let (done, said) =
        train(dir, "seq-cls", &case("03-int-labels-with-names/train.jsonl"), &["--labels", "neg"]);
    assert!(
        !done && said.contains("line 1: found label `1`, expected one of: neg, or an index from 0"),
        "{said}"
    );
}

#[test]
fn a_label_that_is_missing_is_no_class() {
    let Some(dir) = inputs() else { return };
    for (rows, line) in
        [("nan_label.csv", "line 3"), ("empty_label.csv", "line 3"), ("nan_label.jsonl", "line 2")]
    {
        let (done, said) =
            train(dir.path(), "seq-cls", &case(&format!("04-nan-null-surrogate/{rows}")), &[]);
        assert!(!done && said.contains(line), "{rows}: {said}");
    }
}

#[test]
fn numbered_tags_have_the_names_that_are_given() {
    let Some(dir) = inputs() else { return };
    let dir = dir.path();
    let names = "O,B-PER,I-PER,B-LOC";
    for rows in ["hf.jsonl", "hf_tags.jsonl"] {
        let rows = case(&format!("06-ner-files/{rows}"));
        let (done, said) = train(dir, "token-cls", &rows, &["--labels", names, "--valid", &rows]);
        assert!(done, "{said}");
        assert_eq!(labels(dir).join(","), names);
        let (done, said) = train(dir, "token-cls", &rows, &[]);
        assert!(
            done && said.contains("note: the tags are numbers; --labels gives their names"),
            "{said}"
        );
    }
}

#[test]
fn scores_are_no_classes() {
    let Some(dir) = inputs() else { return };
    for (rows, line) in [("stsb.tsv", "line 2"), ("stsb.jsonl", "line 1")] {
        let (done, said) =
            train(dir.path(), "seq-cls", &case(&format!("10-regression-multilabel/{rows}")), &[]);
        assert!(
            !done && said.contains(line) && said.contains("found 2.5, which is no class"),
            "{said}"
        );
    }
}
