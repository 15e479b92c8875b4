//! How the program is told of downloads. The Hub prints nothing itself.

use super::name::RepoName;

/// Receives what a person should know while models are fetched.
pub trait Report {
    /// A remark of one line.
    fn note(&self, remark: &str);

    /// The download of a file begins. The answer is dropped when it ends, whether or not it succeeded.
    fn begin(&self, download: &Download<'_>) -> Box<dyn Progress + '_>;
}

/// Follows the download of one file.
pub trait Progress {
    /// `received` bytes of the file are in the cache now. The number falls if the server starts again from 0.
    fn update(&self, received: u64);
}

/// A file to be downloaded.
#[derive(Clone, Copy, Debug)]
pub struct Download<'a> {
    /// Its repository.
    pub name: &'a RepoName,
    /// Its name there.
    pub file: &'a str,
    /// Bytes already received by an earlier, interrupted download.
    pub received: u64,
    /// Bytes in total.
    pub size: u64,
}
