//! `peft train --ensemble` and `peft eval --vote`.

mod members;
mod votes;

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::support::{peft, root, succeed, tiny_model, told};

/// The rows of a tiny model.
fn rows(name: &str) -> String {
    root().join(format!("tests/vectors/training/{name}/rows.jsonl")).display().to_string()
}

/// A command that trains a tiny BERT on rows with one of three classes.
fn train(dir: &Path, flags: &[&str]) -> Command {
    let mut command = peft(dir);
    command.args(["train", "--model"]).arg(root().join(tiny_model("bert")));
    command.args(["--method=ptv2", "--num-virtual-tokens=3", "--task=seq-cls", "--batch-size=4"]);
    command.args(["--steps=12", "--eval-every=3", "--train", &rows("bert-prefix")]);
    command.args(["--valid", &rows("bert-prompt")]).args(flags);
    command
}

fn stdout(command: &mut Command) -> String {
    told(command).0
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The command that is told scores in the numbers of the run.
#[test]
fn the_next_command_has_the_numbers_of_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--ensemble=2", "--out=many", "--base-weights=int8"];
    let output = succeed(&mut train(dir.path(), &flags));
    let said = String::from_utf8(output.stderr).unwrap();
    let next = said.lines().find(|line| line.starts_with("next: ")).unwrap();
    let says = " --adapter many/seed=1 --base-weights int8 --vote majority --data ROWS.jsonl";
    assert!(next.starts_with("next: peft eval --model ") && next.ends_with(says), "{next}");
    // Without them it is told, once for all that differ in the same.
    let mut eval = peft(dir.path());
    eval.args(["eval", "--vote=majority", "--data", &rows("bert-prompt"), "--model"]);
    eval.arg(root().join(tiny_model("bert")));
    eval.args(["--adapter=many/seed=0", "--adapter=many/seed=1"]);
    let said = String::from_utf8(succeed(&mut eval).stderr).unwrap();
    let says =
        "many/seed=0 and many/seed=1 were trained with --base-weights int8, and are used with";
    assert!(said.contains(says) && said.matches("trained with").count() == 1, "{said}");
}
