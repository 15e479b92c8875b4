//! What is written stays whole: one process in a run's folder, kills while one run replaces another, outputs beside
//! links. In `damage` what becomes of a run whose files do not, in `paths` what its relative paths start from.
#![cfg(unix)]

mod damage;
mod paths;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use peft_core::{adapter::codec::sha256, contract::rng};
use rand::Rng;

use crate::support::{ADAPTER_FILES, peft, read_lines, root, succeed, tiny_model};

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

/// The files of an adapter.
fn adapter(out: &Path) -> [Vec<u8>; 3] {
    ADAPTER_FILES.map(|name| fs::read(out.join(name)).unwrap())
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Replaces text in a file.
fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// A log that stdout leads to may hold lines of its own, which stay.
#[test]
#[cfg(target_os = "linux")]
fn metrics_on_stdout_leave_the_lines_of_a_log() {
    let dir = tempfile::tempdir().unwrap();
    for (index, name) in ["/dev/stdout", "/proc/self/fd/1"].into_iter().enumerate() {
        let log = dir.path().join(format!("log{index}"));
        fs::write(&log, "a line\n").unwrap();
        let mut command =
            train(&dir.path().join(format!("out{index}")), 2, &["--metrics-file", name]);
        command.stdout(fs::OpenOptions::new().append(true).open(&log).unwrap());
        succeed(&mut command);
        let text = fs::read_to_string(&log).unwrap();
        assert!(text.starts_with("a line\n{\"step\":1,"), "{text}");
        // As a shell opens it for `>`: what is printed comes behind the metrics.
        let mut command = train(&dir.path().join("new"), 2, &["--metrics-file", name]);
        command.stdout(fs::File::create(&log).unwrap());
        succeed(&mut command);
        let text = fs::read_to_string(&log).unwrap();
        let starts: Vec<_> = text.lines().map(|line| line.get(..10).unwrap_or_default()).collect();
        assert_eq!(starts[..2], ["{\"step\":1,", "{\"step\":2,"], "{text}");
        assert!(text.lines().nth(2).unwrap().starts_with("prompt: "), "{text}");
        fs::remove_dir_all(dir.path().join("new")).unwrap();
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}

/// `--overwrite`, killed at any moment and resumed.
#[test]
fn a_kill_while_one_run_replaces_another_leaves_one_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let flags = ["--valid", "tests/vectors/training/gpt2-prefix/rows.jsonl"];
    let (old, new) = ([&flags[..], &["--seed=1"]].concat(), [&flags[..], &["--seed=2"]].concat());
    succeed(&mut train(&at("old"), 4, &old));
    let start = Instant::now();
    succeed(&mut train(&at("new"), 4, &new));
    let length = start.elapsed().as_micros() as u64;
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed of the random moments {seed}");
    let mut random = rng::stream(seed, 0, "kills while overwriting");
    let (mut kills, mut kept) = (0, 0);
    let out = at("out");
    for _ in 0..12 {
        copy(&at("old"), &out);
        edit(&out.join("run.toml"), at("old").to_str().unwrap(), out.to_str().unwrap());
        let mut child = train(&out, 4, &[&new[..], &["--overwrite"]].concat()).spawn().unwrap();
        sleep(Duration::from_micros(random.random_range(0..length)));
        child.kill().unwrap();
        kills += usize::from(!child.wait().unwrap().success());
        succeed(&mut resume(&out));
        let is_old = fs::read_to_string(out.join("run.toml")).unwrap().contains("seed = 1");
        kept += usize::from(is_old);
        assert_eq!(adapter(&out), adapter(&at(if is_old { "old" } else { "new" })));
        assert_eq!(hidden(&out), [""; 0]);
        assert_eq!(hidden(&out.join("checkpoints")), [""; 0]);
        assert_eq!(read_lines(&out.join("metrics.jsonl")).len(), 4);
        fs::remove_dir_all(&out).unwrap();
    }
    println!("{kills} kills, the old run stayed {kept} times");
    assert!(kills > 0);

    // Killed once the new run counts, before anything of the old one has moved.
    copy(&at("old"), &out);
    fs::copy(at("new/run.toml"), out.join(".peft.next.toml")).unwrap();
    edit(&out.join(".peft.next.toml"), at("new").to_str().unwrap(), out.to_str().unwrap());
    let refused = train(&out, 4, &new).output().unwrap();
    assert!(message(&refused).contains("holds a run already"));
    let said = message(&succeed(&mut resume(&out)));
    assert!(said.contains("takes the place of the old one"), "{said}");
    assert_eq!(adapter(&out), adapter(&at("new")));

    // With the metrics elsewhere.
    let (out, metrics) = (at("other"), at("ext.jsonl"));
    succeed(&mut train(&out, 4, &["--metrics-file", metrics.to_str().unwrap()]));
    let whole = adapter(&out);
    fs::copy(out.join("run.toml"), out.join(".peft.next.toml")).unwrap();
    let said = message(&succeed(&mut resume(&out)));
    assert!(said.contains("takes the place of the old one"), "{said}");
    assert_eq!((adapter(&out), read_lines(&metrics).len()), (whole, 4));
}

/// The adapter of a run that another one replaces is not taken for that of the other; one that may be old is told.
#[test]
fn a_replaced_adapter_is_not_taken_for_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let out = at("out");
    succeed(&mut train(&out, 4, &[]));
    let whole = adapter(&out);
    let inspect = || {
        let mut command = peft(dir.path());
        command.args(["inspect", "out"]);
        command
    };
    assert!(!message(&succeed(&mut inspect())).contains("earlier"));
    // It went on, and was killed.
    edit(&out.join("result.json"), "finished", "begun");
    let said = message(&succeed(&mut inspect()));
    assert!(said.contains("may be that of its earlier end"), "{said}");
    assert!(said.contains("its newest checkpoint is out/checkpoints/step-000004"), "{said}");
    // Another run took its place, and was killed after its first checkpoint.
    let mark = out.join(".peft.earlier");
    fs::write(&mark, sha256(&fs::read(out.join("burn_peft.json")).unwrap())).unwrap();
    let model = root().join(tiny_model("gpt2"));
    let on_model = |name: &str| {
        let mut command = peft(dir.path());
        command.args([name, "--adapter=out", "--model"]).arg(&model);
        command
    };
    let mut eval = on_model("eval");
    eval.arg("--data").arg(root().join("tests/vectors/training/gpt2-prefix/rows.jsonl"));
    let mut generate = on_model("generate");
    generate.args(["--prompt=a", "--max-new-tokens=1"]);
    let mut similarity = peft(dir.path());
    similarity.args(["similarity", "out", "out/checkpoints/step-000004"]);
    let start = train(&at("other"), 4, &["--init-adapter", out.to_str().unwrap()]);
    for mut command in [inspect(), eval, generate, similarity, start] {
        let output = command.output().unwrap();
        let said = message(&output);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        for says in [
            "holds the adapter of an earlier run",
            "peft train --resume --out ",
            "out/checkpoints/step-000004 is its newest",
            "peft convert --from ",
        ] {
            assert!(said.contains(says), "{command:?}: {says}: {said}");
        }
    }
    // What is said can be done.
    let mut convert = peft(dir.path());
    let said = message(&succeed(convert.args(["convert", "--from=out", "--to=kept"])));
    assert!(
        said.contains("this adapter is that of a run which --overwrite has replaced"),
        "{said}"
    );
    assert!(!said.contains("its earlier end"), "{said}");
    assert!(fs::read(at("kept/adapter_model.safetensors")).unwrap() == whole[2]);
    succeed(&mut resume(&out));
    assert!(!message(&succeed(&mut inspect())).contains("earlier"));
    assert!(!mark.exists() && adapter(&out) == whole);
    assert!(fs::read_to_string(out.join("result.json")).unwrap().contains("finished"));
    // Before it has begun.
    fs::copy(out.join("run.toml"), out.join(".peft.next.toml")).unwrap();
    let said = message(&inspect().output().unwrap());
    assert!(said.contains("has none yet") && !said.contains("is its newest"), "{said}");
}
