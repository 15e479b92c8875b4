//! What must be checked in a `tokenizer.json` before the `tokenizers` library reads it.
//!
//! For two parts of the file the library (0.23) ends the program where it should return an error: a
//! decoder that is not JSON, and a malformed precompiled normalizer.

use serde::Deserialize;
use serde_json::Value;

use super::charsmap;

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

/// Checks a SentencePiece normalizer, which is written in base64.
fn check_precompiled(value: &Value) -> Result<(), String> {
    let letters = value["precompiled_charsmap"].as_str().unwrap_or_default();
    let table =
        base64(letters).ok_or_else(|| "its precompiled normalizer: expected base64".to_string())?;
    charsmap::read(&table).map(drop)
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
}
