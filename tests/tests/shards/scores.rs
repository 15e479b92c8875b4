//! Scores of the parts together, and of one of them.

use std::fs;

use serde_json::{Value, json};

use super::{classes, ids, merge, predict_in_parts, read, refused, run, tiny, write};
use crate::support::{root, tiny_model};

#[test]
fn scores_of_the_parts_together_are_those_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    classes(dir);
    let bert = tiny("bert");
    let object = |args: &[&str]| -> Value {
        serde_json::from_slice(&run(dir, &[args, &["--json"]].concat()).stdout).unwrap()
    };
    let files = predict_in_parts(dir, 3, &[]);
    let merged = object(&merge(&files, &["--output=all.jsonl", "--data=rows.jsonl"]));
    run(dir, &["predict", "--input=rows.jsonl", &bert, "--output=whole.jsonl"]);
    let names = "accuracy,f1_macro,f1_micro,matthews";
    let scored = object(&["score", "--metric", names, "--predictions=whole.jsonl"]);
    assert_eq!(merged, scored);
    let eval = object(&["eval", "--data=rows.jsonl", &bert]);
    assert_eq!(merged["accuracy"], eval["accuracy"]);
    let part = object(&["eval", "--data=rows.jsonl", &bert, "--shard=2/3"]);
    let of_part = json!({"part": "2/3", "first_row": 8, "last_row": 15, "rows": 23});
    assert_eq!(part["shard"], of_part);
    let lines = run(dir, &["eval", "--data=rows.jsonl", &bert, "--shard=2/3", "--quiet"]).stdout;
    let lines = String::from_utf8(lines).unwrap();
    assert!(lines.ends_with("\n\nshard: rows 8 to 15 of 23\n"), "{lines}");
    let all = object(&["eval", "--data=rows.jsonl", &bert, "--shard=1/1"]);
    assert_eq!((&all["loss"], &all["accuracy"]), (&eval["loss"], &eval["accuracy"]));
    // A table is made of all parts, as the whole would make it.
    run(dir, &merge(&files, &["--output=all.tsv"]));
    run(dir, &["predict", "--input=rows.jsonl", &bert, "--output=whole.tsv"]);
    assert_eq!(read(dir, "all.tsv"), read(dir, "whole.tsv"));
    // Rows in two files are numbered one behind the other.
    let lines = read(dir, "rows.jsonl");
    let (first, second) = lines.split_at(lines.match_indices('\n').nth(9).unwrap().0 + 1);
    fs::write(dir.join("a.jsonl"), first).unwrap();
    fs::write(dir.join("b.jsonl"), second).unwrap();
    let two = ["--output=all.jsonl", "--data=a.jsonl", "--data=b.jsonl"];
    assert_eq!(object(&merge(&files, &two)), scored);
    // Whatever is written, the predictions are scored.
    for (output, format) in [("all.csv", "csv"), ("table.jsonl", "csv"), ("all.tsv", "tsv")] {
        let (output, format) = (format!("--output={output}"), format!("--format={format}"));
        let more = [&*output, &*format, "--data=rows.jsonl"];
        assert_eq!(object(&merge(&files, &more)), scored, "{output} {format}");
    }
    // A part is not taken for all rows.
    let says = "part-2.jsonl: holds a part of predictions (field `shard`)";
    let of_part = ["score", "--metric=accuracy", "--predictions=part-2.jsonl"];
    assert!(refused(dir, &of_part, 1).contains(says));
    let compared = ["compare", "--scores", "part-2.jsonl", "whole.jsonl"];
    assert!(refused(dir, &compared, 1).contains(says));
}

/// References that are lists, and are one text in the cell of a table.
#[test]
fn texts_are_scored_whatever_is_written_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let line = |row: usize| {
        let mark = json!({"part": format!("{row}/2"), "row": row, "rows": 2, "run": "a"});
        let references = json!(["no", "yes"]);
        format!("{{\"shard\":{mark},\"output\":\"yes\",\"references\":{references}}}\n")
    };
    let files: Vec<String> = (1..=2).map(|row| format!("part-{row}.jsonl")).collect();
    (1..).zip(&files).for_each(|(row, name)| fs::write(dir.join(name), line(row)).unwrap());
    for output in ["--output=all.jsonl", "--output=all.csv", "--output=all.tsv"] {
        let more = [output, "--metric=exact_match", "--json"];
        let found: Value = serde_json::from_slice(&run(dir, &merge(&files, &more)).stdout).unwrap();
        assert_eq!(found["exact_match"], 1.0, "{output}: {found}");
    }
}

/// What is right stands beside predictions, and in --data.
#[test]
fn other_labels_than_those_beside_the_predictions_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let fields = |row: usize, label: &str| json!({"label": label, "text": format!("{row}")});
    let line = |row: usize| {
        let mark = json!({"part": format!("{row}/2"), "row": row, "rows": 2, "run": "a"});
        let input = fields(row, "0");
        format!("{{\"shard\":{mark},\"input\":{input},\"label\":\"a\",\"reference\":\"a\"}}\n")
    };
    let files: Vec<String> = (1..=2).map(|row| format!("part-{row}.jsonl")).collect();
    (1..).zip(&files).for_each(|(row, name)| fs::write(dir.join(name), line(row)).unwrap());
    write(dir, "rows.jsonl", (1..=2).map(|row| fields(row, "0")));
    write(dir, "others.jsonl", [fields(1, "0"), fields(2, "1")].into_iter());
    fs::write(dir.join("rows.csv"), "0,1\n0,2\n").unwrap();
    let scored = |more: &[&str]| -> Value {
        let more = [&["--output=all.jsonl", "--metric=accuracy", "--json"][..], more].concat();
        serde_json::from_slice(&run(dir, &merge(&files, &more)).stdout).unwrap()
    };
    for more in
        [&[] as &[&str], &["--data=rows.jsonl"], &["--data=rows.csv", "--columns=label,text"]]
    {
        assert_eq!(scored(more)["accuracy"], 1.0, "{more:?}");
    }
    fs::remove_file(dir.join("all.jsonl")).unwrap();
    let of = |data: &str, code| {
        let data = format!("--data={data}");
        refused(dir, &merge(&files, &["--output=all.jsonl", "--metric=accuracy", &data]), code)
    };
    let said = of("others.jsonl", 1);
    let says = "others.jsonl, line 2: is not the row that stands beside prediction 2 (`input`)";
    assert!(said.contains(says), "{said}");
    let said = of("-", 2);
    assert!(said.contains("--data: found -, and its rows are read twice"), "{said}");
    assert!(!dir.join("all.jsonl").exists());
}

/// Rows without a label are in no part: parts are of those that are left.
#[test]
fn parts_of_a_vote_are_of_the_rows_that_have_labels() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // Two rows of four have a label.
    let row = |row: usize| match row < 2 {
        true => json!({"input_ids": ids(row), "label": row}),
        false => json!({"input_ids": ids(row), "label": null}),
    };
    write(dir, "rows.jsonl", (0..4).map(row));
    let bert = tiny("bert");
    let at = |name: &str| {
        let path = root().join(tiny_model("bert")).join(name);
        format!("--adapter={}", path.display())
    };
    let (prompt, keys) = (at("prompt"), at("prefix"));
    let vote = |shard: &str, more: &[&str]| -> String {
        let shard = format!("--shard={shard}");
        let args = ["eval", "--data=rows.jsonl", &bert, &prompt, &keys];
        let flags = ["--vote=majority", "--skip-unlabelled", &*shard];
        String::from_utf8(run(dir, &[&args[..], &flags, more].concat()).stdout).unwrap()
    };
    for (shard, row, rows) in [
        ("1/3", None, "none of 2 rows"),
        ("2/3", Some(1), "row 1 of 2"),
        ("2/2", Some(2), "row 2 of 2"),
    ] {
        let found: Value = serde_json::from_str(&vote(shard, &["--json"])).unwrap();
        let of_part = json!({"part": shard, "first_row": row, "last_row": row, "rows": 2});
        assert_eq!(found["shard"], of_part);
        assert!(vote(shard, &["--quiet"]).ends_with(&format!("shard: {rows}\n")), "{shard}");
    }
}
