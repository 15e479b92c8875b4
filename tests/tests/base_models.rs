//! Base models in the forms that older tools left: what `torch.save` wrote, in one file or several.
//!
//! Vectors: `python/make_base_models.py`.

use std::{fs, path::Path};

use peft_core::{adapter::codec::to_safetensors, formats::torch_file, text::load_tokenizer};
use peft_tests::{device, vectors};

use crate::{
    comparison::{Report, difference},
    parity,
    support::{parse_lines, peft, read_lines, read_tensors, succeed, token_ids},
};

/// Each with the modules of other heads in its files.
const MODELS: [(&str, &[&str]); 7] = [
    ("bert-trained", &[]),
    ("gpt2-old", &[]),
    ("llama-shards", &["v_head"]),
    ("llama-texts", &[]),
    ("roberta-f16", &[]),
    ("t5-texts", &[]),
    ("t5-tied", &[]),
];

#[test]
fn logits_are_those_of_the_model_that_was_saved() {
    let mut report = Report::default();
    for (name, heads) in MODELS {
        let dir = vectors("base_models").join(name);
        let expected = dir.join("expected.safetensors");
        let found = parity::check(&dir, None, &dir.join("rows.jsonl"), &expected);
        report.note(name, "base", found);
        let loaded = peft_models::load(&dir, &device()).unwrap();
        assert!(loaded.report.other_heads.keys().eq(heads), "{name}: {:?}", loaded.report);
    }
    assert_eq!(report.finish(), MODELS.len());
}

/// From a text to a text, with a `.bin` and a SentencePiece model alone, as older checkpoints are.
#[test]
fn texts_are_continued_without_safetensors_and_tokenizer_json() {
    for name in ["t5-texts", "llama-texts"] {
        let dir = vectors("base_models").join(name);
        for file in ["model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
            assert!(!dir.join(file).exists(), "{name}: {file}");
        }
        let tokenizer = load_tokenizer(&dir).unwrap();
        let rows = read_lines(&dir.join("texts.jsonl"));
        let line = "generate --model . --input texts.jsonl --max-new-tokens 10";
        let output = succeed(peft(&dir).args(line.split_whitespace()));
        let made = parse_lines(&String::from_utf8(output.stdout).unwrap());
        assert_eq!(made.len(), rows.len());
        for (row, made) in rows.iter().zip(&made) {
            let text = row["source"].as_str().or(row["text"].as_str()).unwrap();
            let ids = tokenizer.encode(text, true).unwrap();
            assert_eq!(ids.get_ids(), token_ids(&row["ids"]), "{name}: {text}");
            assert_eq!(made["output_ids"], row["new"], "{name}: {text}");
            assert_eq!(made["output"], row["continued"], "{name}: {text}");
        }
    }
}

/// Writes the floats of a folder's `pytorch_model.bin` as `model.safetensors` of another.
fn as_safetensors(from: &Path, to: &Path) {
    let path = to.join("model.safetensors");
    let bytes = fs::read(from.join("pytorch_model.bin")).unwrap();
    let places = torch_file::state(&bytes, &path, false).unwrap().into_iter();
    let floats = places.filter(|(_, place)| place.dtype.is_float());
    let tensors = floats.map(|(name, place)| (name, place.data(&bytes))).collect();
    fs::write(&path, to_safetensors(&tensors, &path).unwrap()).unwrap();
}

/// Wherever the values are, the model is the same: also for an adapter, which remembers its base's fingerprint.
#[test]
fn the_same_weights_in_another_format_are_the_same_model() {
    for name in ["gpt2-old", "t5-tied"] {
        let dir = vectors("base_models").join(name);
        let loaded = peft_models::load(&dir, &device()).unwrap();
        let copy = tempfile::tempdir().unwrap();
        as_safetensors(&dir, copy.path());
        fs::copy(dir.join("config.json"), copy.path().join("config.json")).unwrap();
        let again = peft_models::load(copy.path(), &device()).unwrap();
        assert_eq!(loaded.report.fingerprint, again.report.fingerprint, "{name}");
        for (name, data) in again.model.tensors() {
            assert_eq!(difference(&loaded.model.tensors()[&name], &data), 0.0, "{name}");
        }
    }
}

/// safetensors is preferred, as in transformers.
#[test]
fn safetensors_come_first() {
    let dir = tempfile::tempdir().unwrap();
    let old = vectors("base_models/gpt2-old");
    for file in ["config.json", "rows.jsonl"] {
        fs::copy(old.join(file), dir.path().join(file)).unwrap();
    }
    fs::write(dir.path().join("pytorch_model.bin"), "damaged").unwrap();
    let error = peft_models::load(dir.path(), &device()).unwrap_err().to_string();
    assert!(error.contains("pytorch_model.bin: was not written by torch.save"), "{error}");
    as_safetensors(&old, dir.path());
    peft_models::load(dir.path(), &device()).unwrap();
}

/// The program trains on such a base, and its adapter finds it again.
#[test]
fn an_adapter_is_trained_on_a_file_of_torch() {
    let dir = tempfile::tempdir().unwrap();
    let model = vectors("base_models/llama-shards").display().to_string();
    fs::write(
        dir.path().join("rows.jsonl"),
        "{\"input_ids\": [3, 4, 5], \"labels\": [3, 4, 5]}\n".repeat(4),
    )
    .unwrap();
    let line = format!(
        "train --model {model} --method prompt --task causal-lm --train rows.jsonl --out out --steps 2 \
         --num-virtual-tokens 2 --batch-size 2 --lr 0.1"
    );
    let output = succeed(peft(dir.path()).args(line.split_whitespace()));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("also holds what is not used here: v_head (2 tensors)"), "{said}");
    let line = format!("eval --model {model} --adapter out --data rows.jsonl");
    succeed(peft(dir.path()).args(line.split_whitespace()));
    let info = succeed(peft(Path::new(".")).args(["info", &model]));
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(info.contains("v_head.summary.weight"), "{info}");
    let adapter = read_tensors(&dir.path().join("out/adapter_model.safetensors"));
    assert_eq!(adapter.len(), 1);
}
