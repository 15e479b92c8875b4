//! Greedy generation and beam search give what transformers gives, token by token.
//!
//! Vectors: `python/make_generation.py`, `python/make_search.py`.

use std::{fs, path::Path};

use peft_cli::session::Session;
use peft_models::generate::{Beams, EarlyStopping, GenerateConfig, generate};
use peft_tests::{shared, vectors};
use serde_json::Value;

use crate::{
    comparison::Report,
    support::{read_lines, session, token_ids},
};

/// A row of a vector file.
struct Row {
    input: Vec<u32>,
    output: Vec<u32>,
    fields: Value,
}

fn rows(file: &Path) -> Vec<Row> {
    let row = |fields: Value| Row {
        input: token_ids(&fields["input_ids"]),
        output: token_ids(&fields["output_ids"]),
        fields,
    };
    read_lines(file).into_iter().map(row).collect()
}

/// The settings of a row.
fn config(session: &Session, row: &Row) -> GenerateConfig {
    let number = |key: &str| row.fields.get(key).map(|value| value.as_f64().unwrap() as f32);
    let size = |key: &str| row.fields.get(key).map(|value| value.as_u64().unwrap() as usize);
    let config = GenerateConfig::for_model(&session.base, size("max_new_tokens").unwrap_or(40));
    let config =
        config.unwrap().with_repetition_penalty(number("repetition_penalty").unwrap_or(1.0));
    let Some(num_beams) = size("num_beams") else { return config };
    let early_stopping = match row.fields.get("early_stopping") {
        Some(Value::String(name)) if name == "never" => EarlyStopping::Never,
        Some(Value::Bool(true)) => EarlyStopping::Always,
        _ => EarlyStopping::Heuristic,
    };
    let beams = Beams::new(num_beams)
        .with_length_penalty(number("length_penalty").unwrap_or(1.0))
        .with_early_stopping(early_stopping);
    config.with_beams(beams)
}

fn made(session: &Session, inputs: &[&[u32]], config: &GenerateConfig) -> Vec<Vec<u32>> {
    let made = generate(session.model(), inputs, &session.virtual_tokens, config, &mut ()).unwrap();
    made.into_iter().map(|mut sequences| sequences.remove(0).ids).collect()
}

/// Each row alone, and left-padded in a batch with others: both must give the reference. Says which rows do not.
fn check(session: &Session, rows: &[Row]) -> Result<usize, String> {
    let inputs: Vec<&[u32]> = rows.iter().map(|row| row.input.as_slice()).collect();
    let mut wrong = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let config = config(session, row);
        // The neighbours are there for company: their own settings may differ.
        let from = index - index % 7;
        let company = &inputs[from..inputs.len().min(from + 7)];
        let alone = made(session, &[&row.input], &config).remove(0);
        let config = config.with_batch_size(company.len());
        let batched = made(session, company, &config).remove(index - from);
        for (how, found) in [("alone", alone), ("batched", batched)] {
            if found != row.output {
                wrong.push(format!("row {index} {how}: {found:?}, expected {}", row.fields));
            }
        }
    }
    if wrong.is_empty() { Ok(rows.len()) } else { Err(wrong.join("; ")) }
}

#[test]
fn stories260k_continues_as_in_transformers() {
    let Some(model) = shared("models/stories260k") else { return };
    let rows = rows(&vectors("generation/stories260k.jsonl"));
    let mut report = Report::default();
    report.note("stories260k", "base", check(&session(&model, None), &rows));
    report.finish();
}

#[test]
fn tiny_models_with_adapters_continue_as_in_peft() {
    let mut report = Report::default();
    for model in ["gpt2", "llama"] {
        let dir = vectors(&format!("logits/{model}"));
        let base = rows(&vectors(&format!("generation/{model}.jsonl")));
        report.note(model, "base", check(&session(&dir, None), &base));
        for adapter in ["prompt", "prefix", "prefix-mlp"] {
            let rows = rows(&vectors(&format!("generation/{model}-{adapter}.jsonl")));
            report.note(model, adapter, check(&session(&dir, Some(&dir.join(adapter))), &rows));
        }
    }
    report.finish();
}

/// Greedy search; beam search with each kind of length penalty and early stopping; repetition penalty; forced end
/// tokens.
#[test]
fn searches_find_what_transformers_finds() {
    let (mut report, mut checked) = (Report::default(), 0);
    let mut files: Vec<_> = fs::read_dir(vectors("generation/search"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let (model, adapter) = match name.split_once('-') {
            Some((model, adapter)) => (model, Some(adapter)),
            None => (name, None),
        };
        let dir = vectors(&format!("logits/{model}"));
        let folder = adapter.map(|adapter| dir.join(adapter));
        let found = check(&session(&dir, folder.as_deref()), &rows(&file));
        checked += report.note(model, adapter.unwrap_or("base"), found).unwrap_or_default();
    }
    report.finish();
    assert!(checked >= 150, "{checked} rows");
}

#[test]
fn bart_pronounces_words_as_in_transformers() {
    let rows = rows(&vectors("generation/bart-g2p.jsonl"));
    for name in ["bart-g2p-us", "bart-g2p-gb"] {
        let Some(model) = shared(&format!("models/{name}")) else { return };
        let session = session(&model, None);
        let own = |row: &&Row| row.fields["model"] == name;
        let inputs: Vec<&[u32]> = rows.iter().filter(own).map(|row| row.input.as_slice()).collect();
        let config = config(&session, &rows[0]);
        for batch_size in [1, 16, 60] {
            let made = made(&session, &inputs, &config.clone().with_batch_size(batch_size));
            for (made, row) in made.iter().zip(rows.iter().filter(own)) {
                assert_eq!(*made, row.output, "{name}, {batch_size} at once: {}", row.fields);
            }
        }
    }
}
