//! What a person sees of a training run: its lines in a pipe, how it ended, what to do next, and how it goes on for
//! more steps.

use std::{fs, path::Path, process::Command};

use peft_core::Adapter;

use crate::support::{ADAPTER_FILES, peft, read_lines, root, succeed, tiny_model, told};

/// A run of a head's prompt on a tiny BERT, with other rows to validate on.
fn classify(out: &Path, flags: &[&str]) -> Command {
    let mut command = peft(&root());
    command.args(["train", "--model", &tiny_model("bert"), "--method=prompt", "--task=seq-cls"]);
    command.args(["--train", "tests/vectors/training/bert-prefix/rows.jsonl"]);
    command.args(["--valid", "tests/vectors/training/bert-prompt/rows.jsonl"]);
    command.args(["--batch-size=4", "--num-virtual-tokens=2", "--eval-every=2"]);
    command.args(flags).arg("--out").arg(out);
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env_remove("CLICOLOR");
    command
}

/// The command that continues a run.
fn resume(out: &Path, flags: &[&str]) -> Command {
    let mut command = peft(&root());
    command.args(["train", "--resume", "--out"]).arg(out).args(flags);
    command
}

#[test]
fn a_run_in_a_pipe_is_told_in_lines() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let flags = ["--steps=6", "--lr=0.01", "--log-every=0"];
    let (results, notes) = told(&mut classify(&out, &flags));
    for part in [
        "train    ",
        "valid    ",
        "classes  ",
        "steps    6 of 4 rows",
        "; evaluated every 2, best by accuracy",
        "step 1/6  epoch ",
        "  train loss ",
        "  lr 1.0e-2  ",
        " tokens/s  elapsed 0:0",
        "  left 0:0",
        "step 2/6  epoch ",
        "  valid loss ",
        "  accuracy ",
        "  new best",
        "next: peft predict --model tests/vectors/logits/bert --adapter ",
    ] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    assert!(!notes.contains('\u{1b}') && !results.contains('\u{1b}'), "{notes}");
    assert_eq!(notes.matches("train loss").count(), 6, "{notes}");
    // Every ten seconds: none of these steps, but each evaluation.
    let (_, notes) = told(&mut classify(&dir.path().join("b"), &flags[..2]));
    assert_eq!((notes.matches("train loss").count(), notes.matches("valid loss").count()), (0, 3));
    let (_, notes) = told(&mut classify(&dir.path().join("c"), &["--steps=6", "--verbose"]));
    assert_eq!(notes.matches("train loss").count(), 6, "{notes}");
    let (again, notes) = told(&mut classify(&dir.path().join("d"), &["-q", flags[0], flags[1]]));
    assert_eq!(notes, "");
    assert_eq!(
        again.lines().skip(1).collect::<Vec<_>>(),
        results.lines().skip(1).collect::<Vec<_>>()
    );
    let mut forced = classify(&dir.path().join("e"), &flags);
    let (_, notes) = told(forced.env("CLICOLOR_FORCE", "1"));
    assert!(notes.contains("\u{1b}[32mnew best\u{1b}[0m"), "{notes}");
    let mut forced = classify(&dir.path().join("f"), &["--color=never", "--steps=2"]);
    assert!(!told(forced.env("CLICOLOR_FORCE", "1")).1.contains('\u{1b}'));
}

#[test]
fn the_end_says_what_happened_and_what_is_next() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("a run's folder");
    // Steps too small to change any answer.
    let flags = ["--steps=100", "--lr=1e-12", "--head-lr=1e-12", "--patience=3"];
    let (results, notes) = told(&mut classify(&out, &flags));
    let first = results.lines().next().unwrap();
    let says = "prompt: stopped early at step 8 of 100, best is step 2, ";
    assert!(first.starts_with(says) && first.ends_with(&format!("saved in {}", out.display())));
    let header = results.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(header, "score best, step 2 last, step 8", "{results}");
    let row: Vec<&str> = results.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row.len()), ("loss", 3), "{results}");

    // The next command is one that a shell can run as it stands.
    let next = notes.lines().find_map(|line| line.strip_prefix("next: ")).unwrap();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(next.replacen("peft", "\"$PEFT\"", 1)).current_dir(root());
    let (rows, _) = told(shell.env("PEFT", env!("CARGO_BIN_EXE_peft-under-test")));
    assert!(rows.lines().count() > 1 && rows.contains("\"probability\""), "{rows}");
}

#[test]
fn threads_are_as_many_as_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str| classify(&dir.path().join(name), &["--steps=3", "--lr=0.01"]);
    succeed(run("flag").args(["--threads", "1"]).env("RAYON_NUM_THREADS", "3"));
    succeed(run("variable").env("RAYON_NUM_THREADS", "1"));
    for name in ADAPTER_FILES {
        let of = |run: &str| fs::read(dir.path().join(run).join(name)).unwrap();
        assert!(of("flag") == of("variable"), "{name}");
    }
    let many = run("many").env("RAYON_NUM_THREADS", "100000").output().unwrap();
    let said = String::from_utf8_lossy(&many.stderr).into_owned();
    assert_eq!(many.status.code(), Some(2), "{said}");
    assert!(said.contains("RAYON_NUM_THREADS: found 100000, expected at most 4096"), "{said}");
}

/// A method that has made its parameters infinite: nothing is saved, and the last good step is named.
#[test]
fn a_run_that_diverges_is_not_saved() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    // The first step has a rate of 0.
    let flags = ["--steps=9", "--lr=1e38", "--warmup-steps=1", "--checkpoint-every=1"];
    let mut command = classify(&out, &flags);
    let output = command.args(["--optimizer=sgd", "--weight-decay=1e10"]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(!Adapter::exists(&out));
    let start = out.join("checkpoints/step-000001");
    let way_on = format!("--init-adapter {} --lr 1", start.display());
    assert!(message.contains(&way_on), "{message}");
    assert!(message.contains("error: the loss became "), "{message}");
}

#[test]
fn a_run_goes_on_for_more_steps() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let flags = |steps: &'static str, schedule: &'static str| {
        [steps, schedule, "--lr=0.05", "--checkpoint-every=3", "--seed=3"]
    };
    succeed(&mut classify(&at("whole"), &flags("--steps=12", "--schedule=constant")));
    succeed(&mut classify(&at("longer"), &flags("--steps=6", "--schedule=constant")));
    let (_, notes) = told(&mut resume(&at("longer"), &["--steps=12"]));
    let says = "note: 12 steps instead of 6: the result is that of 12 steps from the start\n";
    assert!(notes.contains(says), "{notes}");
    for name in ADAPTER_FILES {
        let of = |run: &str| fs::read(at(run).join(name)).unwrap();
        assert!(of("longer") == of("whole"), "{name}");
    }
    let lines = |run: &str| -> Vec<_> {
        let lines = read_lines(&at(run).join("metrics.jsonl"));
        lines.iter().map(|line| (line["step"].clone(), line["loss"].clone())).collect()
    };
    assert_eq!(lines("longer"), lines("whole"));

    // The settings are those of the longer run from now on; fewer steps than were planned are refused.
    succeed(&mut resume(&at("longer"), &[]));
    let refused = resume(&at("longer"), &["--steps=11"]).output().unwrap();
    let message = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{message}");
    assert!(message.contains("steps (then 12, now 11)"), "{message}");
    assert!(message.contains("for --init-adapter ") && message.contains(" and another --out"));

    // A rate that falls to 0 at the end falls to another end.
    succeed(&mut classify(&at("linear"), &flags("--steps=6", "--schedule=linear")));
    let (_, notes) = told(&mut resume(&at("linear"), &["--epochs=9"]));
    assert!(notes.contains("from step 7 on, the learning rate follows the linear schedule of "));
    let rates = read_lines(&at("linear").join("metrics.jsonl"));
    let total = rates.len() as f64;
    let rate = |step: usize| rates[step - 1]["lr"].as_f64().unwrap();
    assert!(total > 12.0, "{total}");
    assert!((rate(6) - 0.05 / 6.0).abs() < 1e-9, "{}", rate(6));
    assert!((rate(7) - 0.05 * (1.0 - 6.0 / total)).abs() < 1e-9, "{}", rate(7));
}

/// A run that stopped early goes on with more patience, as if it had had it from the start.
#[test]
fn a_run_that_stopped_early_goes_on_with_more_patience() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let flags = |patience| ["--steps=20", "--lr=1e-12", "--checkpoint-every=2", patience];
    succeed(&mut classify(&at("whole"), &flags("--patience=4")));
    succeed(&mut classify(&at("patient"), &flags("--patience=2")));
    let (results, _) = told(&mut resume(&at("patient"), &["--patience=4"]));
    assert!(results.contains("stopped early at step 10 of 20, best is step 2"), "{results}");
    for name in ADAPTER_FILES {
        assert!(
            fs::read(at("patient").join(name)).unwrap()
                == fs::read(at("whole").join(name)).unwrap()
        );
    }
    let refused = resume(&at("patient"), &["--patience=1"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("patience (then 4, now 1)"));
}
