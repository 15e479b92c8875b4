//! Preparing a tokenizer for a task.

use tokenizers::{PostProcessor, PreTokenizerWrapper, Tokenizer};

use crate::{
    contract::task::Task,
    error::{Error, Result},
};

/// Prepares a tokenizer for the encoder, whatever its file says: no padding, no truncation, which the encoder does
/// itself, and words that are encoded as within a sentence.
///
/// # Errors
/// [`Error::Setting`] if a length leaves no space for text besides the special tokens.
pub(in crate::text) fn prepare(
    mut tokenizer: Tokenizer,
    task: Task,
    max_length: Option<usize>,
    max_target_length: Option<usize>,
) -> Result<Tokenizer> {
    tokenizer.with_padding(None);
    let off = tokenizer.with_truncation(None).map(drop);
    off.map_err(|error| Error::setting("max_length", error.to_string()))?;
    let specials = |pair| tokenizer.get_post_processor().map_or(0, |p| p.added_tokens(pair));
    // Rows of classification are single texts or pairs, which shows when they are encoded.
    let pairs = task == Task::QuestionAns;
    let of_source = specials(false).max(if pairs { specials(true) } else { 0 });
    for (setting, length, specials) in [
        ("max_length", max_length, of_source),
        ("max_target_length", max_target_length, specials(false)),
    ] {
        if let Some(length) = length.filter(|length| *length <= specials) {
            let message = format!(
                "found {length}, expected more than the {specials} special tokens that the \
                 tokenizer adds"
            );
            return Err(Error::setting(setting, message));
        }
    }
    if task == Task::TokenCls
        && let Some(PreTokenizerWrapper::ByteLevel(byte_level)) = tokenizer.get_pre_tokenizer()
    {
        // A byte-level tokenizer recognises the start of a word by the space before it. Words given
        // one by one would all look like continuations; transformers' script for tagging sets this
        // flag for them too. Behind a splitter, as in Qwen and Llama 3, the flag would put a space in
        // front of every piece of a word, and transformers leaves it alone.
        let mut byte_level = *byte_level;
        byte_level.add_prefix_space = true;
        tokenizer.with_pre_tokenizer(Some(byte_level));
    }
    Ok(tokenizer)
}

#[cfg(test)]
pub(in crate::text) mod tests {
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
    fn byte_level_of(pre_tokenizer: Value) -> Tokenizer {
        parse(json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null,
            "pre_tokenizer": pre_tokenizer,
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

    pub(in crate::text) fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        tokenizer.encode(text, true).unwrap().get_ids().to_vec()
    }

    #[test]
    fn the_file_s_own_padding_and_truncation_are_off() {
        assert_eq!(ids(&word_piece(), "the cat sat"), [0, 3, 1, 2, 2, 2, 2, 2, 2], "its own");
        let tokenizer = prepare(word_piece(), Task::SeqCls, None, None).unwrap();
        assert_eq!(ids(&tokenizer, "the cat sat"), [0, 3, 4, 5, 1]);
        let tokenizer = prepare(word_piece(), Task::SeqCls, Some(4), None).unwrap();
        assert_eq!(ids(&tokenizer, "the cat sat"), [0, 3, 4, 5, 1]);
    }

    #[test]
    fn a_length_without_room_for_text_is_refused() {
        let refusal = |task, length| prepare(word_piece(), task, Some(length), None).unwrap_err();
        for length in [0, 3] {
            let error = refusal(Task::QuestionAns, length).to_string();
            assert!(error.contains("more than the 3 special tokens"), "{error}");
        }
        for task in [Task::SeqCls, Task::TokenCls] {
            let error = refusal(task, 2).to_string();
            assert!(error.starts_with("max_length: found 2, expected more than the 2"), "{error}");
            assert!(prepare(word_piece(), task, Some(3), None).is_ok());
        }
        let error = prepare(word_piece(), Task::Seq2SeqLm, None, Some(2)).unwrap_err().to_string();
        assert!(error.starts_with("max_target_length: found 2"), "{error}");
    }

    #[test]
    fn single_words_of_byte_level_tokenizers_get_their_space() {
        let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false,
            "trim_offsets": true, "use_regex": true});
        let tokens = |task, pre_tokenizer| {
            let tokenizer = prepare(byte_level_of(pre_tokenizer), task, None, None).unwrap();
            tokenizer.encode(vec!["a", "bb"], true).unwrap().get_ids().to_vec()
        };
        assert_eq!(tokens(Task::SeqCls, byte_level.clone()), [1, 2, 2]);
        assert_eq!(tokens(Task::TokenCls, byte_level.clone()), [3, 4, 2]);
        // A splitter before it cuts words into pieces, none of which begins with a space.
        let letters = json!({"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated",
            "invert": false});
        let split = json!({"type": "Sequence", "pretokenizers": [letters, byte_level]});
        assert_eq!(tokens(Task::TokenCls, split), [1, 2, 2]);
    }
}
