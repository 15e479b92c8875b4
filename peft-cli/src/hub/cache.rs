//! The cache folder, as Python's `huggingface_hub` lays it out and hf-hub names its parts:
//!
//! ```text
//! models--org--name/refs/main                     the commit that main was
//! models--org--name/snapshots/COMMIT/config.json  -> ../../blobs/ETAG
//! models--org--name/blobs/ETAG                    the bytes; ETAG.incomplete while they come
//! models--org--name/.no_exist/COMMIT/FILE         empty: the repository has no such file
//! .locks/models--org--name/ETAG.lock              held by who downloads that blob
//! ```

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use hf_hub::{Cache, CacheRepo};
use peft_core::adapter::atomic;

use super::{
    config::HubConfig,
    error::HubError,
    name::{RepoName, is_commit},
};

/// A repository's part of the cache folder.
#[derive(Debug)]
pub struct RepoCache {
    repo: CacheRepo,
    revision: String,
    /// `models--org--name`.
    root: PathBuf,
    locks: PathBuf,
}

impl RepoCache {
    /// That of `name`.
    pub fn new(config: &HubConfig, name: &RepoName) -> Self {
        let repo = name.at(name.revision());
        let folder = repo.folder_name();
        Self {
            repo: Cache::new(config.cache.clone()).repo(repo),
            revision: name.revision().to_string(),
            root: config.cache.join(&folder),
            locks: config.cache.join(".locks").join(folder),
        }
    }

    /// The commit that the revision is, or was when it was downloaded.
    pub fn commit(&self) -> Option<String> {
        if is_commit(&self.revision) {
            return Some(self.revision.clone());
        }
        let commit = fs::read_to_string(self.root.join("refs").join(&self.revision)).ok()?;
        Some(commit.trim()).filter(|commit| is_plain(commit)).map(str::to_string)
    }

    /// The folder of a commit.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.repo.pointer_path(commit)
    }

    /// The file with the bytes of an ETag.
    pub fn blob(&self, etag: &str) -> PathBuf {
        self.repo.blob_path(etag)
    }

    /// That of the bytes that came so far.
    pub fn partial(&self, etag: &str) -> PathBuf {
        self.repo.blob_path(&format!("{etag}.incomplete"))
    }

    /// Makes a file of a commit's folder stand for a blob.
    ///
    /// # Errors
    ///
    /// [`HubError::Write`].
    pub fn link(&self, commit: &str, file: &str, etag: &str) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(file);
        let made = make_parent(&path).and_then(|()| {
            // A link to a blob that somebody removed is in the way.
            if path.is_symlink() && !path.exists() {
                fs::remove_file(&path)?;
            }
            link_or_copy(&self.blob(etag), &Path::new("../../blobs").join(etag), &path)
        });
        match made {
            // Another process was faster.
            Err(_) if path.exists() => Ok(()),
            made => made.map_err(HubError::write(&path)),
        }
    }

    /// Notes which commit the revision is.
    ///
    /// # Errors
    ///
    /// [`HubError::Write`].
    pub fn write_ref(&self, commit: &str) -> Result<(), HubError> {
        let path = self.root.join("refs").join(&self.revision);
        make_parent(&path).map_err(HubError::write(&path))?;
        // Two processes write the same; whoever comes second may find the other's temporary file gone.
        match atomic::write_file(&path, commit.as_bytes()) {
            Err(_) if self.commit().as_deref() == Some(commit) => Ok(()),
            Err(peft_core::Error::Write { path, source }) => Err(HubError::Write { path, source }),
            Err(other) => Err(HubError::write(&path)(io::Error::other(other))),
            Ok(()) => Ok(()),
        }
    }

    /// Whether a commit is known not to have a file.
    pub fn is_absent(&self, commit: &str, file: &str) -> bool {
        self.absence(commit, file).is_file()
    }

    /// Notes that a commit does not have a file.
    ///
    /// # Errors
    ///
    /// [`HubError::Write`].
    pub fn note_absent(&self, commit: &str, file: &str) -> Result<(), HubError> {
        let path = self.absence(commit, file);
        make_parent(&path).and_then(|()| File::create(&path)).map_err(HubError::write(&path))?;
        Ok(())
    }

    fn absence(&self, commit: &str, file: &str) -> PathBuf {
        self.root.join(".no_exist").join(commit).join(file)
    }

    /// Waits until no other process downloads the blob, Python's included, and keeps others out until the
    /// answer is dropped. `wait` is called where there is somebody to wait for.
    ///
    /// # Errors
    ///
    /// [`HubError::Write`].
    pub fn lock(&self, etag: &str, wait: impl FnOnce()) -> Result<File, HubError> {
        let path = self.locks.join(format!("{etag}.lock"));
        let open = || File::options().create(true).truncate(false).write(true).open(&path);
        let file = make_parent(&path).and_then(|()| open()).map_err(HubError::write(&path))?;
        let locked = match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                wait();
                file.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        match locked {
            // Some network file systems have no locks; the checksum still holds.
            Err(error) if error.kind() != io::ErrorKind::Unsupported => {
                Err(HubError::write(&path)(error))
            }
            _ => Ok(file),
        }
    }
}

/// Whether a commit or an ETag can be the name of a file.
pub fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.chars().all(allowed)
}

/// Makes the folder that a file is to be in.
pub fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

#[cfg(unix)]
fn link_or_copy(_blob: &Path, relative: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(relative, path)
}

/// Links need a privilege on Windows; Python copies there too.
#[cfg(not(unix))]
fn link_or_copy(blob: &Path, _relative: &Path, path: &Path) -> io::Result<()> {
    fs::copy(blob, path).map(|_| ())
}
