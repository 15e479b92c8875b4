//! What a tokenizer's decoder makes of tokens, and which of its text later tokens can still change.

use serde_json::Value;
use tokenizers::Tokenizer;

/// A tokenizer as what turns tokens into text, special tokens left out.
#[derive(Clone, Copy, Debug)]
pub struct TokenText<'a> {
    tokenizer: &'a Tokenizer,
    /// Whether tokens such as `<0xE2>` are bytes. A run of them becomes text if it is UTF-8 as a whole, else a
    /// replacement character for each byte.
    has_byte_tokens: bool,
    /// Whether the text of tokens begins with the text of the tokens before the last, but for bytes.
    is_steady: bool,
}

impl<'a> TokenText<'a> {
    /// That of a tokenizer.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        let decoder = tokenizer.get_decoder().and_then(|d| serde_json::to_value(d).ok());
        let parts = parts(decoder.as_ref());
        let has_byte_tokens = parts.iter().any(|part| part["type"] == "ByteFallback");
        Self { tokenizer, has_byte_tokens, is_steady: is_steady(&parts) }
    }

    /// The text of tokens; `None` if they have none.
    pub fn decode(&self, ids: &[u32]) -> Option<String> {
        // One of the decoders counts its tokens less one.
        if ids.iter().all(|id| self.piece(*id).is_none()) {
            return Some(String::new());
        }
        self.tokenizer.decode(ids, true).ok()
    }

    /// How many tokens at the beginning have a text that no token after these can change; characters whose last byte is
    /// missing aside.
    pub fn settled(&self, ids: &[u32]) -> usize {
        if !self.is_steady {
            return 0;
        }
        if !self.has_byte_tokens {
            return ids.len();
        }
        let mut settled = ids.len();
        for (place, id) in ids.iter().enumerate().rev() {
            match self.piece(*id) {
                // A token without text does not part the bytes on either side.
                None => {}
                Some(piece) if is_byte(&piece) => settled = place,
                Some(_) => break,
            }
        }
        settled
    }

    /// The tokens that stand for `before`, where its text is complete: those after it must not change it. The bytes at
    /// its end are left out, which would make one run with bytes that follow.
    pub fn context(&self, before: &[u32]) -> Vec<u32> {
        let is_byte_at_end = |ids: &[u32]| self.has_byte_tokens && self.settled(ids) < ids.len();
        if !is_byte_at_end(before) {
            return before.to_vec();
        }
        let mut kept = before.to_vec();
        while is_byte_at_end(&kept) {
            kept.pop();
        }
        if self.decode(&kept).is_none_or(|text| text.is_empty()) {
            // Without any text before them, the first blank of the new tokens would be lost.
            let neutral =
                ["a", "\u{2581}a", "."].into_iter().find_map(|t| self.tokenizer.token_to_id(t));
            kept.extend(neutral);
        }
        kept
    }

    /// A token as the decoder is given it.
    fn piece(&self, id: u32) -> Option<String> {
        let piece = self.tokenizer.id_to_token(id)?;
        let is_special = self.tokenizer.get_added_vocabulary().is_special_token(&piece);
        (!is_special).then_some(piece)
    }
}

/// Whether the decoder takes a token for a byte.
fn is_byte(piece: &str) -> bool {
    let digits = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    piece.len() == 6 && digits.is_some_and(|digits| u8::from_str_radix(digits, 16).is_ok())
}

/// The steps of a decoder, in order.
fn parts(decoder: Option<&Value>) -> Vec<&Value> {
    match decoder {
        Some(sequence) if sequence["type"] == "Sequence" => {
            let steps = sequence["decoders"].as_array().into_iter().flatten();
            steps.flat_map(|step| parts(Some(step))).collect()
        }
        other => other.into_iter().collect(),
    }
}

/// Whether steps work on one token after another, or on one character after another.
fn is_steady(parts: &[&Value]) -> bool {
    let mut is_one_text = false;
    parts.iter().all(|part| match part["type"].as_str().unwrap_or_default() {
        "Fuse" | "ByteLevel" => {
            is_one_text = true;
            true
        }
        "ByteFallback" | "Metaspace" => true,
        "WordPiece" | "BPEDecoder" | "CTC" => !is_one_text,
        "Replace" => {
            let pattern = part["pattern"]["String"].as_str();
            !is_one_text || pattern.is_some_and(|pattern| pattern.chars().count() == 1)
        }
        "Strip" => !is_one_text || part["stop"] == 0,
        _ => false,
    })
}
