//! `peft generate`: its settings, its lines of JSON and its text.

use std::fs;

use peft_tests::shared;
use serde_json::Value;

use crate::support::{parse_lines, peft, root, succeed, tiny_model};

#[test]
fn the_program_generates_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("rows.jsonl");
    fs::write(&input, "{\"input_ids\": [5, 6, 7]}\n{\"input_ids\": [8]}\n").unwrap();
    let run = |flags: &[&str]| {
        let mut command = peft(&root());
        command.args(["generate", "--model", &tiny_model("gpt2"), "--max-new-tokens", "6"]);
        command.arg("--input").arg(&input).args(flags);
        command
    };
    let lines = |flags: &[&str]| -> Vec<Value> {
        let output = succeed(&mut run(flags));
        parse_lines(&String::from_utf8(output.stdout).unwrap())
    };
    let greedy = lines(&[]);
    assert!(greedy[0]["output_ids"][0].is_u64(), "{greedy:?}");
    assert_eq!(lines(&["--num-beams", "1"]), greedy);
    assert_eq!(lines(&["--top-k", "1", "--seed", "9"]), greedy);
    let several = lines(&["--num-beams", "3", "--num-return-sequences", "2"]);
    assert_eq!(several[0]["output_ids"].as_array().unwrap().len(), 2);
    let sampled = ["--temperature", "3", "--seed", "4", "--num-return-sequences", "3"];
    assert_eq!(lines(&sampled), lines(&[&sampled[..], &["--batch-size", "1"]].concat()));
    for (flags, flag) in [
        (vec!["--temperature", "0"], "--temperature"),
        (vec!["--temperature", "-1"], "--temperature"),
        (vec!["--top-p", "1.5"], "--top-p"),
        (vec!["--top-k", "0"], "--top-k"),
        (vec!["--num-beams", "0"], "--num-beams"),
        (vec!["--num-beams", "2", "--top-k", "3"], "--num-beams"),
        (vec!["--num-beams", "2", "--num-return-sequences", "3"], "--num-return-sequences"),
        (vec!["--num-return-sequences", "2"], "--num-return-sequences"),
        (vec!["--length-penalty", "2"], "--length-penalty"),
        (vec!["--early-stopping"], "--early-stopping"),
        (vec!["--seed", "1"], "--seed"),
        (vec!["--stop", ""], "--stop"),
        (vec!["--repetition-penalty", "-2"], "--repetition-penalty"),
        (vec!["--min-new-tokens", "7"], "--min-new-tokens"),
    ] {
        let output = run(&flags).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {error}");
        assert!(error.contains(flag), "{flags:?}: {error}");
    }
}

#[test]
fn text_ends_before_a_stop_text() {
    let Some(model) = shared("models/stories260k") else { return };
    let run = |flags: &[&str]| {
        let mut command = peft(&root());
        command.arg("generate").arg("--model").arg(&model);
        command.args(["--prompt", "Once upon a time", "--max-new-tokens", "60"]).args(flags);
        String::from_utf8(succeed(&mut command).stdout).unwrap()
    };
    let whole = run(&[]);
    let whole = whole.trim_end_matches('\n');
    assert!(whole.starts_with("Once upon a time"), "{whole}");
    let end = whole.find('.').unwrap();
    assert_eq!(run(&["--stop", "."]), format!("{}\n", &whole[..end]));
    // Streamed, the text is the same; a beam search prints it at its end.
    assert_eq!(run(&["--top-k", "1"]).trim_end_matches('\n'), whole);
    assert!(run(&["--num-beams", "2", "--stop", "."]).starts_with("Once upon a time"));
    let several = run(&["--temperature", "1", "--num-return-sequences", "2", "--stop", "."]);
    assert_eq!(several.matches("Once upon a time").count(), 2, "{several}");
}
