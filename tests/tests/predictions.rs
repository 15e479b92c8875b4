//! `peft predict`: what it writes for a row.

mod spans;
mod tables;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use peft_tests::vectors;
use serde_json::{Value, json};

use crate::support::{copy_model, parse_lines, peft, succeed};

/// A tiny model that reads texts, in `dir/model`.
fn model(dir: &Path, name: &str) {
    let to = dir.join("model");
    copy_model(name, &to);
    let text = fs::read_to_string(vectors("metrics/squad_v2.json")).unwrap();
    let tokenizer = &serde_json::from_str::<Value>(&text).unwrap()["model"]["tokenizer"];
    fs::write(to.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let class = json!({"tokenizer_class": "TokenizersBackend"});
    fs::write(to.join("tokenizer_config.json"), class.to_string()).unwrap();
}

fn write(dir: &Path, name: &str, rows: &[Value]) {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(dir.join(name), lines).unwrap();
}

fn predict(dir: &Path, args: &[&str]) -> Command {
    let mut command = peft(dir);
    command.args(["predict", "--model", "model"]).args(args);
    command
}

fn lines(command: &mut Command) -> Vec<Value> {
    parse_lines(&String::from_utf8(succeed(command).stdout).unwrap())
}

/// What the program prints with a text on standard input.
fn lines_of_input(command: &mut Command, text: &str) -> Vec<Value> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    parse_lines(&String::from_utf8(output.stdout).unwrap())
}

fn without(line: &Value, keys: &[&str]) -> Value {
    let fields = line.as_object().unwrap().iter().filter(|(key, _)| !keys.contains(&key.as_str()));
    Value::Object(fields.map(|(key, value)| (key.clone(), value.clone())).collect())
}

#[test]
fn a_row_keeps_its_id_and_its_fields_beside_what_is_predicted() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir, "bert");
    let rows = [
        json!({"id": "r1", "text": "the cat sat on the mat", "label": 3, "note": {"a": [1.5, null]}}),
        json!({"guid": 7, "text": "mia lives\tin a small house", "probability": "its own"}),
        json!({"text": "blue"}),
    ];
    write(dir, "rows.jsonl", &rows);
    let found = lines(&mut predict(dir, &["--input", "rows.jsonl"]));
    for (row, line) in rows.iter().zip(&found) {
        assert_eq!(&line["input"], row);
        let best = line["probability"].as_f64().unwrap();
        assert_eq!(line["classes"][line["label"].as_str().unwrap()], best);
        let all: Vec<&Value> =
            ["label_0", "label_1", "label_2"].map(|name| &line["classes"][name]).to_vec();
        assert_eq!(json!(all), line["probabilities"]);
    }
    assert_eq!((&found[0]["id"], &found[1]["id"]), (&json!("r1"), &json!(7)));
    assert!(found[2].get("id").is_none());

    let bare = lines(&mut predict(dir, &["--input", "rows.jsonl", "--omit-input"]));
    let expected: Vec<Value> = found.iter().map(|line| without(line, &["input"])).collect();
    assert_eq!(bare, expected);

    let top = lines(&mut predict(dir, &["--input", "rows.jsonl", "--top-k", "2", "--omit-input"]));
    for (line, all) in top.iter().zip(&found) {
        assert_eq!(
            without(line, &["top", "id"]),
            json!({"label": all["label"], "probability": all["probability"]})
        );
        let p = |at: usize| line["top"][at]["probability"].as_f64().unwrap();
        assert_eq!(
            (line["top"].as_array().unwrap().len(), &line["top"][0]["label"]),
            (2, &all["label"])
        );
        assert!(p(0) >= p(1) && p(0) == all["probability"].as_f64().unwrap());
        assert_eq!(all["classes"][line["top"][1]["label"].as_str().unwrap()], p(1));
    }
}

#[test]
fn classes_that_the_model_names_twice_have_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir, "bert");
    write(dir, "rows.jsonl", &[json!({"text": "blue"})]);
    let path = dir.join("model/config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut with = |names: Value, args: &[&str]| {
        config["id2label"] = names;
        fs::write(&path, config.to_string()).unwrap();
        let output = succeed(predict(dir, &["--input", "rows.jsonl"]).args(args));
        let found = parse_lines(&String::from_utf8(output.stdout).unwrap());
        (found[0]["label"].clone(), String::from_utf8(output.stderr).unwrap())
    };
    let (named, said) = with(json!({"0": "n0", "1": "n1", "2": "n2"}), &[]);
    assert!(!said.contains("id2label"), "{said}");
    let best: usize = named.as_str().unwrap()[1..].parse().unwrap();
    for (names, fault) in [
        (json!({"0": "x", "1": "x", "2": "y"}), "`x` is both class 0 and class 1"),
        (json!({"0": "x", "1": "", "2": "y"}), "class 1 has no name"),
        (json!({"0": "x", "1": "y", "3": "z"}), "class 2 has no name"),
    ] {
        let (label, said) = with(names.clone(), &[]);
        assert_eq!(label, json!(best), "{names}");
        let note = format!(
            "config.json: key `id2label`: {fault}: its names are not used, and classes are called by number; --labels gives"
        );
        assert!(said.contains(&note), "{said}");
        let (label, _) = with(names, &["--labels", "a,b,c"]);
        assert_eq!(label, json!(["a", "b", "c"][best]));
    }
}

#[test]
fn labels_by_number_are_scored_by_the_names_of_their_classes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir, "bert");
    let texts = ["the cat sat on the mat", "mia lives in a small house", "blue"];
    let rows = |label: &dyn Fn(usize) -> Value| -> Vec<Value> {
        let row = |(at, text): (usize, &&str)| json!({"text": text, "label": label(at)});
        texts.iter().enumerate().map(row).collect()
    };
    write(dir, "bare.jsonl", &rows(&|_| Value::Null));
    let run = |name: &str| lines(&mut predict(dir, &["--input", name]));
    let names: Vec<String> = run("bare.jsonl")
        .iter()
        .map(|line| {
            assert!(line.get("reference").is_none());
            line["label"].as_str().unwrap().to_owned()
        })
        .collect();
    // Two of three are right.
    let number = |name: &str| name.strip_prefix("label_").unwrap().parse::<usize>().unwrap();
    let wanted: Vec<usize> =
        names.iter().enumerate().map(|(at, name)| (number(name) + at / 2) % 3).collect();
    write(dir, "numbers.jsonl", &rows(&|at| json!(wanted[at])));
    write(dir, "names.jsonl", &rows(&|at| json!(format!("label_{}", wanted[at]))));
    let (of_numbers, of_names) = (run("numbers.jsonl"), run("names.jsonl"));
    for (at, (line, of_names)) in of_numbers.iter().zip(&of_names).enumerate() {
        assert_eq!(line["reference"], format!("label_{}", wanted[at]));
        assert_eq!(without(line, &["reference", "input"]), without(of_names, &["input"]));
    }
    let omitted = run_with(dir, &["--input", "numbers.jsonl"], &["--omit-input"]);
    assert!(omitted.get("reference").is_none());
    for input in ["numbers.jsonl", "names.jsonl"] {
        for made in ["made.jsonl", "made.tsv"] {
            succeed(predict(dir, &["--input", input]).args(["--output", made]));
            let score = ["score", "--metric", "accuracy", "--json", "--predictions", made];
            let found: Value =
                serde_json::from_slice(&succeed(peft(dir).args(score)).stdout).unwrap();
            assert_eq!(found, json!({"accuracy": 2.0 / 3.0}), "{input}, {made}");
            let compare = ["compare", "--scores", made, made, "--json"];
            let found = succeed(peft(dir).args(compare)).stdout;
            let found = String::from_utf8(found).unwrap();
            assert!(found.contains("0.666666"), "{found}");
            fs::remove_file(dir.join(made)).unwrap();
        }
    }
    // Without the names nothing would be right.
    let bare: Vec<Value> = of_numbers.iter().map(|line| without(line, &["reference"])).collect();
    write(dir, "bare.jsonl", &bare);
    for args in [
        &["score", "--metric", "accuracy", "--predictions", "bare.jsonl"][..],
        &["compare", "--scores", "bare.jsonl", "bare.jsonl"],
    ] {
        let output = peft(dir).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1), "{said}");
        assert!(said.contains("none of which is a class of the predictions"), "{said}");
    }
}

#[test]
fn a_text_of_the_command_line_is_predicted_as_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir, "bert");
    let pair = json!({"text": "mia lives in town", "text_pair": "the house is red"});
    let single = json!({"text": "-- the cat"});
    write(dir, "rows.jsonl", &[pair, single]);
    // Rows of a batch may differ from a row alone in the last bits.
    let alone = ["--input", "rows.jsonl", "--omit-input", "--batch-size", "1"];
    let of_file = lines(&mut predict(dir, &alone));
    let texts = ["--text", "mia lives in town", "--text-pair", "the house is red"];
    assert_eq!(lines(&mut predict(dir, &texts)), of_file[..1]);
    assert_eq!(lines(&mut predict(dir, &["--text", "-- the cat"])), of_file[1..]);
    assert_eq!(lines_of_input(&mut predict(dir, &["--text", "-"]), "-- the cat\r\n"), of_file[1..]);
    // A template takes the texts in the order of its fields.
    let template = ["--source-template", "{a} {b}"];
    let templated = lines(predict(dir, &texts).args(template));
    let joined = lines(&mut predict(dir, &["--text", "mia lives in town the house is red"]));
    let long = "the ".repeat(70);
    assert_eq!(templated, joined);
    for (args, says) in [
        (
            vec!["--text", "a", "--text-field", "b"],
            "error: --text-field: is for rows of a file (--input), not for --text",
        ),
        (
            vec!["--text", "a", "--source-template", "{a} {b}"],
            "error: --text: found 1 of the texts of the template",
        ),
        (
            vec!["--text", "-", "--text-pair", "-"],
            "error: --text-pair: standard input holds one text",
        ),
        (
            vec!["--text", "a", "--max-answer-length", "3"],
            "error: --max-answer-length: not used by seq-cls",
        ),
        (vec!["--text", &long], "error: --text: 0 virtual tokens + 72 tokens"),
    ] {
        let output = predict(dir, &args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(says), "{args:?}: {said}");
    }
}

#[test]
fn a_run_goes_on_with_either_name_of_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir, "bert-tok");
    let row = json!({"form": ["the", "cat"], "ner": ["O", "B-X"]});
    write(dir, "rows.jsonl", &vec![row; 4]);
    let mut command = peft(dir);
    command.args(["train", "--model=model", "--method=prompt", "--task=token-cls", "--out=out"]);
    command.args(["--train=rows.jsonl", "--text-field=form", "--label-field=ner", "--steps=2"]);
    succeed(&mut command);
    for (steps, names) in [
        ("--steps=3", ["--tokens-field=form", "--tags-field=ner"]),
        ("--steps=4", ["--text-field=form", "--tags-field=ner"]),
    ] {
        succeed(peft(dir).args(["train", "--resume", "--out=out", steps]).args(names));
    }
    let both = ["train", "--resume", "--out=out", "--text-field=form", "--tokens-field=form"];
    assert_eq!(peft(dir).args(both).output().unwrap().status.code(), Some(2));
}

#[test]
fn rows_of_nothing_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir, "bert");
    write(dir, "rows.jsonl", &["the cat", "", " ", "blue"].map(|text| json!({"text": text})));
    let said = succeed(&mut predict(dir, &["--input", "rows.jsonl"])).stderr;
    let says = "note: 2 of 4 rows have an empty text, the first in rows.jsonl, line 2\n";
    assert!(String::from_utf8_lossy(&said).contains(says));
}

/// The first line of a prediction with more flags.
fn run_with(dir: &Path, flags: &[&str], more: &[&str]) -> Value {
    lines(predict(dir, flags).args(more)).remove(0)
}
