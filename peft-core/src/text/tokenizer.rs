//! Loading a model's tokenizer, and preparing it for a task.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use tokenizers::{PostProcessor, PreTokenizerWrapper, Tokenizer, TruncationParams};

use super::tokenizer_file;
use crate::{
    contract::task::Task,
    error::{Error, Result},
    formats::read,
};

/// Loads `tokenizer.json` from a model folder, without the padding and truncation that the file may
/// ask for.
///
/// # Errors
/// [`Error::Read`] if the file cannot be read, [`Error::File`] if it is not a tokenizer.
pub fn load_tokenizer(model_dir: &Path) -> Result<Tokenizer> {
    let path = model_dir.join("tokenizer.json");
    let bytes = read::bytes(&path)?;
    let refused = |what: &dyn std::fmt::Display| {
        Error::file(&path, format!("not a tokenizer of this format: {what}"))
    };
    tokenizer_file::check(&bytes).map_err(|error| refused(&error))?;
    // The library trusts some numbers and names in the file, such as merges that are longer than
    // every word, and panics if they are wrong. Nothing of it is used after that.
    let parsed = catch_unwind(AssertUnwindSafe(|| Tokenizer::from_bytes(bytes)))
        .map_err(|_| refused(&"its parts contradict each other"))?;
    let malformed = |error: tokenizers::Error| refused(&error);
    let mut tokenizer = parsed.map_err(malformed)?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(malformed)?;
    Ok(tokenizer)
}

/// Prepares a tokenizer for the encoder, whatever its file says: no padding, truncation only where
/// requested, and words that are encoded as within a sentence.
///
/// # Errors
/// [`Error::Setting`] if a length leaves no space for text besides the special tokens.
pub(super) fn prepare(
    mut tokenizer: Tokenizer,
    task: Task,
    max_length: Option<usize>,
    max_target_length: Option<usize>,
) -> Result<Tokenizer> {
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|error| refused(error.to_string()))?;
    let specials = |pair| tokenizer.get_post_processor().map_or(0, |p| p.added_tokens(pair));
    let pairs = matches!(task, Task::SeqCls | Task::QuestionAns);
    let of_source = specials(false).max(if pairs { specials(true) } else { 0 });
    for (setting, length, specials) in [
        ("max_length", max_length, of_source),
        ("max_target_length", max_target_length, specials(false)),
    ] {
        // The tokenizer subtracts this number unchecked.
        if let Some(length) = length.filter(|length| *length <= specials) {
            let message = format!(
                "found {length}, expected more than the {specials} special tokens that the \
                 tokenizer adds"
            );
            return Err(Error::setting(setting, message));
        }
    }
    if let Some(max_length) = max_length {
        // The other tasks truncate their texts themselves.
        if matches!(task, Task::SeqCls | Task::TokenCls) {
            let truncation = TruncationParams { max_length, ..TruncationParams::default() };
            tokenizer
                .with_truncation(Some(truncation))
                .map_err(|error| refused(error.to_string()))?;
        }
    }
    if task == Task::TokenCls
        && let Some(mut pre_tokenizer) = tokenizer.get_pre_tokenizer().cloned()
    {
        add_prefix_space(&mut pre_tokenizer);
        tokenizer.with_pre_tokenizer(Some(pre_tokenizer));
    }
    Ok(tokenizer)
}

fn refused(message: String) -> Error {
    Error::setting("max_length", message)
}

/// A byte-level tokenizer recognises the start of a word by the space before it. Words given one by
/// one would all look like continuations; transformers requires this flag for them too.
fn add_prefix_space(pre_tokenizer: &mut PreTokenizerWrapper) {
    match pre_tokenizer {
        PreTokenizerWrapper::ByteLevel(byte_level) => byte_level.add_prefix_space = true,
        PreTokenizerWrapper::Sequence(sequence) => {
            sequence.as_mut().iter_mut().for_each(add_prefix_space);
        }
        _ => {}
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::{Value, json};

    /// A tokenizer of whitespace-separated words and punctuation, with ids in the order given.
    ///
    /// `[CLS]` is 0, `[SEP]` 1, `[UNK]` 2; `wordy` and `wordless` are `word` + `##y`, `##less`.
    pub(in crate::text) fn word_piece() -> Tokenizer {
        let words = [
            "[CLS]", "[SEP]", "[UNK]", "the", "cat", "sat", "on", "mat", "word", "##y", "##less",
            ".", "a", "b",
        ];
        parse(json!({
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst",
                "stride": 0},
            "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 2, "pad_type_id": 0, "pad_token": "[UNK]"},
            "added_tokens": [special(0, "[CLS]"), special(1, "[SEP]")],
            "normalizer": {"type": "BertNormalizer", "clean_text": true,
                "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 0]},
            "decoder": null,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": vocab(&words)},
        }))
    }

    /// A Llama-like tokenizer: `<s>` (1) before the text; `</s>` (2) after it if `closing`. Words
    /// are separated by spaces; an unknown word is an error.
    pub(in crate::text) fn llama_like(closing: bool) -> Tokenizer {
        let special_token = |id: &str, n: u32| json!({"id": id, "ids": [n], "tokens": [id]});
        let mut single = vec![
            json!({"SpecialToken": {"id": "<s>", "type_id": 0}}),
            json!({"Sequence": {"id": "A", "type_id": 0}}),
        ];
        if closing {
            single.push(json!({"SpecialToken": {"id": "</s>", "type_id": 0}}));
        }
        parse(json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [special(1, "<s>"), special(2, "</s>")],
            "normalizer": null,
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": {"type": "TemplateProcessing", "single": single, "pair": [
                {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<s>": special_token("<s>", 1),
                    "</s>": special_token("</s>", 2)}},
            "decoder": null,
            "model": {"type": "WordLevel", "unk_token": "<none>",
                "vocab": vocab(&["<unk>", "<s>", "</s>", "a", "b", "c", "d", "e"])},
        }))
    }

    /// A byte-level tokenizer of single letters, with and without a space before them.
    fn byte_level() -> Tokenizer {
        let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false,
            "trim_offsets": true, "use_regex": true});
        parse(json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [byte_level]},
            "post_processor": null, "decoder": null,
            "model": {"type": "BPE", "dropout": null, "unk_token": null,
                "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
                "byte_fallback": false, "vocab": vocab(&["Ġ", "a", "b", "Ġa", "Ġb"]),
                "merges": ["Ġ a", "Ġ b"]},
        }))
    }

    fn parse(json: Value) -> Tokenizer {
        Tokenizer::from_bytes(json.to_string()).unwrap()
    }

    fn special(id: u32, content: &str) -> Value {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true})
    }

    fn vocab(words: &[&str]) -> Value {
        words.iter().enumerate().map(|(id, word)| (word.to_string(), json!(id))).collect()
    }

    fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        tokenizer.encode(text, true).unwrap().get_ids().to_vec()
    }

    #[test]
    fn the_file_s_own_padding_and_truncation_are_off() {
        assert_eq!(ids(&word_piece(), "the cat sat"), [0, 3, 1, 2, 2, 2, 2, 2, 2], "its own");
        let tokenizer = prepare(word_piece(), Task::SeqCls, None, None).unwrap();
        assert_eq!(ids(&tokenizer, "the cat sat"), [0, 3, 4, 5, 1]);
        let tokenizer = prepare(word_piece(), Task::SeqCls, Some(4), None).unwrap();
        assert_eq!(ids(&tokenizer, "the cat sat"), [0, 3, 4, 1]);
        let tokenizer = prepare(word_piece(), Task::CausalLm, Some(4), None).unwrap();
        assert_eq!(ids(&tokenizer, "the cat sat"), [0, 3, 4, 5, 1]);
    }

    #[test]
    fn a_length_without_room_for_text_is_refused() {
        let refusal = |task, length| prepare(word_piece(), task, Some(length), None).unwrap_err();
        for length in [0, 3] {
            for task in [Task::SeqCls, Task::QuestionAns] {
                let error = refusal(task, length).to_string();
                assert!(error.contains("more than the 3 special tokens"), "{error}");
            }
        }
        assert!(refusal(Task::TokenCls, 2).to_string().starts_with("max_length: found 2"));
        assert!(prepare(word_piece(), Task::TokenCls, Some(3), None).is_ok());
        let error = prepare(word_piece(), Task::Seq2SeqLm, None, Some(2)).unwrap_err().to_string();
        assert!(error.starts_with("max_target_length: found 2"), "{error}");
    }

    #[test]
    fn single_words_of_byte_level_tokenizers_get_their_space() {
        let tokens = |task| {
            let tokenizer = prepare(byte_level(), task, None, None).unwrap();
            tokenizer.encode(vec!["a", "b"], true).unwrap().get_ids().to_vec()
        };
        assert_eq!(tokens(Task::SeqCls), [1, 2]);
        assert_eq!(tokens(Task::TokenCls), [3, 4]);
    }

    #[test]
    fn files_that_are_no_tokenizers_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let message = || load_tokenizer(dir.path()).unwrap_err().to_string();
        let missing = message();
        assert!(missing.starts_with("cannot read") && missing.contains("tokenizer.json"));
        let path = dir.path().join("tokenizer.json");
        for content in [&b"{}"[..], b"", b"\xff", b"[1]"] {
            std::fs::write(&path, content).unwrap();
            assert!(message().contains("tokenizer.json: not a tokenizer"), "{}", message());
        }
        word_piece().save(&path, false).unwrap();
        assert_eq!(ids(&load_tokenizer(dir.path()).unwrap(), "the cat sat"), [0, 3, 4, 5, 1]);
    }
}
