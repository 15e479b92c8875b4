//! The program with `--cache-frozen`.

use std::{fs, path::Path};

use crate::support::{ADAPTER_FILES, lose_last_checkpoint, peft, root, succeed, tiny_model};

fn train_process(out: &Path, args: &[&str]) -> String {
    let output = succeed(peft(&root()).arg("train").arg("--out").arg(out).args(args));
    String::from_utf8(output.stderr).unwrap()
}

/// Room for less than a row is none, and the room that is told is enough for one.
#[test]
fn room_for_less_than_a_row_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let rows = "tests/vectors/training/bert-prefix/rows.jsonl";
    let model = tiny_model("bert");
    let train = |size: &str| {
        let size = format!("--cache-frozen={size}");
        let flags = ["--model", &model, "--train", rows, "--task=seq-cls", "--method=ptv2"];
        let more = ["--layers=1", "--epochs=3", "--no-report", "--overwrite", &size];
        train_process(&dir.path().join("out"), &[&flags[..], &more].concat())
    };
    let said = train("100B");
    let says = "--cache-frozen keeps nothing: 100B is less than one row takes; ";
    assert!(said.contains(says) && !said.contains("kept for"), "{said}");
    let rest = said.split(says).nth(1).unwrap();
    let enough = rest.split(' ').next().unwrap();
    let said = train(enough);
    assert!(!said.contains("keeps nothing") && said.contains("kept for "), "{said}");
    let all = rest.split("shortest, ").nth(1).unwrap().split(' ').next().unwrap();
    let said = train(all);
    assert!(said.contains("computed once for each row"), "{said}");
}

/// A run without the cache that goes on with it ends as if it had never been stopped.
#[test]
fn a_run_is_resumed_with_other_memory() {
    for (name, rows, task, flags) in [
        ("bert", "bert-prefix", "seq-cls", &["--method=ptv2", "--layers=1"][..]),
        ("gpt2", "gpt2-prefix", "causal-lm", &["--method=ptv2", "--layers=1"]),
        ("bert", "bert-prefix", "seq-cls", &["--method=head"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (whole, resumed) = (dir.path().join("whole"), dir.path().join("resumed"));
        let (model, task) = (tiny_model(name), format!("--task={task}"));
        let rows = format!("tests/vectors/training/{rows}/rows.jsonl");
        let start = ["--model", &model, "--train", &rows, "--valid", &rows, &task];
        let start = [
            &start[..],
            &["--steps=12", "--batch-size=4", "--eval-every=4", "--checkpoint-every=4"],
            flags,
        ]
        .concat();
        train_process(&whole, &start);
        train_process(&resumed, &[&start[..], &["--cache-frozen=0"]].concat());
        let adapter = |dir: &Path| ADAPTER_FILES.map(|name| fs::read(dir.join(name)).unwrap());
        assert!(adapter(&whole) == adapter(&resumed), "{name} {flags:?}: without memory");
        lose_last_checkpoint(&resumed);
        train_process(&resumed, &["--resume", "--cache-frozen=2kB"]);
        assert!(adapter(&whole) == adapter(&resumed), "{name} {flags:?}: resumed");
        let settings = fs::read_to_string(resumed.join("run.toml")).unwrap();
        assert!(settings.contains("cache_frozen = \"2kB\""), "{settings}");
    }
}
