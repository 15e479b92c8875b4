//! Parts that tokenizers of several kinds have in common, as `tokenizer.json` writes them.

use serde_json::{Value, json};

/// The words of Qwen2.
pub(super) const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Composed characters (NFC).
pub(super) fn composed() -> Value {
    json!({"type": "NFC"})
}

/// Letters that stand for bytes; `use_regex` divides a text into the words of GPT-2 first.
pub(super) fn byte_level(add_prefix_space: bool, use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true,
        "use_regex": use_regex})
}

/// Words that an expression finds, and what stands between them.
pub(super) fn split(pattern: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}

/// Several pre-tokenizers, one behind another.
pub(super) fn in_turn(pre_tokenizers: &[Value]) -> Value {
    json!({"type": "Sequence", "pretokenizers": pre_tokenizers})
}

/// `▁` for spaces, with one in front of a text by the scheme; `split` before each.
pub(super) fn metaspace(prepend_scheme: &str, split: bool) -> Value {
    json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": prepend_scheme, "split": split})
}

/// Words between white space, with `▁` in front by the scheme.
pub(super) fn metaspace_words(prepend_scheme: &str) -> Value {
    in_turn(&[json!({"type": "WhitespaceSplit"}), metaspace(prepend_scheme, true)])
}

/// `▁` for every space.
pub(super) fn marked_spaces() -> Value {
    json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})
}

/// Spaces for `▁`; with `bytes`, pieces such as `<0x0A>` become text; with `strip`, the first space of a text goes.
pub(super) fn piece_decoder(bytes: bool, strip: bool) -> Value {
    let mut decoders = vec![json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "})];
    if bytes {
        decoders.extend([json!({"type": "ByteFallback"}), json!({"type": "Fuse"})]);
    }
    if strip {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": decoders})
}

/// BERT's normaliser. Accents go with the capitals where `strip_accents` is `None`.
pub(super) fn bert_normalizer(
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    lowercase: bool,
) -> Value {
    json!({"type": "BertNormalizer", "clean_text": true,
        "handle_chinese_chars": handle_chinese_chars, "strip_accents": strip_accents,
        "lowercase": lowercase})
}

/// BERT's words.
pub(super) fn bert_words() -> Value {
    json!({"type": "BertPreTokenizer"})
}

/// Words of pieces that begin with `##` where they go on.
pub(super) fn word_piece_decoder() -> Value {
    json!({"type": "WordPiece", "prefix": "##", "cleanup": true})
}

/// Tokens around a text and around each of a pair.
///
/// `single` and `pair` hold special tokens, `$A` and `$B`, each with its token type.
///
/// # Errors
/// The special token of which `id_of` knows no id.
pub(super) fn template<'a>(
    single: &[(&'a str, u8)],
    pair: &[(&'a str, u8)],
    id_of: impl Fn(&str) -> Option<u32>,
) -> Result<Value, &'a str> {
    let mut special_tokens = serde_json::Map::new();
    for (token, _) in single.iter().chain(pair).filter(|(token, _)| !is_text(token)) {
        let id = id_of(token).ok_or(*token)?;
        let tokens = json!({"id": token, "ids": [id], "tokens": [token]});
        special_tokens.insert(token.to_string(), tokens);
    }
    let pieces = |template: &[(&str, u8)]| -> Value {
        let piece = |&(token, type_id): &(&str, u8)| match is_text(token) {
            true => json!({"Sequence": {"id": token[1..], "type_id": type_id}}),
            false => json!({"SpecialToken": {"id": token, "type_id": type_id}}),
        };
        template.iter().map(piece).collect()
    };
    Ok(json!({"type": "TemplateProcessing", "single": pieces(single), "pair": pieces(pair),
        "special_tokens": special_tokens}))
}

fn is_text(token: &str) -> bool {
    matches!(token, "$A" | "$B")
}
