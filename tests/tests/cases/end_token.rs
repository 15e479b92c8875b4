//! Case 17: end tokens that `config.json` does not name.

use std::{fs, path::Path};

use peft_tests::shared;
use serde_json::{Value, json};

use crate::support::{peft, succeed};

/// The scores that `peft eval` prints, and its notes.
fn eval(model: &Path, data: &Path, more: &[&str]) -> (Value, String) {
    let mut command = peft(Path::new("."));
    command.args(["eval", "--json", "--model"]).arg(model).arg("--data").arg(data).args(more);
    let output = succeed(&mut command);
    let scores = serde_json::from_slice(&output.stdout).unwrap();
    (scores, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn targets_are_closed_by_the_token_that_ends_generation() {
    let Some(case) = shared("cases/17-eos-only-in-generation-config") else { return };
    let loss = |model: &str, data: &str| {
        let (scores, notes) = eval(&case.join(model), &case.join(data), &[]);
        (scores["loss"].as_f64().unwrap(), notes)
    };
    let (closed, notes) = loss("model", "row.jsonl");
    assert_eq!(notes, "");
    assert!((closed - 14.8956).abs() < 1e-4, "{closed}");
    assert_eq!(closed, loss("model", "with.jsonl").0);
    assert_ne!(closed, loss("model", "without.jsonl").0);
    // Only its tokenizer names one.
    let (by_tokenizer, notes) = loss("none", "row.jsonl");
    assert_eq!(by_tokenizer, closed);
    for part in [
        "warning: ",
        "neither generation_config.json nor config.json names an end token (eos_token_id)",
        "that of tokenizer_config.json ends texts here",
        "write \"eos_token_id\": 2 into generation_config.json",
    ] {
        assert!(notes.contains(part), "{part:?} is not in {notes}");
    }
}

#[test]
fn a_run_on_such_a_model_learns_to_end() {
    let Some(case) = shared("cases/17-eos-only-in-generation-config") else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = |line: &str| {
        succeed(peft(dir.path()).args(line.split_whitespace()));
    };
    run("demo --export demo");
    let model = case.join("demo");
    run(&format!(
        "train --method prompt --model {} --task causal-lm --train demo/train.jsonl --out out --steps 400 \
         --batch-size 16 --lr 0.2",
        model.display()
    ));
    let adapter = dir.path().join("out").display().to_string();
    let more = ["--adapter", &adapter, "--max-new-tokens", "24"];
    let (scores, _) = eval(&model, &case.join("t60.jsonl"), &more);
    // Without an end, none would match. With it all do, or all but a few: at so high a rate rounding counts.
    assert!(scores["exact_match"].as_f64().unwrap() > 0.8, "{scores}");
}

/// A folder with case 17's model and these files in place of its own.
fn folder(case: &Path, dir: &Path, files: &[(&str, Value)]) {
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(case.join("none").join(name), dir.join(name)).unwrap();
    }
    for (name, content) in files {
        fs::remove_file(dir.join(name)).ok();
        fs::write(dir.join(name), content.to_string()).unwrap();
    }
}

#[test]
fn a_model_without_any_is_told_in_training_and_generation() {
    let Some(case) = shared("cases/17-eos-only-in-generation-config") else { return };
    let dir = tempfile::tempdir().unwrap();
    folder(&case, dir.path(), &[("tokenizer_config.json", json!({"eos_token": null}))]);
    let row = case.join("row.jsonl");
    let train = format!(
        "train --method prompt --model . --task causal-lm --train {} --out out --steps 1 --num-virtual-tokens 2",
        row.display()
    );
    for line in [&train, "generate --model . --prompt a --max-new-tokens 2"] {
        let output = succeed(peft(dir.path()).args(line.split_whitespace()));
        let notes = String::from_utf8(output.stderr).unwrap();
        for part in [
            "warning: ",
            "names no token that ends a text",
            "eos_token_id in generation_config.json and config.json",
            "eos_token in tokenizer_config.json",
            "Write \"eos_token_id\": ID into generation_config.json",
        ] {
            assert_eq!(notes.matches(part).count(), 1, "{line}: {part:?} in {notes}");
        }
    }
    // Rows of token ids are taken as they are.
    let (_, notes) = eval(dir.path(), &case.join("with.jsonl"), &[]);
    assert_eq!(notes, "");
}

#[test]
fn of_several_the_tokenizers_own_closes() {
    let Some(case) = shared("cases/17-eos-only-in-generation-config") else { return };
    let row = case.join("row.jsonl");
    let loss = |files: &[(&str, Value)]| {
        let dir = tempfile::tempdir().unwrap();
        folder(&case, dir.path(), files);
        let (scores, notes) = eval(dir.path(), &row, &[]);
        (scores["loss"].as_f64().unwrap(), notes)
    };
    let ends = ("generation_config.json", json!({"eos_token_id": [300, 2]}));
    let (first, _) = loss(std::slice::from_ref(&ends));
    let named = ("tokenizer_config.json", json!({"eos_token": {"content": "</s>"}}));
    let (own, notes) = loss(&[ends, named.clone()]);
    assert_eq!(notes, "");
    assert!((own - 14.8956).abs() < 1e-4 && (first - own).abs() > 0.1, "{first}, {own}");
    // A null in one file leaves the answer to the next.
    let null = ("generation_config.json", json!({"eos_token_id": null}));
    let (by_tokenizer, notes) = loss(&[null, named]);
    assert_eq!(by_tokenizer, own);
    assert!(notes.contains("that of tokenizer_config.json ends texts here"), "{notes}");
}

/// transformers 5.23 has an `eos_token` of `</s>` (2) for the first class and of `<|endoftext|>` for the second, which
/// adds it to the vocabulary, as 512 of 512.
#[test]
fn a_class_has_an_end_token_of_its_own() {
    let Some(case) = shared("cases/17-eos-only-in-generation-config") else { return };
    let row = case.join("row.jsonl");
    let of_class = |settings: Value| {
        let dir = tempfile::tempdir().unwrap();
        folder(&case, dir.path(), &[("tokenizer_config.json", settings)]);
        eval(dir.path(), &row, &[])
    };
    let (named, _) = of_class(json!({"tokenizer_class": "LlamaTokenizer", "eos_token": "</s>"}));
    let (by_class, notes) = of_class(json!({"tokenizer_class": "LlamaTokenizer"}));
    assert_eq!(by_class, named);
    for part in
        ["warning: ", "2 does here, the default of LlamaTokenizer", "\"eos_token_id\": 2 into"]
    {
        assert!(notes.contains(part), "{part:?} is not in {notes}");
    }
    let (open, notes) = of_class(json!({"tokenizer_class": "LlamaTokenizer", "eos_token": null}));
    assert_ne!(open, named);
    assert!(notes.contains("names no token that ends a text: targets are not closed"), "{notes}");
    let (_, notes) = of_class(json!({"tokenizer_class": "GPT2Tokenizer"}));
    assert!(notes.contains("names no token that ends a text: targets are not closed"), "{notes}");
}
