//! A file's bytes, for all columns that are read from it.

use std::{
    io::{Read, SeekFrom},
    sync::{Arc, Mutex, MutexGuard},
};

use crate::text::read::source::Seekable;

/// A file that several columns read from.
#[derive(Clone)]
pub(super) struct Bits(Arc<Mutex<Box<dyn Seekable>>>);

impl Bits {
    /// Shares a file.
    pub fn new(file: Box<dyn Seekable>) -> Self {
        Self(Arc::new(Mutex::new(file)))
    }

    /// The length of the file.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn length(&self) -> std::io::Result<u64> {
        self.locked()?.seek(SeekFrom::End(0))
    }

    /// The bytes at `at`: `length` of them, or those up to the end of the file.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn read(&self, at: u64, length: u64) -> std::io::Result<Vec<u8>> {
        let mut file = self.locked()?;
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        (&mut **file).take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn locked(&self) -> std::io::Result<MutexGuard<'_, Box<dyn Seekable>>> {
        self.0.lock().map_err(|_| std::io::Error::other("the file was not read"))
    }
}
