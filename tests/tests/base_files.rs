//! The config and the tokenizer of a base model that were changed since a run began, or since an adapter was trained.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use peft_core::Adapter;
use serde_json::{Value, json};

use crate::support::{copy_model, peft, root, succeed, told};

const TOKENIZER_FILE: &str = "special_tokens_map.json";

/// A copy of a tiny GPT-2 with a file of a tokenizer, as `model`.
fn model(dir: &Path) -> PathBuf {
    let to = dir.join("model");
    copy_model("gpt2", &to);
    fs::write(to.join(TOKENIZER_FILE), "{}").unwrap();
    to
}

/// Sets a key of the config.
fn set(model: &Path, key: &str, value: Value) {
    let path = model.join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config[key] = value;
    fs::write(path, config.to_string()).unwrap();
}

/// A run of a prompt on `model`.
pub fn train(dir: &Path, flags: &[&str]) -> Command {
    let rows = root().join("tests/vectors/training/gpt2-prompt/rows.jsonl");
    let mut command = peft(dir);
    command.args(["train", "--model=model", "--method=prompt", "--task=causal-lm"]);
    command.args(["--batch-size=2", "--checkpoint-every=2"]).args(flags).arg("--train").arg(rows);
    command
}

fn resume(dir: &Path, steps: &str) -> Command {
    let mut command = peft(dir);
    command.args(["train", "--resume", "--out=out", "--steps", steps]);
    command
}

/// What a command that succeeds says on stderr.
fn notes(command: &mut Command) -> String {
    told(command).1
}

#[test]
fn a_run_does_not_go_on_with_another_config() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let base = model(dir);
    set(&base, "layer_norm_epsilon", json!(1e-5));
    succeed(&mut train(dir, &["--num-virtual-tokens=2", "--steps=4", "--out=out"]));
    let own = Adapter::load(&dir.join("out")).unwrap().config.own;
    assert_eq!(own.base_config["layer_norm_epsilon"], 1e-5);
    assert!(!own.base_config.contains_key("transformers_version"));

    set(&base, "layer_norm_epsilon", json!(1e-3));
    let refused = resume(dir, "6").output().unwrap();
    let message = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{message}");
    for part in [
        "config.json of the base model: layer_norm_epsilon (then 0.00001, now 0.001)",
        "put config.json back as it was to go on with this run",
        "--init-adapter",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // Neither use nor another run is refused; both say it.
    fs::write(dir.join("rows.jsonl"), "{\"input_ids\": [3, 4, 5], \"labels\": [3, 4, 5]}\n")
        .unwrap();
    let generate = |more: &[&str]| {
        let mut command = peft(dir);
        command.args(["generate", "--model=model", "--adapter=out", "--input=rows.jsonl"]);
        command.args(["--max-new-tokens=2"]).args(more);
        notes(&mut command)
    };
    let told = "config.json is not as it was where out was trained: layer_norm_epsilon (then";
    assert!(generate(&[]).contains(told), "{}", generate(&[]));
    assert!(!generate(&["--any-base"]).contains("is not as it was"));
    let of_start = notes(&mut train(dir, &["--steps=1", "--init-adapter=out", "--out=again"]));
    assert!(
        of_start.contains("is not as it was where the adapter of --init-adapter"),
        "{of_start}"
    );

    // With the file as it was, and another that only describes it, the run goes on.
    set(&base, "layer_norm_epsilon", json!(1e-5));
    set(&base, "transformers_version", json!("99"));
    let went_on = notes(&mut resume(dir, "6"));
    assert!(!went_on.contains("is not as it was") && !went_on.contains("base model:"), "{went_on}");
    assert!(!generate(&[]).contains("is not as it was"));
}

/// What texts become tokens by is checked where it matters: at the tokens of the rows.
#[test]
fn another_file_of_the_tokenizer_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let base = model(dir);
    succeed(&mut train(dir, &["--num-virtual-tokens=2", "--steps=4", "--out=out"]));
    fs::write(base.join(TOKENIZER_FILE), "{ }").unwrap();
    let went_on = notes(&mut resume(dir, "6"));
    let told = format!("note: {TOKENIZER_FILE} of the base model: not as when the run began");
    assert!(went_on.contains(&told), "{went_on}");
    // Where the adapter is used, too; and the token that ends a text is one of the tokens.
    fs::write(base.join("generation_config.json"), "{\"eos_token_id\": 3}").unwrap();
    succeed(&mut train(dir, &["--num-virtual-tokens=2", "--steps=4", "--out=other"]));
    let generate = || {
        let mut command = peft(dir);
        command.args(["generate", "--model=model", "--adapter=other", "--input=rows.jsonl"]);
        notes(command.arg("--max-new-tokens=2"))
    };
    fs::write(dir.join("rows.jsonl"), "{\"input_ids\": [3, 4, 5]}\n").unwrap();
    assert!(!generate().contains("is not as it was"), "{}", generate());
    fs::write(base.join("generation_config.json"), "{\"eos_token_id\": 4}").unwrap();
    let told = "generation_config.json of model is not as it was where other was trained";
    assert!(generate().contains(told), "{}", generate());
}

/// A run folder of an earlier version says nothing of the base model's config.
#[test]
fn a_run_of_an_earlier_version_goes_on_with_a_note() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir);
    succeed(&mut train(dir, &["--num-virtual-tokens=2", "--steps=4", "--out=out"]));
    for entry in fs::read_dir(dir.join("out/checkpoints")).unwrap() {
        let folder = entry.unwrap().path();
        let path = folder.join("state.json");
        let mut state: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let known = state["identity"].as_object_mut().unwrap().remove("files of the base model");
        assert!(known.is_some_and(|files| files["config_file"] == "config.json"));
        fs::write(path, state.to_string()).unwrap();
        fs::remove_file(folder.join("SHA256SUMS")).unwrap();
    }
    let went_on = notes(&mut resume(dir, "6"));
    assert!(went_on.contains("begun by an earlier version"), "{went_on}");
}
