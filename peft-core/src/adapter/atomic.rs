//! Writing a file or folder so that a kill, crash or full disk never leaves half of it under its
//! name.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// The temporary name under which something is written first: next to its final name, so that the
/// rename stays within one file system.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    path.with_file_name(format!(".{}.tmp", name.unwrap_or_default()))
}

/// Flushes to the disk, not just to the kernel.
fn sync(path: &Path) -> Result<()> {
    fs::File::open(path).and_then(|file| file.sync_all()).map_err(Error::write(path))
}

fn sync_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync(parent),
        _ => sync(Path::new(".")),
    }
}

/// Writes `bytes` to `path`, which then holds either the old file or the new one, never a part. A
/// device or a pipe, such as `/dev/stdout`, is written to, not replaced.
///
/// # Errors
///
/// [`Error::Write`]; the temporary file is removed and the old file untouched.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let opened = fs::OpenOptions::new().write(true).open(path);
        return opened.and_then(|mut file| file.write_all(bytes)).map_err(Error::write(path));
    }
    write_files(&[(path, bytes)])
}

/// Writes files of one folder. All are written and synced under temporary names before the first is
/// renamed. They are renamed in the order given, so a kill in between leaves the first ones new and
/// the others old.
///
/// # Errors
///
/// [`Error::Write`]; the temporary files are removed. If a file cannot be written (a full disk),
/// all old files are untouched.
pub fn write_files(files: &[(&Path, &[u8])]) -> Result<()> {
    let write = |path: &Path, bytes: &[u8]| {
        fs::File::create(path)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
    };
    let written = files
        .iter()
        .try_for_each(|(path, bytes)| write(&temporary(path), bytes).map_err(Error::write(path)))
        .and_then(|()| {
            files.iter().try_for_each(|(path, _)| {
                fs::rename(temporary(path), path).map_err(Error::write(path))?;
                sync_parent(path)
            })
        });
    if written.is_err() {
        for (path, _) in files {
            // Best effort: the error that matters is the one at hand.
            let _ = fs::remove_file(temporary(path));
        }
    }
    written
}

/// Removes what killed writes of files or folders whose names begin with `start` left in `dir`. A
/// missing folder counts as empty.
///
/// # Errors
///
/// [`Error::Read`] if the folder cannot be read, [`Error::Write`] if something in it cannot be
/// removed.
pub fn sweep(dir: &Path, start: &str) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(dir).map_err(Error::read(dir))? {
        let path = entry.map_err(Error::read(dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let own = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
        if own.is_some_and(|own| own.starts_with(start)) {
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(Error::write(&path))?;
        }
    }
    Ok(())
}

/// Fills a folder through `fill` under a temporary name, then renames it to `path`.
///
/// # Errors
///
/// Any error of `fill`, or [`Error::Write`]; the temporary folder is removed.
pub fn write_folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let temporary = temporary(path);
    if temporary.exists() {
        fs::remove_dir_all(&temporary).map_err(Error::write(&temporary))?;
    }
    fs::create_dir_all(&temporary).map_err(Error::write(path))?;
    let filled = fill(&temporary).and_then(|()| {
        sync(&temporary)?;
        if path.exists() {
            fs::remove_dir_all(path).map_err(Error::write(path))?;
        }
        fs::rename(&temporary, path).map_err(Error::write(path))
    });
    if filled.is_err() {
        let _ = fs::remove_dir_all(&temporary);
        return filled;
    }
    sync_parent(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_file(&path, b"old").unwrap();
        // A folder in place of the temporary file makes the write fail.
        fs::create_dir(temporary(&path)).unwrap();
        assert!(write_file(&path, b"new").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn only_leftovers_of_that_name_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        fs::create_dir(dir.path().join(".step-000003.tmp")).unwrap();
        fs::create_dir(dir.path().join("step-000002")).unwrap();
        for name in [".step-000003.tmp/a", ".step-1.tmp", ".other.tmp", ".step-1"] {
            fs::write(dir.path().join(name), b"x").unwrap();
        }
        sweep(dir.path(), "step-").unwrap();
        assert_eq!(names(), [".other.tmp", ".step-1", "step-000002"]);
        sweep(&dir.path().join("none"), "step-").unwrap();
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
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        write_folder(&path, |inside| write_file(&inside.join("whole"), b"x")).unwrap();
        assert!(path.join("whole").exists());
    }
}
