//! `--recipe` and `peft recipes`: the settings of the papers by name.

use std::{fs, path::Path, process::Command};

use peft_cli::settings::{Settings, file};
use serde_json::{Value, json};

use crate::support::{peft, refused, root, succeed, tiny_model};

/// The settings in a TOML text.
fn settings(text: &str) -> Settings {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("settings.toml");
    fs::write(&path, text).unwrap();
    file::load(&path).unwrap()
}

fn printed(args: &[&str]) -> String {
    let output = succeed(peft(&root()).args(args));
    String::from_utf8(output.stdout).unwrap()
}

/// The exit code and the message of a command that is refused.
/// A run on a tiny model with rows of token ids.
fn train(out: &Path, model: &str, rows: &str, flags: &[&str]) -> Command {
    let data = out.parent().unwrap().join("rows.jsonl");
    fs::write(&data, rows.repeat(4)).unwrap();
    let mut command = peft(&root());
    command.args(["train", "--model", &tiny_model(model), "--train"]).arg(data);
    command.args(flags).arg("--out").arg(out);
    command
}

#[test]
fn recipes_are_listed_and_printed() {
    let list = printed(&["recipes"]);
    let names: Vec<&str> = list.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    let expected = [
        "lester2021",
        "lester2021-fewshot",
        "li2021-table",
        "li2021-summary",
        "li2021-low-data",
        "li2021-low-data-summary",
        "liu2022-superglue",
        "liu2022-tagging",
        "liu2022-qa",
    ];
    assert_eq!(names, expected, "{list}");
    // Columns begin below their names.
    let at = list.lines().next().unwrap().find("paper").unwrap();
    assert!(
        list.lines()
            .skip(1)
            .all(|line| line[at..].starts_with("Le") || line[at..].starts_with("Li"))
    );
    let all: Value = serde_json::from_str(&printed(&["recipes", "--json"])).unwrap();
    assert_eq!(all.as_array().unwrap().len(), expected.len());
    for (name, json) in expected.iter().zip(all.as_array().unwrap()) {
        let text = printed(&["recipes", name]);
        assert_eq!(text, printed(&["train", "--recipe", name, "--print"]), "one text");
        let settings = json!(settings(&text));
        assert_eq!(settings, json["settings"], "{name}");
        assert_eq!((&json["name"], &json["method"]), (&(*name).into(), &settings["method"]));
        let one: Value = serde_json::from_str(&printed(&["recipes", name, "--json"])).unwrap();
        assert_eq!(&one, json);
    }
    let (code, message) = refused(peft(&root()).args(["recipes", "li2021-tables"]));
    assert_eq!(code, Some(2), "{message}");
    assert!(message.ends_with("did you mean li2021-table?\n"), "{message}");
}

#[test]
fn what_is_printed_has_what_is_given() {
    let text =
        printed(&["train", "--recipe", "li2021-table", "--lr", "0.001", "--steps=9", "--print"]);
    let found = settings(&text);
    assert_eq!((found.lr, found.steps, found.epochs), (Some(0.001), Some(9), None), "{text}");
    assert_eq!(found.recipe.as_deref(), Some("li2021-table"));
    let json = printed(&["train", "--recipe", "li2021-table", "--print", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["batch_size"], &json["epochs"]), (&10.into(), &5.into()));
    let (code, message) = refused(peft(&root()).args(["train", "--print"]));
    assert_eq!(code, Some(2), "{message}");
}

#[test]
fn a_run_goes_by_the_recipe_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let row = "{\"input_ids\": [3, 4, 5], \"label\": 1}\n{\"input_ids\": [3, 4], \"label\": 0}\n";
    let config = dir.path().join("own.toml");
    fs::write(&config, "recipe = \"liu2022-superglue\"\nnum_virtual_tokens = 3\nbatch_size = 4\n")
        .unwrap();
    let out = dir.path().join("out");
    let flags = ["--config", config.to_str().unwrap(), "--epochs=1", "--batch-size=2"];
    succeed(&mut train(&out, "bert", row, &flags));
    let text = fs::read_to_string(out.join("run.toml")).unwrap();
    let run = settings(&text);
    assert_eq!(run.recipe.as_deref(), Some("liu2022-superglue"));
    assert_eq!((run.lr, run.head_lr), (Some(7e-3), Some(7e-3)));
    assert_eq!((run.num_virtual_tokens, run.batch_size), (Some(3), Some(2)));
    assert_eq!((run.epochs, run.seed), (Some(1), Some(11)));
    // It goes on, and is repeated, without a word about it.
    succeed(peft(&root()).args(["train", "--resume", "--epochs=2", "--out"]).arg(&out));
    let again = dir.path().join("again");
    let repeat =
        ["--config", out.join("run.toml").to_str().unwrap(), "--epochs=2"].map(str::to_string);
    succeed(peft(&root()).arg("train").args(repeat).arg("--out").arg(&again));
    let (code, message) = refused(
        peft(&root()).args(["train", "--resume", "--recipe=lester2021", "--out"]).arg(&out),
    );
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("keeps its settings"), "{message}");
}

#[test]
fn what_does_not_fit_is_told_with_the_recipe() {
    let dir = tempfile::tempdir().unwrap();
    let row = "{\"input_ids\": [3, 4, 5], \"labels\": [3, 4, 5]}\n";
    let out = dir.path().join("out");
    let (code, message) = refused(&mut train(&out, "gpt2", row, &["--recipe=lester2021"]));
    assert_eq!(code, Some(2), "{message}");
    assert!(
        message.contains("--task: seq2seq-lm needs an encoder-decoder, gpt2 has one stack; seq2seq-lm is the recipe's \
             (lester2021), and --task gives another"),
        "{message}"
    );
    assert!(!out.join("run.toml").exists());
    // On a decoder, with what the recipe sets and nobody can use left out.
    let flags = ["--recipe=lester2021", "--task=causal-lm", "--steps=1", "--num-virtual-tokens=4"];
    let output = succeed(&mut train(&out, "gpt2", row, &flags));
    let notes = String::from_utf8(output.stderr).unwrap();
    let note = notes.replace('\n', " ");
    assert!(
        note.contains("of the recipe lester2021 this run does not use --eval-every"),
        "{notes}"
    );
    assert!(note.contains("and --init (no --labels say what the classes are called)"), "{notes}");
    let (code, message) = refused(peft(&root()).args(["train", "--recipe=lester"]));
    assert_eq!(code, Some(2), "{message}");
    assert!(
        message.contains("--recipe: found \"lester\", expected one of lester2021"),
        "{message}"
    );
}
