//! What `peft eval` says beside `peft score`, as a process.

use std::fs;

use peft_tests::vectors;
use serde_json::{Value, json};

use super::program::score;
use crate::support::{peft, succeed};

#[test]
fn eval_scores_texts_and_writes_what_score_reads() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    succeed(peft(dir).args(["demo", "--export", "."]));
    let rows = fs::read_to_string(dir.join("test.jsonl")).unwrap();
    let rows: Vec<&str> = rows.lines().take(12).collect();
    fs::write(dir.join("rows.jsonl"), rows.join("\n")).unwrap();
    let eval =
        ["eval", "--model", "model", "--data", "rows.jsonl", "--max-new-tokens", "4", "--json"];
    let metrics = ["--metric", "chrf,bleu", "--metric", "rouge-1", "--predictions", "out.jsonl"];
    let output = succeed(peft(dir).args(eval).args(metrics)).stdout;
    let found: Value = serde_json::from_slice(&output).unwrap();
    let again =
        score(dir, &["--metric", "chrf,bleu,rouge-1,exact_match", "--predictions", "out.jsonl"]);
    for name in ["chrf", "bleu", "rouge-1", "exact_match"] {
        assert_eq!(found[name], again[name], "{name}");
    }
    // `generate` keeps the rows, whose targets are the references.
    let generate =
        ["generate", "--model", "model", "--input", "rows.jsonl", "--max-new-tokens", "4"];
    succeed(peft(dir).args(generate).args(["--output", "made.jsonl"]));
    let made = score(dir, &["--metric", "chrf", "--predictions", "made.jsonl"]);
    let other = score(
        dir,
        &["--metric", "chrf", "--predictions", "made.jsonl", "--references", "rows.jsonl"],
    );
    assert_eq!(made, other);
    let wrong = peft(dir).args(eval).args(["--metric", "accuracy"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        String::from_utf8(wrong.stderr)
            .unwrap()
            .contains("--metric: found accuracy, expected metrics of texts")
    );
}

#[test]
fn eval_reports_class_by_class() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let model = |name: &str| vectors("logits").join(name).to_str().unwrap().to_owned();
    let rows = |rows: &[Value]| {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(dir.join("rows.jsonl"), lines).unwrap();
    };
    rows(&[
        json!({"input_ids": [5, 6, 7], "label": 0}),
        json!({"input_ids": [8, 9], "label": 1}),
        json!({"input_ids": [3, 4, 8], "label": 1}),
    ]);
    let eval = |model: &str, more: &[&str]| {
        let args = ["eval", "--model", model, "--data", "rows.jsonl", "--report"];
        String::from_utf8(succeed(peft(dir).args(args).args(more)).stdout).unwrap()
    };
    let found: Value = serde_json::from_str(&eval(&model("bert"), &["--json"])).unwrap();
    let report = &found["report"];
    let support =
        report["classes"].as_object().unwrap().values().map(|of| of["support"].as_u64().unwrap());
    assert_eq!(support.sum::<u64>(), 3);
    assert_eq!(report["weighted_average"]["recall"], found["accuracy"]);
    let shown = eval(&model("bert"), &[]);
    assert!(shown.contains("\nclass ") && shown.contains("\nright \\ predicted"), "{shown}");
    rows(&[json!({"input_ids": [5, 6, 7], "labels": [0, 1, 2]})]);
    let classes = fs::read_to_string(vectors("logits").join("bert-tok/config.json")).unwrap();
    let classes: Value = serde_json::from_str(&classes).unwrap();
    let count = classes["id2label"].as_object().map_or(2, |names| names.len());
    let labels: Vec<String> =
        ["O", "B-LOC", "I-LOC", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-X", "I-X"]
            .iter()
            .take(count)
            .map(ToString::to_string)
            .collect();
    let found = eval(&model("bert-tok"), &["--labels", &labels.join(","), "--json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["report"]["types"]["LOC"]["support"], 1, "{found}");
    assert_eq!(found["report"]["f1"], found["f1"]);
    rows(&[json!({"input_ids": [5, 6, 7], "labels": [5, 6, 7]})]);
    let args = ["eval", "--model", &model("gpt2"), "--data", "rows.jsonl", "--report"];
    let refused = peft(dir).args(args).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--report: is for tasks"));
}
