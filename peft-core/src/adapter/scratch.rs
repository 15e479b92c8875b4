//! A file that does not outlive its process, for what a run can compute again.

use std::{fs::File, io, path::Path};

use super::temporary::Temporary;

/// A file without a name in some folder, written and read at any place by several threads at once. It is gone when it is
/// dropped or the process ends, in whatever way.
#[derive(Debug)]
pub struct ScratchFile {
    file: File,
    /// Removes its name where an open file keeps it.
    _name: Temporary,
    /// Held while the file is at the place of a read or write.
    #[cfg(not(unix))]
    place: std::sync::Mutex<()>,
}

impl ScratchFile {
    /// A new one, of no bytes, in the folder `dir`.
    ///
    /// # Errors
    ///
    /// Those of making a file there.
    pub fn new(dir: &Path) -> io::Result<Self> {
        let (name, file) = Temporary::without_name(dir)?;
        Ok(Self {
            file,
            _name: name,
            #[cfg(not(unix))]
            place: std::sync::Mutex::default(),
        })
    }

    /// Writes all of `bytes` from byte `offset` on.
    ///
    /// # Errors
    ///
    /// Those of the system, such as a full disk: some of the bytes may then have been written.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        #[cfg(unix)]
        {
            std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, offset)
        }
        #[cfg(not(unix))]
        {
            self.at(offset, |mut file| io::Write::write_all(&mut file, bytes))
        }
    }

    /// Fills all of `bytes` with those from byte `offset` on.
    ///
    /// # Errors
    ///
    /// Those of the system; also if the file has fewer.
    pub fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        #[cfg(unix)]
        {
            std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, offset)
        }
        #[cfg(not(unix))]
        {
            self.at(offset, |mut file| io::Read::read_exact(&mut file, bytes))
        }
    }

    /// Does something at a place of the file, alone.
    #[cfg(not(unix))]
    fn at(&self, offset: u64, work: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        // Whoever panicked left the file at some place, and this one goes to its own.
        let _alone = self.place.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        io::Seek::seek(&mut &self.file, io::SeekFrom::Start(offset))?;
        work(&self.file)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_anywhere_is_read_back_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let file = ScratchFile::new(dir.path()).unwrap();
        // Some systems keep the name of an open file.
        let named = fs::read_dir(dir.path()).unwrap().count();
        assert!(if cfg!(unix) { named == 0 } else { named <= 1 });
        std::thread::scope(|scope| {
            for part in 0..8u8 {
                let file = &file;
                scope.spawn(move || {
                    let bytes = [part; 1000];
                    file.write_all_at(&bytes, 1000 * u64::from(part)).unwrap();
                    let mut found = [0; 1000];
                    file.read_exact_at(&mut found, 1000 * u64::from(part)).unwrap();
                    assert_eq!(found, bytes);
                });
            }
        });
        let mut found = [0; 2];
        file.read_exact_at(&mut found, 4999).unwrap();
        assert_eq!(found, [4, 5]);
        let beyond = file.read_exact_at(&mut found, 7999).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
        drop(file);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(ScratchFile::new(&dir.path().join("none")).is_err());
    }

    #[test]
    #[cfg(unix)]
    fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = ScratchFile::new(dir.path()).unwrap();
        assert_eq!(file.file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
