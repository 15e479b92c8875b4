//! A file of tensors, mapped into memory.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use memmap2::Mmap;
use peft_core::{Error, Result, formats::read};

/// A file of tensors.
#[derive(Debug)]
pub struct Mapped {
    path: PathBuf,
    file: File,
    map: Bytes,
}

impl Mapped {
    pub fn open(path: &Path) -> Result<Self> {
        let file = read::open(path)?;
        // SAFETY: the mapping is only read. `peft_models::load` and the README ask that nobody changes the file.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::read(path))?;
        Ok(Self { path: path.to_path_buf(), file, map: Bytes::from_owner(map) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole file.
    pub fn map(&self) -> &Bytes {
        &self.map
    }

    /// A part of the file, in place.
    pub fn view(&self, offset: u64, len: usize) -> Bytes {
        let start = offset as usize;
        self.map.slice(start..start + len)
    }

    /// Reads bytes from a place on, past the mapping: they take no memory but `into`. Threads may read at the same time.
    pub fn fill(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        read_exact_at(&self.file, offset, into).map_err(Error::read(&self.path))
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, offset: u64, into: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut offset: u64, mut into: &mut [u8]) -> io::Result<()> {
    while !into.is_empty() {
        // It moves the position of the file too, which nothing else reads.
        let count = std::os::windows::fs::FileExt::seek_read(file, into, offset)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        offset += count as u64;
        into = &mut into[count..];
    }
    Ok(())
}
