//! ByT5: the bytes of a text, each three behind its number, and tokens that no file has to name.

use std::path::Path;

use serde_json::json;
use tokenizers::Tokenizer;

use super::{
    afterwards::{MARK, ONE_END},
    definition::{BytePairs, TokenizerDefinition, TokenizerModel},
    finish::{Specials, set_template},
    parts, python,
    settings::Settings,
    token::{Token, TokenSpec},
};
use crate::error::{Error, Result};

/// Padding, the end and the unknown, which stand in front of the bytes.
const FRONT: [&str; 3] = ["pad_token", "eos_token", "unk_token"];
const BYTES: usize = 256;

/// The sentinels of the class, unless the files list special tokens.
///
/// # Errors
/// [`Error::Config`] at `extra_ids` for a number that transformers refuses beside the listed tokens.
pub(super) fn extra_tokens(settings: &Settings) -> Result<Vec<Token>> {
    const KEY: &str = "extra_ids";
    let count = match settings.value(KEY) {
        None => 125,
        Some(value) => value
            .as_u64()
            .filter(|count| *count <= 1 << 14)
            .ok_or_else(|| settings.error(KEY, format!("found {value}, expected a number")))?
            as usize,
    };
    let given = settings.additional.clone().filter(|given| count == 0 || !given.is_empty());
    if let Some(given) = &given
        && count > 0
    {
        let among = given.iter().filter(|token| token.content().contains("extra_id")).count();
        if among != count && settings.extra.is_none() {
            let message = format!("found {count}, but `additional_special_tokens` has {among}");
            return Err(settings.error(KEY, message));
        }
    }
    let sentinels = || (0..count).map(|i| Token::Text(format!("<extra_id_{i}>"))).collect();
    Ok(settings.extra.clone().or(given).unwrap_or_else(sentinels))
}

/// Builds the tokenizer.
///
/// # Errors
/// [`Error::Config`] at a token that is null, or that bytes cannot hold.
pub(super) fn build(settings: &Settings, specials: &Specials, path: &Path) -> Result<Tokenizer> {
    let front = (0..).zip(FRONT).map(|(id, name)| {
        let content = specials.require(name, settings)?;
        let given = settings.named.get(name).and_then(Option::as_ref);
        // A text alone swallows the white space beside it.
        let spec = match given {
            Some(Token::Full(spec)) => spec.clone(),
            _ => TokenSpec { lstrip: true, rstrip: true, ..TokenSpec::special(content) },
        };
        Ok::<_, Error>((id, spec))
    });
    let front = front.collect::<Result<Vec<_>>>()?;
    let mut tokens = python::added_tokens(settings, specials, front, BYTES, |_| None)?;
    let end = specials.require("eos_token", settings)?;
    for (id, token) in &tokens {
        let content = &token.content;
        if content.len() < 2 || !content.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!(
                "{content:?} cannot be told from bytes here, expected two or more of ASCII's printable \
                 characters; give rows of token ids (`input_ids`)"
            );
            return Err(settings.error("added_tokens_decoder", message));
        }
        if (FRONT.len()..FRONT.len() + BYTES).contains(&(*id as usize)) {
            let message = format!("{content:?} has the id {id}, which is that of a byte");
            return Err(settings.error("added_tokens_decoder", message));
        }
    }
    let bytes = (0..=u8::MAX).map(|byte| (letter(byte).to_string(), u32::from(byte) + 3));
    let own = tokens.iter().map(|(id, token)| (token.content.clone(), *id));
    let mark = [(MARK.to_string(), ONE_END)];
    let pairs = BytePairs { vocab: bytes.chain(own).chain(mark).collect(), ..BytePairs::default() };
    let mut definition = TokenizerDefinition::new(TokenizerModel::BytePairs(pairs));
    let normalizer = normalizer(tokens.values());
    definition.normalizer = Some(TokenizerDefinition::part(normalizer, path)?);
    // In a list, since a task that reads words would put a space in front of each of a lone one.
    let words = parts::in_turn(&[parts::byte_level(false, false)]);
    definition.pre_tokenizer = Some(TokenizerDefinition::part(words, path)?);
    definition.decoder = Some(TokenizerDefinition::part(decoder(), path)?);
    for token in tokens.values_mut() {
        // The normaliser does this.
        (token.lstrip, token.rstrip) = (false, false);
    }
    definition.added_tokens = python::for_library(&tokens);
    let mut tokenizer = definition.build(path)?;
    let single = [("$A", 0), (end, 0)];
    let pair = [("$A", 0), (end, 0), ("$B", 0), (end, 0)];
    set_template(&mut tokenizer, &single, &pair, path)?;
    Ok(tokenizer)
}

/// Takes out white space beside tokens that swallow it.
fn normalizer<'t>(tokens: impl Iterator<Item = &'t TokenSpec> + Clone) -> serde_json::Value {
    let spaces = python::SPACES;
    let remove =
        |pattern: String| json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": ""});
    let around = |mark: &str, swallows: fn(&TokenSpec) -> bool| {
        let found = tokens.clone().filter(|token| swallows(token));
        let found: Vec<String> =
            found.map(|token| format!("({mark}{})", literal(&token.content))).collect();
        (!found.is_empty()).then(|| found.join("|"))
    };
    let before = around("?=", |token| token.lstrip)
        .map(|tokens| remove(format!("(?<![{spaces}])(?>[{spaces}]+)(?:{tokens})")));
    let behind = around("?<=", |token| token.rstrip)
        .map(|tokens| remove(format!("(?:{tokens})[{spaces}]+")));
    let steps: Vec<_> = before.into_iter().chain(behind).collect();
    json!({"type": "Sequence", "normalizers": steps})
}

/// An expression for a text of ASCII.
fn literal(text: &str) -> String {
    text.bytes().map(|byte| format!(r"\x{byte:02X}")).collect()
}

/// Bytes to text, without those that are none. The library writes a replacement character for these, so one that is in the
/// bytes passes as a character that no text has.
fn decoder() -> serde_json::Value {
    const OTHER: char = '\u{10fffe}';
    let letters = |c: char| c.to_string().bytes().map(letter).collect::<String>();
    let replace = |from: String, to: String| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
    let lost = char::REPLACEMENT_CHARACTER;
    json!({"type": "Sequence", "decoders": [
        {"type": "Fuse"},
        replace(letters(lost), letters(OTHER)),
        parts::byte_level(false, false),
        replace(lost.into(), String::new()),
        replace(OTHER.into(), lost.into()),
    ]})
}

/// The letter that stands for a byte in tokenizers of bytes.
fn letter(byte: u8) -> char {
    let is_itself = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    if is_itself(byte) {
        return char::from(byte);
    }
    let place = (0..byte).filter(|other| !is_itself(*other)).count();
    char::from_u32(256 + place as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use crate::text::tokenizer::{ModelTokenizer, has_tokenizer};

    /// The tokenizer of a folder with these settings, which has no other file.
    fn load(settings: Value) -> crate::Result<ModelTokenizer> {
        let dir = tempfile::tempdir().unwrap();
        let mut all = json!({"tokenizer_class": "ByT5Tokenizer"});
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        fs::write(dir.path().join("tokenizer_config.json"), all.to_string()).unwrap();
        assert!(has_tokenizer(dir.path()).unwrap());
        ModelTokenizer::load(dir.path())
    }

    // The ids are those of ByT5Tokenizer of transformers 5.23.
    #[test]
    fn bytes_stand_behind_three_tokens() {
        let loaded = load(json!({})).unwrap();
        let ids = |text: &str| loaded.encode(text).unwrap().get_ids().to_vec();
        assert_eq!(ids("a é"), [100, 35, 198, 172, 1]);
        assert_eq!(ids(""), [1]);
        assert_eq!(ids("a </s> b <extra_id_0> c"), [100, 1, 101, 35, 259, 35, 102, 1]);
        assert_eq!(loaded.end_id(), Some(1));
        let decode = |ids: &[u32]| loaded.tokenizer.decode(ids, true).unwrap();
        assert_eq!(decode(&[100, 35, 198, 172, 1]), "a é");
        // Bytes that are no character are left out, a replacement character that is one is not.
        assert_eq!(decode(&[100, 198, 101, 242, 194, 192, 131]), "ab\u{fffd}");
    }

    #[test]
    fn no_second_end_stands_behind_one() {
        let loaded = load(json!({})).unwrap();
        let ids = |text: &str| loaded.encode(text).unwrap().get_ids().to_vec();
        assert_eq!(ids("a</s>"), [100, 1]);
        assert_eq!(ids("a </s>\u{1c} "), [100, 1]);
        assert_eq!(ids("a</s></s>"), [100, 1, 1]);
        assert_eq!(ids("</s>"), [1]);
        // An object says by itself what goes with it.
        let token =
            json!({"__type": "AddedToken", "content": "</s>", "lstrip": false, "rstrip": false});
        let loaded = load(json!({"eos_token": token})).unwrap();
        let ids = |text: &str| loaded.encode(text).unwrap().get_ids().to_vec();
        assert_eq!(ids(" </s> "), [35, 1, 35, 1]);
        assert_eq!(ids("a </s>"), [100, 35, 1]);
    }

    #[test]
    fn what_bytes_cannot_hold_is_refused() {
        let says = |settings: Value| load(settings).unwrap_err().to_string();
        let error = says(json!({"extra_special_tokens": ["<é>"]}));
        assert!(error.contains("\"<é>\" cannot be told from bytes here"), "{error}");
        let error = says(json!({"added_tokens_decoder": {"40": {"content": "<x>"}}}));
        assert!(error.contains("\"<x>\" has the id 40, which is that of a byte"), "{error}");
        let word = json!({"300": {"content": "<x>", "single_word": true}});
        let error = says(json!({"added_tokens_decoder": word}));
        assert!(error.contains("\"<x>\" has `single_word`"), "{error}");
        let error = says(json!({"split_special_tokens": true}));
        assert!(error.contains("key `split_special_tokens`: found true"), "{error}");
        let error = says(json!({"eos_token": null}));
        assert!(error.contains("key `eos_token`: found null"), "{error}");
        let two = json!({"262": {"content": "<x>"}});
        let error = says(json!({"added_tokens_decoder": two}));
        assert!(error.contains("gives the id 262 to \"<extra_id_2>\""), "{error}");
    }
}
