//! Base models in fewer bits and batches sized by tokens, through the program.
#![cfg(feature = "cpu")]

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{peft, root, succeed, tiny_model};

/// Rows of 1 to 12 tokens, each of which is a target.
pub fn write_rows(path: &Path) {
    let rows: String = (0..40u32)
        .map(|row| {
            let ids: Vec<u32> = (0..1 + row % 12).map(|i| (row * 5 + i * 3) % 20 + 1).collect();
            format!("{}\n", json!({ "input_ids": ids, "labels": ids }))
        })
        .collect();
    fs::write(path, rows).unwrap();
}

/// A run of P-tuning v2 on a tiny GPT-2 in `dir/out`.
pub fn train(dir: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = peft(&root());
    command
        .args(["train", "--method", "ptv2", "--task", "causal-lm", "--num-virtual-tokens", "3"])
        .args(["--model", &tiny_model("gpt2"), "--train"])
        .arg(dir.join("rows.jsonl"))
        .arg("--out")
        .arg(dir.join(out))
        .args(more);
    command
}

/// The loss of an adapter on its rows, with the base model as `flags` say.
pub fn loss(dir: &Path, adapter: &str, flags: [&str; 2]) -> f64 {
    let mut command = peft(&root());
    command
        .args(["eval", "--json", "--model", &tiny_model("gpt2")])
        .args(flags)
        .arg("--data")
        .arg(dir.join("rows.jsonl"))
        .arg("--adapter")
        .arg(dir.join(adapter));
    let found: Value = serde_json::from_slice(&succeed(&mut command).stdout).unwrap();
    found["loss"].as_f64().unwrap()
}

#[test]
fn a_base_in_fewer_bits_is_nearly_the_same() {
    let dir = tempfile::tempdir().unwrap();
    write_rows(&dir.path().join("rows.jsonl"));
    succeed(&mut train(dir.path(), "f32", &["--steps", "4"]));
    let loss = |adapter, format| loss(dir.path(), adapter, ["--base-weights", format]);
    let exact = loss("f32", "f32");
    for (format, limit) in [("bf16", 0.02), ("int8", 0.05)] {
        let found = loss("f32", format);
        assert!(found != exact && (found - exact).abs() < limit, "{format}: {found} {exact}");
        // An adapter trained on such a base fits it.
        succeed(&mut train(dir.path(), format, &["--steps", "4", "--base-weights", format]));
        let found = loss(format, format);
        assert!((found - exact).abs() < limit, "{format}: {found} {exact}");
    }
}

/// An adapter on a base in other numbers than its run had: told, with both, and remembered with the scores.
#[test]
fn other_numbers_than_those_of_the_run_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_rows(&at("rows.jsonl"));
    succeed(&mut train(dir.path(), "f32", &["--steps", "2"]));
    succeed(&mut train(dir.path(), "int8", &["--steps", "2", "--base-weights", "int8"]));
    let said = |command: &str, adapter: &str, flags: &[&str]| {
        let mut command_line = peft(&root());
        command_line.args([command, "--model", &tiny_model("gpt2"), "--adapter"]).arg(at(adapter));
        let rows = if command == "eval" { "--data" } else { "--input" };
        command_line.arg(rows).arg(at("rows.jsonl")).args(flags);
        if command == "generate" {
            command_line.arg("--max-new-tokens=1");
        }
        String::from_utf8(succeed(&mut command_line).stderr).unwrap()
    };
    for command in ["eval", "generate"] {
        let found = said(command, "int8", &[]);
        let says = format!(
            "note: {} was trained with --base-weights int8, and is used with --base-weights auto: results differ",
            at("int8").display()
        );
        assert!(found.contains(&says), "{found}");
        let found = said(command, "f32", &["--base-weights=bf16"]);
        assert!(found.contains("with --base-weights auto, and is used with --base-weights bf16"));
        for (adapter, format) in [("f32", "auto"), ("f32", "f32"), ("int8", "int8")] {
            let found = said(command, adapter, &["--base-weights", format]);
            assert!(!found.contains("was trained with"), "{found}");
        }
    }
    let out = at("scores");
    said("eval", "int8", &["--out", out.to_str().unwrap()]);
    let result: Value =
        serde_json::from_slice(&fs::read(out.join("result.json")).unwrap()).unwrap();
    assert_eq!(result["evaluation"]["scored_base_weights"], "auto", "{result}");
}

/// How an adapter was trained and what it was scored with are told apart: neither makes one system of two.
#[test]
fn evaluations_in_other_numbers_are_systems_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_rows(&at("rows.jsonl"));
    for format in ["auto", "int8"] {
        succeed(&mut train(dir.path(), format, &["--steps", "2", "--base-weights", format]));
    }
    let eval = |adapter: &str, format: &str, out: &str| {
        let mut command = peft(&root());
        command.args(["eval", "--model", &tiny_model("gpt2"), "--base-weights", format]);
        command.arg("--adapter").arg(at(adapter)).arg("--data").arg(at("rows.jsonl"));
        succeed(command.arg("--out").arg(at(out)));
    };
    eval("auto", "int8", "auto-as-int8");
    eval("int8", "int8", "int8-as-int8");
    eval("int8", "auto", "int8-as-auto");
    for pair in [["auto-as-int8", "int8-as-int8"], ["int8-as-int8", "int8-as-auto"]] {
        let mut compare = peft(dir.path());
        compare.args(["compare", "--json"]).args(pair);
        let found: Value = serde_json::from_slice(&succeed(&mut compare).stdout).unwrap();
        assert_eq!(found["systems"].as_array().map(Vec::len), Some(2), "{pair:?}: {found}");
    }
}

#[test]
fn a_run_is_resumed_in_the_format_it_began_in() {
    let dir = tempfile::tempdir().unwrap();
    write_rows(&dir.path().join("rows.jsonl"));
    let settings = ["--epochs", "2", "--batch-tokens", "24", "--base-weights", "int8"];
    succeed(&mut train(dir.path(), "run", &[&settings[..], &["--checkpoint-every", "3"]].concat()));
    succeed(&mut train(dir.path(), "again", &settings));
    let adapter =
        |out: &str| fs::read(dir.path().join(out).join("adapter_model.safetensors")).unwrap();
    assert!(adapter("run") == adapter("again"));
    let mut other = peft(&root());
    other
        .args(["train", "--resume", "--base-weights", "bf16", "--out"])
        .arg(dir.path().join("run"));
    let output = other.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("base weights (then \"int8\", now \"bf16\")"), "{message}");
}

#[test]
fn unknown_formats_and_empty_budgets_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_rows(&dir.path().join("rows.jsonl"));
    for (flags, expected) in [
        (["--base-weights", "int4"], "found \"int4\", expected auto, f32, bf16, int8"),
        (["--batch-tokens", "0"], "--batch-tokens: found 0, expected at least 1"),
    ] {
        let output = train(dir.path(), "out", &flags).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
        assert!(!dir.path().join("out").exists());
    }
    let both = ["--batch-tokens", "64", "--no-shuffle"];
    let output = train(dir.path(), "out", &both).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("--batch-tokens"));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_says_how_much_memory_it_will_take() {
    let dir = tempfile::tempdir().unwrap();
    write_rows(&dir.path().join("rows.jsonl"));
    let said = succeed(&mut train(dir.path(), "out", &["--steps", "2"])).stderr;
    let said = String::from_utf8(said).unwrap();
    let of_line = |line: &str| {
        line.strip_prefix("memory   about ")?.strip_suffix(" MB expected")?.parse::<u64>().ok()
    };
    let expected = said.lines().find_map(of_line).unwrap();
    assert!((10..200).contains(&expected), "{said}");
}
