//! The examples of `peft-models`, as a reader of their first lines runs them.

use std::{fs, path::Path, process::Command};

use peft_tests::example;

use crate::support::{peft, succeed};

/// What an example prints.
fn run(dir: &Path, name: &str, args: &[&str]) -> Option<String> {
    let output = succeed(Command::new(example(name)?).args(args).current_dir(dir));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn they_run_one_after_another() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    succeed(peft(dir).args(["demo", "--export", "try"]));
    let rows = ["try/train.jsonl", "try/test.jsonl"];
    let text = "in the shop olga has four green plates .";
    let Some(said) = run(dir, "train", &["try/model", rows[0], rows[1], "try/adapter"]) else {
        return;
    };
    let perplexity = |name: &str| {
        let line = said.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().last().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(said.lines().filter(|line| line.starts_with("step ")).count(), 6, "{said}");
    let (alone, adapted) = (perplexity("model alone"), perplexity("with the prompt"));
    assert!(adapted < 2.0 && alone > 3.0 * adapted, "{said}");
    assert!(fs::exists(dir.join("try/adapter/adapter_model.safetensors")).unwrap());

    // The program makes the same of it.
    let mut command = peft(dir);
    command.args([
        "generate",
        "--model",
        "try/model",
        "--adapter",
        "try/adapter",
        "--prompt",
        text,
    ]);
    let expected = String::from_utf8(succeed(&mut command).stdout).unwrap();
    let streamed = run(dir, "stream", &["try/model", "try/adapter", text]).unwrap();
    assert!(expected.trim().ends_with(streamed.trim()), "{expected} {streamed}");
    let mixed = run(dir, "mix", &["try/model", text, "try/adapter"]).unwrap();
    assert_eq!(mixed.lines().nth(1), Some(format!("try/adapter: {}", streamed.trim()).as_str()));
    assert!(mixed.starts_with("model alone: ") && mixed.lines().count() == 2, "{mixed}");

    let said = run(dir, "callback", &["try/model", rows[0], rows[1]]).unwrap();
    let (steps, right) = said.split_once('\n').unwrap();
    let steps: usize = steps.strip_suffix(" of 300 steps").unwrap().parse().unwrap();
    assert!(steps > 20 && steps < 300, "{said}");
    let right = right.trim().strip_prefix("first word right: ").unwrap();
    let right: usize = right.strip_suffix(" of 200").unwrap().parse().unwrap();
    assert!(right > 150, "{said}");
}
