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
        let line = "generate --model . --input texts.jsonl --ids --max-new-tokens 10";
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

/// The tensors of a model of `logits` under other names, with other settings in its config.
fn changed(
    name: &str,
    to: &Path,
    rename: impl Fn(String) -> String,
    settings: &[(&str, serde_json::Value)],
) {
    let from = vectors("logits").join(name);
    let tensors = read_tensors(&from.join("model.safetensors"));
    let tensors = tensors.into_iter().map(|(name, data)| (rename(name), data)).collect();
    let file = to.join("model.safetensors");
    fs::write(&file, to_safetensors(&tensors, &file).unwrap()).unwrap();
    let text = fs::read_to_string(from.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (key, value) in settings {
        config[key] = value.clone();
    }
    fs::write(to.join("config.json"), config.to_string()).unwrap();
}

/// What the program computes or writes for one row, and says.
fn answered(model: &Path) -> (peft_core::NamedTensors, String, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rows.jsonl"), "{\"input_ids\": [6, 7, 8, 9, 10, 11]}\n").unwrap();
    let run = |line: &str| {
        succeed(peft(dir.path()).args(line.split_whitespace()).arg("--model").arg(model))
    };
    let written = run("generate --input rows.jsonl --max-new-tokens 6");
    let made = String::from_utf8(written.stdout).unwrap();
    let said = String::from_utf8(written.stderr).unwrap();
    let is_decoder = fs::read_to_string(model.join("config.json")).unwrap().contains("gpt2");
    let logits = match is_decoder {
        true => {
            run("forward --input rows.jsonl --output out.safetensors");
            read_tensors(&dir.path().join("out.safetensors"))
        }
        false => peft_core::NamedTensors::new(),
    };
    (logits, made, said)
}

/// As in transformers, which ties the embedding to the head where the file has only the head.
#[test]
fn a_head_alone_is_the_embedding_of_a_tied_model() {
    for (name, word) in [
        ("gpt2", "transformer.wte.weight"),
        ("t5", "shared.weight"),
        ("bart", "model.shared.weight"),
    ] {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        changed(name, dirs[0].path(), |name| name, &[]);
        let rename = |name| if name == word { "lm_head.weight".into() } else { name };
        changed(name, dirs[1].path(), rename, &[]);
        let [usual, renamed] = dirs.map(|dir| answered(dir.path()));
        assert!(usual == renamed, "{name}: {usual:?} {renamed:?}");
    }
}

/// transformers 5.23 skips the layers of a file that its config does not count; the scores of the first four tokens
/// after the row are its.
#[test]
fn more_layers_than_the_config_counts_are_skipped_and_told() {
    let dir = tempfile::tempdir().unwrap();
    changed("gpt2", dir.path(), |name| name, &[("n_layer", 2.into())]);
    let (logits, _, said) = answered(dir.path());
    let values: Vec<f32> = logits["row_00000"].iter::<f32>().collect();
    let last = &values[values.len() - values.len() / 6..];
    for (found, expected) in
        last.iter().zip([-0.726_221_56, -0.559_522_33, -4.584_862, 1.080_446_7f32])
    {
        assert!((found - expected).abs() < 1e-5, "{:?}", &last[..4]);
    }
    let says = "also holds layers beyond those that config.json names, which are not used, as in transformers: \
                transformer.h.2 (";
    assert!(said.contains("warning: ") && said.contains(says), "{said}");
    let info = succeed(peft(Path::new(".")).arg("info").arg(dir.path()));
    assert!(String::from_utf8_lossy(&info.stdout).contains("transformer.h.2.ln_1.bias"));
    for (name, layers) in [
        ("t5", ["num_layers", "num_decoder_layers"]),
        ("bart", ["encoder_layers", "decoder_layers"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        changed(name, dir.path(), |name| name, &layers.map(|key| (key, 1.into())));
        let (_, _, said) = answered(dir.path());
        let of = |side: &str, stack: &str| format!("{side}.{stack}.1 (");
        let stack = if name == "t5" { "block" } else { "layers" };
        assert!(
            said.contains(&of("encoder", stack)) && said.contains(&of("decoder", stack)),
            "{said}"
        );
    }
}

/// A decoder starts from another token in generation than in training, which is told.
#[test]
fn a_start_that_differs_from_that_of_training_is_told() {
    let dir = tempfile::tempdir().unwrap();
    changed("bart", dir.path(), |name| name, &[]);
    let write = |text: &str| fs::write(dir.path().join("generation_config.json"), text).unwrap();
    write(r#"{"decoder_start_token_id": 2, "bos_token_id": 0, "eos_token_id": 52}"#);
    assert_eq!(answered(dir.path()).2, "");
    write(r#"{"bos_token_id": 3, "eos_token_id": 52}"#);
    let (_, _, said) = answered(dir.path());
    for part in [
        "starts from the token 3 in generation (generation_config.json), but from 2 in training and in losses (config.json)",
        "write \"decoder_start_token_id\": 2 into generation_config.json",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    // Without generation_config.json: a new one would also replace the other settings of config.json.
    let dir = tempfile::tempdir().unwrap();
    changed("bart", dir.path(), |name| name, &[]);
    let path = dir.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config.as_object_mut().unwrap().remove("decoder_start_token_id");
    fs::write(&path, config.to_string()).unwrap();
    let (_, _, said) = answered(dir.path());
    for part in [
        "starts from the token 0 in generation (config.json), but from 2 in training and in losses (its class in",
        "write \"decoder_start_token_id\": 2 into config.json",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(!said.contains("generation_config.json"), "{said}");
}

/// As in transformers, whose `_shift_right` alone asks for the token that a decoder starts from.
#[test]
fn a_decoder_whose_tokens_are_given_needs_none_to_start_from() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    changed("t5", dir, |name| name, &[("decoder_start_token_id", serde_json::Value::Null)]);
    let model = vectors("logits/t5");
    let logits = |from: &Path, name: &str| {
        let mut forward = peft(dir);
        forward.args(["forward", "--output", name, "--input"]).arg(model.join("rows.jsonl"));
        succeed(forward.arg("--model").arg(from));
        fs::read(dir.join(name)).unwrap()
    };
    assert!(logits(dir, "a.safetensors") == logits(&model, "b.safetensors"));
}

/// Virtual tokens beside a model change nothing, which is told; [`bad_input`](crate::bad_input) has the LoRA.
#[test]
fn a_prompt_beside_a_model_is_told() {
    let dir = tempfile::tempdir().unwrap();
    changed("gpt2", dir.path(), |name| name, &[]);
    let (logits, ..) = answered(dir.path());
    let prompt = vectors("logits/gpt2/prompt");
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(prompt.join(file), dir.path().join(file)).unwrap();
    }
    let (beside, _, said) = answered(dir.path());
    assert!(beside == logits);
    let says = "holds an adapter (PROMPT_TUNING); it is not used unless this folder is also given";
    assert!(said.contains("note: ") && said.contains(says), "{said}");
}
