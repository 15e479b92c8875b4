//! `peft score` as a process: scores of each kind, and what is refused.

use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};

use crate::support::{peft, succeed};

pub fn score(dir: &Path, args: &[&str]) -> Value {
    let output = succeed(peft(dir).arg("score").args(args).arg("--json"));
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    serde_json::from_str(&lines).unwrap()
}

pub fn number(found: &Value, name: &str) -> f64 {
    found[name].as_f64().unwrap()
}

/// What is said on stderr of a command that fails with this exit code.
pub fn refusal(dir: &Path, args: &[&str], code: i32) -> String {
    let Output { status, stdout, stderr } = peft(dir).arg("score").args(args).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{args:?}: {stderr}");
    assert!(stdout.is_empty());
    stderr
}

pub fn files(all: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    all.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).unwrap());
    dir
}

pub const FILES: [&str; 4] = ["--predictions", "p", "--references", "r"];

#[test]
fn of_several_classes_the_one_of_an_f1_is_named() {
    let dir = files(&[("p", "0\n1\n1\n"), ("r", "0\n1\n2\n"), ("z", "0\n0\n")]);
    let dir = dir.path();
    for metric in ["f1", "precision", "recall"] {
        let said = refusal(dir, &[&["--metric", metric], &FILES[..]].concat(), 2);
        assert!(said.contains("--positive: name the class") && said.contains("0, 1, 2"), "{said}");
    }
    let found = score(dir, &[&["--metric", "f1", "--positive", "1"], &FILES[..]].concat());
    assert!((number(&found, "f1") - 2.0 / 3.0).abs() < 1e-12, "{found}");
    // All rows have the other of two classes.
    let zeros = ["--predictions", "z", "--references", "z", "--metric", "f1,accuracy"];
    let found = score(dir, &[&zeros[..], &["--positive", "1"]].concat());
    assert_eq!(found, json!({"f1": 0.0, "accuracy": 1.0}));
}

#[test]
fn numbers_are_compared_as_numbers() {
    let dir =
        files(&[("p", "1.5\n2\n4\n\n"), ("r", "{\"score\": 1}\n{\"score\": 3}\n{\"score\": 5}\n")]);
    let found = score(dir.path(), &[&["--metric", "spearman,mse"], &FILES[..]].concat());
    assert!((number(&found, "spearman") - 1.0).abs() < 1e-12 && number(&found, "mse") == 0.75);
    let dir = files(&[("p", "1\nx\n"), ("r", "1\n2\n")]);
    let said = refusal(dir.path(), &[&["--metric", "mse"], &FILES[..]].concat(), 1);
    assert!(said.contains("p, line 2: found `x`, expected a number"), "{said}");
}

#[test]
fn tags_are_compared_by_entity() {
    let predictions = format!(
        "{}\n{}\n",
        json!({"tags": ["B-LOC", "I-LOC", null], "input": {}}),
        json!({"tags": ["O", "B-PER"]})
    );
    let conll = "New B-LOC\nYork I-LOC\n. O\n\nSaid O\nMia B-PER\n\n";
    let dir = files(&[
        ("p", &predictions),
        ("r.conll", conll),
        ("r", conll),
        ("l", "B-LOC I-LOC O\nO B-PER\n"),
    ]);
    for references in ["r.conll", "r", "l"] {
        let files = ["--predictions", "p", "--references", references];
        let found = score(dir.path(), &[&["--metric", "entity_f1,entities"], &files[..]].concat());
        assert_eq!(found["entity_f1"], 1.0, "{references}");
        assert_eq!(found["entities"]["types"]["LOC"]["support"], 1);
    }
    let dir = files(&[("p", "O O\nO B-X\n"), ("r", "O\nO B-X\n")]);
    let said = refusal(dir.path(), &[&["--metric", "entities"], &FILES[..]].concat(), 1);
    assert!(said.contains("p, line 1: found 2 tags, expected the 1 of its reference"), "{said}");
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let dir =
        files(&[("p", "a\nb\n"), ("r", "a\nb\nc\n"), ("x", "{\"text\": \"a\"}\n"), ("e", "")]);
    let dir = dir.path();
    let with = |metric: &str, p: &str, r: &str, code| {
        refusal(dir, &["--metric", metric, "--predictions", p, "--references", r], code)
    };
    let said = with("bleu", "p", "r", 1);
    assert!(
        said.contains("bleu: found 2 predictions in p, but 3 lines of references in r"),
        "{said}"
    );
    assert!(
        with("accuracy", "p", "r", 1).contains("found 2 predictions in p, but 3 references in r")
    );
    assert!(with("bleu", "e", "e", 1).contains("holds nothing to score"));
    assert!(with("blue", "p", "r", 2).contains("did you mean bleu?"));
    let said = with("meteor", "p", "r", 2);
    assert!(said.contains("--meteor-jar: needs METEOR's own program"), "{said}");
    assert!(with("bleu", "-", "-", 2).contains("standard input holds the predictions"));
    assert!(with("bleu", "no", "r", 1).contains("no: "));
    let said = with("bleu", "x", "p", 1);
    assert!(
        said.contains("--prediction-field")
            && said.contains("it has: text") | said.contains("the row has: text"),
        "{said}"
    );
    let args =
        ["--metric", "bleu", "--predictions", "x", "--references", "p", "--prediction-field", "y"];
    assert!(refusal(dir, &args, 2).contains("--prediction-field: found `y`"));
    let said = refusal(dir, &["--metric", "bleu", "--predictions", "x"], 1);
    assert!(said.contains("--prediction-field") || said.contains("--reference-field"), "{said}");
    assert!(with("bleu,bleu", "p", "p", 2).contains("twice"));
    // Lines are not scored against themselves.
    let said = refusal(dir, &["--metric", "accuracy", "--predictions", "p"], 2);
    assert!(said.contains("--references: needed"), "{said}");
    assert_eq!(
        score(
            dir,
            &["--metric", "exact_match", "--predictions", "x", "--references", "x", "--as-lines"]
        ),
        json!({"exact_match": 1.0})
    );
}

/// A program called `java` that answers as METEOR does.
#[cfg(unix)]
#[test]
fn meteor_is_asked_segment_by_segment() {
    use std::os::unix::fs::PermissionsExt;
    let script = "#!/bin/sh\necho \"$@\" > args\nwhile read -r line; do echo \"$line\" >> asked\n\
        case \"$line\" in SCORE*) echo 1.0 2.0;; *) echo 0.5; echo 0.25; echo 0.375;; esac; done\n";
    let dir = files(&[
        ("p", "The cat (black).\nno\n"),
        ("r", "A cat.\nthe cat\n\nyes\n"),
        ("java", script),
        ("m.jar", ""),
    ]);
    let dir = dir.path();
    fs::set_permissions(dir.join("java"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default());
    let args = ["score", "--metric", "meteor", "--meteor-jar", "m.jar", "--json"];
    let output = succeed(peft(dir).env("PATH", path).args(args).args(FILES)).stdout;
    assert_eq!(serde_json::from_slice::<Value>(&output).unwrap(), json!({"meteor": 0.375}));
    let asked = fs::read_to_string(dir.join("asked")).unwrap();
    let expected = "SCORE ||| a cat ||| the cat ||| the cat -lrb- black -rrb-\nSCORE ||| yes ||| no\nEVAL ||| 1.0 2.0 ||| 1.0 2.0\n";
    assert_eq!(asked, expected);
    assert!(
        fs::read_to_string(dir.join("args")).unwrap().ends_with("m.jar - - -stdio -l en -norm\n")
    );
    // One that ends at once.
    fs::write(dir.join("java"), "#!/bin/sh\nexit 1\n").unwrap();
    let failed = peft(dir).env("PATH", dir).args(args).args(FILES).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("m.jar: "));
}
