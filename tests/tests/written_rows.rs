//! Rows of `--output` that a command has made before it ends early: whole lines, beside the file that they were to become.
#![cfg(unix)]

use std::{
    fs,
    io::{BufRead, BufReader, Write, pipe},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use peft_cli::output::grouped;
use peft_core::formats::safetensors_file;
use serde_json::json;

use crate::support::{parse_lines, peft, root, succeed, tiny_model};

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
    // They are the rows of a run that ends, which leaves them there.
    rows(dir, &[3; 20]);
    let output = succeed(&mut generate(dir, &dir.join("model"), &flags));
    let note = "note: out.jsonl.partial is there already and stays; until all rows are written they stand in \
                out.jsonl.partial-2\n";
    assert_eq!(message(&output), note);
    let files =
        ["out.jsonl", "out.jsonl.partial", "out.jsonl.partial-2"].map(|name| read(dir, name));
    assert_eq!(files, [Some(partial.clone()), Some(partial), None]);
    fs::remove_file(dir.join("out.jsonl.partial")).unwrap();
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
        // Where it had more rows to make, `whole` is the shorter one.
        let is_of_whole = whole.starts_with(&partial) || partial.starts_with(&whole);
        assert!(partial.ends_with('\n') && is_of_whole, "{partial}");
        assert_eq!(read(dir, "out.jsonl"), None);
        fs::remove_file(dir.join("out.jsonl.partial")).unwrap();
        partial.lines().count()
    };
    // The signal that comes with it is survived: it leaves an error like that of a full disk.
    let generating = generate(dir, &model, &flags);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -f 2; exec \"$0\" \"$@\""]);
    shell.arg(generating.get_program()).args(generating.get_args()).current_dir(dir);
    let output = shell.output().unwrap();
    let (said, lines) = (message(&output), check());
    assert_eq!(output.status.code(), Some(1), "{said}");
    let says = format!("note: {lines} of 400 rows stand in out.jsonl.partial\nerror: cannot write");
    assert!(said.starts_with(&says) && said.contains("File too large"), "{said}");
    for few in [1, 30] {
        // Where all rows were made before it was killed, beside other work of the machine, it gets more of them.
        let is_killed = [400, 9000, 36_000, 144_000].into_iter().any(|count| {
            rows(dir, &vec![3; count]);
            let mut child = generate(dir, &model, &flags).stderr(Stdio::null()).spawn().unwrap();
            wait_for("row", || {
                let has_ended = child.try_wait().unwrap().is_some();
                let made = read(dir, "out.jsonl.partial").map_or(0, |text| text.lines().count());
                has_ended || made >= few
            });
            child.kill().unwrap();
            child.wait().unwrap();
            // Whether it had ended is sure from here on: `out.jsonl` takes its place at last.
            fs::remove_file(dir.join("out.jsonl")).is_err()
        });
        assert!(is_killed, "all rows are made before it is killed");
        assert!(check() >= few);
    }
    rows(dir, &[3; 400]);
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
    rows(dir, &[3; 36]);
    assert!(predict("out.jsonl").status.success());
    assert!(predict("out.tsv").status.success());
    let [lines, table] = ["out.jsonl", "out.tsv"].map(|name| read(dir, name).unwrap());
    assert_eq!((lines.lines().count(), table.lines().count()), (36, 37));
    rows(dir, &[[3; 36].as_slice(), &[12]].concat());
    for (output, whole, more) in [("out.jsonl", lines, 0), ("out.tsv", table, 1)] {
        let failed = predict(output);
        let said = message(&failed);
        assert_eq!(failed.status.code(), Some(1), "{said}");
        let says = format!("note: 32 of 37 rows stand in {output}.partial\nerror: ");
        assert!(said.starts_with(&says) && said.contains("the row in line 37"), "{said}");
        let partial = read(dir, &format!("{output}.partial")).unwrap();
        assert!(partial.lines().count() == 32 + more && whole.starts_with(&partial), "{partial}");
        assert_eq!(read(dir, output).unwrap(), whole, "as it was");
    }
}

/// Waits until something is so.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "no {what} in a minute");
        sleep(Duration::from_millis(1));
    }
}

fn send(signal: &str, child: &Child) {
    let kill = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// Sends a signal to a program that works on so many rows, once it `is_ready`; what the program said, and the number of rows.
/// Where it had done all of them before the signal came, beside other work of the machine, it gets four times as many.
fn signalled(
    signal: &str,
    start: impl Fn(usize) -> Command,
    is_ready: impl Fn(&Child) -> bool,
) -> (Output, usize) {
    for count in [9000, 36_000, 144_000, 576_000] {
        let mut command = start(count);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut has_ended = false;
        wait_for("row", || {
            has_ended = child.try_wait().unwrap().is_some();
            has_ended || is_ready(&child)
        });
        if !has_ended {
            send(signal, &child);
        }
        let output = child.wait_with_output().unwrap();
        if !output.status.success() {
            return (output, count);
        }
    }
    panic!("{signal} ends nothing");
}

/// Whether a program follows its signals.
#[cfg(target_os = "linux")]
fn follows(child: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << 1) != 0
}

fn classify(dir: &Path, flags: &[&str]) -> Command {
    let mut command = peft(dir);
    let model = root().join(tiny_model("gpt2-cls"));
    command.arg("predict").arg("--model").arg(model).args(["--input", "rows.jsonl"]);
    command.args(flags);
    command
}

#[test]
fn a_signal_leaves_whole_lines_and_says_how_many() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let model = root().join(tiny_model("gpt2"));
    type Start<'a> = &'a dyn Fn() -> Command;
    let generates: Start<'_> = &|| generate(dir, &model, &["--max-new-tokens", "20"]);
    let classifies: Start<'_> = &|| classify(dir, &["--batch-size", "1", "--output", "out.jsonl"]);
    let cases = [
        (generates, "INT", 130, "stopping"),
        (classifies, "TERM", 143, "stopping after this batch"),
    ];
    for (command, signal, code, stops) in cases {
        let start = |count: usize| {
            rows(dir, &vec![3; count]);
            fs::write(dir.join("out.jsonl"), "old").unwrap();
            command()
        };
        let has_rows =
            |_: &Child| read(dir, "out.jsonl.partial").is_some_and(|text| !text.is_empty());
        let (output, count) = signalled(signal, start, has_rows);
        let said = message(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(&format!("{stops}; a second signal ends it at once\n")), "{said}");
        let partial = read(dir, "out.jsonl.partial").unwrap();
        assert!(partial.ends_with('\n'), "{partial}");
        let lines = parse_lines(&partial).len();
        assert!((1..count).contains(&lines), "{lines}");
        let says = format!(
            "\ninterrupted: {} of {} rows are written, in out.jsonl.partial; ",
            grouped(lines),
            grouped(count)
        );
        assert!(said.contains(&says), "{lines}: {said}");
        assert_eq!(read(dir, "out.jsonl").unwrap(), "old");
        fs::remove_file(dir.join("out.jsonl.partial")).unwrap();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_evaluation_that_a_signal_ends_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let row = format!("{}\n", json!({"input_ids": [5, 6, 7], "label": 1}));
    let start = |count: usize| {
        fs::write(dir.join("rows.jsonl"), row.repeat(count)).unwrap();
        let mut command = peft(dir);
        let model = root().join(tiny_model("gpt2-cls"));
        command.arg("eval").arg("--model").arg(model).args(["--data", "rows.jsonl"]);
        command.args(["--batch-size", "1"]);
        command
    };
    let (output, count) = signalled("INT", start, follows);
    let said = message(&output);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0), "{said}");
    let says =
        format!(" of {} rows: scores are of all of them, and nothing is written\n", grouped(count));
    assert!(said.contains("\ninterrupted after ") && said.ends_with(&says), "{said}");
}

/// Nobody reads its results, so that it cannot end in order.
#[test]
#[cfg(target_os = "linux")]
fn a_second_signal_ends_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    rows(dir, &[3]);
    let (unread, mut full) = pipe().unwrap();
    let stdout = full.try_clone().unwrap();
    let filling = thread::spawn(move || while full.write_all(&[0; 4096]).is_ok() {});
    let mut command = classify(dir, &[]);
    let mut child = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    wait_for("handler", || follows(&child));
    send("INT", &child);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let first = said.by_ref().find(|line| line.starts_with("stopping")).unwrap();
    assert_eq!(first, "stopping after this batch; a second signal ends it at once");
    assert_eq!(child.try_wait().unwrap(), None);
    send("INT", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(said.collect::<Vec<_>>(), [""; 0]);
    drop(unread);
    filling.join().unwrap();
}
