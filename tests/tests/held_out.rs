//! `--valid-split` of the program.

use std::{fmt::Write, fs};

use crate::support::{ADAPTER_FILES, peft, read_lines, root, succeed, tiny_model};

#[test]
fn a_part_of_the_rows_is_held_out() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut rows = String::new();
    for row in 0..20 {
        writeln!(rows, r#"{{"input_ids": [2, {}, 7], "label": {}}}"#, 4 + row, row % 2).unwrap();
    }
    fs::write(dir.join("rows.jsonl"), rows).unwrap();
    let train = |out: &str, more: &[&str]| {
        let mut command = peft(&root());
        command.args(["train", "--model", &tiny_model("bert"), "--method=ptv2", "--task=seq-cls"]);
        command.args(["--num-virtual-tokens=2", "--steps=4", "--batch-size=4", "--eval-every=2"]);
        command.args(more).arg("--train").arg(dir.join("rows.jsonl"));
        command.arg("--out").arg(dir.join(out));
        command
    };
    let said = succeed(&mut train("out", &["--valid-split=0.2"])).stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("4 of 20 training rows are held out for validation"), "{said}");
    assert_eq!(read_lines(&dir.join("out/evaluations.jsonl")).len(), 2);
    // The same rows when it is resumed: its end is that of a run that was never stopped.
    succeed(peft(&root()).args(["train", "--resume", "--out"]).arg(dir.join("out")));
    succeed(&mut train("again", &["--valid-split=0.2"]));
    for name in ADAPTER_FILES {
        let read = |out: &str| fs::read(dir.join(out).join(name)).unwrap();
        assert!(read("out") == read("again"), "{name}");
    }
    let other = train("other", &["--valid-split=0.2", "--valid=rows.jsonl"]).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
}
