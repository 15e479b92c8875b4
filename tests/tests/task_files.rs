//! Tasks in TOML: those that come with the program, what rows become by them, and runs by them.

mod rows;
mod runs;

use std::{fs, path::Path, slice};

use serde_json::{Value, json};

use crate::support::{parse_lines, peft, refused, root, succeed};

/// What a task reads of the rows of a file.
fn shown(task: &str, data: &Path, flags: &[&str]) -> Vec<Value> {
    let output = succeed(peft(&root()).args(["tasks", task, "--data"]).arg(data).args(flags));
    parse_lines(&String::from_utf8(output.stdout).unwrap())
}

/// What a task reads of some rows.
fn of(task: &str, rows: &[Value], flags: &[&str]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    shown(task, &path, flags)
}

#[test]
fn tasks_are_listed_and_printed() {
    let list = String::from_utf8(succeed(peft(&root()).arg("tasks")).stdout).unwrap();
    for name in [
        "superglue-boolq",
        "superglue-record",
        "glue-qqp",
        "conll",
        "srl",
        "squad-v2",
        "e2e",
        "xsum",
    ] {
        assert!(list.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}: {list}");
    }
    let all = succeed(peft(&root()).args(["tasks", "--json"])).stdout;
    let all: Value = serde_json::from_slice(&all).unwrap();
    assert_eq!(all.as_array().unwrap().len() + 1, list.lines().count());
    // A printed task is a file like any other.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("own.toml");
    let text = succeed(peft(&root()).args(["tasks", "superglue-rte"])).stdout;
    fs::write(&path, &text).unwrap();
    assert_eq!(succeed(peft(&root()).arg("tasks").arg(&path)).stdout, text);
    let row = json!({"premise": "p", "hypothesis": "h", "label": 1});
    assert_eq!(
        of(path.to_str().unwrap(), slice::from_ref(&row), &[]),
        of("superglue-rte", slice::from_ref(&row), &[])
    );
    let (code, message) = refused(peft(&root()).args(["tasks", "superglue-rt"]));
    assert_eq!(code, Some(2), "{message}");
    assert!(message.ends_with("did you mean superglue-rte?\n"), "{message}");
}
