//! Checkpoints of other code, `tests/vectors/foreign` (see `python/make_foreign.py`): converted by the program, they
//! compute what that code computes.

use std::{fs, path::Path};

use peft_core::{Adapter, PROMPT_EMBEDDINGS};
use peft_tests::vectors;
use serde_json::Value;

use crate::{
    comparison::Report,
    parity,
    support::{peft, read_tensors, succeed},
};

/// A case of the script: its name, base, file, flags and what the program should call it.
struct Case {
    name: String,
    base: String,
    file: String,
    flags: Vec<String>,
    called: String,
}

fn cases() -> Vec<Case> {
    let text = fs::read_to_string(vectors("foreign/cases.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let case = |(name, case): (&String, &Value)| {
        let text = |key: &str| case[key].as_str().unwrap().to_string();
        let flags = text("flags").split_whitespace().map(str::to_string).collect();
        let (base, file, called) = (text("base"), text("file"), text("called"));
        Case { name: name.clone(), base, file, flags, called }
    };
    all.as_object().unwrap().iter().map(case).collect()
}

#[test]
fn checkpoints_of_other_code_give_its_logits() {
    let mut report = Report::default();
    for case in cases() {
        let dir = tempfile::tempdir().unwrap();
        let folder = vectors(&format!("foreign/{}", case.name));
        let model = vectors(&format!("logits/{}", case.base));
        let mut convert = peft(dir.path());
        convert.args(["convert", "--to", "made", "--json"]).args(&case.flags);
        convert.arg("--from").arg(folder.join(&case.file)).arg("--model").arg(&model);
        let json: Value = serde_json::from_slice(&succeed(&mut convert).stdout).unwrap();
        let source = json["source"].as_str().unwrap();
        assert!(source.contains(&case.called), "{}: {source}", case.name);
        let expected = folder.join("logits.safetensors");
        let rows = model.join("rows.jsonl");
        let found = parity::check(&model, Some(&dir.path().join("made")), &rows, &expected);
        if let Some(largest) = report.note(&case.name, "logits", found) {
            println!("{}: logits within {largest:.1e} of their scale", case.name);
        }
    }
    assert_eq!(report.finish(), 17);
}

#[test]
fn what_is_skipped_is_told_and_compared() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let from = vectors("foreign/ptv2-bert/pytorch_model.bin");
    let model = vectors("logits/bert");
    let convert = |to: &str, model: Option<&Path>| {
        let mut command = peft(dir);
        command.args(["convert", "--to", to, "--task", "seq-cls", "--json", "--from"]).arg(&from);
        if let Some(model) = model {
            command.arg("--model").arg(model);
        }
        command
    };
    let output = succeed(&mut convert("a", Some(&model)));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let skipped = json["skipped"].as_array().unwrap();
    assert!(skipped.contains(&"bert.embeddings.position_ids".into()), "{skipped:?}");
    let note = String::from_utf8(output.stderr).unwrap();
    let same = format!("{} of them compared with the base model: the same", skipped.len() - 1);
    assert!(note.contains(&same), "{note}");
    let note = String::from_utf8(succeed(&mut convert("b", None)).stderr).unwrap();
    assert!(note.contains("not compared with a base model"), "{note}");
    assert_eq!(
        Adapter::load(&dir.join("a")).unwrap().tensors,
        Adapter::load(&dir.join("b")).unwrap().tensors
    );

    // The folder that a trainer leaves.
    let mut command = peft(dir);
    command
        .args(["convert", "--to", "d", "--task", "seq-cls", "--from"])
        .arg(from.parent().unwrap());
    succeed(&mut command);

    // The same geometry with other weights.
    let other = dir.join("other");
    fs::create_dir(&other).unwrap();
    fs::copy(model.join("config.json"), other.join("config.json")).unwrap();
    let mut bytes = fs::read(model.join("model.safetensors")).unwrap();
    let end = bytes.len();
    bytes[end - 4096..].iter_mut().skip(3).step_by(4).for_each(|byte| *byte ^= 1);
    fs::write(other.join("model.safetensors"), bytes).unwrap();
    let output = convert("c", Some(&other)).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{stderr}");
    assert!(stderr.contains("tensor `bert.") && stderr.contains("with other values"), "{stderr}");
    assert!(!dir.join("c").exists());
}

#[test]
fn rows_without_a_name_are_told_by_their_width() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let model = vectors("logits/gpt2");
    let made = |from: &str| {
        let file = vectors(&format!("logits/gpt2/{from}/adapter_model.safetensors"));
        fs::copy(&file, dir.join("rows.safetensors")).unwrap();
        let mut convert = peft(dir);
        convert.args([
            "convert",
            "--from",
            "rows.safetensors",
            "--to",
            from,
            "--task",
            "causal-lm",
        ]);
        succeed(convert.arg("--model").arg(&model));
        let made = Adapter::load(&dir.join(from)).unwrap();
        assert_eq!(made.tensors[PROMPT_EMBEDDINGS], read_tensors(&file)[PROMPT_EMBEDDINGS]);
        made.config.peft_type.name()
    };
    assert_eq!((made("prompt"), made("prefix")), ("PROMPT_TUNING", "PREFIX_TUNING"));
}
