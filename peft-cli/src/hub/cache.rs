//! The cache folder, in the layout of Python's `huggingface_hub`:
//!
//! ```text
//! models--org--name/refs/main                     the commit that `main` was
//! models--org--name/snapshots/COMMIT/config.json  -> ../../blobs/ETAG
//! models--org--name/blobs/ETAG                    the bytes; ETAG.incomplete until they are all there
//! models--org--name/.no_exist/COMMIT/FILE         empty: the repository has no such file
//! .locks/models--org--name/ETAG.lock              held while that blob is downloaded
//! ```
//!
//! Where the file system has no locks, each process receives into `blobs/ETAG.RANDOM.incomplete`, a file of its own.

use std::{
    fs::{self, File, TryLockError},
    hash::{BuildHasher, RandomState},
    io,
    path::{Path, PathBuf},
    process,
};

use peft_core::adapter::atomic;

use super::{
    config::HubConfig,
    error::HubError,
    name::{RepoName, is_commit, is_file_name},
};

/// One repository's part of the cache folder.
#[derive(Debug)]
pub struct RepoCache {
    revision: String,
    /// `models--org--name`.
    root: PathBuf,
    locks: PathBuf,
}

impl RepoCache {
    /// The part that belongs to `name`.
    pub fn new(config: &HubConfig, name: &RepoName) -> Self {
        let folder = name.cache_folder();
        Self {
            revision: name.revision().to_string(),
            root: config.cache.join(&folder),
            locks: config.cache.join(".locks").join(folder),
        }
    }

    /// The commit of the revision, as of its download.
    pub fn commit(&self) -> Option<String> {
        if is_commit(&self.revision) {
            return Some(self.revision.clone());
        }
        let commit = fs::read_to_string(self.root.join("refs").join(&self.revision)).ok()?;
        Some(commit.trim()).filter(|commit| is_file_name(commit)).map(str::to_string)
    }

    /// The folder with the files of a commit.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The file that holds the bytes of an ETag.
    pub fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// The file that holds the bytes received so far.
    pub fn partial(&self, etag: &str) -> PathBuf {
        self.blob(&format!("{etag}.incomplete"))
    }

    /// Links a file of a commit to its blob.
    ///
    /// # Errors
    ///
    /// [`HubError::Write`].
    pub fn link(&self, commit: &str, file: &str, etag: &str) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(file);
        // From the folder of the link: a file may be in a folder of its snapshot.
        let up = "../".repeat(2 + file.matches('/').count());
        let made = make_parent(&path).and_then(|()| {
            // A link to a blob that was deleted is in the way.
            if path.is_symlink() && !path.exists() {
                fs::remove_file(&path)?;
            }
            link_or_copy(&self.blob(etag), &Path::new(&up).join("blobs").join(etag), &path)
        });
        match made {
            // Another process made it first.
            Err(_) if path.exists() => Ok(()),
            made => made.map_err(HubError::write(&path)),
        }
    }

    /// Records the commit of the revision.
    ///
    /// # Errors
    ///
    /// [`HubError::Write`].
    pub fn write_ref(&self, commit: &str) -> Result<(), HubError> {
        let path = self.root.join("refs").join(&self.revision);
        make_parent(&path).map_err(HubError::write(&path))?;
        match atomic::write_file(&path, commit.as_bytes()) {
            Err(peft_core::Error::Write { path, source }) => Err(HubError::Write { path, source }),
            Err(other) => Err(HubError::write(&path)(io::Error::other(other))),
            Ok(()) => Ok(()),
        }
    }

    /// Whether a commit is known to lack a file.
    pub fn is_absent(&self, commit: &str, file: &str) -> bool {
        self.absence(commit, file).is_file()
    }

    /// Records that a commit lacks a file.
    ///
    /// # Errors
    ///
    /// [`HubError::Write`].
    pub fn note_absent(&self, commit: &str, file: &str) -> Result<(), HubError> {
        let path = self.absence(commit, file);
        match make_parent(&path).and_then(|()| File::create_new(&path)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(HubError::write(&path)(error))
            }
            _ => Ok(()),
        }
    }

    fn absence(&self, commit: &str, file: &str) -> PathBuf {
        self.root.join(".no_exist").join(commit).join(file)
    }

    /// The file for the bytes received by a process that holds no lock: its own, which is not resumed.
    pub fn own_partial(&self, etag: &str) -> PathBuf {
        let own = RandomState::new().hash_one(process::id());
        self.blob(&format!("{etag}.{own:016x}.incomplete"))
    }

    /// Locks a blob for downloading, against other processes of this program and of Python's library. The lock is
    /// released when the answer is dropped; `None` if the file system has no locks. `on_wait` is called if another
    /// process holds it.
    ///
    /// # Errors
    ///
    /// [`HubError::Write`].
    pub fn lock(&self, etag: &str, on_wait: impl FnOnce()) -> Result<Option<File>, HubError> {
        let path = self.locks.join(format!("{etag}.lock"));
        let open = || File::options().create(true).truncate(false).write(true).open(&path);
        let file = make_parent(&path).and_then(|()| open()).map_err(HubError::write(&path))?;
        let locked = match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                on_wait();
                file.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        match locked {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Err(HubError::write(&path)(error))
            }
            // Some network file systems have none.
            Err(_) => Ok(None),
            Ok(()) => Ok(Some(file)),
        }
    }
}

/// Creates the folder that a file will be in.
pub fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

#[cfg(unix)]
fn link_or_copy(_blob: &Path, relative: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(relative, path)
}

/// Links need a privilege on Windows; Python's library copies there too.
#[cfg(not(unix))]
fn link_or_copy(blob: &Path, _relative: &Path, path: &Path) -> io::Result<()> {
    fs::copy(blob, path).map(|_| ())
}
