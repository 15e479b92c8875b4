//! Cases 31 and 32: the text of what is generated.

use std::{fs, path::Path};

use peft_tests::shared;
use serde_json::{Value, json};

use crate::support::{parse_lines, peft, root, succeed};

/// What `peft generate` prints for the rows of a file, and for a prompt.
fn generated(model: &Path, more: &[&str]) -> String {
    let mut command = peft(&root());
    command.args(["generate", "--model"]).arg(model).args(more);
    String::from_utf8(succeed(&mut command).stdout).unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_output_keeps_its_white_space() {
    let (Some(case), Some(model)) =
        (shared("cases/31-trimmed-output"), shared("models/stories260k"))
    else {
        return;
    };
    let adapter = case.join("adapter");
    let flags = ["--adapter", path(&adapter), "--max-new-tokens", "14"];
    let output = |input: &str| {
        let input = case.join(input);
        let flags = [&flags[..], &["--input", path(&input)]].concat();
        let lines = parse_lines(&generated(&model, &flags));
        lines[0]["output"].as_str().unwrap().to_string()
    };
    // Behind a source stands what a target is: the blank that this tokenizer puts in front of every text is left out,
    // as in transformers' `decode`.
    let target = "\n    return x\n";
    assert_eq!(output("in.jsonl"), target);
    assert_eq!(output("src.jsonl"), target);
    // A text goes on: there it is a blank that the model wrote.
    let printed = generated(&model, &[&flags[..], &["--prompt", "def f(x):"]].concat());
    assert_eq!(output("text.jsonl"), format!(" {target}"));
    assert_eq!(printed, format!("def f(x): {target}\n"));
}

#[test]
fn what_is_printed_is_what_is_written() {
    let (Some(case), Some(model)) =
        (shared("cases/32-streamed-bytes"), shared("models/stories260k"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    // Bytes before the new tokens too.
    let emoji = dir.path().join("emoji.jsonl");
    fs::write(&emoji, json!({"text": "a \u{1f600}"}).to_string()).unwrap();
    for (prompt, input) in [("Once upon a time", case.join("in.jsonl")), ("a \u{1f600}", emoji)] {
        for seed in ["1", "2", "3"] {
            let decoding = ["--temperature", "12", "--seed", seed, "--max-new-tokens", "40"];
            let printed = generated(&model, &[&decoding[..], &["--prompt", prompt]].concat());
            let lines = generated(&model, &[&decoding[..], &["--input", path(&input)]].concat());
            let row: Value = serde_json::from_str(&lines).unwrap();
            let output = row["output"].as_str().unwrap();
            assert_eq!(printed, format!("{prompt}{output}\n"), "{row}");
        }
    }
}
