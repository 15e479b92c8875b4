//! Verifies bytes against a file's ETag.

use peft_core::adapter::codec::hex;
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// The checksum that an ETag holds, computed as bytes arrive.
#[derive(Clone, Debug)]
pub enum Checksum {
    /// A large file: its SHA-256.
    Sha256(Sha256),
    /// A small file: its git object name, which is the SHA-1 of a header and the bytes. Some mirrors give the plain
    /// SHA-1 of the bytes instead.
    Sha1 {
        /// With git's header.
        git: Sha1,
        /// Without it.
        plain: Sha1,
    },
    /// Any other ETag holds no checksum: only the size is verified.
    None,
}

impl Checksum {
    /// The checksum that `etag` holds, for a file of `size` bytes.
    pub fn of(etag: &str, size: u64) -> Self {
        let is_hex = etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        match etag.len() {
            64 if is_hex => Self::Sha256(Sha256::new()),
            40 if is_hex => Self::Sha1 {
                git: Sha1::new_with_prefix(format!("blob {size}\0")),
                plain: Sha1::new(),
            },
            _ => Self::None,
        }
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(sum) => sum.update(bytes),
            Self::Sha1 { git, plain } => {
                git.update(bytes);
                plain.update(bytes);
            }
            Self::None => {}
        }
    }

    /// The kind and the value of the checksum, if it differs from `etag`.
    pub fn differs(&self, etag: &str) -> Option<(&'static str, String)> {
        let (kind, found) = match self {
            Self::Sha256(sum) => ("SHA-256", vec![hex(&sum.clone().finalize())]),
            Self::Sha1 { git, plain } => {
                ("git SHA-1", [git, plain].map(|sum| hex(&sum.clone().finalize())).to_vec())
            }
            Self::None => return None,
        };
        let is_equal = found.iter().any(|sum| sum.eq_ignore_ascii_case(etag));
        found.into_iter().next().filter(|_| !is_equal).map(|found| (kind, found))
    }
}

/// The name under which the cache holds the bytes of a file: as in Python, its ETag. One that is no checksum may be that
/// of other bytes too, such as another file of the same size and time, and gets a name of this file's own.
pub fn blob_name(etag: &str, commit: &str, file: &str) -> String {
    match Checksum::of(etag, 0) {
        Checksum::None => hex(&Sha256::digest(format!("{commit}/{file}\0{etag}"))),
        _ => etag.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_verified_against_an_etag() {
        let differs = |etag: &str, bytes: &[u8]| {
            let mut sum = Checksum::of(etag, bytes.len() as u64);
            sum.update(bytes);
            sum.differs(etag)
        };
        // As `git hash-object`, `sha1sum` and `sha256sum` print them.
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        let plain = "f572d396fae9206628714fb2ce00f72e94f2258f";
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        for etag in [git, plain, sha256, "\"anything\""] {
            assert_eq!(differs(etag, b"hello\n"), None, "{etag}");
        }
        assert_eq!(differs(git, b"hallo\n").unwrap().0, "git SHA-1");
        assert_eq!(differs(sha256, b"hallo\n").unwrap().0, "SHA-256");
    }

    #[test]
    fn an_etag_that_is_no_checksum_names_no_other_file() {
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert_eq!(blob_name(sha256, "c", "a"), sha256);
        let name = |commit, file| blob_name("5f3a-1000", commit, file);
        assert_eq!(name("c", "a"), name("c", "a"));
        assert!(name("c", "a") != name("c", "b") && name("c", "a") != name("d", "a"));
    }
}
