//! Token ids, as `AutoTokenizer` of transformers 5.23 gives them.

use std::path::Path;

use peft_core::{
    Task,
    text::{EncoderConfig, load_tokenizer, read_records},
};
use peft_tests::shared;
use serde_json::{Value, json};

use crate::support::{peft, succeed};

/// The ids of a file's rows for a task, without targets.
fn row_ids(model: &Path, rows: &Path, task: Task, vocab_size: usize) -> Vec<Vec<u32>> {
    let config = EncoderConfig { targets: false, ..EncoderConfig::new(task, vocab_size) };
    let encoder = config.init(Some(load_tokenizer(model).unwrap())).unwrap();
    let encoded = encoder.encode(&read_records(rows).unwrap()).unwrap();
    encoded.examples.into_iter().map(|example| example.input_ids).collect()
}

/// What `peft info --tokenize` says of a text.
fn ids_of(model: &Path, text: &str) -> Value {
    let mut command = peft(Path::new("."));
    let output = succeed(command.arg("info").arg(model).args(["--json", "--tokenize", text]));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["ids"].take()
}

/// The loss of a file's rows.
fn loss(model: &Path, rows: &Path) -> f64 {
    let mut command = peft(Path::new("."));
    command.arg("eval").arg("--model").arg(model).arg("--data").arg(rows).arg("--json");
    let output = succeed(&mut command);
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["loss"].as_f64().unwrap()
}

#[test]
fn case_12_a_vocabulary_alone_makes_a_tokenizer() {
    let Some(dir) = shared("cases/12-vocab-only-tokenizer/bert") else { return };
    let ids =
        [2, 62, 807, 795, 58, 804, 798, 803, 16, 43, 45, 798, 814, 795, 22, 791, 826, 822, 5, 3];
    assert_eq!(ids_of(&dir, "The Play, a café 2026!"), json!(ids));
    let output = succeed(peft(&dir).args(["info", "."]));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = "tokenizer          BertTokenizer, from vocab.txt, tokenizer_config.json, special_tokens_map.json";
    assert!(text.contains(line), "{text}");
}

#[test]
fn case_15_tokens_added_outside_tokenizer_json_are_tokens() {
    let Some(dir) = shared("cases/15-added-tokens-outside-tokenizer-json") else { return };
    let model = dir.join("decoder");
    let ids = ids_of(&model, "<|im_start|>the cat<|im_end|>");
    assert_eq!(ids, json!([1, 512, 413, 260, 280, 294, 513]));
    let [text, ids] = ["text.jsonl", "ids.jsonl"].map(|rows| loss(&model, &dir.join(rows)));
    assert!((text - 14.13).abs() < 1e-3 && (text - ids).abs() < 1e-6, "{text}, {ids}");
}

#[test]
fn case_16_the_settings_say_whether_letters_are_lowered() {
    let Some(dir) = shared("cases/16-do-lower-case") else { return };
    let ids =
        ["uncased-config", "cased-config"].map(|folder| ids_of(&dir.join(folder), "The Play"));
    assert_eq!(ids, [json!([2, 62, 807, 795, 58, 804, 798, 803, 3]), json!([2, 1, 1, 3])]);
}

#[test]
fn case_20_words_behind_a_splitter_get_no_space_per_piece() {
    let Some(dir) = shared("cases/20-token-cls-byte-level-sequence") else { return };
    let ids = row_ids(&dir.join("model"), &dir.join("rows.jsonl"), Task::TokenCls, 67);
    // cat don 't 1 2 3 4
    assert_eq!(ids, [[53, 44, 50, 32, 33, 34, 35]]);
}
