//! Predictions as tables, and where they are written.

use std::fs;
#[cfg(unix)]
use std::process::Command;

use peft_core::text::read_records;
use serde_json::{Value, json};

use super::{lines, model, predict, write};
use crate::support::{parse_lines, succeed};

#[test]
fn a_table_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir, "bert");
    let rows = [
        json!({"id": 1, "text": "the cat\tsat", "extra": ["a", 2]}),
        json!({"id": 2, "text": "\"the\" mat"}),
    ];
    write(dir, "rows.jsonl", &rows);
    let lines = lines(&mut predict(dir, &["--input", "rows.jsonl"]));
    succeed(&mut predict(dir, &["--input", "rows.jsonl", "--output", "out.tsv"]));
    let table = fs::read_to_string(dir.join("out.tsv")).unwrap();
    let asked = succeed(&mut predict(dir, &["--input", "rows.jsonl", "--format", "tsv"])).stdout;
    assert_eq!(asked, table.as_bytes());
    let table: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    let names = "id label probability classes.label_0 classes.label_1 classes.label_2 input.extra input.id input.text";
    assert_eq!(table[0], names.split(' ').collect::<Vec<_>>());
    for ((line, row), cells) in lines.iter().zip(&rows).zip(&table[1..]) {
        assert_eq!(
            (cells[0], cells[1]),
            (&*row["id"].to_string(), line["label"].as_str().unwrap())
        );
        assert_eq!(cells[3], line["classes"]["label_0"].to_string());
        assert_eq!(cells[8], row["text"].as_str().unwrap().replace('\t', " "));
    }
    assert_eq!((table[1][6], table[2][6]), ("[\"a\",2]", ""));
    // What is asked for wins over a name; that of what is not written is refused.
    for name in ["a.tsv", "a.csv.gz"] {
        let mut command = predict(dir, &["--input", "rows.jsonl", "--output", name]);
        let said = succeed(command.args(["--format", "jsonl"])).stderr;
        let says = format!("note: --output is {name}, and is written as jsonl, as --format says");
        assert!(String::from_utf8_lossy(&said).contains(&says));
        assert_eq!(parse_lines(&fs::read_to_string(dir.join(name)).unwrap()), lines);
    }
    let output = predict(dir, &["--input", "rows.jsonl", "--output", "a.parquet"]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let says = "error: --output: found a.parquet, expected the name of a file of JSON";
    assert!(output.status.code() == Some(2) && said.contains(says), "{said}");
}

#[cfg(unix)]
#[test]
fn a_pipe_may_be_called_as_one_likes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir, "bert");
    write(dir, "rows.jsonl", &[json!({"text": "the cat"})]);
    let pipe = dir.join("out.gz");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn(move || fs::read_to_string(pipe).unwrap());
    let flags = ["--input", "rows.jsonl"];
    succeed(predict(dir, &flags).args(["--output", "out.gz"]));
    assert_eq!(parse_lines(&reader.join().unwrap()), lines(&mut predict(dir, &flags)));
}

/// What a cell says, as a value of JSON: tables have no types.
fn said_by(cell: &Value) -> Value {
    let text = cell.as_str().unwrap();
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

#[test]
fn tables_are_read_back_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir, "bert");
    let rows = [
        json!({"id": 1, "text": "\"the\", he said", "words": ["a\tb", "\"c\""]}),
        json!({"id": 2, "text": "the cat\nsat\ton it\"", "words": []}),
        json!({"id": 3, "text": "\"the mat", "words": ["d"]}),
    ];
    write(dir, "rows.jsonl", &rows);
    let flags = ["--input", "rows.jsonl", "--top-k", "2"];
    let expected = lines(&mut predict(dir, &flags));
    for name in ["out.tsv", "out.csv"] {
        succeed(predict(dir, &flags).args(["--output", name]));
        let found = read_records(&dir.join(name)).unwrap();
        assert_eq!(found.len(), rows.len(), "{name}");
        for (record, line) in found.iter().zip(&expected) {
            let cell = |name: &str| said_by(&record.fields[name]);
            for key in ["id", "label", "probability"] {
                assert_eq!(cell(key), line[key], "{name} {key}");
            }
            for (place, class) in line["top"].as_array().unwrap().iter().enumerate() {
                for key in ["label", "probability"] {
                    assert_eq!(cell(&format!("top.{place}.{key}")), class[key]);
                }
            }
            assert_eq!(json!(record.strings("input.words").unwrap()), line["input"]["words"]);
            let text = line["input"]["text"].as_str().unwrap();
            // Only quotes could hold tabs and ends of lines, and a .tsv has none.
            let text = match name {
                "out.tsv" => text.replace(['\t', '\n'], " "),
                _ => text.to_string(),
            };
            assert_eq!(record.text("input.text").unwrap(), text, "{name}");
        }
    }
}
