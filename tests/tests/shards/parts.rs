//! One part: which one it is, and where it is written.

use std::fs;

use serde_json::{Value, json};

use super::{
    classes, command, ids, merge, predict_in_parts, read, refused, run, said, tiny, write,
};

#[test]
fn a_launcher_is_asked_where_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    classes(dir);
    let bert = tiny("bert");
    let args = ["predict", "--input=rows.jsonl", &bert, "--output=out.jsonl"];
    let with = |variables: &[(&str, &str)], more: &[&str]| {
        let mut command = command(dir, &[&args[..], more].concat());
        command.envs(variables.iter().copied());
        command.output().unwrap()
    };
    let rank = |rank| [("SLURM_PROCID", rank), ("SLURM_STEP_NUM_TASKS", "2")];
    for place in ["0", "1"] {
        let output = with(&rank(place), &["--shard=auto"]);
        assert!(output.status.success(), "{}", said(&output));
        let by = "/2 by SLURM_PROCID and SLURM_STEP_NUM_TASKS";
        assert!(said(&output).contains(by), "{}", said(&output));
    }
    assert!(!dir.join("out.jsonl").exists());
    run(dir, &["merge", "out-2-of-2.jsonl", "out-1-of-2.jsonl", "--output=merged.jsonl"]);
    // Without the flag nothing is left out, and that is said.
    let output = with(&rank("1"), &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("note: this is one of 2 processes"), "{}", said(&output));
    assert_eq!(read(dir, "out.jsonl"), read(dir, "merged.jsonl"));
    // An interactive allocation of one task is not one of several.
    let alone = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1")];
    let output = with(&alone, &[]);
    assert!(output.status.success() && !said(&output).contains("processes"), "{}", said(&output));
    // The name of a folder would become that of files beside it.
    fs::create_dir(dir.join("parts")).unwrap();
    for name in ["parts", "parts/", "others/"] {
        let flag = format!("--output={name}");
        let mut command =
            command(dir, &["predict", "--input=rows.jsonl", &bert, &flag, "--shard=auto"]);
        let output = command.envs(rank("0")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("a folder: give the name of a file"), "{}", said(&output));
    }
    for (variables, says) in [
        (&[("PMI_RANK", "2"), ("PMI_SIZE", "2")][..], "--shard: PMI_RANK is 2"),
        (&[], "--shard: found auto, but no variables of srun"),
        (
            &[("SLURM_ARRAY_TASK_ID", "7"), ("SLURM_ARRAY_TASK_COUNT", "1")],
            "--shard: the array has one task",
        ),
    ] {
        let output = with(variables, &["--shard=auto"]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(says), "{}", said(&output));
    }
}

/// `-` is standard output, of a part too, and nothing else is there.
#[test]
fn lines_go_to_standard_output() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    classes(dir);
    let bert = tiny("bert");
    let args = ["predict", "--input=rows.jsonl", &bert];
    let stdout = |more: &[&str]| run(dir, &[&args[..], more].concat()).stdout;
    let whole = stdout(&[]);
    assert!(!whole.is_empty());
    assert_eq!(stdout(&["--output", "-"]), whole);
    fs::write(dir.join("1.jsonl"), stdout(&["--shard=1/2", "--output=-"])).unwrap();
    fs::write(dir.join("2.jsonl"), stdout(&["--shard=2/2", "--output=-"])).unwrap();
    assert_eq!(run(dir, &["merge", "1.jsonl", "2.jsonl", "--output", "-"]).stdout, whole);
    let gpt2 = tiny("gpt2");
    let args = ["generate", "--input=rows.jsonl", &gpt2, "--max-new-tokens=2", "--batch-size=1"];
    let made = run(dir, &args).stdout;
    assert_eq!(run(dir, &[&args[..], &["--output=-"]].concat()).stdout, made);
    assert!(!dir.join("-").exists());
}

#[test]
fn a_part_without_rows_is_an_empty_file() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let row = |row: usize| json!({"input_ids": ids(row), "label": row});
    write(dir, "rows.jsonl", (0..2).map(row));
    let files = predict_in_parts(dir, 3, &[]);
    let sizes = files.iter().map(|name| read(dir, name).lines().count());
    assert_eq!(sizes.collect::<Vec<_>>(), [0, 1, 1]);
    run(dir, &merge(&files, &["--output=all.jsonl"]));
    assert_eq!(read(dir, "all.jsonl").lines().count(), 2);
    let (bert, gpt2) = (tiny("bert"), tiny("gpt2"));
    let empty = run(dir, &["eval", "--data=rows.jsonl", &bert, "--shard=1/3", "--json"]);
    let found: Value = serde_json::from_slice(&empty.stdout).unwrap();
    let part = json!({"part": "1/3", "first_row": null, "last_row": null, "rows": 2});
    assert_eq!(found, json!({ "shard": part }));
    assert!(said(&empty).contains("scores are of none of 2 rows"), "{}", said(&empty));
    let args = ["generate", "--input=rows.jsonl", "--max-new-tokens=2", "--shard=1/3", &gpt2];
    let empty = run(dir, &[&args[..], &["--output=none.jsonl"]].concat());
    assert!(said(&empty).contains("note: part 1/3: none of 2 rows"), "{}", said(&empty));
    assert_eq!(read(dir, "none.jsonl"), "");
}

#[test]
fn parts_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    classes(dir);
    let (bert, gpt2) = (tiny("bert"), tiny("gpt2"));
    let input = ["predict", "--input=rows.jsonl", &bert];
    let of = |more: &[&str], code| refused(dir, &[&input, more].concat(), code);
    for (more, says) in [
        (&["--shard=0/2"][..], "expected i/n with i from 1 to n, such as 2/3, or auto"),
        (&["--shard=1/2", "--output=a.csv"], "--output: a part is written as lines of JSON"),
        (&["--shard=1/2", "--format=tsv"], "--format: a part is written as lines of JSON"),
    ] {
        let said = of(more, 2);
        assert!(said.contains(says), "{said}");
    }
    let text = ["predict", "--text=a", &bert, "--shard=1/2"];
    assert!(refused(dir, &text, 2).contains("--shard: is for the rows of a file, not for --text"));
    let prompt = ["generate", "--prompt=a", &gpt2, "--shard=1/2"];
    assert!(refused(dir, &prompt, 2).contains("not for --prompt"));
    let eval = ["eval", "--data=rows.jsonl", &bert, "--shard=1/2", "--out=e"];
    assert!(refused(dir, &eval, 2).contains("--out: an evaluation is of all rows"));
    assert!(!dir.join("e").exists());
    // Two parts in one file would leave one of them.
    run(dir, &[&input[..], &["--shard=1/2", "--output=part.jsonl"]].concat());
    let first = read(dir, "part.jsonl");
    let said = of(&["--shard=2/2", "--output=part.jsonl"], 1);
    assert!(said.contains("part.jsonl: holds part 1/2, and this is 2/2"), "{said}");
    assert_eq!(read(dir, "part.jsonl"), first);
    run(dir, &[&input[..], &["--shard=1/2", "--output=part.jsonl"]].concat());
    assert_eq!(read(dir, "part.jsonl"), first);
}
