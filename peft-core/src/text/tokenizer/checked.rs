//! What must be checked in a `tokenizer.json` before the `tokenizers` library reads it.
//!
//! For some parts of the file the library (0.23) ends the program where it should return an error: a
//! decoder that is not JSON, a malformed precompiled normalizer, a template with a token that it does not define. And
//! normalizers in a row may each lengthen a text, until it fills the memory.

use serde::Deserialize;
use serde_json::Value;

use super::{charsmap, growth::growth};

/// The parts in question. Everything else is skipped.
#[derive(Deserialize)]
struct Parts {
    /// Parsed only to check its syntax.
    #[serde(default, rename = "decoder")]
    _decoder: Value,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    post_processor: Value,
}

/// How much longer a normalizer may make a text: more than those of any language, about 33 for Unicode's widest, in a
/// sequence of two, and far less than a memory.
const MOST_GROWTH: usize = 1 << 16;

/// Checks the parts that the library trusts.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let parts: Parts = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let growth = growth(&parts.normalizer, &longest_text)?;
    if growth > MOST_GROWTH {
        return Err(format!(
            "its normalizers can make a text {growth} times as long, expected at most {MOST_GROWTH}"
        ));
    }
    check_templates(&parts.post_processor)
}

/// Checks a SentencePiece normalizer, which is written in base64: the length of the longest text that it writes.
fn longest_text(normalizer: &Value) -> Result<usize, String> {
    let letters = normalizer["precompiled_charsmap"].as_str().unwrap_or_default();
    let table =
        base64(letters).ok_or_else(|| "its precompiled normalizer: expected base64".to_string())?;
    charsmap::read(&table)?;
    Ok(table.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(0))
}

/// Checks that the templates of a post-processor define the tokens that they write.
fn check_templates(processor: &Value) -> Result<(), String> {
    match processor["type"].as_str() {
        Some("Sequence") => {
            let parts = processor["processors"].as_array();
            parts.into_iter().flatten().try_for_each(check_templates)
        }
        Some("TemplateProcessing") => {
            let pieces = ["single", "pair"].map(|name| processor[name].as_array());
            let mut ids = pieces.into_iter().flatten().flatten().filter_map(id_of_token);
            match ids.find(|id| processor["special_tokens"].get(id).is_none()) {
                Some(id) => Err(format!(
                    "its post-processor writes {id:?}, which is none of its special tokens"
                )),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// The special token of a piece of a template, if it is one.
fn id_of_token(piece: &Value) -> Option<&str> {
    piece["SpecialToken"]["id"].as_str()
}

/// The bytes that letters of base64 encode.
fn base64(letters: &str) -> Option<Vec<u8>> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut places = [None; 256];
    for (place, letter) in (0_u32..).zip(alphabet) {
        places[usize::from(*letter)] = Some(place);
    }
    let digits = letters.trim_end_matches('=').bytes().map(|letter| places[usize::from(letter)]);
    let digits = digits.collect::<Option<Vec<u32>>>()?;
    // Four letters are three bytes. What is left over at the end is shorter by one.
    let bytes = digits.chunks(4).flat_map(|digits| {
        let bits = (0..4).fold(0, |bits, i| bits << 6 | digits.get(i).copied().unwrap_or_default());
        bits.to_be_bytes()[1..].iter().copied().take(digits.len() - 1).collect::<Vec<u8>>()
    });
    Some(bytes.collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn normalizer(map: &str) -> Result<(), String> {
        check(
            format!(
                "{{\"normalizer\": {{\"type\": \"Sequence\", \"normalizers\": [{{\"type\": \
                 \"Precompiled\", \"precompiled_charsmap\": {map}}}]}}}}"
            )
            .as_bytes(),
        )
    }

    #[test]
    fn what_would_end_the_program_is_refused() {
        for decoder in ["{\"type\":", "[1e999]", "\"\\ud800\""] {
            assert!(check(format!("{{\"decoder\": {decoder}}}").as_bytes()).is_err(), "{decoder}");
        }
        assert_eq!(check(b"{\"decoder\": {\"type\": \"?\"}, \"model\": {}}"), Ok(()));
        // A trie of 256 units without entries, and a text; then one whose first unit leads outside.
        let empty = format!("\"AAQA{}AABh\"", "A".repeat(4 * 341));
        assert_eq!(normalizer(&empty), Ok(()));
        assert!(normalizer("\"BAAAAAAAAABh\"").unwrap_err().contains("points outside itself"));
        for map in
            ["\"/////w==\"", "\"BAAAAA==\"", "\"?\"", "\"\"", "3", "null", "\"BAAAAAAAAAD/\""]
        {
            assert!(normalizer(map).is_err(), "{map}");
        }
        assert!(normalizer("\"/////wAA\"").unwrap_err().contains("claims 4294967295 bytes"));
    }
    #[test]
    fn normalizers_that_fill_the_memory_are_refused() {
        let doubling = r#"{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}"#;
        let word_start = r#"{"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}"#;
        let of = |parts: Vec<&str>| {
            let sequence =
                format!("{{\"type\": \"Sequence\", \"normalizers\": [{}]}}", parts.join(", "));
            check(format!("{{\"normalizer\": {sequence}}}").as_bytes())
        };
        assert_eq!(of(vec![doubling, word_start]), Ok(()));
        let error = of(vec![doubling; 32]).unwrap_err();
        assert!(error.contains("a text 4294967296 times as long"), "{error}");
        let folded = r#"{"type": "Replace", "pattern": {"Regex": "[إأآ]"}, "content": "ا"}"#;
        assert_eq!(of(vec![folded; 32]), Ok(()));
    }

    #[test]
    fn templates_define_their_tokens() {
        let of = |defined: &str| {
            let template = format!(
                r#"{{"type": "TemplateProcessing", "single": [{{"SpecialToken": {{"id": "[X]", "type_id": 0}}}},
                {{"Sequence": {{"id": "A", "type_id": 0}}}}], "pair": [], "special_tokens": {{{defined}}}}}"#
            );
            let nested = format!(r#"{{"type": "Sequence", "processors": [{template}]}}"#);
            check(format!("{{\"post_processor\": {nested}}}").as_bytes())
        };
        assert_eq!(of(r#""[X]": {"id": "[X]", "ids": [1], "tokens": ["[X]"]}"#), Ok(()));
        let error = of("").unwrap_err();
        assert!(error.contains("writes \"[X]\", which is none of its special tokens"), "{error}");
    }
}
