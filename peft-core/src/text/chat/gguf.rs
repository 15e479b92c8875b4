//! The chat template in a GGUF file.

use std::path::Path;

use crate::{error::Result, formats::gguf::Gguf};

/// The keys of special tokens' ids, and the names that templates know them by.
const SPECIAL_TOKENS: [(&str, &str); 8] = [
    ("bos_token", "tokenizer.ggml.bos_token_id"),
    ("eos_token", "tokenizer.ggml.eos_token_id"),
    ("unk_token", "tokenizer.ggml.unknown_token_id"),
    // As llama.cpp writes it, and as it is spelled.
    ("sep_token", "tokenizer.ggml.seperator_token_id"),
    ("sep_token", "tokenizer.ggml.separator_token_id"),
    ("pad_token", "tokenizer.ggml.padding_token_id"),
    ("cls_token", "tokenizer.ggml.cls_token_id"),
    ("mask_token", "tokenizer.ggml.mask_token_id"),
];

/// What a file says of conversations.
pub(super) struct OfGguf {
    pub(super) template: Option<String>,
    /// Special tokens by the names of `tokenizer_config.json`.
    pub(super) special_tokens: Vec<(String, String)>,
}

/// Reads a file's template and its special tokens.
///
/// # Errors
/// [`Error::Read`](crate::Error::Read), [`Error::File`](crate::Error::File) and [`Error::Config`](crate::Error::Config)
/// for a file that cannot be used.
pub(super) fn read(path: &Path) -> Result<OfGguf> {
    let file = Gguf::open(path)?;
    let tokens = file.get("tokenizer.ggml.tokens").and_then(|tokens| tokens.as_texts());
    let mut special_tokens = Vec::new();
    for (name, key) in SPECIAL_TOKENS {
        let id = file.number(key)?.and_then(|id| usize::try_from(id).ok());
        if let Some(token) = id.and_then(|id| tokens?.get(id)) {
            special_tokens.push((name.to_owned(), token.clone()));
        }
    }
    let template = file.text("tokenizer.chat_template")?.map(str::to_owned);
    Ok(OfGguf { template, special_tokens })
}
