//! Data sets from the Hub: Parquet files with the names of their classes, in shards.

use std::{
    fs,
    path::{Path, PathBuf},
};

use peft_tests::{shared, vectors};

use super::data_files::{file, refused, same, train};

fn parquet(name: &str) -> PathBuf {
    vectors("parquet").join(name)
}

/// The rows of `labels.parquet`.
const ROWS: &str = "{\"text\": \"the play was good\", \"label\": \"positive\"}
{\"text\": \"it was bad\", \"label\": \"negative\"}
{\"text\": \"it was good\", \"label\": \"positive\"}
{\"text\": \"the play was bad\", \"label\": \"negative\"}
";

#[test]
fn classes_have_the_names_of_the_file() {
    if shared("models/tiny-bert-cls").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let rows = file(&dir, "rows.jsonl", ROWS);
    let tensors = |path: &Path, flags: &str| train("seq-cls", path, flags).1.unwrap();
    let named = tensors(&rows, "--labels positive,negative");
    let (said, found) = train("seq-cls", &parquet("labels.parquet"), "");
    assert!(found.unwrap() == named, "{said}");
    let note = "note: the classes are those that the file names: positive, negative";
    assert!(said.contains(note), "{said}");
    // In another order, the numbers of the file are still the classes of their names.
    let sorted = tensors(&rows, "");
    assert!(sorted != named, "the order of the classes shows");
    assert!(tensors(&parquet("labels.parquet"), "--labels negative,positive") == sorted);
    let (said, found) = train("seq-cls", &parquet("labels.parquet"), "--labels positive,other");
    assert!(found.is_none());
    let says =
        "line 2: found label `1`, which the file calls `negative`, expected one of: positive";
    assert!(said.contains(says), "{said}");
}

#[test]
fn tags_have_the_names_of_the_file() {
    if shared("models/tiny-bert-cls").is_none() {
        return;
    }
    let rows = "{\"tokens\": [\"Mia\", \"lives\", \"in\", \"Paris\"], \"tags\": [1, 0, 0, 2]}
        {\"tokens\": [\"The\", \"sea\"], \"tags\": [0, 0]}";
    let files = [(parquet("tags.parquet"), "tags from ner_tags")];
    same("token-cls", rows, "--labels O,B-PER,B-LOC", &files);
    let (said, found) = train("token-cls", &parquet("tags.parquet"), "");
    assert!(found.is_some() && said.contains("the file names: O, B-PER, B-LOC"), "{said}");
}

#[test]
fn shards_are_read_in_order_and_all_of_them() {
    if shared("models/tiny-bert-cls").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(dir.path().join("README.md"), "about").unwrap();
    let shard = |number: usize| data.join(format!("train-{number:05}-of-00002.parquet"));
    fs::copy(parquet("labels.parquet"), shard(0)).unwrap();
    let missing = "train-00001-of-00002.parquet: is missing: of the data set's 2 files 1 are there";
    refused("seq-cls", dir.path(), "", &[missing]);
    fs::copy(parquet("labels.parquet"), shard(1)).unwrap();
    let twice = ROWS.repeat(2);
    let files = [(dir.path().to_path_buf(), "note: 2 files of rows, from ")];
    same("seq-cls", &twice, "--labels positive,negative", &files);
}
