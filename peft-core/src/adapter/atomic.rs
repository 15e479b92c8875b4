//! Writing a file or folder so that a kill, crash or full disk never leaves half of it under its
//! name.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::temporary::{self, Temporary, folder_of};
use crate::error::{Error, Result};

/// Links followed from a name to its file, as many as Linux follows.
const LINKS: usize = 40;

/// Flushes to the disk, not just to the kernel.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path).and_then(|file| file.sync_all())
}

/// What a name stands for.
pub(super) enum Target {
    /// A file, there or not, that is replaced as a whole.
    File(PathBuf),
    /// A device, a pipe, or a file that is open already, such as `/dev/stdout`: written to, not replaced.
    Stream,
}

impl Target {
    /// Follows the links of `path`: what they lead to is written, and they stay.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let mut file = path.to_path_buf();
        for _ in 0..LINKS {
            if file.starts_with("/proc") || file.starts_with("/dev/fd") {
                return Ok(Self::Stream);
            }
            match fs::read_link(&file) {
                Ok(to) => file = folder_of(&file).join(to),
                Err(_) => {
                    let other = |found: fs::Metadata| !found.is_file() && !found.is_dir();
                    let is_stream = fs::metadata(&file).is_ok_and(other);
                    return Ok(if is_stream { Self::Stream } else { Self::File(file) });
                }
            }
        }
        // The system's words for it.
        fs::metadata(path).map(|_| Self::File(file))
    }
}

/// The permissions of a file that may be written to; `None` if there is none yet.
pub(super) fn writable_permissions(file: &Path) -> io::Result<Option<Permissions>> {
    match fs::metadata(file) {
        Ok(old) => {
            OpenOptions::new().write(true).open(file)?;
            Ok(Some(old.permissions()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file under a temporary name.
struct Draft {
    temporary: Temporary,
    becomes: PathBuf,
}

impl Draft {
    /// Writes what is to replace `file`. It can be read by whoever can read the old file.
    ///
    /// # Errors
    ///
    /// Those of the system, also where the old file is a folder or may not be written to.
    fn new(file: &Path, bytes: &[u8]) -> io::Result<Self> {
        let permissions = writable_permissions(file)?;
        let folder = folder_of(file);
        temporary::sweep_old(folder);
        let (temporary, mut written) = Temporary::file(folder, permissions.as_ref())?;
        written.write_all(bytes)?;
        written.sync_all()?;
        Ok(Self { temporary, becomes: file.to_path_buf() })
    }

    fn finish(self) -> io::Result<()> {
        self.temporary.rename(&self.becomes)?;
        sync(folder_of(&self.becomes))
    }
}

/// Writes `bytes` to `path`, which then holds either the old file or the new one, never a part. A new file has the
/// permissions of the old one. Links are followed. A device or a pipe, such as `/dev/stdout`, is written to, not
/// replaced.
///
/// # Errors
///
/// [`Error::Write`]; the temporary file is removed and the old file untouched.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    write_files(&[(path, bytes)])
}

/// Whether [`write_file`] writes to what is there, a device, a pipe or a file that is open already such as `/dev/stdout`,
/// and does not replace it.
pub fn is_stream(path: &Path) -> bool {
    matches!(Target::of(path), Ok(Target::Stream))
}

/// Whether [`write_file`] can write there, found out by a temporary file: before work whose result would be lost.
///
/// # Errors
///
/// [`Error::Write`].
pub fn check_writable(path: &Path) -> Result<()> {
    let checked = Target::of(path).and_then(|target| match target {
        Target::File(file) => Draft::new(&file, &[]).map(drop),
        Target::Stream => Ok(()),
    });
    checked.map_err(Error::write(path))
}

/// Writes files, as [`write_file`] does. All are written and synced under temporary names before the first is renamed.
/// They are renamed in the order given, so a kill in between leaves the first ones new and the others old.
///
/// # Errors
///
/// [`Error::Write`]; the temporary files are removed. If a file cannot be written (a full disk),
/// all old files are untouched.
pub fn write_files(files: &[(&Path, &[u8])]) -> Result<()> {
    let mut drafts = Vec::new();
    for (path, bytes) in files {
        match Target::of(path).map_err(Error::write(path))? {
            Target::File(file) => {
                drafts.push((path, Draft::new(&file, bytes).map_err(Error::write(path))?));
            }
            Target::Stream => {
                open_stream(path)
                    .and_then(|mut open| open.write_all(bytes))
                    .map_err(Error::write(path))?;
            }
        }
    }
    drafts.into_iter().try_for_each(|(path, draft)| draft.finish().map_err(Error::write(path)))
}

/// Opens to write to what [`is_stream`] tells. A file behind stdout or stderr is written through them: opened once more, it
/// would have a second place to write at, and what is printed would overwrite what is written here.
///
/// # Errors
///
/// Those of the system.
pub fn open_stream(path: &Path) -> io::Result<File> {
    match standard_stream(path) {
        Some(open) => Ok(open),
        None => OpenOptions::new().append(true).open(path),
    }
}

/// The one of stdout and stderr that is open for what `path` leads to.
#[cfg(unix)]
fn standard_stream(path: &Path) -> Option<File> {
    use std::os::{fd::AsFd, unix::fs::MetadataExt};
    let id = |found: fs::Metadata| (found.dev(), found.ino());
    let wanted = id(fs::metadata(path).ok()?);
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let open = [stdout.as_fd().try_clone_to_owned(), stderr.as_fd().try_clone_to_owned()];
    let mut open = open.into_iter().flatten().map(File::from);
    open.find(|file| file.metadata().is_ok_and(|found| id(found) == wanted))
}

#[cfg(not(unix))]
fn standard_stream(_: &Path) -> Option<File> {
    None
}

/// Fills a new folder through `fill` under a temporary name, then renames it to `path`, where nothing or an empty
/// folder may be.
///
/// # Errors
///
/// Any error of `fill`, or [`Error::Write`]; the temporary folder is removed.
pub fn write_folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = folder_of(path);
    fs::create_dir_all(parent).map_err(Error::write(path))?;
    temporary::sweep_old(parent);
    let temporary = Temporary::folder(parent).map_err(Error::write(path))?;
    fill(temporary.path()).map_err(|error| match error {
        Error::Write { path: inside, source } => {
            // Under the name that the user knows.
            let known = inside.strip_prefix(temporary.path()).map(|inside| path.join(inside));
            Error::Write { path: known.unwrap_or(inside), source }
        }
        other => other,
    })?;
    sync(temporary.path())
        .and_then(|()| temporary.rename(path))
        .and_then(|()| sync(parent))
        .map_err(Error::write(path))
}

/// Removes a file or folder: its name in one step, then what it held.
///
/// # Errors
///
/// [`Error::Write`].
pub fn remove(path: &Path) -> Result<()> {
    temporary::remove_whole(path).map_err(Error::write(path))
}

/// Renames a file within its folder.
///
/// # Errors
///
/// [`Error::Write`].
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).and_then(|()| sync(folder_of(to))).map_err(Error::write(to))
}

/// Moves a file or folder out of the way in one step; what is moved is removed by [`sweep`], or, once it is a day old, by
/// a write in the same folder. A link stays where it is put.
///
/// # Errors
///
/// [`Error::Write`].
pub fn set_aside(path: &Path) -> Result<()> {
    let aside = temporary::set_aside(path);
    aside.and_then(|_| sync(folder_of(path))).map_err(Error::write(path))
}

/// Removes what was set aside in `dir`, and what killed writes left there: for a folder in which no other computer writes,
/// since the locks of what is being written may not be seen from there.
pub fn sweep(dir: &Path) {
    temporary::sweep(dir);
}

/// As [`sweep`], for a folder in which nobody else writes. That works where folders have no locks.
pub fn sweep_all(dir: &Path) {
    temporary::sweep_all(dir);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn count(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn a_failed_write_leaves_the_old_files() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("a.json"), dir.path().join("b"));
        write_file(&first, b"old").unwrap();
        fs::create_dir(&second).unwrap();
        let error = write_files(&[(&first, b"new"), (&second, b"new")]).unwrap_err();
        assert!(matches!(&error, Error::Write { path, .. } if *path == second), "{error}");
        assert_eq!(fs::read(&first).unwrap(), b"old");
        assert_eq!(count(dir.path()), 2);
        let none = dir.path().join("none/a");
        assert!(write_file(&none, b"x").unwrap_err().to_string().contains("No such file"));
    }

    #[test]
    fn the_longest_name_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n".repeat(255));
        for bytes in [b"old", b"new"] {
            write_file(&path, bytes).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        assert!(write_file(&dir.path().join("n".repeat(256)), b"x").is_err());
        assert_eq!(count(dir.path()), 1);
    }

    #[test]
    fn a_later_write_removes_what_a_kill_left() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(".peft-0000000000000001.tmp");
        let age = |file: File| {
            let before = SystemTime::now() - Duration::from_secs(48 * 60 * 60);
            file.set_modified(before).unwrap();
        };
        age(File::create(&left).unwrap());
        write_file(&dir.path().join("a"), b"x").unwrap();
        assert_eq!(count(dir.path()), 1);
        age(File::create(&left).unwrap());
        write_folder(&dir.path().join("c"), |_| Ok(())).unwrap();
        assert_eq!(count(dir.path()), 2);
        File::create(&left).unwrap();
        write_file(&dir.path().join("a"), b"x").unwrap();
        assert_eq!(count(dir.path()), 3);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn streams_are_told_from_files() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["/dev/null", "/proc/self/fd/0", "/dev/stdout"] {
            assert!(is_stream(Path::new(path)), "{path}");
        }
        for path in [dir.path().join("none"), dir.path().to_path_buf()] {
            assert!(!is_stream(&path), "{}", path.display());
        }
    }

    #[test]
    #[cfg(unix)]
    fn permissions_and_links_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
        fs::create_dir(at("sub")).unwrap();
        for (name, to) in [("one", "sub/two"), ("sub/two", "../private"), ("free", "sub/new")] {
            symlink(to, at(name)).unwrap();
        }
        write_file(&at("private"), b"old").unwrap();
        let usual = mode("private");
        for wanted in [0o600, 0o640, 0o666] {
            fs::set_permissions(at("private"), fs::Permissions::from_mode(wanted)).unwrap();
            write_file(&at("one"), b"new").unwrap();
            assert_eq!(
                (mode("private"), fs::read(at("private")).unwrap()),
                (wanted, b"new".into())
            );
        }
        // A link to nothing yet makes the file that it names.
        write_file(&at("free"), b"new").unwrap();
        assert_eq!((mode("sub/new"), fs::read(at("sub/new")).unwrap()), (usual, b"new".into()));
        for name in ["one", "sub/two", "free"] {
            assert!(at(name).is_symlink(), "{name}");
        }
        symlink("round", at("round")).unwrap();
        let error = write_file(&at("round"), b"x").unwrap_err().to_string();
        assert!(error.contains("round: Too many levels of symbolic links"), "{error}");
    }

    /// What is being written looks, for a moment, like what a kill left.
    #[test]
    fn writers_do_not_remove_each_others_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::thread::scope(|scope| {
            for own in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..30 {
                        write_file(path, &[own; 100]).unwrap();
                        let found = fs::read(path).unwrap();
                        assert!(found.len() == 100 && found.iter().all(|byte| *byte == found[0]));
                    }
                });
            }
        });
        assert_eq!(count(dir.path()), 1);
    }

    #[test]
    fn a_failed_fill_leaves_no_folder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("step-1");
        let failed = write_folder(&path, |inside| {
            write_file(&inside.join("half"), b"x")?;
            Err(Error::Mismatch("no".into()))
        });
        assert!(failed.is_err());
        assert_eq!(count(dir.path()), 0);
        let failed = write_folder(&path, |inside| write_file(&inside.join("no/file"), b"x"));
        assert!(failed.unwrap_err().to_string().contains("step-1/no/file"));
        write_folder(&path, |inside| write_file(&inside.join("whole"), b"x")).unwrap();
        assert!(path.join("whole").exists());
        assert!(write_folder(&path, |_| Ok(())).is_err());
        assert!(path.join("whole").exists());
        remove(&path).unwrap();
        assert_eq!(count(dir.path()), 0);
    }

    #[test]
    fn what_is_set_aside_goes_with_the_next_sweep() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        set_aside(&dir.path().join("a")).unwrap();
        assert!(!dir.path().join("a").exists());
        assert_eq!(count(dir.path()), 1);
        sweep(dir.path());
        assert_eq!(count(dir.path()), 0);
    }
}
