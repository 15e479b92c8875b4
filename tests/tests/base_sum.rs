//! A bit of a base model that has changed since its adapter was trained, where no fingerprint of parts of it shows that.

use std::{fs, path::Path, process::Command};

use peft_core::{Adapter, formats::safetensors_file};
use peft_tests::device;

use crate::{
    base_files::train,
    support::{copy_model, peft, succeed},
};

/// Changes the lowest bit of the first number of the largest tensor.
fn flip(model: &Path) {
    let path = model.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let tensors = safetensors_file::tensors(&bytes, &path).unwrap();
    let largest = tensors.into_iter().map(|one| one.place).max_by_key(|place| place.len()).unwrap();
    // The fingerprint is of 4 KiB in the middle.
    assert!(largest.len() > 3 * 4096, "{largest:?}");
    bytes[largest.start] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn generate(dir: &Path, flags: &[&str]) -> Command {
    let mut command = peft(dir);
    command.args(["generate", "--model=model", "--adapter=out", "--input=rows.jsonl"]);
    command.args(["--output=made.jsonl", "--max-new-tokens=2"]).args(flags);
    command
}

#[test]
fn a_changed_bit_of_the_base_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let base = dir.join("model");
    copy_model("gpt2", &base);
    fs::write(dir.join("rows.jsonl"), "{\"input_ids\": [3, 4, 5], \"labels\": [3, 4, 5]}\n")
        .unwrap();
    succeed(&mut train(dir, &["--num-virtual-tokens=2", "--steps=4", "--out=out"]));
    let loaded = peft_models::load(&base, &device()).unwrap();
    let sum = loaded.sha256().unwrap();
    assert!(sum.as_ref().is_some_and(|sum| sum.len() == 64), "{sum:?}");
    assert_eq!(Adapter::load(&dir.join("out")).unwrap().config.own.base_sha256, sum);
    succeed(&mut generate(dir, &[]));
    fs::remove_file(dir.join("made.jsonl")).unwrap();

    flip(&base);
    let changed = peft_models::load(&base, &device()).unwrap();
    assert_eq!(changed.report.fingerprint, loaded.report.fingerprint);
    assert_ne!(changed.sha256().unwrap(), sum);
    let mut eval = peft(dir);
    eval.args(["eval", "--model=model", "--adapter=out", "--data=rows.jsonl"]);
    let mut inspect = peft(dir);
    inspect.args(["inspect", "out", "--model=model"]);
    let mut convert = peft(dir);
    convert.args(["convert", "--from=out", "--to=kept", "--model=model"]);
    for command in [&mut generate(dir, &[]), &mut eval, &mut inspect, &mut convert] {
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("some weights are not those") && said.contains("--any-base"),
            "{said}"
        );
    }
    // What was made with it is not where it was asked for.
    assert!(!dir.join("made.jsonl").exists() && dir.join("made.jsonl.partial").exists());
    assert!(!dir.join("kept").exists());
    succeed(&mut generate(dir, &["--any-base"]));
    succeed(inspect.arg("--any-base"));
    succeed(convert.arg("--any-base"));
    let resumed = train(dir, &["--steps=6", "--out=out", "--resume"]).output().unwrap();
    let said = String::from_utf8(resumed.stderr).unwrap();
    assert_eq!(resumed.status.code(), Some(1), "{said}");
    assert!(said.contains("what differs: weights of the base model"), "{said}");
    // So is a model of which the fingerprint shows that it is another.
    let path = base.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (start..bytes.len()).step_by(4).for_each(|at| bytes[at] ^= 2);
    let other = dir.join("other");
    copy_model("gpt2", &other);
    fs::write(other.join("model.safetensors"), bytes).unwrap();
    for words in [&["inspect", "out"][..], &["convert", "--from=out", "--to=on-other"]] {
        let output = peft(dir).args(words).arg("--model=other").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("out: this adapter was trained on another base model"), "{said}");
    }
    // An adapter can start there all the same.
    let out = succeed(&mut train(dir, &["--steps=2", "--init-adapter=out", "--out=again"]));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.contains("note: some weights of the base model are not those"), "{said}");
}
