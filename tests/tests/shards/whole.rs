//! Parts that are put together are the whole to the byte.

use std::{fs, path::Path};

use peft_tests::vectors;
use serde_json::json;

use super::{ROWS, classes, ids, model, read, run, tiny, write};
use crate::support::{read_lines, root, tiny_model};

/// Makes the whole and its parts of some numbers, and puts the parts together.
fn parts_are_the_whole(dir: &Path, args: &[&str], file: &str, numbers: &[usize]) {
    let of = |more: &[&str], output: &str| {
        let output = format!("{file}={output}");
        run(dir, &[args, more, &[&output]].concat());
    };
    of(&[], "whole.jsonl");
    let whole = read(dir, "whole.jsonl");
    assert!(!whole.is_empty() && !whole.contains("\"shard\""), "{args:?}");
    for number in numbers {
        let names: Vec<String> = (1..=*number).map(|part| format!("part-{part}.jsonl")).collect();
        let mut total = 0;
        for (part, name) in (1..).zip(&names) {
            of(&["--shard", &format!("{part}/{number}")], name);
            for line in read_lines(&dir.join(name)) {
                total += 1;
                assert_eq!(line["shard"]["row"], total, "{args:?} {name}");
                assert_eq!(line["shard"]["part"], format!("{part}/{number}"));
            }
        }
        // In any order.
        let files: Vec<&str> = names.iter().rev().map(String::as_str).collect();
        run(dir, &[&["merge", "--output=merged.jsonl"], &files[..]].concat());
        assert_eq!(read(dir, "merged.jsonl"), whole, "{args:?} in {number} parts");
        names.iter().for_each(|name| fs::remove_file(dir.join(name)).unwrap());
    }
}

#[test]
fn merged_predictions_are_those_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    classes(dir);
    let (bert, tagger, qa) = (tiny("bert"), tiny("bert-tok"), tiny("bert-qa"));
    let at = |name: &str| root().join(tiny_model("bert")).join(name).display().to_string();
    let (prompt, keys) =
        (format!("--adapter={}", at("prompt")), format!("--adapter={}", at("prefix")));
    let input = ["predict", "--input=rows.jsonl"];
    let of = |more: &[&str], numbers: &[usize]| {
        parts_are_the_whole(dir, &[&input, more].concat(), "--output", numbers);
    };
    of(&[&bert, "--batch-size=1"], &[1, 2, 3, 4, 5]);
    // All rows are one group of batches.
    of(&[&bert, &prompt, "--omit-input", "--top-k=2"], &[2, 5]);
    of(&[&bert, &prompt, &keys, "--vote=majority", "--batch-size=1"], &[3]);
    let tokens = |row: usize| {
        let labels: Vec<usize> = ids(row).iter().map(|id| id % 5).collect();
        json!({"input_ids": ids(row), "labels": labels})
    };
    write(dir, "rows.jsonl", (0..ROWS).map(tokens));
    of(&[&tagger, "--batch-size=1"], &[4]);
    let question = |row: usize| {
        let input_ids = [vec![4, 5], ids(row)].concat();
        json!({"input_ids": input_ids})
    };
    write(dir, "rows.jsonl", (0..ROWS).map(question));
    of(&[&qa, "--n-best=2", "--batch-size=1"], &[4]);
}

#[test]
fn merged_texts_are_those_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "rows.jsonl", (0..ROWS).map(|row| json!({"input_ids": ids(row)})));
    let gpt2 = tiny("gpt2");
    let input = ["generate", "--input=rows.jsonl", "--max-new-tokens=5", &gpt2];
    let of = |more: &[&str], numbers: &[usize]| {
        parts_are_the_whole(dir, &[&input, more].concat(), "--output", numbers);
    };
    of(&["--batch-size=1"], &[1, 2, 3, 4, 5]);
    // What is drawn for a row depends on its number, not on its part.
    let drawn = ["--temperature=3", "--seed=4", "--num-return-sequences=2", "--batch-size=2"];
    of(&drawn, &[1, 2, 3, 4, 5]);
    of(&["--num-beams=3"], &[3]);
}

#[test]
fn merged_evaluations_are_those_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gpt2 = tiny("gpt2");
    // Every third row has the input of an earlier one, in other parts too.
    let row = |row: usize| {
        let source = ids(if row % 3 == 2 { row / 2 } else { row });
        let labels: Vec<i64> = source.iter().map(|_| -100).chain([row as i64, 5]).collect();
        let input_ids = [source, vec![row, 5]].concat();
        json!({"input_ids": input_ids, "labels": labels})
    };
    write(dir, "rows.jsonl", (0..ROWS).map(row));
    let args = ["eval", "--data=rows.jsonl", "--max-new-tokens=3", "--batch-size=1", &gpt2];
    parts_are_the_whole(dir, &args, "--predictions", &[1, 2, 3, 4, 5]);
    assert!(read_lines(&dir.join("whole.jsonl")).len() < ROWS);
}

/// A language model that reads texts: classes that are ranked, behind examples that are drawn.
#[test]
fn merged_rankings_are_those_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let words = ["the", "cat", "sea", "sat"];
    let text = |row: usize| format!("{} {} {row}", words[row % 4], words[(row / 4) % 4]);
    let classes = ["sat", "sea"];
    let row = |row: usize| {
        let target = classes[row % 2];
        json!({"source": text(row), "target": target})
    };
    write(dir, "rows.jsonl", (0..ROWS).map(row));
    write(dir, "shots.jsonl", (ROWS..ROWS + 9).map(row));
    let model = model(vectors("base_models/llama-texts"));
    let asked = [&*model, "--labels=sat,sea", "--rank-classes", "--batch-size=1"];
    let eval = [&["eval", "--data=rows.jsonl"], &asked[..]].concat();
    parts_are_the_whole(dir, &eval, "--predictions", &[1, 3]);
    let shots = ["--shots=1", "--shots-from=shots.jsonl", "--shots-seed=3"];
    let predict = [&["predict", "--input=rows.jsonl"], &asked[..], &shots].concat();
    parts_are_the_whole(dir, &predict, "--output", &[4]);
}
