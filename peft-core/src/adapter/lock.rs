//! A folder that one process at a time writes.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    process,
};

use super::temporary::is_at;
use crate::error::{Error, Result};

/// The file that is locked. It holds the process id of who locked it, and is removed in the end.
const LOCK: &str = ".peft.lock";

/// Attempts to lock a file that others remove at the same time.
const ATTEMPTS: usize = 100;

/// A folder that only this process writes, until this is dropped. The operating system keeps the lock, so it ends with
/// the process, however that ends.
#[derive(Debug)]
pub struct FolderLock {
    dir: PathBuf,
    /// The folders made for it, outermost first: removed again if they stay empty.
    made: Vec<PathBuf>,
    /// Open as long as the lock is held.
    file: File,
    unsupported: Option<io::Error>,
}

impl FolderLock {
    /// Locks `dir`, and makes it if it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] if another process holds it; [`Error::Write`].
    pub fn new(dir: &Path) -> Result<Self> {
        Self::with(dir, File::try_lock)
    }

    fn with(dir: &Path, try_lock: impl Fn(&File) -> Result<(), TryLockError>) -> Result<Self> {
        let path = dir.join(LOCK);
        let mut made = Vec::new();
        let mut attempts = 0;
        let taken = loop {
            attempts += 1;
            let made = make_folders(dir, &mut made).map_err(Error::write(dir));
            match made.and_then(|()| take(&path, &try_lock)) {
                Ok(Some(taken)) => break Ok(taken),
                // Whoever held it is removing it, and the folder with it if that is empty.
                Ok(None) if attempts < ATTEMPTS => {}
                Err(Error::Write { source, .. })
                    if attempts < ATTEMPTS && source.kind() == io::ErrorKind::NotFound => {}
                Ok(None) => break Err(Error::InUse { path: dir.to_path_buf(), process: None }),
                Err(Error::InUse { process, .. }) => {
                    break Err(Error::InUse { path: dir.to_path_buf(), process });
                }
                Err(error) => break Err(error),
            }
        };
        match taken {
            Ok((file, unsupported)) => Ok(Self { dir: dir.to_path_buf(), made, file, unsupported }),
            Err(error) => {
                remove_empty(&made);
                Err(error)
            }
        }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What to tell the user if the file system has no locks: then nothing keeps other processes out.
    pub fn warning(&self) -> Option<String> {
        let error = self.unsupported.as_ref()?;
        Some(format!(
            "{} cannot be locked ({error}): take care that no other process writes there",
            self.dir.display()
        ))
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        let path = self.dir.join(LOCK);
        // Still locked: whoever opens the file from here on finds that it is no longer there.
        if is_at(&self.file, &path) {
            let _ = fs::remove_file(path);
        }
        remove_empty(&self.made);
    }
}

/// A locked file, and why it is not locked if the file system has no locks.
type Taken = (File, Option<io::Error>);

/// Opens and locks a file; `None` if it was removed meanwhile.
fn take(
    path: &Path,
    try_lock: &impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<Option<Taken>> {
    if path.is_symlink() {
        return Err(Error::file(path, "is a link, expected a lock file: remove it"));
    }
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = open.map_err(Error::write(path))?;
    let unsupported = match try_lock(&file) {
        Ok(()) => None,
        Err(TryLockError::WouldBlock) => {
            let process = content(&mut file).and_then(|text| text.trim().parse().ok());
            return Err(Error::InUse { path: path.to_path_buf(), process });
        }
        // Some network file systems have none.
        Err(TryLockError::Error(error)) => Some(error),
    };
    if !is_at(&file, path) {
        return Ok(None);
    }
    if !content(&mut file).is_some_and(|text| text.trim().bytes().all(|b| b.is_ascii_digit())) {
        return Err(Error::file(path, "is no lock file of this program: remove it"));
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", process::id()));
    written.map_err(Error::write(path))?;
    Ok(Some((file, unsupported)))
}

/// The beginning of a lock file; `None` if it is not text.
fn content(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.take(64).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Makes a folder and those that it is in; `made` gets what was missing.
fn make_folders(dir: &Path, made: &mut Vec<PathBuf>) -> io::Result<()> {
    let missing: Vec<&Path> = dir
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .collect();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            Ok(()) => made.push(folder.to_path_buf()),
            // Another process made it, or its name ends in `..`; whether it is a folder is seen below.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    match fs::metadata(dir)?.is_dir() {
        true => Ok(()),
        false => Err(io::ErrorKind::NotADirectory.into()),
    }
}

/// Removes folders that are still empty.
fn remove_empty(made: &[PathBuf]) {
    for folder in made.iter().rev() {
        // Refused by the system where it is not empty.
        let _ = fs::remove_dir(folder);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_the_other_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let lock = FolderLock::new(dir.path()).unwrap();
        assert!(lock.warning().is_none());
        let error = FolderLock::new(dir.path()).unwrap_err();
        let own = process::id();
        assert!(matches!(error, Error::InUse { process: Some(id), .. } if id == own), "{error}");
        let message = error.to_string();
        assert!(message.contains(&format!("process {own}")), "{message}");
        assert!(message.starts_with(dir.path().to_str().unwrap()) && !message.contains(LOCK));
        drop(lock);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        FolderLock::new(dir.path()).unwrap();
    }

    /// The folder and the lock file come and go.
    #[test]
    fn never_two_at_a_time() {
        use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        let (holders, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        match FolderLock::new(&inner) {
                            Ok(_lock) => {
                                assert_eq!(holders.fetch_add(1, SeqCst), 0);
                                std::thread::yield_now();
                                holders.fetch_sub(1, SeqCst);
                                held.fetch_add(1, SeqCst);
                            }
                            Err(error) => assert!(matches!(error, Error::InUse { .. }), "{error}"),
                        }
                    }
                });
            }
        });
        assert!(held.into_inner() > 0);
    }

    #[test]
    fn what_a_killed_process_left_is_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(LOCK), "123456789").unwrap();
        let lock = FolderLock::new(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join(LOCK)).unwrap();
        assert_eq!(text, format!("{}\n", process::id()));
        drop(lock);
    }

    #[test]
    fn a_file_that_is_no_lock_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOCK);
        fs::write(&path, "mine").unwrap();
        let error = FolderLock::new(dir.path()).unwrap_err().to_string();
        assert!(error.contains("is no lock file"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    #[cfg(unix)]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), "1").unwrap();
        std::os::unix::fs::symlink("mine", dir.path().join(LOCK)).unwrap();
        let error = FolderLock::new(dir.path()).unwrap_err().to_string();
        assert!(error.contains("is a link"), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join("mine")).unwrap(), "1");
    }

    #[test]
    fn folders_made_for_it_go_again_unless_they_are_used() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        drop(FolderLock::new(&inner).unwrap());
        assert!(!dir.path().join("a").exists());
        let lock = FolderLock::new(&inner).unwrap();
        fs::write(inner.join("x"), "").unwrap();
        drop(lock);
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
        fs::write(dir.path().join("file"), "").unwrap();
        for wrong in ["file", "file/below"] {
            let error = FolderLock::new(&dir.path().join(wrong)).unwrap_err();
            assert!(matches!(error, Error::Write { .. }), "{error}");
        }
    }

    #[test]
    fn without_locks_it_warns_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let none = |_: &File| Err(TryLockError::Error(io::ErrorKind::Unsupported.into()));
        let lock = FolderLock::with(dir.path(), none).unwrap();
        let warning = lock.warning().unwrap();
        assert!(warning.contains("cannot be locked (unsupported)"), "{warning}");
        drop(lock);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
