//! What a case is made of: tiny models, adapters and rows in a folder of its own, whole or damaged.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use peft_tests::vectors;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;

use crate::support::copy_model;

/// The words of a command line.
pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_string).collect()
}

/// `peft train`: a short run of P-tuning v2 into `out`. Flags in `own` replace these.
pub fn train(own: &str) -> Vec<String> {
    let own = words(own);
    let usual = words(
        "--model model --method ptv2 --task causal-lm --train rows.jsonl --out out --steps 2 \
         --num-virtual-tokens 4 --batch-size 2 --lr 0.01",
    );
    let usual = usual.chunks(2).filter(|pair| !own.contains(&pair[0])).flatten().cloned();
    ["train".to_string()].into_iter().chain(usual).chain(own.clone()).collect()
}

/// As [`train`], for a classifier.
pub fn classify(own: &str) -> Vec<String> {
    train(&format!("--task seq-cls {own}"))
}

/// As [`train`], for question answering on `bert-qa`, with these rows.
pub fn ask(dir: &Path, text: &str, own: &str) -> Vec<String> {
    model(dir, "bert-qa");
    tokenizer(dir);
    rows(dir, text);
    train(&format!("--task qa {own}"))
}

/// As [`train`], for an encoder-decoder.
pub fn turn(own: &str) -> Vec<String> {
    train(&format!("--task seq2seq-lm --method prompt {own}"))
}

/// `peft eval` of `adapter` on `model` and `rows.jsonl`.
pub fn eval() -> Vec<String> {
    words("eval --model model --adapter adapter --data rows.jsonl --json")
}

/// `peft eval` of `model` alone, as [`words`] takes it.
pub const EVAL: &str = "eval --model model --data rows.jsonl --json";

/// `peft forward` of `model` alone.
pub fn forward() -> Vec<String> {
    words("forward --model model --input rows.jsonl --output out.safetensors")
}

/// Copies the files of a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// `model`: one of the tiny random models, with rows of token ids that its task learns from.
pub fn model(dir: &Path, name: &str) {
    copy_model(name, &dir.join("model"));
    let target = match name {
        "gpt2" | "llama" => r#""labels": [3, 4, 5]"#,
        "bert-tok" => r#""labels": [0, 1, 4]"#,
        "bert-qa" => r#""start_positions": 1, "end_positions": 2"#,
        "t5" | "bart" => r#""labels": [3, 4]"#,
        _ => r#""label": 1"#,
    };
    let row = format!("{{\"input_ids\": [3, 4, 5], {target}}}\n");
    rows(dir, &row.repeat(4));
}

/// `adapter`: one that PEFT made, for what is called `model` here.
pub fn adapter(dir: &Path, name: &str) {
    let to = dir.join("adapter");
    copy(&vectors(&format!("logits/{name}")), &to);
    let config = to.join("adapter_config.json");
    let mut fields: Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    fields["base_model_name_or_path"] = "model".into();
    fs::write(config, fields.to_string()).unwrap();
}

/// `model` and `adapter`, which fit together.
pub fn pair(dir: &Path, name: &str) {
    model(dir, name);
    adapter(dir, &format!("{name}/prefix"));
}

/// `model`, and `out` with a finished run of [`train`] on it.
pub fn run(dir: &Path) {
    model(dir, "gpt2");
    must(dir, &train(""));
}

/// `model`, and `adapter` trained here on it.
pub fn trained_here(dir: &Path) {
    run(dir);
    fs::rename(dir.join("out"), dir.join("adapter")).unwrap();
}

/// Runs the program, which must succeed.
pub fn must(dir: &Path, args: &[String]) {
    let output = Command::new(super::PEFT).args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `rows.jsonl`.
pub fn rows(dir: &Path, text: &str) {
    fs::write(dir.join("rows.jsonl"), text).unwrap();
}

/// `rows.jsonl` with one row of this many tokens.
pub fn long_row(dir: &Path, tokens: usize) {
    let ids = vec![7; tokens];
    rows(dir, &format!("{{\"input_ids\": {ids:?}, \"labels\": {ids:?}}}\n"));
}

/// A tokenizer that knows some words.
pub fn tokenizer(dir: &Path) {
    let text = r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null, "model": {"type": "WordLevel", "unk_token": "?",
        "vocab": {"?": 0, "the": 1, "sea": 2, "is": 3, "blue": 4}}}"#;
    fs::write(dir.join("model/tokenizer.json"), text).unwrap();
    let class = r#"{"tokenizer_class": "TokenizersBackend"}"#;
    fs::write(dir.join("model/tokenizer_config.json"), class).unwrap();
}

/// Changes a JSON file.
pub fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// Sets a key of `model/config.json`; `null` removes it.
pub fn config(dir: &Path, key: &str, value: Value) {
    edit(&dir.join("model/config.json"), |config| match value {
        Value::Null => _ = config.as_object_mut().unwrap().remove(key),
        value => config[key] = value,
    });
}

/// Sets a key of `adapter/adapter_config.json`.
pub fn adapter_config(dir: &Path, key: &str, value: impl Into<Value>) {
    edit(&dir.join("adapter/adapter_config.json"), |config| config[key] = value.into());
}

/// Keeps the first half of a file.
pub fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

/// Changes the last bytes of a file: numbers of a tensor.
pub fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let end = bytes.len();
    bytes[end - 8..].iter_mut().for_each(|byte| *byte ^= 1);
    fs::write(path, bytes).unwrap();
}

/// A tensor: its type, shape and bytes.
pub type Stored = (Dtype, Vec<usize>, Vec<u8>);

/// Changes the tensors of a safetensors file.
pub fn tensors(path: &Path, change: impl FnOnce(&mut BTreeMap<String, Stored>)) {
    let bytes = fs::read(path).unwrap();
    let mut all: BTreeMap<String, Stored> = SafeTensors::deserialize(&bytes)
        .unwrap()
        .iter()
        .map(|(name, view)| {
            (name.to_string(), (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        })
        .collect();
    change(&mut all);
    let views = all.iter().map(|(name, (dtype, shape, data))| {
        (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Changes the tensors of `model`.
pub fn weights(dir: &Path, change: impl FnOnce(&mut BTreeMap<String, Stored>)) {
    tensors(&dir.join("model/model.safetensors"), change);
}
