//! Data sets from the Hub: shards, and the names of classes in Parquet files and in cards.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use peft_core::text::read_records;
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

#[test]
fn a_card_names_classes_as_for_the_datasets_library() {
    let cards = vectors("data_cards");
    let names = fs::read_to_string(cards.join("names.json")).unwrap();
    let files: BTreeMap<String, BTreeMap<String, Vec<String>>> =
        serde_json::from_str(&names).unwrap();
    assert_eq!(files.len(), 5);
    for (file, fields) in files {
        let rows = read_records(&cards.join(&file)).unwrap();
        for row in &rows {
            for (field, names) in &fields {
                assert_eq!(row.class_names(field).unwrap().names, *names, "{file}, {field}");
            }
            assert!(row.class_names("text").or(row.class_names("tokens")).is_none());
        }
    }
}

#[test]
fn numbers_of_classes_have_the_names_of_the_card() {
    if shared("models/tiny-bert-cls").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let tensors = |path: &Path, flags: &str| train("seq-cls", path, flags).1.unwrap();
    let named = tensors(&file(&dir, "rows.jsonl", ROWS), "--labels positive,negative");
    let cards = vectors("data_cards");
    let (said, found) = train("seq-cls", &cards.join("labels"), "");
    assert!(found.unwrap() == named, "{said}");
    let note = "labels/README.md names: positive, negative";
    assert!(said.contains("note: the classes are those that ") && said.contains(note), "{said}");

    let (said, found) = train("token-cls", &cards.join("tags"), "");
    assert!(found.is_some() && said.contains("tags/README.md names: O, B-PER, B-LOC"), "{said}");

    // Configurations that differ name nothing, and names in the rows need none.
    let all = cards.join("configs/files/all.jsonl");
    let (said, found) = train("seq-cls", &all, "");
    let note = "configs/README.md does not say what the classes in `label` are called: its configurations differ there; \
        --labels gives their names, from 0 on";
    assert!(found.is_some() && said.contains(note), "{said}");
    let copied = |name: &str, content: &str| {
        fs::copy(cards.join("configs/README.md"), dir.path().join("README.md")).unwrap();
        file(&dir, name, content)
    };
    let (said, found) = train("seq-cls", &copied("texts.jsonl", ROWS), "");
    assert!(found.is_some() && !said.contains("README.md"), "{said}");

    // A card that cannot be read keeps nothing from being trained.
    let rows = copied("numbers.csv", "text,label\nthe play was good,0\nit was bad,1\n");
    let broken =
        fs::read_to_string(dir.path().join("README.md")).unwrap().replace("- name", "-name");
    fs::write(dir.path().join("README.md"), broken).unwrap();
    let (said, found) = train("seq-cls", &rows, "");
    assert!(found.is_some(), "{said}");
    assert!(said.contains("README.md does not say what the classes are called: line "), "{said}");
    let (said, _) = train("seq-cls", &rows, "--labels bad,good");
    assert!(!said.contains("README.md"), "{said}");
}
