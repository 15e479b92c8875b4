//! Question answering and encoder-decoders through the program, from rows to scores.
//!
//! Vectors: `python/make_squad_v2.py`.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use peft_core::{Adapter, contract::rng};
use peft_tests::vectors;
use rand::Rng;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::support::{
    copy_model, parse_lines, peft, read_lines, read_tensors, root, succeed, tiny_model,
};

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

/// `squad_v2.json`: questions that may have no answer, and what transformers makes of them.
#[derive(Deserialize)]
struct Unanswerable {
    model: Asked,
}

#[derive(Deserialize)]
struct Asked {
    tokenizer: Value,
    max_length: usize,
    doc_stride: usize,
    max_answer_length: usize,
    threshold: f64,
    windows: usize,
    rows: Vec<Value>,
    answers: Vec<Chosen>,
    scores: Map<String, Value>,
}

#[derive(Deserialize)]
struct Chosen {
    answer: String,
    start: Option<usize>,
    diff: f64,
}

impl Asked {
    /// The vectors, with their model in `dir/model`.
    fn read(dir: &Path) -> Self {
        let text = fs::read_to_string(vectors("metrics/squad_v2.json")).unwrap();
        let asked = serde_json::from_str::<Unanswerable>(&text).unwrap().model;
        let model = dir.join("model");
        copy_model("bert-qa", &model);
        write(&model, "tokenizer.json", &asked.tokenizer.to_string());
        let config = json!({
            "tokenizer_class": "TokenizersBackend",
            "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        });
        write(&model, "tokenizer_config.json", &config.to_string());
        asked
    }

    /// Settings with which the vectors were made.
    fn flags(&self) -> Vec<String> {
        [
            ("--max-length", self.max_length),
            ("--doc-stride", self.doc_stride),
            ("--max-answer-length", self.max_answer_length),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_string(), value.to_string()])
        .collect()
    }

    fn jsonl(rows: impl IntoIterator<Item = Value>) -> String {
        rows.into_iter().map(|row| format!("{row}\n")).collect()
    }

    /// The rows in all layouts: answers as lists, as in data sets of the Hub, `null` for none, SQuAD's own.
    fn layouts(&self) -> [(&'static str, String); 4] {
        let is_empty = |row: &Value| row["answers"].as_array().unwrap().is_empty();
        let with = |row: &Value, key: &str, value: Value| {
            let mut row = row.clone();
            row[key] = value;
            row
        };
        let column = |row: &Value, key: &str| -> Value {
            row["answers"].as_array().unwrap().iter().map(|answer| answer[key].clone()).collect()
        };
        let of_hub = self.rows.iter().map(|row| {
            let lists = json!({
                "text": column(row, "text"), "answer_start": column(row, "answer_start"),
            });
            with(row, "answers", lists)
        });
        let nulls = self.rows.iter().map(|row| match is_empty(row) {
            true => with(row, "answers", Value::Null),
            false => row.clone(),
        });
        let paragraphs: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let mut question = with(row, "is_impossible", is_empty(row).into());
                question.as_object_mut().unwrap().remove("context");
                json!({"context": row["context"], "qas": [question]})
            })
            .collect();
        let document =
            json!({"version": "v2.0", "data": [{"title": "t", "paragraphs": paragraphs}]});
        [
            ("lists.jsonl", Self::jsonl(self.rows.iter().cloned())),
            ("hub.jsonl", Self::jsonl(of_hub)),
            ("nulls.jsonl", Self::jsonl(nulls)),
            ("squad.json", document.to_string()),
        ]
    }
}

#[test]
fn questions_without_an_answer_are_answered_as_in_transformers() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let asked = Asked::read(dir);
    let threshold = ["--null-score-diff-threshold".to_string(), asked.threshold.to_string()];
    let number = |value: &Value| value.as_f64().unwrap();
    for (name, text) in asked.layouts() {
        write(dir, name, &text);
        let mut predict = peft(dir);
        predict.args(["predict", "--model", "model", "--input", name]).args(asked.flags());
        let output = succeed(predict.args(&threshold));
        let said = String::from_utf8(output.stderr).unwrap();
        let windows = format!("{} rows became {} windows", asked.rows.len(), asked.windows);
        assert!(said.contains(&windows), "{said}");
        let answers = parse_lines(&String::from_utf8(output.stdout).unwrap());
        assert_eq!(answers.len(), asked.answers.len());
        for (found, expected) in answers.iter().zip(&asked.answers) {
            assert_eq!(found["answer"], json!(expected.answer), "{name}: {found}");
            assert_eq!(found["start"], json!(expected.start));
            assert_eq!(found["has_answer"], json!(expected.start.is_some()));
            let diff = number(&found["null_score_diff"]);
            assert!((diff - expected.diff).abs() < 2e-4, "{diff} {}", expected.diff);
            assert!((0.0..=1.0).contains(&number(&found["probability"])));
        }
        let mut eval = peft(dir);
        eval.args(["eval", "--model", "model", "--json", "--data", name]).args(asked.flags());
        let output = succeed(eval.args(&threshold));
        let scores: Map<String, Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(scores.len(), asked.scores.len(), "{scores:?}");
        for (name, expected) in &asked.scores {
            let (found, expected) = (number(&scores[name]), number(expected));
            assert!((found - expected).abs() < 2e-4, "{name}: {found} {expected}");
        }
    }
    // The best threshold reaches the best score.
    let mut eval = peft(dir);
    eval.args(["eval", "--model", "model", "--json", "--data", "hub.jsonl"]).args(asked.flags());
    let first: Value = serde_json::from_slice(&succeed(&mut eval).stdout).unwrap();
    let best_of_transformers = number(&asked.scores["best_f1"]);
    assert!((number(&first["best_f1"]) - best_of_transformers).abs() < 1e-9, "{first}");
    eval.args(["--null-score-diff-threshold", &first["best_f1_thresh"].to_string()]);
    let best: Value = serde_json::from_slice(&succeed(&mut eval).stdout).unwrap();
    assert!((number(&best["f1"]) - number(&first["best_f1"])).abs() < 1e-9, "{best} {first}");
}

#[test]
fn an_adapter_remembers_that_questions_may_have_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let asked = Asked::read(dir);
    let answered = asked.rows.iter().filter(|row| row["answers"][0].is_object());
    write(dir, "answered.jsonl", &Asked::jsonl(answered.cloned()));
    write(dir, "all.jsonl", &Asked::jsonl(asked.rows.iter().cloned()));
    // Training: the threshold that the adapter remembers, and what was said.
    let train = |rows: &str, out: &str, more: &[&str]| {
        let mut command = peft(dir);
        command
            .args(["train", "--task", "qa", "--method", "ptv2", "--model", "model", "--out", out]);
        command.args(["--steps", "2", "--batch-size", "4", "--num-virtual-tokens", "2"]);
        command.args(["--train", rows, "--valid", rows]).args(asked.flags()).args(more);
        let said = String::from_utf8(succeed(&mut command).stderr).unwrap();
        let recipe = Adapter::load(&dir.join(out)).unwrap().config.own.recipe;
        (recipe.get("null_score_diff_threshold").and_then(Value::as_f64), said)
    };
    let run = |command: &str, adapter: &str, input: [&str; 2]| {
        let mut program = peft(dir);
        program.args([command, "--model", "model", "--adapter", adapter]).args(input);
        let output = succeed(&mut program);
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };

    let (threshold, said) = train("all.jsonl", "may-have-none", &["--best-metric", "HasAns_f1"]);
    let none = asked.scores["NoAns_total"].as_f64().unwrap();
    assert_eq!(threshold, Some(0.0));
    assert!(said.contains(&format!("note: {none} of 24 questions have no answer")), "{said}");
    let (answers, _) = run("predict", "may-have-none", ["--input", "answered.jsonl"]);
    assert!(parse_lines(&answers).iter().all(|answer| answer["has_answer"].is_boolean()));
    let (scores, said) = run("eval", "may-have-none", ["--data", "answered.jsonl"]);
    assert!(scores.contains("HasAns_total") && !scores.contains("NoAns_total"), "{scores}");
    assert!(!said.contains("--null-score-diff-threshold"), "{said}");
    let high = ["--null-score-diff-threshold", "1000"];
    assert_eq!(train("answered.jsonl", "high", &high).0, Some(1000.0));
    let (answers, _) = run("predict", "high", ["--input", "all.jsonl"]);
    assert!(parse_lines(&answers).iter().all(|answer| answer["has_answer"] == json!(true)));

    // Where no row says so, nothing is different from SQuAD 1.1.
    let (threshold, said) = train("answered.jsonl", "has-one", &["--best-metric", "exact_match"]);
    assert_eq!(threshold, None);
    assert!(!said.contains("have no answer"), "{said}");
    let (answers, _) = run("predict", "has-one", ["--input", "all.jsonl"]);
    for answer in parse_lines(&answers) {
        let names: Vec<&String> = answer.as_object().unwrap().keys().collect();
        assert_eq!(names, ["answer", "end", "input", "probability", "start"], "{answer}");
    }
    let (scores, _) = run("eval", "has-one", ["--data", "answered.jsonl"]);
    let names: Vec<&str> = scores.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["loss", "exact_match", "f1"]);
    let (scores, said) = run("eval", "has-one", ["--data", "all.jsonl"]);
    assert!(scores.contains("NoAns_total"), "{scores}");
    assert!(said.contains("note: --null-score-diff-threshold is 0 here"), "{said}");
}
