//! Logits equal those of transformers and PEFT, and those of a model's own reference run.
//!
//! Vectors: `python/make_logits.py`.

use std::{fs, path::Path};

use peft_cli::{
    commands::forward::{forward_rows, row_name},
    text_settings::TextArgs,
};
use peft_core::PaddingSide;
use peft_tests::{shared, vectors};

use crate::{
    comparison::{Report, compare},
    support::{read_lines, read_tensors, session, token_ids},
};

/// Compares the logits of a file of rows with a vector: alone, in batches, padded on either side. Gives the largest
/// difference, relative to the largest expected value of its row, or says which rows differ.
pub(crate) fn check(
    model: &Path,
    adapter: Option<&Path>,
    rows: &Path,
    expected: &Path,
) -> Result<f64, String> {
    let session = session(model, adapter);
    let encoded = session.encode(&[rows], &TextArgs::default(), false).unwrap();
    let expected = read_tensors(expected);
    let (mut largest, mut wrong) = (0f64, Vec::new());
    for (batch_size, side) in
        [(1, PaddingSide::Right), (4, PaddingSide::Right), (3, PaddingSide::Left)]
    {
        let made = forward_rows(&session, &encoded.examples, batch_size, side)
            .map_err(|error| error.to_string())?;
        let named = made.into_iter().enumerate();
        let named = named.map(|(index, logits)| (row_name(index), logits)).collect();
        match compare(&named, &expected, 1e-4) {
            Ok(found) => largest = largest.max(found),
            Err(found) => wrong.push(format!("batch {batch_size} {side:?}: {found}")),
        }
    }
    if wrong.is_empty() { Ok(largest) } else { Err(wrong.join("; ")) }
}

/// The vectors in a model's folder, by the adapter they were made with; `base` is without one.
fn expected_logits(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let names =
        names.filter_map(|name| name.to_str()?.strip_suffix(".safetensors").map(str::to_string));
    names.filter(|name| !name.starts_with("model")).collect()
}

/// Every vector; the table in docs/FAMILIES.md lists them by family, head and method.
#[test]
fn every_family_head_and_method_equals_its_reference() {
    let mut report = Report::default();
    for entry in fs::read_dir(vectors("logits")).unwrap() {
        let dir = entry.unwrap().path();
        let model = dir.file_name().unwrap().to_str().unwrap();
        for name in expected_logits(&dir) {
            let adapter = (name != "base").then(|| dir.join(&name));
            let expected = dir.join(format!("{name}.safetensors"));
            let found = check(&dir, adapter.as_deref(), &dir.join("rows.jsonl"), &expected);
            if let Some(largest) = report.note(model, &name, found) {
                println!("{model:<24} {name:<24} {largest:.1e}");
            }
        }
    }
    let count = report.finish();
    println!("{count} vectors");
    assert!(count >= 187, "{count} vectors");
}

/// Checks the vectors of a folder, which has one for each of some models: rows of its own, and the logits of the base model
/// and of its adapters `prompt` and `prefix`. Gives their number.
fn check_own_rows(folder: &str) -> usize {
    let mut report = Report::default();
    for entry in fs::read_dir(vectors(folder)).unwrap() {
        let dir = entry.unwrap().path();
        let name = dir.file_name().unwrap().to_str().unwrap();
        let model = vectors(&format!("logits/{name}"));
        for kind in ["base", "prompt", "prefix"] {
            let adapter = (kind != "base").then(|| model.join(kind));
            let expected = dir.join(format!("{kind}.safetensors"));
            let found = check(&model, adapter.as_deref(), &dir.join("rows.jsonl"), &expected);
            report.note(name, kind, found);
        }
    }
    report.finish()
}

/// Rows with the padding token inside: it takes no position where transformers sees the ids, but behind PEFT's prompt it does.
#[test]
fn padding_inside_a_row_takes_the_position_that_transformers_gives_it() {
    assert_eq!(check_own_rows("inner_padding"), 6);
}

/// A row of more tokens than there are positions, some of which take none.
#[test]
fn padding_inside_a_row_makes_room_for_others() {
    let mut report = Report::default();
    for name in ["roberta-cls", "roberta-tok"] {
        let (dir, model) = (vectors("inner_padding").join(name), vectors("logits").join(name));
        let rows = dir.join("long.jsonl");
        let ids = token_ids(&read_lines(&rows)[0]["input_ids"]);
        assert!(ids.len() > session(&model, None).model().spec().max_positions.unwrap());
        for (kind, adapter) in [("base", None), ("prefix", Some(model.join("prefix")))] {
            let expected = dir.join(format!("long-{kind}.safetensors"));
            report.note(name, kind, check(&model, adapter.as_deref(), &rows, &expected));
        }
        // Behind a prompt they are counted.
        let prompted = session(&model, Some(&model.join("prompt")));
        let error = prompted.encode(&[&rows], &TextArgs::default(), false).err().unwrap();
        assert!(error.to_string().contains("virtual tokens + 45 tokens"), "{name}: {error}");
    }
    assert_eq!(report.finish(), 4);
}

/// Rows that end in the padding token, which transformers passes over: with its own classifier and PEFT's prefix, which
/// see the ids, but not with PEFT's prompt, which does not.
#[test]
fn a_decoders_classifier_reads_the_position_that_transformers_reads() {
    assert_eq!(check_own_rows("last_token"), 6);
}

#[test]
fn gpt_nano_sort_equals_its_reference_run() {
    let Some(model) = shared("models/gpt-nano-sort") else { return };
    let text = fs::read_to_string(model.join("reference.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let rows = dir.path().join("rows.jsonl");
    let lines: String = reference["input_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ids| format!("{}\n", serde_json::json!({ "input_ids": ids })))
        .collect();
    fs::write(&rows, lines).unwrap();
    let session = session(&model, None);
    let encoded = session.encode(&[&rows], &TextArgs::default(), false).unwrap();
    let made = forward_rows(&session, &encoded.examples, 8, PaddingSide::Right).unwrap();
    for (row, found) in made.into_iter().enumerate() {
        let expected: Vec<f32> = reference["logits"][row]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|position| position.as_array().unwrap())
            .map(|number| number.as_f64().unwrap() as f32)
            .collect();
        let found = found.try_to_vec::<f32>().unwrap();
        let largest = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(largest < 1e-4, "row {row}: {largest}");
    }
}
