//! What must be checked in a `tokenizer.json` before the `tokenizers` library reads it.
//!
//! For two parts of the file the library (0.23) ends the program where it should return an error: a
//! decoder that is not JSON, and a malformed precompiled normalizer. For the latter it also
//! allocates as much as a number in the file claims.

use serde::Deserialize;
use serde_json::Value;
use tokenizers::normalizers::Precompiled;

/// The parts in question. Everything else is skipped.
#[derive(Deserialize)]
struct Parts {
    /// Parsed only to check its syntax.
    #[serde(default, rename = "decoder")]
    _decoder: Value,
    #[serde(default)]
    normalizer: Value,
}

/// Checks the parts that the library trusts.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let parts: Parts = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    // Normalizers nest in sequences.
    let mut rest = vec![&parts.normalizer];
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(values) => rest.extend(values),
            Value::Object(fields) => {
                if fields.get("type").is_some_and(|kind| kind == "Precompiled") {
                    check_precompiled(value)?;
                }
                rest.extend(fields.values());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks a SentencePiece normalizer: base64 of a trie, preceded by its size in bytes, and texts.
fn check_precompiled(value: &Value) -> Result<(), String> {
    let map = value["precompiled_charsmap"].as_str().unwrap_or_default();
    let size = map.as_bytes().get(..6).map_or(0, first_number);
    if size > map.len() as u64 {
        return Err(format!("its precompiled normalizer claims {size} bytes, but is shorter"));
    }
    serde_json::from_str::<Precompiled>(&value.to_string())
        .map(drop)
        .map_err(|error| format!("its precompiled normalizer: {error}"))
}

/// The little-endian 32-bit number that the first six letters of base64 encode. Invalid letters
/// count as 0: they are rejected later.
fn first_number(letters: &[u8]) -> u64 {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |letter: &u8| alphabet.iter().position(|known| known == letter).unwrap_or(0) as u64;
    let bits = letters.iter().fold(0, |bits, letter| bits << 6 | digit(letter));
    // Six letters are 36 bits, the first 32 of which are the bytes of the number.
    u64::from(((bits >> 4) as u32).swap_bytes())
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
        // A trie of four bytes, and a text.
        assert_eq!(normalizer("\"BAAAAAAAAABh\""), Ok(()));
        for map in
            ["\"/////w==\"", "\"BAAAAA==\"", "\"?\"", "\"\"", "3", "null", "\"BAAAAAAAAAD/\""]
        {
            assert!(normalizer(map).is_err(), "{map}");
        }
        assert!(normalizer("\"/////wAA\"").unwrap_err().contains("claims 4294967295 bytes"));
    }
}
