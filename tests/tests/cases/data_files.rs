//! Cases 01, 02, 04, 06, 26 and 34: data files as people have them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use peft_tests::shared;

use crate::support::{ADAPTER_FILES, peft, succeed};

/// The four rows that most of these files hold.
const ROWS: &str = "{\"text\": \"the play was good\", \"label\": 1}
{\"text\": \"the play was bad\", \"label\": 0}
{\"text\": \"it was good\", \"label\": 1}
{\"text\": \"it was bad\", \"label\": 0}
";

/// A training run on a data file: what it said, and the adapter's tensors if it was made.
pub(super) fn train(task: &str, data: &Path, flags: &str) -> (String, Option<Vec<u8>>) {
    let model = shared("models/tiny-bert-cls").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let line = format!(
        "train --method prompt --task {task} --out out --steps 2 --batch-size 2 --num-virtual-tokens 2 {flags}"
    );
    let output = peft(dir.path())
        .args(line.split_whitespace())
        .arg("--model")
        .arg(model)
        .arg("--train")
        .arg(data)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let tensors = fs::read(dir.path().join("out").join(ADAPTER_FILES[2])).ok();
    assert_eq!(output.status.success(), tensors.is_some(), "{stderr}");
    (stderr, tensors)
}

/// A file in an empty folder.
pub(super) fn file(dir: &tempfile::TempDir, name: &str, content: &str) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

/// Checks that files give what `rows` give in JSON Lines, and what is said of them.
pub(super) fn same(task: &str, rows: &str, flags: &str, files: &[(PathBuf, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    let expected = train(task, &file(&dir, "rows.jsonl", rows), flags).1.unwrap();
    for (path, says) in files {
        let (said, found) = train(task, path, flags);
        assert!(found.is_some(), "{}: {said}", path.display());
        assert!(found.unwrap() == expected, "{}: other tensors: {said}", path.display());
        assert!(said.contains(says), "{}: {says:?} is not in {said}", path.display());
    }
}

pub(super) fn refused(task: &str, path: &Path, flags: &str, says: &[&str]) {
    let (said, found) = train(task, path, flags);
    assert!(found.is_none(), "{}: {said}", path.display());
    for part in says {
        assert!(said.contains(part), "{}: {part:?} is not in {said}", path.display());
    }
}

fn cases() -> Option<PathBuf> {
    shared("models/tiny-bert-cls").and_then(|_| shared("cases"))
}

#[test]
fn columns_that_nothing_uses_do_not_matter() {
    let Some(cases) = cases() else { return };
    let case = |name: &str| cases.join("01-csv-index-column").join(name);
    let files = [
        (case("train.csv"), ""),
        (case("trailing.csv"), ""),
        (case("dup.csv"), ""),
        (case("semicolon.csv"), "note: "),
        (case("semicolon.csv"), "semicolon.csv: the columns are separated by `;`"),
        (case("spaces.csv"), "blanks behind the separators are left out"),
    ];
    same("seq-cls", ROWS, "", &files);
}

#[test]
fn json_of_any_layout_is_read() {
    let Some(cases) = cases() else { return };
    let case = |name: &str| cases.join("02-json-array").join(name);
    let files = [
        (case("train.json"), ""),
        (case("oneline.json"), ""),
        (case("pretty.jsonl"), ""),
        (case("field.json"), "the rows are those in `data`"),
        (case("columns.json"), "4 rows, read from columns"),
    ];
    same("seq-cls", ROWS, "", &files);
}

#[test]
fn what_python_writes_is_read_and_other_encodings_are_named() {
    let Some(cases) = cases() else { return };
    let case = |name: &str| cases.join("04-nan-null-surrogate").join(name);
    same("seq-cls", ROWS, "", &[(case("nan_extra.jsonl"), "")]);
    let two = "{\"text\": \"good\", \"label\": 1}\n{\"text\": \"bad\", \"label\": 0}\n";
    same("seq-cls", two, "", &[(case("bigint.jsonl"), "")]);
    let half = two.replace("good", "good \u{fffd}");
    same("seq-cls", &half, "", &[(case("surrogate.jsonl"), "")]);
    let quoted = "{\"text\": \"line one\\nline two, \\\"quoted\\\"\", \"label\": 1}
        {\"text\": \"null\", \"label\": 0}\n{\"text\": \"NA\", \"label\": 1}";
    same("seq-cls", quoted, "", &[(case("quoted.csv"), "")]);
    for (name, says) in [
        ("nan_label.jsonl", "nan_label.jsonl, line 2: field `label` is null (NaN counts as null)"),
        ("null_text.jsonl", "null_text.jsonl, line 2: field `text` is null"),
        (
            "nan_label.csv",
            "nan_label.csv, line 3: field `label`: found `nan`, as a missing value is written",
        ),
        ("empty_label.csv", "empty_label.csv, line 3: field `label`: found an empty string"),
        ("latin1.csv", "latin1.csv, line 2: found text that is not UTF-8 (byte 0xe9)"),
        ("latin1.csv", "04-nan-null-surrogate/latin1.csv > utf8-latin1.csv"),
        (
            "utf16.csv",
            "utf16.csv: begins with the mark of UTF-16, expected UTF-8; convert it: iconv -f UTF-16",
        ),
    ] {
        refused("seq-cls", &case(name), "", &[says]);
    }
}

#[test]
fn tagged_words_are_read() {
    let Some(cases) = cases() else { return };
    let case = |name: &str| cases.join("06-ner-files").join(name);
    let rows = "{\"tokens\": [\"Mia\", \"lives\", \"in\", \"Paris\"], \"tags\": [\"B-PER\", \"O\", \"O\", \"B-LOC\"]}
        {\"tokens\": [\"The\", \"sea\"], \"tags\": [\"O\", \"O\"]}";
    let columns = "the words are column 1 of 4, the tags column 4";
    same("token-cls", rows, "", &[(case("train.txt"), ""), (case("train.conll"), columns)]);
}

#[test]
fn files_without_a_header_are_told_and_read() {
    let Some(cases) = cases() else { return };
    let case = |name: &str| cases.join("26-headerless-tsv").join(name);
    let two = "{\"text\": \"the play was good\", \"label\": 1}\n{\"text\": \"it was bad\", \"label\": 0}\n";
    same("seq-cls", two, "--columns label,text", &[(case("two.tsv"), "")]);
    let cola = "{\"text\": \"the play was good\", \"label\": 1}\n{\"text\": \"the play good was\", \"label\": 0}\n";
    same("seq-cls", cola, "--columns source,label,,text", &[(case("cola.tsv"), "")]);
    let told = "looks like a row (`1`): if it is one, set --columns to the names of the columns";
    refused("seq-cls", &case("two.tsv"), "", &["note: line 1 of ", told]);
    let columns = "--columns: found 2 names (label, text), but line 1 of";
    refused("seq-cls", &case("dup.tsv"), "--columns label,text", &[columns, "has 3 columns"]);
}

#[test]
fn files_may_be_several_and_standard_input() {
    let Some(model) = shared("models/tiny-bert-cls") else { return };
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<&str> = ROWS.lines().collect();
    let first = file(&dir, "train-00000-of-00002.jsonl", &rows[..2].join("\n"));
    let second = file(&dir, "train-00001-of-00002.jsonl", &rows[2..].join("\n"));
    same("seq-cls", ROWS, "", &[(dir.path().to_path_buf(), ""), (dir.path().join("train-*"), "")]);
    let again = format!("--train {}", second.display());
    let all = file(&dir, "all.json", ROWS);
    let expected = train("seq-cls", &all, "").1;
    assert!(train("seq-cls", &first, &again).1 == expected, "--train A --train B");
    // What is wrong with a row names its own file.
    let long = format!("{{\"text\": \"{}\", \"label\": 0}}", "play ".repeat(600));
    fs::write(&second, long).unwrap();
    refused("seq-cls", &first, &again, &["train-00001-of-00002.jsonl, line 1: "]);
    let eval = |data: &str, input: Stdio| {
        let mut command = peft(dir.path());
        command.args(["eval", "--data", data, "--labels", "0,1", "--model"]).arg(&model);
        succeed(command.stdin(input)).stdout
    };
    let from_stdin = eval("-", fs::File::open(&all).unwrap().into());
    assert_eq!(eval("all.json", Stdio::null()), from_stdin);
}

#[test]
fn a_field_that_comes_late_is_not_passed_over() {
    if shared("models/tiny-bert-cls").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let early =
        "{\"sentence\": \"it was good\", \"label\": 1}\n{\"sentence\": \"bad\", \"label\": 0}\n";
    let early = early.repeat(60);
    let late = "{\"text\": \"it was bad\", \"sentence\": \"it\", \"label\": 0}";
    let rows = file(&dir, "rows.jsonl", &format!("{early}{late}"));
    let says = [
        "rows.jsonl, line 121: has a field named text, which none of the first 100 rows has",
        "set --text-field and --label-field",
    ];
    refused("seq-cls", &rows, "", &says);
    let named = train("seq-cls", &rows, "--text-field sentence");
    assert!(named.1.is_some(), "{}", named.0);
    let unused = late.replace("text", "note");
    let rows = file(&dir, "rows.jsonl", &format!("{early}{unused}"));
    assert!(train("seq-cls", &rows, "").1.is_some(), "a field that nothing would read");
}

#[test]
fn a_pointer_in_place_of_rows_is_called_one() {
    let Some(cases) = cases() else { return };
    let says = ["rows.jsonl: is a Git LFS pointer, not the file itself (1044992 bytes expected)"];
    refused("seq-cls", &cases.join("34-lfs-pointer/rows.jsonl"), "", &says);
}

#[test]
fn fast_texts_lines_are_labels_and_texts() {
    if shared("models/tiny-bert-cls").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let lines = ROWS.lines().map(|line| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        format!("__label__{} {}\n", row["label"], row["text"].as_str().unwrap())
    });
    let fast = file(&dir, "rows.txt", &lines.collect::<String>());
    let said = "rows.txt: read as fastText's lines: a label in `label`, the rest in `text`";
    same("seq-cls", ROWS, "", &[(fast, said)]);
    let several =
        file(&dir, "several.txt", "__label__a __label__b good play\n__label__a bad play\n");
    let rows = "{\"text\": \"good play\", \"label\": [\"a\", \"b\"]}
        {\"text\": \"bad play\", \"label\": [\"a\"]}";
    let flags = "--problem-type multi-label";
    same("seq-cls", rows, flags, &[(several.clone(), "lists of labels in `label`")]);
    refused(
        "seq-cls",
        &several,
        "",
        &["several.txt, line 1: field `label`: found an array", "multi-label"],
    );
    let late = file(&dir, "late.txt", "good play\n__label__a bad play\n");
    refused("seq-cls", &late, "", &["late.txt, line 2: begins with a label of fastText"]);
}
