//! `peft eval --rename-label`: rows of another data set, scored by the classes of an adapter.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use peft_tests::{minilm, shared};
use serde_json::{Value, json};

use crate::support::{peft, read_lines, refused, root, succeed, tiny_model};

/// What is printed as JSON, and what is said beside.
fn scored(command: &mut Command) -> (Value, String) {
    let output = succeed(command);
    (serde_json::from_slice(&output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn write(path: &Path, rows: &[Value]) {
    fs::write(path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
}

/// A tiny BERT with three classes, `a`, `b` and `c`, and rows that call them otherwise.
fn tiny(dir: &Path) -> PathBuf {
    let model = root().join(tiny_model("bert"));
    let rows = read_lines(&root().join("tests/vectors/training/bert-prefix/rows.jsonl"));
    let named = |names: [&str; 3]| {
        let row = |row: &Value| {
            let name = names[row["label"].as_u64().unwrap() as usize];
            json!({"input_ids": row["input_ids"], "label": name})
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    write(&dir.join("ours.jsonl"), &named(["a", "b", "c"]));
    write(&dir.join("theirs.jsonl"), &named(["x", "y", "z"]));
    let mut train = peft(dir);
    train.args(["train", "--method=ptv2", "--task=seq-cls", "--steps=6", "--labels=a,b,c"]);
    succeed(train.args(["--train=ours.jsonl", "--out=run", "--model"]).arg(&model));
    model
}

#[test]
fn rows_by_other_names_score_as_by_ours() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(dir.path());
    let eval = |data: &str, flags: &[&str]| {
        let mut eval = peft(dir.path());
        eval.args(["eval", "--json", "--adapter=run", "--data", data, "--model"]).arg(&model);
        eval.args(flags);
        eval
    };
    let (ours, _) = scored(&mut eval("ours.jsonl", &[]));
    fs::write(dir.path().join("names.toml"), "x = \"a\"\n\"y\" = \"b\"\nz = \"c\"\n").unwrap();
    fs::write(dir.path().join("names.json"), "{\"x\": \"a\", \"y\": \"b\", \"z\": \"c\"}").unwrap();
    fs::write(dir.path().join("part.json"), "{\"x\": \"a\", \"y\": \"b\"}").unwrap();
    fs::write(
        dir.path().join("task.toml"),
        "task = \"seq-cls\"\n[rename_labels]\nx = \"a\"\ny = \"b\"\nz = \"b\"\n[seq-cls]\n",
    )
    .unwrap();
    for flags in [
        &["--rename-labels=names.toml"][..],
        &["--rename-labels=names.json"],
        &["--rename-label=x=a", "--rename-label", "y=b", "--rename-label=z=c"],
        &["--rename-labels=part.json", "--rename-label=z=c"],
        // Flags come before the task.
        &["--task-file=task.toml", "--rename-label=z=c"],
    ] {
        assert_eq!(scored(&mut eval("theirs.jsonl", flags)).0, ours, "{flags:?}");
    }
    // Names are exchanged at once, and those that are there already stay.
    let (turned, _) = scored(&mut eval(
        "ours.jsonl",
        &["--rename-label=a=b", "--rename-label=b=c", "--rename-label=c=a"],
    ));
    let turn = |name: &str| match name {
        "a" => "b",
        "b" => "c",
        _ => "a",
    };
    let rows = read_lines(&dir.path().join("ours.jsonl"));
    let by_hand: Vec<Value> = rows
        .iter()
        .map(|row| json!({"input_ids": row["input_ids"], "label": turn(row["label"].as_str().unwrap())}))
        .collect();
    write(&dir.path().join("turned.jsonl"), &by_hand);
    assert_eq!(turned, scored(&mut eval("turned.jsonl", &[])).0);
    assert_ne!(turned, ours);
    // Rows without a counterpart are left out, and counted; a name that no row has is told.
    let kept: Vec<Value> = rows.iter().filter(|row| row["label"] != "c").cloned().collect();
    write(&dir.path().join("kept.jsonl"), &kept);
    let flags =
        ["--rename-label=x=a", "--rename-label=y=b", "--rename-label=z=", "--rename-label=w=c"];
    let (found, said) = scored(&mut eval("theirs.jsonl", &flags));
    assert_eq!(found, scored(&mut eval("kept.jsonl", &[])).0);
    let left_out = rows.len() - kept.len();
    assert!(
        said.contains(&format!(
            "{left_out} of {} rows are left out: --rename-label gives",
            rows.len()
        )),
        "{said}"
    );
    assert!(said.contains("no row has the label \"w\""), "{said}");
}

#[test]
fn labels_that_nobody_knows_are_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(dir.path());
    let eval = |flags: &[&str]| {
        let mut eval = peft(dir.path());
        eval.args(["eval", "--adapter=run", "--data=theirs.jsonl", "--model"]).arg(&model);
        refused(eval.args(flags))
    };
    let rows = read_lines(&dir.path().join("theirs.jsonl"));
    let line = |of: &[&str]| {
        1 + rows.iter().position(|row| of.contains(&row["label"].as_str().unwrap())).unwrap()
    };
    for (flags, unknown) in
        [(&[][..], &["x", "y", "z"][..]), (&["--rename-label=x=a"], &["y", "z"])]
    {
        let (code, said) = eval(flags);
        assert_eq!(code, Some(1), "{said}");
        let at = line(unknown);
        let label = rows[at - 1]["label"].as_str().unwrap();
        for says in [
            format!("theirs.jsonl, line {at}: found label `{label}`, expected one of: a, b, c"),
            format!("--rename-label '{label}=CLASS' says so, and --rename-label '{label}=' leaves"),
        ] {
            assert!(said.contains(&says), "{said}");
        }
    }
    for (flags, says) in [
        (
            &["--rename-label=x=A"][..],
            "--rename-label: found x=A, and `A` is no class, expected one of: a, b, c",
        ),
        (&["--rename-label=x"], "--rename-label: found \"x\", expected THEIRS=OURS"),
        (
            &["--rename-label=x=a", "--rename-label=x=b"],
            "two new names for the label `x`: `a` and `b`",
        ),
        (
            &["--rename-label=x=", "--rename-label=y=", "--rename-label=z="],
            "--rename-label: leaves no row to score",
        ),
    ] {
        let (code, said) = eval(flags);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(says), "{said}");
    }
    let (code, said) = eval(&["--rename-labels=nowhere.toml"]);
    assert!(code == Some(1) && said.contains("nowhere.toml"), "{said}");
    fs::write(dir.path().join("bad.toml"), "x = \"a\"\ny = 1\n").unwrap();
    let (code, said) = eval(&["--rename-labels=bad.toml"]);
    assert!(code == Some(1) && said.contains("bad.toml") && said.contains("line 2"), "{said}");
    // Several adapters say the same.
    let (code, said) = eval(&["--adapter=b=run", "--vote=majority"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("--rename-label 'x=CLASS'") || said.contains("=CLASS' says so"),
        "{said}"
    );
    // To learn from, a task names classes otherwise.
    fs::write(
        dir.path().join("task.toml"),
        "task = \"seq-cls\"\n[rename_labels]\nx = \"a\"\n[seq-cls]\n",
    )
    .unwrap();
    let mut train = peft(dir.path());
    train.args([
        "train",
        "--task-file=task.toml",
        "--method=head",
        "--train=theirs.jsonl",
        "--out=o",
    ]);
    let (code, said) = refused(train.arg("--model").arg(&model));
    assert!(
        code == Some(2) && said.contains("rename_labels, which are for rows to score"),
        "{said}"
    );
}

/// Tags, one of which is a number with a name in a card, keep to their words; a sentence with a tag that has no counterpart
/// is left out.
#[test]
fn tags_are_renamed() {
    let Some(model) = minilm() else { return };
    let dir = tempfile::tempdir().unwrap();
    let row = |tokens: &[&str], tags: &[&str]| json!({"tokens": tokens, "tags": tags});
    write(
        &dir.path().join("ours.jsonl"),
        &[
            row(&["Anna", "lives", "in", "Paris"], &["B-PER", "O", "O", "B-LOC"]),
            row(&["in", "New", "York"], &["O", "B-LOC", "I-LOC"]),
        ],
    );
    write(
        &dir.path().join("theirs.jsonl"),
        &[
            row(&["Anna", "lives", "in", "Paris"], &["B-person", "O", "O", "B-place"]),
            row(&["a", "Ford"], &["O", "B-product"]),
            row(&["in", "New", "York"], &["O", "B-place", "I-place"]),
        ],
    );
    let mut train = peft(dir.path());
    train.args([
        "train",
        "--method=ptv2",
        "--num-virtual-tokens=2",
        "--task=token-cls",
        "--steps=8",
    ]);
    succeed(train.args(["--train=ours.jsonl", "--out=run", "--model"]).arg(&model));
    let eval = |data: &str, flags: &[&str]| {
        let mut eval = peft(dir.path());
        eval.args(["eval", "--json", "--adapter=run", "--data", data, "--model"]).arg(&model);
        eval.args(flags);
        eval
    };
    let flags = [
        "--rename-label=B-person=B-PER",
        "--rename-label=B-place=B-LOC",
        "--rename-label=I-place=I-LOC",
    ];
    let (found, said) =
        scored(&mut eval("theirs.jsonl", &[&flags[..], &["--rename-label=B-product="]].concat()));
    assert_eq!(found, scored(&mut eval("ours.jsonl", &[])).0);
    assert!(said.contains("1 of 3 rows are left out"), "{said}");
    let (code, said) = refused(&mut eval("theirs.jsonl", &flags));
    assert!(
        code == Some(1)
            && said.contains("line 2: found label `B-product`")
            && said.contains("'B-product=CLASS'"),
        "{said}"
    );
}

/// MiniLM learns SNIPS, and scores its validation rows by other names.
#[test]
fn snips_by_other_names() {
    let (Some(model), Some(data)) = (minilm(), shared("data/snips-intent")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut train = peft(dir.path());
    train.args([
        "train",
        "--method=ptv2",
        "--num-virtual-tokens=8",
        "--task=seq-cls",
        "--steps=30",
    ]);
    train.args(["--batch-size=16", "--lr=0.02", "--out=run", "--model"]).arg(&model);
    succeed(train.arg("--train").arg(data.join("train.jsonl")));
    let names = [
        ("AddToPlaylist", "playlist"),
        ("BookRestaurant", "table"),
        ("GetWeather", "weather"),
        ("PlayMusic", "music"),
        ("RateBook", "rating"),
        ("SearchCreativeWork", "search"),
        ("SearchScreeningEvent", "cinema"),
    ];
    let rows = read_lines(&data.join("valid.jsonl"));
    let theirs = |name: &str| names.iter().find(|(own, _)| *own == name).unwrap().1;
    let other: Vec<Value> = rows
        .iter()
        .map(|row| json!({"text": row["text"], "label": theirs(row["label"].as_str().unwrap())}))
        .collect();
    write(&dir.path().join("theirs.jsonl"), &other);
    let kept: Vec<Value> = rows.iter().filter(|row| row["label"] != "RateBook").cloned().collect();
    write(&dir.path().join("kept.jsonl"), &kept);
    let table: String = names
        .iter()
        .map(|(ours, theirs)| match *theirs {
            "rating" => format!("{theirs} = \"\"\n"),
            _ => format!("{theirs} = \"{ours}\"\n"),
        })
        .collect();
    fs::write(dir.path().join("names.toml"), table).unwrap();
    let eval = |file: &str, flags: &[&str]| {
        let mut eval = peft(dir.path());
        eval.args(["eval", "--json", "--adapter=run", "--data", file, "--model"]).arg(&model);
        scored(eval.args(flags))
    };
    let (found, said) = eval("theirs.jsonl", &["--rename-labels=names.toml"]);
    assert!(said.contains("100 of 700 rows are left out"), "{said}");
    assert_eq!(found, eval("kept.jsonl", &[]).0);
    // 1 in 7 by chance.
    assert!(found["accuracy"].as_f64().unwrap() > 0.5, "{found}");
}

/// What a language model answers for another data set's task counts by the words that it was taught.
#[test]
fn words_of_a_language_model_are_renamed() {
    let (Some(model), Some(data)) = (shared("models/stories260k"), shared("data/fewglue/COPA"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut train = peft(dir.path());
    train.args(["train", "--task-file=superglue-copa", "--task=causal-lm", "--method=prompt"]);
    train.args(["--steps=3", "--batch-size=4", "--num-virtual-tokens=4", "--out=run", "--model"]);
    succeed(train.arg(&model).arg("--train").arg(data.join("train.jsonl")));
    // The same task, whose words are others.
    let shipped =
        String::from_utf8(succeed(peft(dir.path()).args(["tasks", "superglue-copa"])).stdout)
            .unwrap();
    let other = shipped.replace("choice1,choice2", "one,two");
    let other = other.replace("\"choice1\"", "\"one\"").replace("\"choice2\"", "\"two\"");
    fs::write(dir.path().join("other.toml"), &other).unwrap();
    let eval = |flags: &[&str]| {
        let mut eval = peft(dir.path());
        eval.args(["eval", "--json", "--rank-classes", "--adapter=run", "--model"]).arg(&model);
        eval.arg("--data").arg(data.join("val.jsonl")).args(flags);
        eval
    };
    let (own, _) = scored(&mut eval(&[]));
    let renames =
        ["--task-file=other.toml", "--rename-label=one=choice1", "--rename-label=two=choice2"];
    assert_eq!(scored(&mut eval(&renames)).0, own, "{other}");
    let (code, said) = refused(&mut eval(&renames[..2]));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("found the target \"two\", expected one of the classes: choice1, choice2; if it is a class"),
        "{said}"
    );
}
