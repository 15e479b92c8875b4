//! Logits equal those of transformers and PEFT, and of a model's own reference run.
//!
//! Vectors: `python/make_logits.py`.

use std::{fs, path::Path};

use peft_cli::{
    commands::forward::{forward_rows, row_name},
    encoding::TextArgs,
    session::Session,
};
use peft_core::{Adapter, PaddingSide, adapter::codec::from_safetensors};
use peft_tests::{device, shared, vectors};

/// Largest difference, relative to the largest expected value of the row.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0f32, |scale, x| scale.max(x.abs())).max(1e-6);
    found.iter().zip(expected).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f32::max)
}

/// Gives the largest difference.
pub(crate) fn check(model: &Path, adapter: Option<&Path>, rows: &Path, expected: &Path) -> f32 {
    let mut largest = 0f32;
    let base = peft_models::load(model, &device()).unwrap();
    let adapter_read = adapter.map(|dir| Adapter::load(dir).unwrap());
    let session = Session::new(base, model.to_path_buf(), adapter_read, &device()).unwrap();
    let (_, encoded) = session.encode(rows, &TextArgs::default(), false).unwrap();
    let reference = from_safetensors(&fs::read(expected).unwrap(), expected).unwrap();
    assert_eq!(reference.len(), encoded.examples.len());
    for (batch_size, side) in
        [(1, PaddingSide::Right), (4, PaddingSide::Right), (3, PaddingSide::Left)]
    {
        let made = forward_rows(&session, &encoded.examples, batch_size, side).unwrap();
        for (index, found) in made.into_iter().enumerate() {
            let expected_row = &reference[&row_name(index)];
            let what = format!("{} row {index} batch {batch_size} {side:?}", expected.display());
            assert_eq!(found.shape().as_slice(), expected_row.shape().as_slice(), "{what}");
            let (found, wanted) =
                (found.try_to_vec::<f32>().unwrap(), expected_row.try_to_vec::<f32>().unwrap());
            let difference = difference(&found, &wanted);
            assert!(difference < 1e-4, "{what}: {difference}");
            largest = largest.max(difference);
        }
    }
    largest
}

/// Files of logits below a model's folder, by the adapter they were made with; `base` without one.
fn expected_logits(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let names =
        names.filter_map(|name| name.to_str()?.strip_suffix(".safetensors").map(str::to_string));
    names.filter(|name| !name.starts_with("model")).collect()
}

/// All vectors: docs/FAMILIES.md has them as a table of families, heads and methods.
#[test]
fn every_family_head_and_method_equals_its_reference() {
    let mut count = 0;
    for entry in fs::read_dir(vectors("logits")).unwrap() {
        let dir = entry.unwrap().path();
        for name in expected_logits(&dir) {
            let adapter = (name != "base").then(|| dir.join(&name));
            let expected = dir.join(format!("{name}.safetensors"));
            check(&dir, adapter.as_deref(), &dir.join("rows.jsonl"), &expected);
            count += 1;
        }
    }
    println!("{count} vectors");
    assert!(count >= 187, "{count} vectors");
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
    let base = peft_models::load(&model, &device()).unwrap();
    let session = Session::new(base, model, None, &device()).unwrap();
    let (_, encoded) = session.encode(&rows, &TextArgs::default(), false).unwrap();
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
