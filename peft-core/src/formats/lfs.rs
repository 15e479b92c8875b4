//! Git LFS pointers: the few lines that `git clone` leaves in place of a large file when Git LFS is not installed, or
//! when `GIT_LFS_SKIP_SMUDGE` is set.
//!
//! Format: <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>.

use std::path::Path;

use crate::error::{Error, Result};

/// How a pointer begins; the second is the name of the format before 2015.
const BEGINNINGS: [&[u8]; 2] =
    [b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/"];
/// A pointer is shorter than this.
const LONGEST: usize = 1024;

/// What a Git LFS pointer says about the file that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// The size of that file in bytes; `None` if the pointer is cut off before it.
    pub size: Option<u64>,
}

/// The pointer, if the content of a file is one. The first kilobyte of a file is enough to tell.
pub fn git_lfs_pointer(bytes: &[u8]) -> Option<Pointer> {
    if bytes.len() >= LONGEST || !BEGINNINGS.iter().any(|begin| bytes.starts_with(begin)) {
        return None;
    }
    let lines = bytes.split(|byte| *byte == b'\n');
    let size = lines.filter_map(|line| line.strip_prefix(b"size ")).next();
    let size = size.and_then(|size| std::str::from_utf8(size).ok()?.trim().parse().ok());
    Some(Pointer { size })
}

/// Refuses the content of the file `path` if it is a Git LFS pointer. Called before the content is parsed.
///
/// # Errors
///
/// [`Error::File`] saying so, with the command that fetches the file.
pub fn refuse_pointer(bytes: &[u8], path: &Path) -> Result<()> {
    let Some(Pointer { size }) = git_lfs_pointer(bytes) else { return Ok(()) };
    let size = size.map(|size| format!(" ({size} bytes expected)")).unwrap_or_default();
    Err(Error::file(
        path,
        format!(
            "is a Git LFS pointer, not the file itself{size}: run `git lfs pull` in the repository that it is from"
        ),
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_from_files() {
        let oid = "0".repeat(64);
        let whole =
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 1044992\n");
        let windows = whole.replace('\n', "\r\n");
        let old = whole.replace("git-lfs", "hawser");
        for text in [&whole, &windows, &old] {
            assert_eq!(git_lfs_pointer(text.as_bytes()), Some(Pointer { size: Some(1_044_992) }));
        }
        let error = refuse_pointer(whole.as_bytes(), Path::new("m.bin")).unwrap_err().to_string();
        assert!(error.starts_with(
            "m.bin: is a Git LFS pointer, not the file itself (1044992 bytes expected)"
        ));
        // Cut off, or with numbers that are none.
        for end in ["", "size ", "size -1\n", "size 99999999999999999999999\n"] {
            let text = format!("version https://git-lfs.github.com/spec/v1\n{end}");
            assert_eq!(git_lfs_pointer(text.as_bytes()), Some(Pointer { size: None }), "{end}");
        }
        // A text that speaks of it, and one that goes on.
        let long = format!("{whole}{}", "x".repeat(LONGEST));
        for other in ["", "version 1", " version https://git-lfs.github.com/spec/v1", &long] {
            assert_eq!(git_lfs_pointer(other.as_bytes()), None, "{other}");
            assert!(refuse_pointer(other.as_bytes(), Path::new("m.bin")).is_ok());
        }
    }
}
