//! The tokenizer that a GGUF file's metadata describes.
//!
//! As transformers' `convert_gguf_tokenizer` builds it, but for what it passes over although the file says it: a
//! pre-tokenizer that it does not know (digits one by one, as SmolLM and StarCoder have them), Qwen2's composed
//! characters, control tokens with characters beyond the alphabet of bytes (DeepSeek's), `add_space_prefix`, the
//! normaliser table of Unigram models.

use std::path::Path;

use serde_json::{Value as Json, json};
use tokenizers::{AddedToken, NormalizerWrapper, Tokenizer};

use super::{
    charsmap,
    definition::{BytePairs, TokenizerDefinition, TokenizerModel, guarded, implied_merges},
    gguf_splits::{Split, split_of},
    gguf_vocabulary::{CONTROL, TOKENS, USER_DEFINED, Vocabulary, lacks},
    parts,
};
use crate::{
    error::{Error, Result},
    formats::gguf::{Gguf, Value},
};

const MODEL: &str = "tokenizer.ggml.model";

/// The tokens of a T5 for blanks in a text; the file calls them `[PAD32000]`.
const SENTINELS: usize = 100;

/// Builds the tokenizer of a GGUF file, and returns its special tokens by their names.
///
/// # Errors
/// [`Error::Read`] and [`Error::File`] for a file that cannot be read or is malformed, [`Error::Config`] naming metadata
/// that is missing, or a kind of tokenizer that is not known.
pub(super) fn load(path: &Path) -> Result<(Tokenizer, Vec<(String, String)>)> {
    let gguf = Gguf::open(path)?;
    let Some(model) = gguf.text(MODEL)? else {
        return Err(gguf.error(MODEL, "is missing: the file has no tokenizer"));
    };
    let vocabulary = Vocabulary::read(&gguf)?;
    let definition = match model {
        "gpt2" => byte_level(&vocabulary)?,
        "llama" => sentence_piece(&vocabulary)?,
        "t5" => unigram(&vocabulary)?,
        "bert" => word_piece(&vocabulary)?,
        other => {
            let message = format!("found {other:?}, this version knows bert, gpt2, llama, t5");
            return Err(gguf.error(MODEL, message));
        }
    };
    Ok((definition.build(path)?, vocabulary.special_tokens()?))
}

/// Whether a GGUF file has a tokenizer.
pub(super) fn is_there(gguf: &Gguf) -> bool {
    gguf.get(MODEL).is_some() && gguf.get(TOKENS).is_some()
}

/// Pairs of bytes, as GPT-2 has them.
fn byte_level(vocabulary: &Vocabulary<'_>) -> Result<TokenizerDefinition> {
    let gguf = vocabulary.gguf;
    let Some(merges) = vocabulary.merges()? else {
        return Err(gguf.error("tokenizer.ggml.merges", "is missing"));
    };
    let key = "tokenizer.ggml.pre";
    let Split { patterns, digits, ignore_merges, begins, composes } =
        split_of(gguf.text(key)?).map_err(|message| gguf.error(key, message))?;
    let alphabet = ByteAlphabet::new();
    let vocab = vocabulary.ids(|token, kind| match kind {
        // Added tokens are found in the text itself.
        CONTROL | USER_DEFINED => token.to_string(),
        _ => alphabet.spell(token),
    });
    let pairs = BytePairs { vocab, merges, ignore_merges, ..BytePairs::default() };
    let mut definition = TokenizerDefinition::new(TokenizerModel::BytePairs(pairs));
    if composes {
        definition.normalizer = vocabulary.part(parts::composed())?;
    }
    let mut words: Vec<Json> = patterns.iter().map(|pattern| parts::split(pattern)).collect();
    words.extend(digits.then(|| json!({"type": "Digits", "individual_digits": true})));
    words.push(parts::byte_level(false, patterns.is_empty()));
    definition.pre_tokenizer = vocabulary.part(parts::in_turn(&words))?;
    definition.decoder = vocabulary.part(parts::byte_level(false, true))?;
    definition.post_processor = vocabulary.begin_and_end([begins, false])?;
    definition.added_tokens = vocabulary.added()?;
    Ok(definition)
}

/// The letters that stand for bytes in the vocabularies of GPT-2.
struct ByteAlphabet([char; 256]);

impl ByteAlphabet {
    fn new() -> Self {
        let mut letters = ['\0'; 256];
        let mut next = 256;
        for byte in 0..=255u8 {
            let letter = char::from(byte);
            let is_itself = matches!(letter, '!'..='~' | '¡'..='¬' | '®'..='ÿ');
            letters[usize::from(byte)] = if is_itself {
                letter
            } else {
                // Below 256 + 256, where every number is a letter.
                let spare = char::from_u32(next).unwrap_or_default();
                next += 1;
                spare
            };
        }
        Self(letters)
    }

    /// A token in these letters: itself if it has no others.
    fn spell(&self, token: &str) -> String {
        if token.chars().all(|letter| self.0.contains(&letter)) {
            return token.to_string();
        }
        token.bytes().map(|byte| self.0[usize::from(byte)]).collect()
    }
}

/// Pairs of pieces with scores, as SentencePiece makes them.
fn sentence_piece(vocabulary: &Vocabulary<'_>) -> Result<TokenizerDefinition> {
    let merges = match vocabulary.merges()? {
        Some(merges) => merges,
        None => implied_merges(&vocabulary.scored()?, true, &Default::default()),
    };
    let pairs = BytePairs {
        vocab: vocabulary.ids(|token, _| token.to_string()),
        merges,
        fuse_unk: true,
        byte_fallback: true,
        ..BytePairs::default()
    };
    let mut definition = TokenizerDefinition::new(TokenizerModel::BytePairs(pairs));
    let has_space = vocabulary.flag("add_space_prefix", true)?;
    let scheme = if has_space { "first" } else { "never" };
    definition.pre_tokenizer = vocabulary.part(parts::metaspace(scheme, false))?;
    definition.decoder = vocabulary.part(parts::piece_decoder(true, has_space))?;
    definition.post_processor = vocabulary.begin_and_end([true, false])?;
    definition.added_tokens = vocabulary.added()?;
    Ok(definition)
}

/// Pieces with probabilities, as T5 has them.
fn unigram(vocabulary: &Vocabulary<'_>) -> Result<TokenizerDefinition> {
    let mut pieces = vocabulary.scored()?;
    let is_spare = |token: &str| {
        let number = token.strip_prefix("[PAD").and_then(|rest| rest.strip_suffix(']'));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let spare = pieces.iter_mut().filter(|(token, _)| is_spare(token));
    for (index, (token, _)) in spare.take(SENTINELS).enumerate() {
        *token = format!("<extra_id_{}>", SENTINELS - 1 - index);
    }
    let gguf = vocabulary.gguf;
    let unknown = gguf.number("tokenizer.ggml.unknown_token_id")?.unwrap_or(2);
    let unk_id = usize::try_from(unknown).unwrap_or(usize::MAX);
    let sentinels: Vec<AddedToken> = pieces
        .iter()
        .filter(|(token, _)| token.starts_with("<extra_id_"))
        .map(|(token, _)| AddedToken::from(token.as_str(), true).normalized(false))
        .collect();
    let model = TokenizerModel::Unigram { pieces, unk_id, byte_fallback: false };
    let mut definition = TokenizerDefinition::new(model);
    definition.normalizer = normaliser(gguf)?;
    definition.pre_tokenizer = vocabulary.part(parts::metaspace_words("always"))?;
    definition.decoder = vocabulary.part(parts::metaspace("always", true))?;
    definition.post_processor = vocabulary.begin_and_end([false, true])?;
    definition.added_tokens = vocabulary.added()?;
    definition.added_tokens.extend(sentinels);
    Ok(definition)
}

/// The normaliser table of a SentencePiece model.
fn normaliser(gguf: &Gguf) -> Result<Option<NormalizerWrapper>> {
    let key = "tokenizer.ggml.precompiled_charsmap";
    let Some(numbers) = gguf.read(key, "a list of bytes", Value::as_numbers)? else {
        return Ok(None);
    };
    // A list of bytes may be stored as one of signed ones.
    let byte = |number: f64| (-128.0..256.0).contains(&number).then_some(number as i64 as u8);
    let bytes: Option<Vec<u8>> = numbers.into_iter().map(byte).collect();
    let bytes = bytes.ok_or_else(|| gguf.error(key, "expected a list of bytes"))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let built = guarded(gguf.path(), || charsmap::read(&bytes))?;
    Ok(Some(built.into()))
}

/// BERT's pieces. llama.cpp writes those at the beginning of a word with `▁` in front, and the others without their
/// `##`.
fn word_piece(vocabulary: &Vocabulary<'_>) -> Result<TokenizerDefinition> {
    let is_whole = |token: &str| token.starts_with('[') && token.ends_with(']');
    let spell = |token: &str| match token.strip_prefix('▁') {
        Some(word) => word.to_string(),
        None if is_whole(token) => token.to_string(),
        None => format!("##{token}"),
    };
    let has_spaces = vocabulary.tokens.iter().any(|token| token.starts_with('▁'));
    let spell = |token: &str| if has_spaces { spell(token) } else { token.to_string() };
    let gguf = vocabulary.gguf;
    let special = |names: &[&str], default: &'static str| -> Result<_> {
        for name in names {
            if let Some(token) = vocabulary.special(name)? {
                return Ok(token);
            }
        }
        Ok(default)
    };
    let begin = special(&["cls_token_id", "bos_token_id"], "[CLS]")?;
    let end = special(&["seperator_token_id", "separator_token_id"], "[SEP]")?;
    let unknown = special(&["unknown_token_id"], "[UNK]")?;
    for token in [begin, end, unknown] {
        if !vocabulary.tokens.iter().any(|own| own == token) {
            return Err(Error::file(gguf.path(), lacks(token)));
        }
    }
    // The file does not say whether letters are lowered: a vocabulary without capitals says it. Some letters, such as
    // `ℝ`, are capitals without a small form.
    let changes = |letter: char| letter.is_uppercase() && letter.to_lowercase().ne([letter]);
    let is_upper = |token: &String| !is_whole(token) && token.chars().any(changes);
    let lowercase = !vocabulary.tokens.iter().any(is_upper);
    let vocab = vocabulary.ids(|token, _| spell(token));
    let model = TokenizerModel::WordPiece { vocab, unk_token: unknown.to_string() };
    let mut definition = TokenizerDefinition::new(model);
    definition.normalizer = vocabulary.part(parts::bert_normalizer(true, None, lowercase))?;
    definition.pre_tokenizer = vocabulary.part(parts::bert_words())?;
    definition.decoder = vocabulary.part(parts::word_piece_decoder())?;
    definition.post_processor = vocabulary.around([Some(begin), Some(end)], None)?;
    let whole = vocabulary
        .tokens
        .iter()
        .filter(|token| ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].contains(&token.as_str()));
    definition.added_tokens =
        whole.map(|token| AddedToken::from(token.as_str(), true).normalized(false)).collect();
    Ok(definition)
}
