//! The lines of a text file as they stand, blank ones too.

use std::path::Path;

use super::{
    format::{Content, content_of},
    input::{Input, strip_end},
};
use crate::error::Result;

/// What a file holds.
///
/// # Errors
/// [`Error::Read`](crate::Error::Read) if it cannot be read, [`Error::File`](crate::Error::File) for a Git LFS pointer,
/// UTF-16 and binary formats.
pub fn content(path: &Path) -> Result<Content> {
    let input = Input::open(path)?;
    content_of(path, &input.head())
}

/// All lines of a text file without their ends, which are LF, CRLF or, where there is no LF, CR; without a byte-order
/// mark. What is compressed with gzip or Zstandard is unpacked, and `-` is standard input.
///
/// # Errors
/// As for [`content`]; [`Error::Data`](crate::Error::Data) at a line that is not UTF-8.
pub fn text_lines(path: &Path) -> Result<Vec<String>> {
    let mut input = Input::open(path)?;
    content_of(path, &input.head())?;
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if !input.read_line(&mut line)? {
            return Ok(lines);
        }
        strip_end(&mut line);
        lines.push(line);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    #[test]
    fn blank_lines_stay() {
        for (bytes, expected) in [
            (&b"a\n\n b \n"[..], &["a", "", " b "][..]),
            (b"\xef\xbb\xbfa\r\n\r\nb", &["a", "", "b"]),
            (b"a\rb\r", &["a", "b"]),
            (b"", &[]),
            (b"\n\n", &["", ""]),
        ] {
            let (_dir, path) = file("a.txt", bytes);
            assert_eq!(text_lines(&path).unwrap(), expected, "{bytes:?}");
        }
        let (_dir, path) = file("a.txt", b"a\nb\xff\n");
        assert!(
            text_lines(&path)
                .unwrap_err()
                .to_string()
                .contains("line 2: found text that is not UTF-8")
        );
    }

    #[test]
    fn rows_words_and_lines_are_told_apart() {
        let of = |name: &str, bytes: &[u8]| content(&file(name, bytes).1).unwrap();
        assert_eq!(of("a.txt", b"{\"a\": 1}\n"), Content::Rows);
        assert_eq!(of("a.csv", b"a,b\n1,2\n"), Content::Rows);
        assert_eq!(of("a.out", b"Yes, it is,\nand so on\n"), Content::Lines);
        assert_eq!(of("a.txt", b"EU B-ORG\nis O\n\nIt O\n"), Content::Words);
        assert_eq!(of("a", b"[Note] it is\n"), Content::Lines);
        let (_dir, path) = file("a.txt", b"PK\x03\x04x");
        assert!(content(&path).unwrap_err().to_string().contains("ZIP archive"));
    }
}
