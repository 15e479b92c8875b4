//! Token ids, as `AutoTokenizer` of transformers 5.23 gives them.

use std::path::Path;

use peft_core::{
    Task,
    text::{EncoderConfig, load_tokenizer, read_records},
};
use peft_tests::shared;

/// The ids of a file's rows for a task, without targets.
fn row_ids(model: &Path, rows: &Path, task: Task, vocab_size: usize) -> Vec<Vec<u32>> {
    let config = EncoderConfig { targets: false, ..EncoderConfig::new(task, vocab_size) };
    let encoder = config.init(Some(load_tokenizer(model).unwrap())).unwrap();
    let encoded = encoder.encode(&read_records(rows).unwrap()).unwrap();
    encoded.examples.into_iter().map(|example| example.input_ids).collect()
}

#[test]
fn case_20_words_behind_a_splitter_get_no_space_per_piece() {
    let Some(dir) = shared("cases/20-token-cls-byte-level-sequence") else { return };
    let ids = row_ids(&dir.join("model"), &dir.join("rows.jsonl"), Task::TokenCls, 67);
    // cat don 't 1 2 3 4
    assert_eq!(ids, [[53, 44, 50, 32, 33, 34, 35]]);
}
