//! A whole file as bytes, text or JSON. What it is instead is said, where that can be told.

use std::{fs, path::Path};

use serde_json::Value;

use super::lfs::refuse_pointer;
use crate::error::{Error, Result};

/// The content of a file.
///
/// # Errors
///
/// [`Error::Read`]; [`Error::File`] for a Git LFS pointer.
pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).map_err(Error::read(path))?;
    refuse_pointer(&bytes, path)?;
    Ok(bytes)
}

/// The content of a file of text.
///
/// # Errors
///
/// As for [`bytes()`]; [`Error::File`] for text that is not UTF-8.
pub fn text(path: &Path) -> Result<String> {
    let bytes = bytes(path)?;
    if let Some(encoding) = utf_16_or_32(&bytes) {
        return Err(Error::file(path, format!("is in {encoding}: save it as UTF-8")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let byte = error.as_bytes()[at];
        let line = 1 + error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
        Error::file(path, format!("is not UTF-8: line {line} has the byte 0x{byte:02x}"))
    })
}

/// The content of a JSON file.
///
/// # Errors
///
/// As for [`text`]; [`Error::File`] naming the line that is not JSON.
pub fn json(path: &Path) -> Result<Value> {
    parse_json(&text(path)?, path)
}

/// The value of a JSON text; errors name `path`.
///
/// # Errors
///
/// [`Error::File`] naming the line that is not JSON.
pub fn parse_json(text: &str, path: &Path) -> Result<Value> {
    if text.is_empty() {
        return Err(Error::file(path, "is empty, expected JSON"));
    }
    if text.starts_with('\u{feff}') {
        let message =
            "begins with a byte order mark, which JSON may not have: save it as UTF-8 without BOM";
        return Err(Error::file(path, message));
    }
    serde_json::from_str(text).map_err(|error| {
        let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
        let rest = line.get(error.column().saturating_sub(1)..).unwrap_or_default();
        let is_comment = ["//", "/*", "#"].iter().any(|begin| rest.starts_with(begin));
        let hint = if is_comment { " (a comment, which JSON may not have)" } else { "" };
        Error::file(path, format!("not JSON: {error}{hint}"))
    })
}

/// The encoding of a text in two or four bytes per character, by its byte order mark or by the zeros of its first
/// characters.
fn utf_16_or_32(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [first, 0, second, 0, ..] | [0, first, 0, second, ..] if *first != 0 && *second != 0 => {
            Some("UTF-16")
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refusal(content: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        fs::write(&path, content).unwrap();
        let error = json(&path).unwrap_err().to_string();
        error.strip_prefix(&format!("{}: ", path.display())).unwrap().to_string()
    }

    #[test]
    fn what_a_file_is_instead_is_said() {
        let utf_16 =
            |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let swapped =
            |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
        for (content, says) in [
            (utf_16("\u{feff}{\"a\": 1}"), "is in UTF-16: save it as UTF-8"),
            (utf_16("{\"a\": 1}"), "is in UTF-16"),
            (swapped("\u{feff}{\"a\": 1}"), "is in UTF-16"),
            (swapped("{\"a\": 1}"), "is in UTF-16"),
            (b"\xff\xfe\0\0{\0\0\0".to_vec(), "is in UTF-32"),
            (b"\xef\xbb\xbf{}".to_vec(), "begins with a byte order mark"),
            (b"{\n\"a\": \"\xe9\"}".to_vec(), "is not UTF-8: line 2 has the byte 0xe9"),
            (b"{\n  // the size\n  \"a\": 1}".to_vec(), "line 2 column 3 (a comment, which"),
            (b"{\"a\": 1, # the size\n  \"b\": 1}".to_vec(), "(a comment, which JSON"),
            (b"{} /* the end */".to_vec(), "(a comment, which JSON"),
            (b"{\"a\": 1,}".to_vec(), "not JSON: trailing comma"),
            (Vec::new(), "is empty, expected JSON"),
            (
                b"version https://git-lfs.github.com/spec/v1\nsize 3\n".to_vec(),
                "is a Git LFS pointer",
            ),
        ] {
            let found = refusal(&content);
            assert!(found.contains(says), "{says}: {found}");
        }
    }

    #[test]
    fn a_slash_that_is_no_comment_is_not_called_one() {
        assert!(!refusal(b"{\"a\": x / y}").contains("comment"));
        // The position of the error need not be that of a character.
        assert!(refusal("{\"\u{e9}\u{e9}\u{e9}\": x}".as_bytes()).starts_with("not JSON"));
    }
}
