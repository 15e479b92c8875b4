//! Analyses of prompts of which everything is known: they start from words, and training moves them by nothing.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{copy_model, peft, succeed};

/// The words of the tokenizer, by their ids.
const WORDS: [&str; 8] = ["?", "the", "sea", "is", "blue", "good", "Good", "bad"];

/// A tiny model with a tokenizer of a few words, and rows of text.
fn model(dir: &Path, name: &str) {
    let to = dir.join("model");
    copy_model(name, &to);
    let vocab: serde_json::Map<String, Value> =
        WORDS.iter().enumerate().map(|(id, word)| (word.to_string(), json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "unk_token": "?", "vocab": vocab},
    });
    fs::write(to.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    fs::write(to.join("tokenizer_config.json"), r#"{"tokenizer_class": "TokenizersBackend"}"#)
        .unwrap();
    let row = |(text, label): (&str, &str)| format!("{}\n", json!({"text": text, "label": label}));
    let rows = [("the sea is blue", "good"), ("the sea", "bad"), ("blue is good", "good")];
    fs::write(dir.join("rows.jsonl"), rows.map(row).concat()).unwrap();
}

/// A run whose updates are too small to change a number, unless `flags` have a learning rate.
fn train(dir: &Path, flags: &str) -> Command {
    let mut command = peft(dir);
    command.args(["train", "--model=model", "--task=seq-cls", "--train=rows.jsonl", "--steps=4"]);
    command.args(["--batch-size=3"]).args(flags.split(' '));
    if !flags.contains("--lr") {
        command.arg("--lr=1e-30");
    }
    command
}

fn analysis(dir: &Path, flags: &[&str]) -> Value {
    let mut command = peft(dir);
    command.args(["inspect", "--analyse", "--json"]).args(flags);
    let json: Value = serde_json::from_slice(&succeed(&mut command).stdout).unwrap();
    json["analysis"].clone()
}

fn figure<'f>(found: &'f Value, name: &str) -> &'f Value {
    let figures = found["neighbours"]["figures"].as_array().unwrap();
    figures.iter().find(|figure| figure["name"].as_str().unwrap().starts_with(name)).unwrap()
}

#[test]
fn a_prompt_of_words_is_found_to_be_these_words() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir, "bert");
    let flags = "--method=prompt --num-virtual-tokens=4 --init=text --out=run";
    let mut command = train(dir, flags);
    succeed(command.args(["--init-text", "sea good sea blue"]));
    // The base is the one that the adapter names.
    let found = analysis(dir, &["run", "--nearest=3"]);
    let positions = found["neighbours"]["positions"].as_array().unwrap();
    let nearest: Vec<&str> =
        positions.iter().map(|one| one["nearest"][0]["token"].as_str().unwrap()).collect();
    assert_eq!(nearest, ["sea", "good", "sea", "blue"]);
    for one in positions {
        assert!((one["nearest"][0]["cosine"].as_f64().unwrap() - 1.0).abs() < 1e-5, "{one}");
        assert_eq!(one["nearest"].as_array().unwrap().len(), 3);
    }
    assert_eq!(positions[1]["has_class_word"], true);
    assert_eq!(found["neighbours"]["repeated"], json!([{"token": "sea", "positions": [0, 2]}]));
    let distinct = figure(&found, "share of positions with a nearest token of their own");
    assert_eq!(distinct["found"], 0.75);
    // Embeddings are nearer to themselves than random vectors are to anything.
    let cosine = figure(&found, "cosine of the nearest");
    assert_eq!(
        (&cosine["control_at_least"], &found["neighbours"]["draws"]),
        (&json!(0), &json!(20))
    );
    assert!(cosine["control_mean"].as_f64().unwrap() < 0.8, "{cosine}");
    let norms: Vec<f64> = positions.iter().map(|one| one["norm"].as_f64().unwrap()).collect();
    let mean = norms.iter().sum::<f64>() / 4.0;
    assert!((found["norms"]["mean"].as_f64().unwrap() - mean).abs() < 1e-9);
    assert!(
        found["vocabulary_norms"]["max"].as_f64().unwrap()
            >= found["norms"]["max"].as_f64().unwrap()
    );
    // Class words: both spellings of good, and bad.
    let words = found["neighbours"]["class_words"].as_array().unwrap();
    let tokens: Vec<(&Value, &Value)> =
        words.iter().map(|word| (&word["word"], &word["tokens"])).collect();
    assert_eq!(
        tokens,
        [(&json!("bad"), &json!(["bad"])), (&json!("good"), &json!(["good", "Good"]))]
    );
    // Others, when they are given.
    let found = analysis(
        dir,
        &[
            "run",
            "--model=model",
            "--nearest=1",
            "--class-words=sea, ocean",
            "--draws=3",
            "--seed=9",
        ],
    );
    assert_eq!(figure(&found, "share of positions with a class word")["found"], 0.5);
    assert_eq!(found["neighbours"]["class_words"][1]["is_whole"], false);
    assert_eq!(found["neighbours"]["draws"], 3);
    assert!(found["neighbours"]["positions"][0]["tightness"].is_null(), "one has no pairs");
    // The same seed gives the same control.
    let flags = ["run", "--model=model", "--draws=3", "--seed=9"];
    assert_eq!(analysis(dir, &flags), analysis(dir, &flags));
    let mut shown = peft(dir);
    let shown = succeed(shown.args(["inspect", "run", "--analyse", "--class-words=ocean"])).stdout;
    let shown = String::from_utf8(shown).unwrap();
    for part in [
        "20 sets of random vectors",
        "no token spells the class word ocean, nor do pieces",
        "start: computed again from run.toml: init text, seed 0",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

/// What a run starts from is computed again exactly, whatever it is: a run that moves by nothing has no drift.
#[test]
fn a_run_that_moves_by_nothing_has_not_drifted() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (base, method, flags) in [
        ("bert", "prompt", "--init=vocab --seed=5"),
        ("bert", "prompt", "--init=random --seed=6"),
        ("bert", "prompt", "--init=scaled"),
        ("bert", "prompt", "--init=labels"),
        ("bert", "prefix", "--init=random --prefix-projection=false"),
        (
            "bert",
            "prefix",
            "--init=random --prefix-projection=true --prefix-hidden-size=6 --seed=3",
        ),
        ("bert", "ptv2", "--init=random --layers=1-2"),
        ("gpt2-cls", "ptv2", "--init=words --init-text=sea"),
    ] {
        model(dir, base);
        let p = if flags.contains("words") { 1 } else { 3 };
        let flags =
            format!("--method={method} --num-virtual-tokens={p} {flags} --out=run --overwrite");
        succeed(&mut train(dir, &flags));
        let found = analysis(dir, &["run", "--model=model"]);
        let start = found["start"].as_str().unwrap();
        assert!(start.starts_with("computed again from run.toml: init "), "{flags}: {start}");
        let largest = found["drift"]["distance"]["max"].as_f64().unwrap();
        assert!(largest < 1e-6, "{flags}: {largest}");
        assert_eq!(found["layers"].as_array().unwrap().is_empty(), method == "prompt");
    }
    // An adapter that was a start is known by its sum.
    fs::rename(dir.join("run"), dir.join("first")).unwrap();
    succeed(&mut train(dir, "--method=ptv2 --init-adapter=first --out=second"));
    let start = |found: &Value| found["start"].as_str().unwrap().to_string();
    let found = analysis(dir, &["second", "--model=model"]);
    assert!(start(&found).ends_with("by its sum"), "{}", start(&found));
    assert_eq!(found["drift"]["distance"]["max"], 0.0);
    succeed(&mut train(
        dir,
        "--method=ptv2 --num-virtual-tokens=1 --seed=8 --out=first --overwrite",
    ));
    let found = analysis(dir, &["second", "--model=model"]);
    assert!(start(&found).contains("holds other tensors now"), "{}", start(&found));
    assert!(found["drift"].is_null());
    // Settings that were edited, or that are gone, say nothing.
    let run_file = dir.join("first/run.toml");
    let text = fs::read_to_string(&run_file).unwrap();
    fs::write(&run_file, text.replace("seed = 8", "seed = 9")).unwrap();
    let found = analysis(dir, &["first", "--model=model"]);
    assert!(start(&found).contains("was changed after peft wrote it"), "{}", start(&found));
    fs::remove_file(&run_file).unwrap();
    let found = analysis(dir, &["first", "--model=model"]);
    assert!(start(&found).starts_with("unknown: there is no run.toml"), "{}", start(&found));
}

/// Training moves a prompt, and each position by what its values say.
#[test]
fn drift_is_what_training_did() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir, "bert");
    let flags = "--method=prompt --num-virtual-tokens=2 --init=text --init-text=sea --out=";
    succeed(&mut train(dir, &format!("{flags}still")));
    succeed(train(dir, &format!("{flags}moved --lr=0.1")).arg("--schedule=constant"));
    let rows = |name: &str| -> Vec<f64> {
        let adapter = peft_core::Adapter::load(&dir.join(name)).unwrap();
        adapter.tensors["prompt_embeddings"].iter().collect()
    };
    let (still, moved) = (rows("still"), rows("moved"));
    let found = analysis(dir, &["moved"]);
    for (at, position) in found["drift"]["positions"].as_array().unwrap().iter().enumerate() {
        let part = at * 32..(at + 1) * 32;
        let squares = part.map(|index| (moved[index] - still[index]).powi(2));
        let expected = squares.sum::<f64>().sqrt();
        let distance = position["distance"].as_f64().unwrap();
        assert!(expected > 0.1 && (distance - expected).abs() < 1e-5, "{distance}, not {expected}");
    }
}

#[test]
fn what_cannot_be_analysed_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir, "bert");
    succeed(&mut train(dir, "--method=prompt --num-virtual-tokens=2 --out=prompt"));
    succeed(&mut train(dir, "--method=ptv2 --num-virtual-tokens=2 --out=ptv2"));
    succeed(&mut train(dir, "--method=head --out=head"));
    for (line, code, says) in [
        ("prompt --analyse --nearest 0", 2, "--nearest: found 0, expected at least 1"),
        ("prompt --analyse --draws 0", 2, "--draws"),
        ("prompt --class-words good", 2, "--analyse"),
        ("prompt --data rows.jsonl", 2, "--analyse"),
        ("prompt --analyse --class-words ,", 2, "--class-words: found no word"),
        ("ptv2 --analyse --class-words good", 2, "--class-words: is for prompts"),
        ("head --analyse", 1, "head: holds a head alone"),
        ("prompt --analyse --data none.jsonl", 1, "none.jsonl"),
    ] {
        let output = peft(dir).arg("inspect").args(line.split(' ')).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert!(said.contains(says) && output.stdout.is_empty(), "{line}: {said}");
    }
}
