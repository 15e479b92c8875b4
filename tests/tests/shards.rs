//! `--shard` and `peft merge`: parts of predict, generate and eval, put together, are the whole to the byte.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use peft_tests::vectors;
use serde_json::{Value, json};

use crate::support::{peft, read_lines, root, succeed, tiny_model};

/// Variables of launchers, one of which may have started the tests.
const LAUNCHERS: [&str; 11] = [
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "PMI_RANK",
    "PMI_SIZE",
    "SLURM_PROCID",
    "SLURM_NTASKS",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_COUNT",
    "SLURM_ARRAY_TASK_MIN",
    "SLURM_ARRAY_TASK_STEP",
];

/// Rows of all files: no multiple of the groups of batches.
const ROWS: usize = 23;

/// A command in a folder, which no launcher started.
fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = peft(dir);
    command.args(args);
    LAUNCHERS.iter().for_each(|name| _ = command.env_remove(name));
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    succeed(&mut command(dir, args))
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What is said of a command that fails so.
fn refused(dir: &Path, args: &[&str], code: i32) -> String {
    let output = command(dir, args).output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    said
}

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

fn model(path: impl AsRef<Path>) -> String {
    format!("--model={}", path.as_ref().display())
}

fn tiny(name: &str) -> String {
    model(root().join(tiny_model(name)))
}

fn write(dir: &Path, name: &str, rows: impl Iterator<Item = Value>) {
    fs::write(dir.join(name), rows.map(|row| format!("{row}\n")).collect::<String>()).unwrap();
}

/// Tokens of a row: rows differ in length.
fn ids(row: usize) -> Vec<usize> {
    (0..1 + row * 7 % 20).map(|at| 3 + (row * 31 + at * 7) % 60).collect()
}

/// Rows of tokens with a class.
fn classes(dir: &Path) {
    let row = |row: usize| json!({"id": row, "input_ids": ids(row), "label": row % 3});
    write(dir, "rows.jsonl", (0..ROWS).map(row));
}

/// Makes the whole and its parts of some numbers, and puts the parts together.
fn parts_are_the_whole(dir: &Path, args: &[&str], file: &str, numbers: &[usize]) {
    let of = |more: &[&str], output: &str| {
        let output = format!("{file}={output}");
        run(dir, &[args, more, &[&output]].concat());
    };
    of(&[], "whole.jsonl");
    let whole = read(dir, "whole.jsonl");
    assert!(!whole.is_empty() && !whole.contains("\"shard\""), "{args:?}");
    for number in numbers {
        let names: Vec<String> = (1..=*number).map(|part| format!("part-{part}.jsonl")).collect();
        let mut total = 0;
        for (part, name) in (1..).zip(&names) {
            of(&["--shard", &format!("{part}/{number}")], name);
            for line in read_lines(&dir.join(name)) {
                total += 1;
                assert_eq!(line["shard"]["row"], total, "{args:?} {name}");
                assert_eq!(line["shard"]["part"], format!("{part}/{number}"));
            }
        }
        // In any order.
        let files: Vec<&str> = names.iter().rev().map(String::as_str).collect();
        run(dir, &[&["merge", "--output=merged.jsonl"], &files[..]].concat());
        assert_eq!(read(dir, "merged.jsonl"), whole, "{args:?} in {number} parts");
        names.iter().for_each(|name| fs::remove_file(dir.join(name)).unwrap());
    }
}

#[test]
fn merged_predictions_are_those_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    classes(dir);
    let (bert, tagger, qa) = (tiny("bert"), tiny("bert-tok"), tiny("bert-qa"));
    let at = |name: &str| root().join(tiny_model("bert")).join(name).display().to_string();
    let (prompt, keys) =
        (format!("--adapter={}", at("prompt")), format!("--adapter={}", at("prefix")));
    let input = ["predict", "--input=rows.jsonl"];
    let of = |more: &[&str], numbers: &[usize]| {
        parts_are_the_whole(dir, &[&input, more].concat(), "--output", numbers);
    };
    of(&[&bert, "--batch-size=1"], &[1, 2, 3, 4, 5]);
    // All rows are one group of batches.
    of(&[&bert, &prompt, "--omit-input", "--top-k=2"], &[2, 5]);
    of(&[&bert, &prompt, &keys, "--vote=majority", "--batch-size=1"], &[3]);
    let tokens = |row: usize| {
        let labels: Vec<usize> = ids(row).iter().map(|id| id % 5).collect();
        json!({"input_ids": ids(row), "labels": labels})
    };
    write(dir, "rows.jsonl", (0..ROWS).map(tokens));
    of(&[&tagger, "--batch-size=1"], &[4]);
    let question = |row: usize| {
        let input_ids = [vec![4, 5], ids(row)].concat();
        json!({"input_ids": input_ids})
    };
    write(dir, "rows.jsonl", (0..ROWS).map(question));
    of(&[&qa, "--n-best=2", "--batch-size=1"], &[4]);
}

#[test]
fn merged_texts_are_those_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "rows.jsonl", (0..ROWS).map(|row| json!({"input_ids": ids(row)})));
    let gpt2 = tiny("gpt2");
    let input = ["generate", "--input=rows.jsonl", "--max-new-tokens=5", &gpt2];
    let of = |more: &[&str], numbers: &[usize]| {
        parts_are_the_whole(dir, &[&input, more].concat(), "--output", numbers);
    };
    of(&["--batch-size=1"], &[1, 2, 3, 4, 5]);
    // What is drawn for a row depends on its number, not on its part.
    let drawn = ["--temperature=3", "--seed=4", "--num-return-sequences=2", "--batch-size=2"];
    of(&drawn, &[1, 2, 3, 4, 5]);
    of(&["--num-beams=3"], &[3]);
}

#[test]
fn merged_evaluations_are_those_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gpt2 = tiny("gpt2");
    // Every third row has the input of an earlier one, in other parts too.
    let row = |row: usize| {
        let source = ids(if row % 3 == 2 { row / 2 } else { row });
        let labels: Vec<i64> = source.iter().map(|_| -100).chain([row as i64, 5]).collect();
        let input_ids = [source, vec![row, 5]].concat();
        json!({"input_ids": input_ids, "labels": labels})
    };
    write(dir, "rows.jsonl", (0..ROWS).map(row));
    let args = ["eval", "--data=rows.jsonl", "--max-new-tokens=3", "--batch-size=1", &gpt2];
    parts_are_the_whole(dir, &args, "--predictions", &[1, 2, 3, 4, 5]);
    assert!(read_lines(&dir.join("whole.jsonl")).len() < ROWS);
}

/// A language model that reads texts: classes that are ranked, behind examples that are drawn.
#[test]
fn merged_rankings_are_those_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let words = ["the", "cat", "sea", "sat"];
    let text = |row: usize| format!("{} {} {row}", words[row % 4], words[(row / 4) % 4]);
    let classes = ["sat", "sea"];
    let row = |row: usize| {
        let target = classes[row % 2];
        json!({"source": text(row), "target": target})
    };
    write(dir, "rows.jsonl", (0..ROWS).map(row));
    write(dir, "shots.jsonl", (ROWS..ROWS + 9).map(row));
    let model = model(vectors("base_models/llama-texts"));
    let asked = [&*model, "--labels=sat,sea", "--rank-classes", "--batch-size=1"];
    let eval = [&["eval", "--data=rows.jsonl"], &asked[..]].concat();
    parts_are_the_whole(dir, &eval, "--predictions", &[1, 3]);
    let shots = ["--shots=1", "--shots-from=shots.jsonl", "--shots-seed=3"];
    let predict = [&["predict", "--input=rows.jsonl"], &asked[..], &shots].concat();
    parts_are_the_whole(dir, &predict, "--output", &[4]);
}

/// Predicts the rows in parts, as `part-1.jsonl` and so on.
fn predict_in_parts(dir: &Path, number: usize, more: &[&str]) -> Vec<String> {
    let bert = tiny("bert");
    let part = |part: usize| {
        let (name, shard) = (format!("part-{part}.jsonl"), format!("--shard={part}/{number}"));
        let output = format!("--output={name}");
        run(dir, &[&["predict", "--input=rows.jsonl", &bert, &shard, &output], more].concat());
        name
    };
    (1..=number).map(part).collect()
}

fn merge<'a>(files: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    ["merge"]
        .into_iter()
        .chain(files.iter().map(String::as_str))
        .chain(more.iter().copied())
        .collect()
}

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

/// The same tokens with other fields beside them, and other batches, are other runs.
#[test]
fn what_is_written_beside_predictions_tells_runs_apart() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (bert, gpt2) = (tiny("bert"), tiny("gpt2"));
    let rows = |name: &str, note: &str| {
        write(dir, name, (0..5).map(|row| json!({"input_ids": ids(row), "note": note})));
    };
    rows("a.jsonl", "a");
    rows("b.jsonl", "b");
    let make = |command: &[&str], input: &str, part: usize, more: &[&str]| {
        let input = format!("--input={input}");
        let (output, shard) = (format!("--output=part-{part}.jsonl"), format!("--shard={part}/2"));
        run(dir, &[command, &[&*input, &*output, &*shard], more].concat());
    };
    let both = ["merge", "part-1.jsonl", "part-2.jsonl", "--output=all.jsonl"];
    for command in [&["predict", &*bert][..], &["generate", "--max-new-tokens=2", &*gpt2]] {
        make(command, "a.jsonl", 1, &[]);
        for (input, more) in [("b.jsonl", &[] as &[&str]), ("a.jsonl", &["--batch-size=2"])] {
            make(command, input, 2, more);
            let said = refused(dir, &both, 1);
            assert!(said.contains("part-2.jsonl, line 1: is of another run"), "{input}: {said}");
            fs::remove_file(dir.join("part-2.jsonl")).unwrap();
        }
        make(command, "a.jsonl", 2, &[]);
        run(dir, &both);
        ["all.jsonl", "part-1.jsonl", "part-2.jsonl"]
            .iter()
            .for_each(|name| fs::remove_file(dir.join(name)).unwrap());
    }
    let qa = tiny("bert-qa");
    let question = |row: usize| {
        let input_ids = [vec![4, 5], ids(row)].concat();
        json!({"input_ids": input_ids})
    };
    write(dir, "a.jsonl", (0..5).map(question));
    make(&["predict", &qa], "a.jsonl", 1, &[]);
    make(&["predict", &qa], "a.jsonl", 2, &["--max-answer-length=2"]);
    assert!(refused(dir, &both, 1).contains("is of another run"));
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

#[test]
fn what_is_no_whole_is_not_merged() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    classes(dir);
    let files = predict_in_parts(dir, 3, &[]);
    let [one, two, three] = [0, 1, 2].map(|at| files[at].as_str());
    let bert = tiny("bert");
    let make = |name: &str, args: &[&str]| {
        let output = format!("--output={name}");
        run(dir, &[&["predict", "--input=rows.jsonl", &bert], args, &[&output]].concat());
    };
    make("whole.jsonl", &[]);
    make("half.jsonl", &["--shard=2/2"]);
    make("other.jsonl", &["--shard=3/3", "--top-k=1"]);
    let gpt2 = tiny("gpt2");
    let texts = ["generate", "--input=rows.jsonl", "--max-new-tokens=2", "--shard=3/3", &gpt2];
    run(dir, &[&texts[..], &["--output=texts.jsonl"]].concat());
    let cut = read(dir, three);
    fs::write(dir.join("cut.jsonl"), &cut[..cut.len() - 9]).unwrap();
    fs::write(dir.join("few.jsonl"), read(dir, "rows.jsonl").lines().next().unwrap()).unwrap();
    let lines = cut.lines().count();
    let cut_says = format!("cut.jsonl, line {lines}: the end of the line is missing");
    for (args, code, says) in [
        (vec![one, two], 1, "8 of 23 rows are in none of the files: 16 to 23;"),
        (vec![one, three], 1, "8 of 23 rows are in none of the files: 8 to 15;"),
        (
            vec![one, two, three, "half.jsonl"],
            1,
            "half.jsonl, line 1: row 12 is that of part-2.jsonl",
        ),
        (
            vec![one, two, three, two],
            1,
            "part-2.jsonl, line 1: row 8 is that of part-2.jsonl, line 1",
        ),
        (
            vec![one, two, "other.jsonl"],
            1,
            "other.jsonl, line 1: is of another run than part-1.jsonl",
        ),
        (vec![one, two, "texts.jsonl"], 1, "texts.jsonl, line 1: predicts a text, where"),
        (vec![one, two, "cut.jsonl"], 1, &cut_says),
        (vec!["whole.jsonl"], 1, "whole.jsonl, line 1: has no field `shard`"),
        (vec![one, two, "rows.jsonl"], 1, "rows.jsonl, line 1: has no field `shard`"),
        (vec![one, "nobody.jsonl"], 1, "nobody.jsonl"),
        (vec![one, two, three, "--data=few.jsonl"], 1, "few.jsonl: holds 1 rows"),
        (vec![one, two, three, "--json"], 2, "--json: prints scores"),
    ] {
        let said = refused(dir, &[&["merge", "--output=all.jsonl"], &args[..]].concat(), code);
        assert!(said.contains(says), "{args:?}: {said}");
        assert!(!dir.join("all.jsonl").exists(), "{args:?}");
    }
    let over = refused(dir, &["merge", one, two, three, "--output", two], 2);
    assert!(over.contains("--output: found part-2.jsonl, which this command reads"), "{over}");
    assert_eq!(read(dir, three), cut);
}
