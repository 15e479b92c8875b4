//! Cases 01 (upper case), 06 (names of tags), 07, 08 and 09 (instructions): what the fields of a row are called.

use std::{
    fs,
    path::{Path, PathBuf},
};

use peft_core::Adapter;
use peft_tests::shared;
use serde_json::Value;

use crate::support::{parse_lines, peft, read_lines, succeed};

/// `peft train` for two steps in `dir`: its success, and what it said on stderr.
fn train(dir: &Path, model: &str, task: &str, rows: &Path, more: &[&str]) -> (bool, String) {
    let model = shared(&format!("models/{model}")).unwrap();
    let mut command = peft(dir);
    command.args(["train", "--method", "prompt", "--steps", "2", "--batch-size", "2"]);
    command.args(["--num-virtual-tokens", "2", "--out", "out", "--overwrite", "--task", task]);
    command.arg("--model").arg(model).arg("--train").arg(rows).args(more);
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn recipe(dir: &Path) -> Value {
    Adapter::load(&dir.join("out")).unwrap().config.own.recipe
}

/// The rows in a folder of the cases, if there are such, and an empty folder to work in.
fn case(name: &str) -> Option<(PathBuf, tempfile::TempDir)> {
    let models = ["tiny-bert-cls", "stories260k"].map(|model| shared(&format!("models/{model}")));
    let found = models.iter().all(Option::is_some);
    Some((shared(&format!("cases/{name}")).filter(|_| found)?, tempfile::tempdir().unwrap()))
}

#[test]
fn usual_names_are_found_and_said_and_remembered() {
    let Some((glue, dir)) = case("07-glue-columns") else { return };
    let (ner, upper) =
        (shared("cases/06-ner-files").unwrap(), shared("cases/01-csv-index-column").unwrap());
    let dir = dir.path();
    for (task, rows, note) in [
        ("seq-cls", glue.join("sst2.tsv"), "note: text from sentence, label from label ("),
        (
            "seq-cls",
            glue.join("mrpc.jsonl"),
            "note: text from sentence1, text_pair from sentence2, label from label (",
        ),
        (
            "seq-cls",
            glue.join("mrpc.tsv"),
            "note: text from #1 String, text_pair from #2 String, label from Quality (",
        ),
        ("seq-cls", glue.join("labels.jsonl"), "note: text from text, label from labels ("),
        ("seq-cls", upper.join("upper.csv"), "note: text from Text, label from Label ("),
        ("token-cls", ner.join("hf.jsonl"), "note: tokens from tokens, tags from ner_tags ("),
        ("token-cls", ner.join("words.jsonl"), "note: tokens from words, tags from ner ("),
    ] {
        let (done, said) =
            train(dir, "tiny-bert-cls", task, &rows, &["--valid", &rows.display().to_string()]);
        assert!(done, "{}: {said}", rows.display());
        assert_eq!(said.matches(note).count(), 1, "once for both files: {said}");
    }
    // The last run remembers its names, and predicts without a word.
    assert_eq!(
        (&recipe(dir)["tokens_field"], &recipe(dir)["tags_field"]),
        (&"words".into(), &"ner".into())
    );
    let model = shared("models/tiny-bert-cls").unwrap();
    let mut predict = peft(dir);
    predict.args(["predict", "--adapter", "out", "--model"]).arg(&model);
    let output = succeed(predict.arg("--input").arg(ner.join("words.jsonl")));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let row = &parse_lines(std::str::from_utf8(&output.stdout).unwrap())[0];
    assert_eq!(row["tags"].as_array().unwrap().len(), 2);
}

#[test]
fn files_of_other_names_are_read_but_never_silently() {
    let Some((glue, dir)) = case("07-glue-columns") else { return };
    let dir = dir.path();
    let valid = glue.join("labels.jsonl").display().to_string();
    let (done, said) =
        train(dir, "tiny-bert-cls", "seq-cls", &glue.join("sst2.tsv"), &["--valid", &valid]);
    assert!(done, "{said}");
    assert!(
        said.contains("note: text from sentence, label from label (")
            && said.contains(&format!("note: text from text, label from labels ({valid})")),
        "{said}"
    );
}

/// Token types 0 and 1, which a template over both sentences would not give.
#[test]
fn a_pair_of_other_names_is_the_same_pair() {
    let Some((glue, dir)) = case("07-glue-columns") else { return };
    let dir = dir.path();
    let model = shared("models/tiny-bert-cls").unwrap();
    let rows: Vec<Value> = read_lines(&glue.join("mrpc.jsonl"));
    let renamed = |row: &Value| {
        let (text, pair) = (&row["sentence1"], &row["sentence2"]);
        serde_json::json!({"text": text, "text_pair": pair, "idx": row["idx"]})
    };
    let own: Vec<String> = rows.iter().map(|row| renamed(row).to_string()).collect();
    fs::write(dir.join("own.jsonl"), own.join("\n")).unwrap();
    let joined: Vec<String> = rows
        .iter()
        .map(|row| {
            let text = format!("{} {}", row["sentence1"], row["sentence2"]);
            serde_json::json!({"text": text, "idx": row["idx"]}).to_string()
        })
        .collect();
    fs::write(dir.join("joined.jsonl"), joined.join("\n")).unwrap();
    let predict = |file: &Path, more: &[&str]| {
        let mut command = peft(dir);
        command.args(["predict", "--omit-input", "--model"]).arg(&model);
        command.arg("--input").arg(file).args(more);
        succeed(&mut command).stdout
    };
    let expected = predict(Path::new("own.jsonl"), &[]);
    assert_eq!(predict(&glue.join("mrpc.jsonl"), &[]), expected);
    let named = ["--text-field", "sentence1", "--text-pair-field", "sentence2"];
    assert_eq!(predict(&glue.join("mrpc.jsonl"), &named), expected);
    let templated = ["--source-template", "{sentence1}", "--text-pair-field", "sentence2"];
    assert_eq!(predict(&glue.join("mrpc.jsonl"), &templated), expected);
    assert_ne!(predict(Path::new("joined.jsonl"), &[]), expected);
}

#[test]
fn rows_without_the_second_text_of_pairs_are_told() {
    let Some((glue, dir)) = case("07-glue-columns") else { return };
    let dir = dir.path();
    let (done, said) = train(dir, "tiny-bert-cls", "seq-cls", &glue.join("mrpc.jsonl"), &[]);
    assert!(done && !said.contains("second text"), "{said}");
    fs::write(dir.join("single.jsonl"), "{\"text\": \"a\"}\n{\"text\": \"b\"}\n").unwrap();
    let mixed = "{\"text\": \"a\", \"text_pair\": \"c\"}\n{\"text\": \"b\"}\n";
    fs::write(dir.join("mixed.jsonl"), mixed).unwrap();
    let model = shared("models/tiny-bert-cls").unwrap();
    for (file, says) in [
        (
            "single.jsonl",
            "warning: the adapter was trained on pairs of texts, and the rows of single.jsonl have no second text",
        ),
        (
            "mixed.jsonl",
            "note: 1 of 2 rows have no second text (`text_pair`) and are read as one text, the first in mixed.jsonl, line 2",
        ),
    ] {
        let mut predict = peft(dir);
        predict.args(["predict", "--adapter", "out", "--input", file, "--model"]).arg(&model);
        let said = String::from_utf8(succeed(&mut predict).stderr).unwrap();
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn a_column_without_a_usual_name_is_named_by_a_flag() {
    let Some((glue, dir)) = case("07-glue-columns") else { return };
    let dir = dir.path();
    let rows = glue.join("ag.csv");
    let (done, said) = train(dir, "tiny-bert-cls", "seq-cls", &rows, &[]);
    assert!(!done && said.starts_with("error: --text-field: "), "{said}");
    assert!(
        said.contains("it has: Class Index, Description, Title. Name the one to read"),
        "{said}"
    );
    let (done, said) =
        train(dir, "tiny-bert-cls", "seq-cls", &rows, &["--text-field", "Description"]);
    assert!(done, "{said}");
    assert_eq!(recipe(dir)["label_field"], "Class Index");
    assert_eq!(recipe(dir)["text_field"], "Description");
}

#[test]
fn dots_reach_into_translations() {
    let Some((rows, dir)) = case("08-nested-translation") else { return };
    let dir = dir.path();
    let rows = rows.join("train.jsonl");
    let (done, said) = train(dir, "stories260k", "causal-lm", &rows, &[]);
    assert!(!done && said.starts_with("error: --source-field: "), "{said}");
    assert!(said.contains("it has: translation.de, translation.en."), "{said}");
    let losses = |more: &[&str]| {
        let (done, said) = train(dir, "stories260k", "causal-lm", &rows, more);
        assert!(done, "{said}");
        let line = &read_lines(&dir.join("out/metrics.jsonl"))[0];
        line["loss"].as_f64().unwrap()
    };
    let fields = losses(&["--source-field", "translation.en", "--target-field", "translation.de"]);
    let templates =
        losses(&["--source-template", "{translation.en}", "--target-template", "{translation.de}"]);
    assert_eq!(fields, templates);
}

#[test]
fn of_several_targets_the_first_is_learnt() {
    let Some((rows, dir)) = case("08-nested-translation") else { return };
    let dir = dir.path();
    let first = "{\"source\": \"the house\", \"target\": \"das haus\"}\n\
        {\"source\": \"the sea\", \"target\": \"das meer\"}\n";
    fs::write(dir.join("first.jsonl"), first).unwrap();
    let model = shared("models/stories260k").unwrap();
    let trained = |rows: &Path| {
        let (done, said) = train(dir, "stories260k", "causal-lm", rows, &[]);
        assert!(done && !said.contains("note"), "{said}");
        fs::read(dir.join("out/adapter_model.safetensors")).unwrap()
    };
    let several = rows.join("multi.jsonl");
    assert_eq!(trained(&several), trained(Path::new("first.jsonl")));
    // What the base writes counts as right where it is any of the targets.
    let mut generate = peft(dir);
    generate.args(["generate", "--input", "first.jsonl", "--max-new-tokens", "3", "--model"]);
    let written = succeed(generate.arg(&model)).stdout;
    let written = parse_lines(std::str::from_utf8(&written).unwrap());
    let exact = |targets: &dyn Fn(&Value) -> Value| {
        let line = |(row, made): (&str, &Value)| {
            let mut row: Value = serde_json::from_str(row).unwrap();
            row["target"] = targets(&made["output"]);
            format!("{row}\n")
        };
        let rows: String = first.lines().zip(&written).map(line).collect();
        fs::write(dir.join("scored.jsonl"), rows).unwrap();
        let mut eval = peft(dir);
        eval.args(["eval", "--data", "scored.jsonl", "--max-new-tokens", "3", "--json", "--model"]);
        let scores: Value = serde_json::from_slice(&succeed(eval.arg(&model)).stdout).unwrap();
        scores["token_error_rate"].as_f64().unwrap()
    };
    let alone = exact(&|output| output.clone());
    assert_eq!(exact(&|output| serde_json::json!(["something else entirely", output])), alone);
    assert!(exact(&|_| "something else entirely".into()) > alone);
}

#[test]
fn instructions_are_read_with_the_inputs_that_they_have() {
    let Some((rows, dir)) = case("09-chat-messages") else { return };
    let dir = dir.path();
    let rows = rows.join("alpaca.jsonl");
    let (done, said) =
        train(dir, "stories260k", "causal-lm", &rows, &["--valid", &rows.display().to_string()]);
    assert!(done, "{said}");
    assert!(
        said.contains("note: source from instruction and input, target from output ("),
        "{said}"
    );
    assert_eq!(recipe(dir)["source_template"], "{instruction}{?\n{input}?}");
    assert_eq!(recipe(dir)["target_field"], "output");
    // One row has an empty input, one null, one none.
    let plain = "{\"source\": \"say hello\", \"target\": \"hello\"}\n\
        {\"source\": \"say bye\", \"target\": \"bye\"}\n{\"source\": \"say yes\", \"target\": \"yes\"}\n";
    fs::write(dir.join("plain.jsonl"), plain).unwrap();
    let model = shared("models/stories260k").unwrap();
    let eval = |data: &Path, adapter: bool| {
        let mut command = peft(dir);
        command.args(["eval", "--json", "--model"]).arg(&model).arg("--data").arg(data);
        if adapter {
            command.args(["--adapter", "out"]);
        }
        let scores: Value = serde_json::from_slice(&succeed(&mut command).stdout).unwrap();
        scores["loss"].as_f64().unwrap()
    };
    assert_eq!(eval(&rows, false), eval(Path::new("plain.jsonl"), false));
    assert!(eval(&rows, true).is_finite(), "as the adapter remembers");
}
