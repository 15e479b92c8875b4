//! Temporary files and folders, beside what they become.
//!
//! Their names cannot be foreseen, and they are made, never opened: a link that somebody put there is not followed.
//! The writer holds a lock on each. The lock dies with it, so what a kill left can be told from what is being written,
//! and a later writer in the same folder removes it.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    hash::{BuildHasher, RandomState},
    io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

const START: &str = ".peft-";
const END: &str = ".tmp";
/// Hexadecimal digits between the two.
const DIGITS: usize = 16;
/// Names tried for one file or folder.
const ATTEMPTS: usize = 100;
/// What no process has written to for so long is what a kill left.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A new name in `dir`. It is short whatever it stands for: a name may have 255 bytes.
fn new_name(dir: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // The keys of the hasher are random.
    let hasher = RandomState::new();
    let digits = hasher.hash_one((process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    dir.join(format!("{START}{digits:0DIGITS$x}{END}"))
}

/// Whether this is a name made here.
pub(super) fn is_temporary(name: &OsStr) -> bool {
    let digits =
        name.to_str().and_then(|name| name.strip_prefix(START)).and_then(|n| n.strip_suffix(END));
    digits.is_some_and(|digits| {
        digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// A temporary file or folder, removed when it is dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    /// Open and locked; folders cannot be opened everywhere.
    held: Option<File>,
    renamed: bool,
}

/// Sets the permissions of a new file, which has none beyond them; some file systems and containers let nobody change them.
///
/// # Errors
///
/// Those of the system, except that it does not allow or know this.
pub(super) fn set_permissions(file: &File, permissions: Permissions) -> io::Result<()> {
    tolerated(file.set_permissions(permissions))
}

fn tolerated(set: io::Result<()>) -> io::Result<()> {
    use io::ErrorKind::{PermissionDenied, Unsupported};
    match set {
        Err(error) if matches!(error.kind(), PermissionDenied | Unsupported) => Ok(()),
        other => other,
    }
}

impl Temporary {
    /// A new file in `dir`, readable by those whom `permissions` name, otherwise as usual.
    pub(super) fn file(dir: &Path, permissions: Option<&Permissions>) -> io::Result<(Self, File)> {
        let temporary = Self::make(dir, |path| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            only_for(permissions, &mut options);
            options.open(path).map(Some)
        })?;
        let file = temporary.opened()?;
        if let Some(permissions) = permissions {
            set_permissions(&file, permissions.clone())?;
        }
        Ok((temporary, file))
    }

    /// A new file in `dir` for its maker alone, to be written and read. It loses its name at once, so that nothing is left
    /// of it whatever ends the process; where an open file keeps its name, that goes when this is dropped.
    pub(super) fn without_name(dir: &Path) -> io::Result<(Self, File)> {
        let mut temporary = Self::make(dir, |path| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true);
            only_for_owner(&mut options);
            options.open(path).map(Some)
        })?;
        let file = temporary.opened()?;
        // As if under another name: it is not there to be removed.
        temporary.renamed = fs::remove_file(&temporary.path).is_ok();
        Ok((temporary, file))
    }

    /// Its file, which has just been opened.
    fn opened(&self) -> io::Result<File> {
        self.held.as_ref().ok_or(io::ErrorKind::Other)?.try_clone()
    }

    /// A new folder in `dir`.
    pub(super) fn folder(dir: &Path) -> io::Result<Self> {
        Self::make(dir, |path| {
            fs::create_dir(path)?;
            Ok(File::open(path).ok())
        })
    }

    /// Makes it under one name after another until it is there and held.
    fn make(dir: &Path, make: impl Fn(&Path) -> io::Result<Option<File>>) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            let path = new_name(dir);
            let held = match make(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            };
            // Between making and locking it looks like what a kill left, and may be removed as such.
            let lost = held.as_ref().is_some_and(|file| {
                matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !is_at(file, &path)
            });
            if !lost {
                return Ok(Self { path, held, renamed: false });
            }
        }
        Err(io::Error::other(format!(
            "{ATTEMPTS} temporary files were gone as soon as they were made"
        )))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its final name. A file replaces another; a folder only an empty one.
    pub(super) fn rename(mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // Best effort: the error that matters is the one at hand.
            let _ = remove(&self.path);
        }
    }
}

/// Files are made readable by those whom `permissions` name.
#[cfg(unix)]
pub(super) fn only_for(permissions: Option<&Permissions>, options: &mut OpenOptions) {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    if let Some(permissions) = permissions {
        options.mode(permissions.mode() & 0o777);
    }
}

#[cfg(not(unix))]
pub(super) fn only_for(_: Option<&Permissions>, _: &mut OpenOptions) {}

/// Files are made readable by their owner alone.
#[cfg(unix)]
fn only_for_owner(options: &mut OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
}

#[cfg(not(unix))]
fn only_for_owner(_: &mut OpenOptions) {}

/// Whether `path` still leads to an open file.
#[cfg(unix)]
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
pub(super) fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Removes a file, or a folder with all that is in it.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
}

/// Moves a file or folder out of the way, to where [`sweep`] finds it, in one step.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = new_name(folder_of(path));
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// Removes a file or folder: its name in one step, then what it held.
pub(super) fn remove_whole(path: &Path) -> io::Result<()> {
    remove(&set_aside(path)?)
}

/// Removes what kills left in `dir`, except for what is being written. A folder that cannot be read stays as it is:
/// leftovers do no harm.
pub(super) fn sweep(dir: &Path) {
    remove_unlocked(ours(dir));
}

/// As [`sweep`], for a folder in which other computers may write, whose locks are not seen everywhere: what is younger
/// than a day stays.
pub(super) fn sweep_old(dir: &Path) {
    let age = |path: &Path| fs::symlink_metadata(path).ok()?.modified().ok()?.elapsed().ok();
    remove_unlocked(ours(dir).filter(|path| age(path).is_some_and(|age| age > DAY)));
}

fn remove_unlocked(paths: impl Iterator<Item = PathBuf>) {
    for path in paths {
        // Open, and so locked, until it is removed: whoever has just made it sees that it is lost.
        if let Ok(file) = File::open(&path)
            && file.try_lock().is_ok()
        {
            let _ = remove(&path);
        }
    }
}

/// Removes all temporary files and folders in `dir`, in which only the caller writes. That works where folders have no
/// locks.
pub(super) fn sweep_all(dir: &Path) {
    for path in ours(dir) {
        let _ = remove(&path);
    }
}

/// The temporary files and folders in `dir`.
fn ours(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            // A pipe would be waited for, and a link leads elsewhere: neither is made here.
            let own = entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir());
            own && is_temporary(&entry.file_name())
        })
        .map(|entry| entry.path())
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn permissions_that_nobody_may_set_are_left() {
        let of = |kind: io::ErrorKind| tolerated(Err(kind.into()));
        assert!(
            of(io::ErrorKind::PermissionDenied).is_ok() && of(io::ErrorKind::Unsupported).is_ok()
        );
        assert!(of(io::ErrorKind::StorageFull).is_err() && tolerated(Ok(())).is_ok());
    }

    #[test]
    fn names_differ_and_are_known() {
        let dir = Path::new("a");
        let (one, two) = (new_name(dir), new_name(dir));
        assert_ne!(one, two);
        assert!(is_temporary(one.file_name().unwrap()) && is_temporary(two.file_name().unwrap()));
        for other in [".peft-1.tmp", ".peft-0123456789abcdef", ".peft-0123456789abcdeg.tmp"] {
            assert!(!is_temporary(OsStr::new(other)), "{other}");
        }
    }

    #[test]
    fn what_is_dropped_is_removed_and_what_is_renamed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (first, mut file) = Temporary::file(dir.path(), None).unwrap();
        file.write_all(b"x").unwrap();
        let folder = Temporary::folder(dir.path()).unwrap();
        fs::write(folder.path().join("inside"), b"x").unwrap();
        let (second, _) = Temporary::file(dir.path(), None).unwrap();
        assert_eq!(names(dir.path()).len(), 3);
        first.rename(&dir.path().join("kept")).unwrap();
        drop((folder, second));
        assert_eq!(names(dir.path()), ["kept"]);
    }

    #[test]
    fn a_sweep_leaves_what_is_held_and_what_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let (held, _) = Temporary::file(dir.path(), None).unwrap();
        let folder = Temporary::folder(dir.path()).unwrap();
        for name in [".peft-0000000000000001.tmp", ".peft-1.tmp", "a.tmp"] {
            fs::write(dir.path().join(name), b"x").unwrap();
        }
        fs::create_dir_all(dir.path().join(".peft-0000000000000002.tmp/inside")).unwrap();
        sweep(dir.path());
        let mut expected = vec![".peft-1.tmp".to_string(), "a.tmp".to_string()];
        for path in [held.path(), folder.path()] {
            expected.push(path.file_name().unwrap().to_str().unwrap().to_string());
        }
        expected.sort();
        assert_eq!(names(dir.path()), expected);
        sweep_all(dir.path());
        assert_eq!(names(dir.path()), [".peft-1.tmp", "a.tmp"]);
        sweep(&dir.path().join("none"));
    }

    #[test]
    fn where_others_write_only_what_is_old_goes() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let (old, young) = (".peft-0000000000000001.tmp", ".peft-0000000000000002.tmp");
        for name in [old, young] {
            fs::write(at(name), b"x").unwrap();
        }
        let before = std::time::SystemTime::now() - 2 * DAY;
        OpenOptions::new().write(true).open(at(old)).unwrap().set_modified(before).unwrap();
        sweep_old(dir.path());
        assert_eq!(names(dir.path()), [young]);
    }

    #[test]
    fn attempts_end() {
        let dir = tempfile::tempdir().unwrap();
        let never = |_: &Path| Err(io::ErrorKind::AlreadyExists.into());
        assert!(Temporary::make(dir.path(), never).unwrap_err().to_string().contains("100"));
    }

    #[test]
    #[cfg(unix)]
    fn a_link_of_such_a_name_is_neither_followed_nor_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), b"x").unwrap();
        let link = dir.path().join(".peft-0000000000000003.tmp");
        std::os::unix::fs::symlink("mine", &link).unwrap();
        sweep_all(dir.path());
        assert!(link.is_symlink() && dir.path().join("mine").exists());
    }
}
