//! What is written stays whole, whoever else writes there: one process in a run's folder, outputs beside links.
#![cfg(unix)]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::support::{peft, root, succeed, tiny_model};

/// A run of a prompt in `out`.
fn train(out: &Path, steps: usize, flags: &[&str]) -> Command {
    let mut command = peft(&root());
    command.args(["train", "--model", &tiny_model("gpt2"), "--method=prompt", "--task=causal-lm"]);
    command.args(["--train", "tests/vectors/training/gpt2-prompt/rows.jsonl", "--batch-size=2"]);
    command.args(["--num-virtual-tokens=2", "--checkpoint-every=2", "--steps", &steps.to_string()]);
    command.args(flags).arg("--out").arg(out).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The command that continues a run.
fn resume(out: &Path) -> Command {
    let mut command = peft(&root());
    command.args(["train", "--resume", "--out"]).arg(out);
    command
}

fn message(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The names in a folder that begin with a dot.
fn hidden(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).filter(|name| name.starts_with('.')).collect()
}

#[test]
fn one_process_at_a_time_writes_in_a_run_folder() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut first = train(&out, 1_000_000, &["--seed=1"]).spawn().unwrap();
    let start = Instant::now();
    while !out.join("checkpoints/step-000002").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint in a minute");
        sleep(Duration::from_millis(2));
    }
    let adapter = root().join("tests/vectors/logits/gpt2/prefix");
    let mut convert = peft(&root());
    convert.args(["convert", "--force", "--from"]).arg(adapter).arg("--to").arg(&out);
    for mut other in [
        train(&out, 3, &["--seed=2"]),
        train(&out, 3, &["--seed=2", "--overwrite"]),
        resume(&out),
        convert,
    ] {
        let output = other.output().unwrap();
        let message = message(&output);
        assert_eq!(output.status.code(), Some(1), "{other:?}: {message}");
        let says = format!("error: {} is in use by process {}", out.display(), first.id());
        assert!(message.starts_with(&says), "{message}");
    }
    let settings = fs::read_to_string(out.join("run.toml")).unwrap();
    assert!(settings.contains("seed = 1"), "{settings}");
    // The lock ends with the process, however that ends.
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(resume(&out).args(["--steps", "3"]).output().unwrap().status.code(), Some(1));
    succeed(&mut train(&out, 3, &["--seed=2", "--overwrite"]));
    assert_eq!(hidden(&out), [""; 0]);
    assert_eq!(hidden(&out.join("checkpoints")), [""; 0]);
}

#[test]
fn runs_with_folders_of_their_own_do_not_share_a_metrics_file() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = dir.path().join("metrics.jsonl");
    let flags = ["--overwrite", "--metrics-file", metrics.to_str().unwrap()];
    let mut first = train(&dir.path().join("one"), 1_000_000, &flags).spawn().unwrap();
    let start = Instant::now();
    while fs::metadata(&metrics).map_or(0, |found| found.len()) == 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "no step in a minute");
        sleep(Duration::from_millis(2));
    }
    let output = train(&dir.path().join("two"), 2, &flags).output().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    let message = message(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    let says = format!("error: {} is in use by another process", metrics.display());
    assert!(message.starts_with(&says), "{message}");
    assert!(!dir.path().join("two").exists());
}

/// `--output`: a name put there beforehand is not followed, one that the user gives is; who may read a file stays.
#[test]
fn an_output_goes_where_it_is_meant_to() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("victim"), "precious").unwrap();
    for name in [".out.jsonl.tmp", ".out.jsonl.new", ".peft-0123456789abcdef.tmp"] {
        symlink("victim", at(name)).unwrap();
    }
    fs::write(at("private"), "old").unwrap();
    fs::set_permissions(at("private"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("private", at("link")).unwrap();
    let rows = root().join("tests/vectors/training/gpt2-prompt/rows.jsonl");
    let long = "n".repeat(255);
    let generate = |output: &str| {
        let mut command = peft(dir.path());
        command.arg("generate").arg("--model").arg(root().join(tiny_model("gpt2")));
        command.arg("--input").arg(&rows).args(["--max-new-tokens=2", "--output", output]);
        succeed(&mut command);
        fs::read_to_string(at(output)).unwrap()
    };
    let expected = generate("out.jsonl");
    assert!(expected.lines().count() > 1);
    assert_eq!(generate("link"), expected);
    assert_eq!(generate(&long), expected);
    assert_eq!(fs::read_to_string(at("victim")).unwrap(), "precious");
    assert!(
        at("link").is_symlink() && !at("private").is_symlink() && !at("out.jsonl").is_symlink()
    );
    assert_eq!(fs::read_to_string(at("private")).unwrap(), expected);
    assert_eq!(fs::metadata(at("private")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(hidden(dir.path()).len(), 3);
}
