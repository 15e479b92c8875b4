//! Question answering and encoder-decoders through the program, from rows to scores.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use peft_core::contract::rng;
use rand::Rng;
use serde_json::{Value, json};

use crate::support::{parse_lines, peft, read_lines, read_tensors, root, succeed, tiny_model};

/// Rows `[name, 1, words ...]`: the answer is where the named word stands.
fn rows(count: usize, stream: u64) -> String {
    let mut random = rng::stream(11, stream, "questions");
    let mut text = String::new();
    for _ in 0..count {
        let (name, other) = if random.random_bool(0.5) { (10u32, 20) } else { (20, 10) };
        let mut ids: Vec<u32> = (0..8).map(|_| random.random_range(30..40)).collect();
        let at = random.random_range(0..8usize);
        ids[at] = name;
        ids[(at + random.random_range(1..8usize)) % 8] = other;
        let input_ids = [&[name, 1], ids.as_slice()].concat();
        let row = json!({
            "input_ids": input_ids,
            "start_positions": at + 2, "end_positions": at + 2,
        });
        writeln!(text, "{row}").unwrap();
    }
    text
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// `peft eval --json` of a run.
fn scores(model: &str, run: &Path, data: &Path) -> Value {
    let mut command = peft(&root());
    command.args(["eval", "--model", model, "--json", "--padding", "left"]);
    command.arg("--adapter").arg(run).arg("--data").arg(data);
    serde_json::from_slice(&succeed(&mut command).stdout).unwrap()
}

#[test]
fn a_random_bert_learns_where_a_named_word_stands() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let train = write(dir, "train.jsonl", &rows(512, 0));
    let valid = write(dir, "valid.jsonl", &rows(128, 1));
    let model = tiny_model("bert-qa");
    let exact = |method: &str, own: &[&str]| {
        let out = dir.join(method);
        let mut command = peft(&root());
        command.args(["train", "--model", &model, "--method", method, "--task", "qa"]);
        command.args(["--steps", "400", "--batch-size", "32", "--best-metric", "exact_match"]);
        command.args(own).arg("--train").arg(&train).arg("--valid").arg(&valid);
        succeed(command.arg("--out").arg(&out));
        let tensors = read_tensors(&out.join("adapter_model.safetensors"));
        assert!(tensors.contains_key("base_model.qa_outputs.weight"));
        assert!(tensors.contains_key("base_model.qa_outputs.bias"));
        let scores = scores(&model, &out, &valid);
        println!("{method}: {scores}");
        // A span that holds more than the word is partly right.
        assert!(scores["exact_match"].as_f64() <= scores["f1"].as_f64());
        scores["exact_match"].as_f64().unwrap()
    };
    let head = exact("head", &["--lr", "0.03"]);
    let ptv2 = exact("ptv2", &["--lr", "0.03"]);
    // Both words that can be named stand in every row: guessing between them is right half of the time.
    assert!(ptv2 > 0.5 && ptv2 >= head, "{ptv2} {head}");

    let mut command = peft(&root());
    command.args(["predict", "--model", &model]);
    let out = dir.join("ptv2");
    command.arg("--adapter").arg(&out).arg("--input").arg(&valid);
    let output = String::from_utf8(succeed(&mut command).stdout).unwrap();
    let answers = parse_lines(&output);
    assert_eq!(answers.len(), 128);
    let wanted = read_lines(&valid);
    let right = answers.iter().zip(&wanted).filter(|(answer, row)| {
        assert!((0.0..=1.0).contains(&answer["probability"].as_f64().unwrap()));
        answer["start_position"] == row["start_positions"]
            && answer["end_position"] == row["end_positions"]
    });
    assert!((right.count() as f64 / 128.0 - ptv2).abs() < 1e-9);
}

#[test]
fn encoder_decoders_learn_from_rows_of_token_ids() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut text = String::new();
    for first in 3..19u32 {
        let row = json!({"input_ids": [first, 4, 5], "labels": [-100, 7, 9, 7]});
        writeln!(text, "{row}").unwrap();
    }
    let rows = write(dir, "rows.jsonl", &text);
    for (model, method) in [("t5", "prompt"), ("bart", "prompt")] {
        let model = tiny_model(model);
        let out = dir.join(model.replace('/', "-"));
        let mut command = peft(&root());
        command.args(["train", "--model", &model, "--method", method, "--task", "seq2seq-lm"]);
        command.args(["--steps", "60", "--batch-size", "8", "--lr", "0.3", "--json"]);
        command.arg("--train").arg(&rows).arg("--valid").arg(&rows).arg("--out").arg(&out);
        let json: Value = serde_json::from_slice(&succeed(&mut command).stdout).unwrap();
        let metrics = scores(&model, &out, &rows);
        let number = |json: &Value, key: &str| json[key].as_f64().unwrap();
        let loss = number(&metrics, "loss");
        println!("{model}: {metrics}");
        assert!((loss - number(&json["metrics"], "loss")).abs() < 1e-5);
        assert!((number(&metrics, "perplexity") - loss.exp()).abs() < 1e-6);
        // The loss of guessing among 60 words is 4.1.
        assert!(loss < 3.0, "{loss}");
        assert!(number(&metrics, "accuracy") > 0.3, "{metrics}");
    }
}
