//! A file that grows by whole lines, and takes the place of another once it is complete.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{
    atomic::{Target, sync, writable_permissions},
    temporary::{Temporary, folder_of, is_at, only_for, set_permissions},
};
use crate::error::{Error, Result};

/// Behind the name of the file that it becomes.
const END: &str = ".partial";
/// Bytes that a name may have.
const LONGEST_NAME: usize = 255;
/// Names that are tried.
const NAMES: usize = 100;

/// Lines on their way into a file: they stand in `NAME.partial` beside it, which takes its place at the end. Whatever
/// ends the program before leaves the old file as it is, and beside it the lines so far. Nothing that is there already is
/// touched, be it of an earlier program or of somebody's own: the lines then stand in `NAME.partial-2`, and so on.
#[derive(Debug)]
pub struct GrowingFile {
    file: File,
    /// Where the lines stand.
    path: PathBuf,
    becomes: PathBuf,
    /// The file as the caller named it.
    named: PathBuf,
    /// What was there under the usual name.
    earlier: Option<PathBuf>,
    /// Bytes of whole lines.
    length: u64,
}

impl GrowingFile {
    /// Opens one for the file `named`, whose links are followed and whose permissions it takes over.
    ///
    /// # Errors
    ///
    /// [`Error::Write`]; [`Error::InUse`] if another program is writing the same file.
    pub fn create(named: &Path) -> Result<Self> {
        let becomes = match Target::of(named).map_err(Error::write(named))? {
            Target::File(file) => file,
            Target::Stream => {
                let no_file = io::Error::other("is a device or a pipe, which nothing can replace");
                return Err(Error::write(named)(no_file));
            }
        };
        let permissions = writable_permissions(&becomes).map_err(Error::write(named))?;
        let in_use = || Error::InUse { path: named.to_path_buf(), process: None };
        let mut free = None;
        for path in (1..=NAMES).map(|number| partial(&becomes, number)) {
            match state(&path).map_err(Error::write(named))? {
                State::Free => _ = free.get_or_insert(path),
                State::Taken => {}
                State::Written => return Err(in_use()),
            }
        }
        let usual = partial(&becomes, 1);
        let Some(path) = free else {
            let message = format!(
                "{} and {} more like it are there: remove them",
                usual.display(),
                NAMES - 1
            );
            return Err(Error::write(named)(io::Error::other(message)));
        };
        let file = make(&path, permissions).map_err(Error::write(named))?.ok_or_else(in_use)?;
        let earlier = (path != usual).then_some(usual);
        Ok(Self { file, path, becomes, named: named.to_path_buf(), earlier, length: 0 })
    }

    /// Where the lines stand until [`finish`](Self::finish).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file whose place it takes, as it was named.
    pub fn named(&self) -> &Path {
        &self.named
    }

    /// What is there under the name that the lines would usually stand in, and stays.
    pub fn earlier(&self) -> Option<&Path> {
        self.earlier.as_deref()
    }

    /// Adds a line, to which its end is added.
    ///
    /// # Errors
    ///
    /// [`Error::Write`], as on a full disk: no part of the line is left.
    pub fn push(&mut self, line: &str) -> Result<()> {
        let bytes = format!("{line}\n").into_bytes();
        self.file.write_all(&bytes).map_err(|error| {
            // If that fails too, there is no more to be done.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            Error::write(&self.path)(error)
        })?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Takes the place of the file.
    ///
    /// # Errors
    ///
    /// [`Error::Write`]; the lines are where they were.
    pub fn finish(self) -> Result<()> {
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, &self.becomes))
            .and_then(|()| sync(folder_of(&self.becomes)))
            .map_err(Error::write(&self.named))
    }

    /// Removes it: the file stays as it was.
    pub fn discard(self) {
        // Best effort: the error that matters is the one at hand.
        let _ = fs::remove_file(&self.path);
    }
}

/// The names under which a file may grow, the first of which is number 1.
fn partial(file: &Path, number: usize) -> PathBuf {
    let end = match number {
        1 => END.to_string(),
        _ => format!("{END}-{number}"),
    };
    let name = file.file_name().unwrap_or_default();
    if name.len() + end.len() <= LONGEST_NAME {
        let mut name = OsString::from(name);
        name.push(end);
        return file.with_file_name(name);
    }
    let name = name.to_string_lossy();
    let kept = name.floor_char_boundary(LONGEST_NAME - end.len());
    file.with_file_name(format!("{}{end}", &name[..kept]))
}

/// What is there under a name.
enum State {
    Free,
    /// A file that nobody writes here, or anything else.
    Taken,
    /// A file that a program is writing.
    Written,
}

fn state(path: &Path) -> io::Result<State> {
    match fs::symlink_metadata(path) {
        // A pipe would be waited for, and a link may lead to one.
        Ok(there) if !there.is_file() => Ok(State::Taken),
        Ok(_) => Ok(match File::open(path).map(|file| file.try_lock()) {
            Ok(Err(TryLockError::WouldBlock)) => State::Written,
            _ => State::Taken,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::Free),
        Err(error) => Err(error),
    }
}

/// Makes a file and holds it; `None` if another program was faster. It is held before it has its name: whoever finds it
/// there finds it held.
fn make(path: &Path, permissions: Option<Permissions>) -> io::Result<Option<File>> {
    let (temporary, file) = Temporary::file(folder_of(path), permissions.as_ref())?;
    match fs::hard_link(temporary.path(), path) {
        Ok(()) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(_) => make_under_its_name(path, permissions),
    }
}

/// As [`make`], where a file cannot have two names.
fn make_under_its_name(path: &Path, permissions: Option<Permissions>) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    only_for(permissions.as_ref(), &mut options);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        opened => opened?,
    };
    // Another program may look at it before it is held, and then holds it for a moment.
    let is_lost = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    let set = permissions.map_or(Ok(()), |permissions| set_permissions(&file, permissions));
    if (is_lost || set.is_err()) && is_at(&file, path) {
        fs::remove_file(path)?;
    }
    set.map(|()| (!is_lost).then_some(file))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_stand_beside_the_file_until_they_are_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.jsonl");
        fs::write(&path, "old").unwrap();
        let mut growing = GrowingFile::create(&path).unwrap();
        growing.push("one").unwrap();
        growing.push("two").unwrap();
        let partial = dir.path().join("out.jsonl.partial");
        assert_eq!((growing.path(), read(&partial).as_str()), (&*partial, "one\ntwo\n"));
        assert_eq!(read(&path), "old");
        // Another program has to wait.
        let error = GrowingFile::create(&path).unwrap_err();
        assert!(matches!(&error, Error::InUse { path: found, .. } if *found == path), "{error}");
        assert_eq!(growing.earlier(), None);
        growing.finish().unwrap();
        assert_eq!((read(&path).as_str(), partial.exists()), ("one\ntwo\n", false));
        GrowingFile::create(&path).unwrap().discard();
        assert_eq!((read(&path).as_str(), partial.exists()), ("one\ntwo\n", false));
    }

    #[test]
    fn of_programs_that_begin_together_one_writes() {
        use std::{sync::Barrier, thread};
        let dir = tempfile::tempdir().unwrap();
        for round in 0..200 {
            let path = dir.path().join(format!("out-{round}"));
            let barrier = Barrier::new(4);
            let begin = || {
                barrier.wait();
                GrowingFile::create(&path)
            };
            let made: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(begin)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let (made, refused): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
            assert_eq!(made.len(), 1, "round {round}: {refused:?}");
            let in_use = |error: &Result<GrowingFile>| matches!(error, Err(Error::InUse { .. }));
            assert!(refused.iter().all(in_use), "{refused:?}");
        }
        // Nothing else is left beside the files.
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.into_iter().all(|name| name.to_string_lossy().ends_with(END)));
    }

    /// What a kill has left, or what somebody has called so.
    #[test]
    fn what_is_there_already_stays() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("out.partial"), "precious").unwrap();
        fs::create_dir(at("out.partial-2")).unwrap();
        let mut growing = GrowingFile::create(&at("out")).unwrap();
        growing.push("one").unwrap();
        assert_eq!(growing.path(), at("out.partial-3"));
        assert_eq!(growing.earlier(), Some(&*at("out.partial")));
        // Whoever writes the same file is seen under whatever name.
        fs::remove_file(at("out.partial")).unwrap();
        assert!(matches!(GrowingFile::create(&at("out")), Err(Error::InUse { .. })));
        fs::write(at("out.partial"), "precious").unwrap();
        growing.finish().unwrap();
        let files = ["out", "out.partial"].map(|name| read(&at(name)));
        assert_eq!(files, ["one\n", "precious"]);
        assert!(at("out.partial-2").is_dir() && !at("out.partial-3").exists());
        for number in 2..=NAMES {
            let _ = fs::write(at(&format!("out.partial-{number}")), "");
        }
        let error = GrowingFile::create(&at("out")).unwrap_err().to_string();
        assert!(error.contains("out.partial and 99 more like it are there: remove"), "{error}");
    }

    #[test]
    fn long_names_and_folders_that_are_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join(format!("{}é", "n".repeat(253)));
        let mut growing = GrowingFile::create(&long).unwrap();
        growing.push("x").unwrap();
        growing.finish().unwrap();
        assert_eq!(read(&long), "x\n");
        for number in [1, 2, NAMES] {
            assert_eq!(partial(&long, number).file_name().unwrap().len(), LONGEST_NAME);
        }
        assert!(GrowingFile::create(&dir.path().join("none/a")).is_err());
    }

    #[test]
    #[cfg(unix)]
    fn links_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("private"), "old").unwrap();
        fs::set_permissions(at("private"), fs::Permissions::from_mode(0o600)).unwrap();
        symlink("private", at("link")).unwrap();
        let mut growing = GrowingFile::create(&at("link")).unwrap();
        growing.push("new").unwrap();
        growing.finish().unwrap();
        let mode = fs::metadata(at("private")).unwrap().permissions().mode() & 0o777;
        assert_eq!((read(&at("private")).as_str(), mode), ("new\n", 0o600));
        assert!(at("link").is_symlink());
        // A link under its name is not followed.
        fs::write(at("precious"), "precious").unwrap();
        symlink("precious", at("b.partial")).unwrap();
        let mut growing = GrowingFile::create(&at("b")).unwrap();
        growing.push("new").unwrap();
        growing.finish().unwrap();
        let files = ["b", "precious"].map(|name| read(&at(name)));
        assert_eq!(files, ["new\n", "precious"]);
        assert!(at("b.partial").is_symlink());
    }
}
