//! What classes in Python do with tokens and no part of the library does: it is done to what the library returns.
//!
//! - A dictionary does not list all pieces that its pairs make. Python merges texts, and looks up what is left of a word:
//!   what the dictionary lacks is unknown. The library merges ids, so each piece has one of its own here, which no model has.
//! - Behind an end token that stands in a text, ByT5 sets no second one.

use tokenizers::{Encoding, ModelWrapper, Tokenizer};

/// A piece that no text becomes. Its id says what is to be done.
pub(super) const MARK: &str = "\u{10fffe}";
/// The id of [`MARK`] where a dictionary lacks pieces.
pub(super) const UNLISTED_PIECES: u32 = u32::MAX;
/// The id of [`MARK`] where a text has one end token.
pub(super) const ONE_END: u32 = u32::MAX - 1;
/// The first id of second spellings: this and the id that they have in the dictionary.
pub(super) const SECOND: u32 = 1 << 24;
/// The first id of pieces that the dictionary lacks.
pub(super) const UNLISTED: u32 = 1 << 25;

/// Whether a token of a tokenizer's vocabulary is one that a model may have, and no help of this crate's.
pub fn is_token(tokenizer: &Tokenizer, id: u32) -> bool {
    id < SECOND || !matches!(tokenizer.token_to_id(MARK), Some(UNLISTED_PIECES | ONE_END))
}

/// The tokens as the tokenizer's class in Python has them; other tokenizers' as they are.
pub fn settled(tokenizer: &Tokenizer, encoding: Encoding) -> Encoding {
    match tokenizer.token_to_id(MARK) {
        Some(UNLISTED_PIECES) => listed(tokenizer, &encoding),
        Some(ONE_END) => with_one_end(&encoding),
        _ => encoding,
    }
}

/// Tokens with the ids that the dictionary has for them, the unknown token's for those that it lacks.
fn listed(tokenizer: &Tokenizer, encoding: &Encoding) -> Encoding {
    let unknown = match tokenizer.get_model() {
        ModelWrapper::BPE(pairs) => pairs.unk_token.as_deref(),
        _ => None,
    };
    let unknown = unknown.and_then(|token| tokenizer.token_to_id(token)).unwrap_or_default();
    let known = |id: u32| match id {
        UNLISTED.. => unknown,
        SECOND.. => id - SECOND,
        id => id,
    };
    let token = |(id, text): (&u32, &String)| match *id {
        SECOND.. => (known(*id), tokenizer.id_to_token(known(*id)).unwrap_or_default()),
        id => (id, text.clone()),
    };
    let tokens = encoding.get_ids().iter().zip(encoding.get_tokens()).map(token);
    rebuilt(encoding, tokens.unzip(), &vec![true; encoding.len()])
}

/// Leaves out a text's own end token in front of the one that stands around it.
fn with_one_end(encoding: &Encoding) -> Encoding {
    let (ids, around) = (encoding.get_ids(), encoding.get_special_tokens_mask());
    let is_double = |at: usize| {
        around[at] == 0 && around.get(at + 1) == Some(&1) && ids.get(at + 1) == Some(&ids[at])
    };
    let kept: Vec<bool> = (0..ids.len()).map(|at| !is_double(at)).collect();
    rebuilt(encoding, (ids.to_vec(), encoding.get_tokens().to_vec()), &kept)
}

/// An encoding with other tokens, of which some are kept.
fn rebuilt(encoding: &Encoding, (ids, tokens): (Vec<u32>, Vec<String>), kept: &[bool]) -> Encoding {
    fn picked<T: Clone>(values: &[T], kept: &[bool]) -> Vec<T> {
        values.iter().zip(kept).filter(|(_, kept)| **kept).map(|(value, _)| value.clone()).collect()
    }
    let text_of = picked(&encoding.get_sequence_ids(), kept);
    let range = |text: usize| {
        let is_of = |own: &Option<usize>| *own == Some(text);
        let ends = text_of.iter().position(is_of).zip(text_of.iter().rposition(is_of));
        (text, ends.map_or(0..0, |(first, last)| first..last + 1))
    };
    let ranges = (0..encoding.n_sequences()).map(range);
    Encoding::new(
        picked(&ids, kept),
        picked(encoding.get_type_ids(), kept),
        picked(&tokens, kept),
        picked(encoding.get_word_ids(), kept),
        picked(encoding.get_offsets(), kept),
        picked(encoding.get_special_tokens_mask(), kept),
        picked(encoding.get_attention_mask(), kept),
        Vec::new(),
        ranges.collect(),
    )
}
