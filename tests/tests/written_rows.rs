//! Rows of `--output` that a command has made before it ends early: whole lines, beside the file that they were to become.
#![cfg(unix)]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use peft_core::formats::safetensors_file;
use serde_json::json;

use crate::support::{peft, root, succeed, tiny_model};

/// Copies a tiny GPT-2 with NaN in place of position 10, so that rows with that many tokens fail.
fn damaged_model(name: &str, to: &Path) {
    fs::create_dir(to).unwrap();
    let from = root().join(tiny_model(name));
    fs::copy(from.join("config.json"), to.join("config.json")).unwrap();
    let mut bytes = fs::read(from.join("model.safetensors")).unwrap();
    let path = to.join("model.safetensors");
    let tensors = safetensors_file::tensors(&bytes, &path).unwrap();
    let positions = tensors.into_iter().find(|one| one.name == "transformer.wpe.weight").unwrap();
    let width = 4 * positions.shape[1];
    let start = positions.place.start + 10 * width;
    for value in bytes[start..start + width].chunks_mut(4) {
        value.copy_from_slice(&f32::NAN.to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

/// Rows of so many tokens each.
fn rows(dir: &Path, lengths: &[usize]) {
    let rows = lengths.iter().map(|length| format!("{}\n", json!({"input_ids": vec![5; *length]})));
    fs::write(dir.join("rows.jsonl"), rows.collect::<String>()).unwrap();
}

fn generate(dir: &Path, model: &Path, flags: &[&str]) -> Command {
    let mut command = peft(dir);
    command.arg("generate").arg("--model").arg(model).args(["--input", "rows.jsonl"]);
    command.args(["--output", "out.jsonl", "--batch-size", "1"]).args(flags);
    command
}

fn message(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn read(dir: &Path, name: &str) -> Option<String> {
    fs::read_to_string(dir.join(name)).ok()
}

#[test]
fn an_error_in_a_late_row_leaves_the_rows_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    damaged_model("gpt2", &dir.join("model"));
    rows(dir, &[[3; 20].as_slice(), &[12, 3]].concat());
    fs::write(dir.join("out.jsonl"), "old").unwrap();
    let flags = ["--max-new-tokens", "2"];
    let output = generate(dir, &dir.join("model"), &flags).output().unwrap();
    let said = message(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("note: 20 of 22 rows stand in out.jsonl.partial\nerror: row 20"),
        "{said}"
    );
    assert_eq!(read(dir, "out.jsonl").unwrap(), "old");
    let partial = read(dir, "out.jsonl.partial").unwrap();
    // They are the rows of a run that ends.
    rows(dir, &[3; 20]);
    succeed(&mut generate(dir, &dir.join("model"), &flags));
    assert_eq!((read(dir, "out.jsonl"), read(dir, "out.jsonl.partial")), (Some(partial), None));
    // Where there is none, nothing is left.
    rows(dir, &[12]);
    let output = generate(dir, &dir.join("model"), &flags).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(message(&output).starts_with("error: row 0"), "{}", message(&output));
    assert_eq!(read(dir, "out.jsonl.partial"), None);
}

#[test]
fn a_full_disk_and_a_kill_leave_whole_lines() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let model = root().join(tiny_model("gpt2"));
    rows(dir, &[3; 400]);
    let flags = ["--max-new-tokens", "20"];
    succeed(&mut generate(dir, &model, &flags));
    let whole = read(dir, "out.jsonl").unwrap();
    fs::remove_file(dir.join("out.jsonl")).unwrap();
    let check = || {
        let partial = read(dir, "out.jsonl.partial").unwrap();
        assert!(partial.ends_with('\n') && whole.starts_with(&partial), "{partial}");
        assert_eq!(read(dir, "out.jsonl"), None);
        partial.lines().count()
    };
    // Ignored, the signal leaves an error like that of a full disk.
    let generating = generate(dir, &model, &flags);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$0\" \"$@\""]);
    shell.arg(generating.get_program()).args(generating.get_args()).current_dir(dir);
    let output = shell.output().unwrap();
    let (said, lines) = (message(&output), check());
    assert_eq!(output.status.code(), Some(1), "{said}");
    let says = format!("note: {lines} of 400 rows stand in out.jsonl.partial\nerror: cannot write");
    assert!(said.starts_with(&says) && said.contains("File too large"), "{said}");
    for few in [1, 30] {
        let mut child = generate(dir, &model, &flags).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        while read(dir, "out.jsonl.partial").is_none_or(|text| text.lines().count() < few) {
            assert!(start.elapsed() < Duration::from_secs(60), "no rows in a minute");
            sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        check();
    }
    succeed(&mut generate(dir, &model, &flags));
    assert_eq!((read(dir, "out.jsonl"), read(dir, "out.jsonl.partial")), (Some(whole), None));
}

#[test]
fn predictions_are_written_as_they_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    damaged_model("gpt2-cls", &dir.join("model"));
    let predict = |output: &str| {
        let mut command = peft(dir);
        command.args(["predict", "--model", "model", "--input", "rows.jsonl", "--batch-size", "1"]);
        command.args(["--output", output]).output().unwrap()
    };
    rows(dir, &[3; 40]);
    assert!(predict("out.jsonl").status.success());
    assert!(predict("out.tsv").status.success());
    let [lines, table] = ["out.jsonl", "out.tsv"].map(|name| read(dir, name).unwrap());
    assert_eq!((lines.lines().count(), table.lines().count()), (40, 41));
    rows(dir, &[[3; 40].as_slice(), &[12]].concat());
    for (output, whole, more) in [("out.jsonl", lines, 0), ("out.tsv", table, 1)] {
        let failed = predict(output);
        let said = message(&failed);
        assert_eq!(failed.status.code(), Some(1), "{said}");
        let says = format!("note: 32 of 41 rows stand in {output}.partial\nerror: ");
        assert!(said.starts_with(&says) && said.contains("the row in line 41"), "{said}");
        let partial = read(dir, &format!("{output}.partial")).unwrap();
        assert!(partial.lines().count() == 32 + more && whole.starts_with(&partial), "{partial}");
        assert_eq!(read(dir, output).unwrap(), whole, "as it was");
    }
}
