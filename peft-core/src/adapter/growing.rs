//! A file that grows by whole lines, and takes the place of another once it is complete.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{
    atomic::{Target, sync, writable_permissions},
    temporary::{folder_of, is_at, only_for},
};
use crate::error::{Error, Result};

/// Behind the name of the file that it becomes.
const END: &str = ".partial";
/// Bytes that a name may have.
const LONGEST_NAME: usize = 255;

/// Lines on their way into a file: they stand in `NAME.partial` beside it, which takes its place at the end. Whatever
/// ends the program before leaves the old file as it is, and beside it the lines so far. The next program that writes the
/// same file begins anew.
#[derive(Debug)]
pub struct GrowingFile {
    file: File,
    /// Where the lines stand.
    path: PathBuf,
    becomes: PathBuf,
    /// The file as the caller named it.
    named: PathBuf,
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
        let path = partial(&becomes);
        let open = || -> io::Result<Option<File>> {
            let permissions = writable_permissions(&becomes)?;
            if !clear(&path)? {
                return Ok(None);
            }
            let mut options = OpenOptions::new();
            options.append(true).create_new(true);
            only_for(permissions.as_ref(), &mut options);
            let file = options.open(&path)?;
            if let Some(permissions) = permissions {
                file.set_permissions(permissions)?;
            }
            // Between making and locking it looks like what a kill left, and may be removed as such.
            let is_lost =
                matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !is_at(&file, &path);
            Ok((!is_lost).then_some(file))
        };
        match open().map_err(Error::write(named))? {
            Some(file) => Ok(Self { file, path, becomes, named: named.to_path_buf(), length: 0 }),
            None => Err(Error::InUse { path: named.to_path_buf(), process: None }),
        }
    }

    /// Where the lines stand until [`finish`](Self::finish).
    pub fn path(&self) -> &Path {
        &self.path
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

/// The name under which a file grows.
fn partial(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default();
    if name.len() + END.len() <= LONGEST_NAME {
        let mut name = OsString::from(name);
        name.push(END);
        return file.with_file_name(name);
    }
    let name = name.to_string_lossy();
    let kept = name.floor_char_boundary(LONGEST_NAME - END.len());
    file.with_file_name(format!("{}{END}", &name[..kept]))
}

/// Removes what an earlier program left under a name; false if one is still writing it.
fn clear(path: &Path) -> io::Result<bool> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    // Anything else is not ours, and a pipe would be waited for.
    if there.is_file() {
        let held = File::open(path)?;
        if matches!(held.try_lock(), Err(TryLockError::WouldBlock)) {
            return Ok(false);
        }
        fs::remove_file(path)?;
    } else {
        let message = format!("{} is there and no file", path.display());
        return Err(io::Error::other(message));
    }
    Ok(true)
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
        // As a kill would leave it.
        drop(growing);
        assert_eq!(read(&partial), "one\ntwo\n");
        let mut growing = GrowingFile::create(&path).unwrap();
        growing.push("three").unwrap();
        growing.finish().unwrap();
        assert_eq!(read(&path), "three\n");
        GrowingFile::create(&path).unwrap().discard();
        assert_eq!((read(&path).as_str(), partial.exists()), ("three\n", false));
    }

    #[test]
    fn long_names_and_names_that_are_taken() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join(format!("{}é", "n".repeat(253)));
        let mut growing = GrowingFile::create(&long).unwrap();
        growing.push("x").unwrap();
        growing.finish().unwrap();
        assert_eq!(read(&long), "x\n");
        assert_eq!(partial(&long).file_name().unwrap().len(), LONGEST_NAME);
        let path = dir.path().join("a");
        fs::create_dir(dir.path().join("a.partial")).unwrap();
        let error = GrowingFile::create(&path).unwrap_err().to_string();
        assert!(error.contains("a.partial is there and no file"), "{error}");
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
        assert!(GrowingFile::create(&at("b")).is_err());
        assert_eq!(read(&at("precious")), "precious");
    }
}
