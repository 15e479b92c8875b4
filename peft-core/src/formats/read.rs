//! A whole file as bytes, text or JSON. What it is instead is said, where that can be told.

use std::{
    fs::{self, File, FileType},
    io::Read,
    path::Path,
};

use serde_json::Value;

use super::lfs::refuse_pointer;
use crate::error::{Error, Result};

/// The most that a pipe may hold where a file is expected.
const LARGEST_PIPE: u64 = 1_000_000_000;

/// Opens a file. What is no file is refused before: a pipe would be waited for, and a device may have no end.
///
/// # Errors
///
/// [`Error::Read`]; [`Error::File`] for a pipe or a device.
pub fn open(path: &Path) -> Result<File> {
    let found = fs::metadata(path).map_err(Error::read(path))?.file_type();
    match found.is_file() || found.is_dir() {
        true => File::open(path).map_err(Error::read(path)),
        false => Err(Error::file(path, "is a pipe or a device, expected a file")),
    }
}

/// The content of a file, or of a pipe that the program was given open, as a shell's `<(..)` is.
///
/// # Errors
///
/// [`Error::Read`]; [`Error::File`] for another pipe, a device, more than 1 GB in a pipe, and a Git LFS pointer.
pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    let bytes = match fs::metadata(path).is_ok_and(|found| is_open_pipe(path, found.file_type())) {
        true => of_pipe(path)?,
        false => {
            // Refused, if it is no file.
            open(path)?;
            fs::read(path).map_err(Error::read(path))?
        }
    };
    refuse_pointer(&bytes, path)?;
    Ok(bytes)
}

fn of_pipe(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let pipe = File::open(path).map_err(Error::read(path))?;
    pipe.take(LARGEST_PIPE + 1).read_to_end(&mut bytes).map_err(Error::read(path))?;
    match bytes.len() as u64 > LARGEST_PIPE {
        true => Err(Error::file(path, "is a pipe with more than 1 GB: give a file")),
        false => Ok(bytes),
    }
}

#[cfg(unix)]
fn is_open_pipe(path: &Path, found: FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_open = ["/dev/fd", "/dev/stdin", "/proc"].iter().any(|place| path.starts_with(place));
    is_open && found.is_fifo()
}

#[cfg(not(unix))]
fn is_open_pipe(_: &Path, _: FileType) -> bool {
    false
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
        let number = ["NaN", "Infinity"].into_iter().find(|name| rest.starts_with(name));
        let hint = match number {
            // Python's json writes and reads them.
            Some(number) => {
                let before = line.len() - rest.len();
                let sign = if line[..before].ends_with('-') { "-" } else { "" };
                format!(
                    " ({sign}{number}, which Python writes and JSON may not have: put a finite number in its place, or null)"
                )
            }
            None if is_comment => " (a comment, which JSON may not have)".into(),
            None => String::new(),
        };
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
            (b"{\n\"a\": Infinity}".to_vec(), "line 2 column 6 (Infinity, which Python writes and"),
            (b"{\"a\": [1, -Infinity]}".to_vec(), " (-Infinity, which Python writes and JSON may"),
            (b"{\"a\": NaN}".to_vec(), "not have: put a finite number in its place, or null)"),
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

    /// None of these is read, or waited for.
    #[test]
    #[cfg(target_os = "linux")]
    fn pipes_and_devices_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let link = dir.path().join("config.json");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for path in [&pipe, &link, Path::new("/dev/random")] {
            let error = text(path).unwrap_err().to_string();
            assert!(error.ends_with("is a pipe or a device, expected a file"), "{error}");
        }
        assert!(bytes(dir.path()).unwrap_err().to_string().contains("Is a directory"));
    }

    #[test]
    fn a_slash_that_is_no_comment_is_not_called_one() {
        assert!(!refusal(b"{\"a\": x / y}").contains("comment"));
        // The position of the error need not be that of a character.
        assert!(refusal("{\"\u{e9}\u{e9}\u{e9}\": x}".as_bytes()).starts_with("not JSON"));
    }
}
