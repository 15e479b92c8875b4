//! What a run can do without where the disk is full.

use std::{
    io::{self, Write},
    path::Path,
    sync::Weak,
};

use crate::{
    error::{Error, Result},
    evaluate::states_file::StatesFile,
};

/// The room of the file with hidden states that a run keeps
/// ([`RunContext::cache_frozen_file`](super::RunContext::cache_frozen_file)), which it can compute again. What the run is for,
/// its checkpoints and its metrics, goes before. Copies are the same room; there is none without a file, and after the run.
#[derive(Clone, Debug, Default)]
pub struct SpareRoom(Weak<StatesFile>);

impl SpareRoom {
    /// That of a file, which lasts no longer for this.
    pub(super) fn of(file: Weak<StatesFile>) -> Self {
        Self(file)
    }

    /// Does some work; where it finds no room to write, once more with the room that the run gives up, if there is any.
    ///
    /// # Errors
    ///
    /// That of the work.
    pub fn retry<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        match work() {
            Err(Error::Write { path, source }) if self.give_way(&path, &source) => work(),
            done => done,
        }
    }

    /// Writes all of `bytes` to the file `path`, which is open; as for [`retry`](Self::retry), what was not written yet.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn write_all(&self, mut file: impl Write, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        self.retry(|| {
            while !rest.is_empty() {
                match file.write(rest) {
                    Ok(0) => return Err(Error::write(path)(io::ErrorKind::WriteZero.into())),
                    Ok(written) => rest = &rest[written..],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(Error::write(path)(error)),
                }
            }
            Ok(())
        })
    }

    /// Gives up the room for the file `path`; whether there is more of it now.
    fn give_way(&self, path: &Path, error: &io::Error) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        let is_full = matches!(error.kind(), StorageFull | QuotaExceeded);
        is_full && self.0.upgrade().is_some_and(|file| file.give_way(path))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::evaluate::states_file::Storage;

    /// A disk with room for so many bytes, on which a file with states is.
    #[derive(Debug)]
    struct Disk {
        room: usize,
        /// Bytes of the states.
        states: Mutex<usize>,
    }

    /// The states on it, whose room is free when nobody holds them.
    #[derive(Debug)]
    struct States(Arc<Disk>);

    impl Storage for States {
        fn write_all_at(&self, bytes: &[u8], _: u64) -> io::Result<()> {
            *self.0.states.lock().unwrap() += bytes.len();
            Ok(())
        }
        fn read_exact_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    impl Drop for States {
        fn drop(&mut self) {
            *self.0.states.lock().unwrap() = 0;
        }
    }

    /// Another file on it.
    struct Metrics {
        disk: Arc<Disk>,
        written: Vec<u8>,
        error: io::ErrorKind,
    }

    impl Write for Metrics {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = *self.disk.states.lock().unwrap() + self.written.len();
            let fits = bytes.len().min(self.disk.room.saturating_sub(taken));
            if fits == 0 {
                return Err(self.error.into());
            }
            self.written.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of 30 bytes beside states of 60, how it ends, and whether the states are given up then.
    fn write(room: usize, error: io::ErrorKind) -> (usize, Result<()>, Option<String>) {
        let disk = Arc::new(Disk { room, states: Mutex::default() });
        let of_states = disk.clone();
        let file = Arc::new(StatesFile::new(Path::new("run"), move |_| {
            Ok(Arc::new(States(of_states.clone())))
        }));
        assert!(file.write(&[1.5; 15]).is_some());
        let mut metrics = Metrics { disk: disk.clone(), written: Vec::new(), error };
        let line: Vec<u8> = (0..30).collect();
        let spare = SpareRoom::of(Arc::downgrade(&file));
        let done = spare.write_all(&mut metrics, Path::new("run/metrics.jsonl"), &line);
        assert!(
            line.starts_with(&metrics.written),
            "whole, or its beginning: {:?}",
            metrics.written
        );
        (metrics.written.len(), done, file.trouble())
    }

    #[test]
    fn states_give_way_to_what_finds_no_room() {
        let full = io::ErrorKind::StorageFull;
        // There is room; there is for a part of the line; there is with that of the states.
        let (written, done, told) = write(90, full);
        assert!(written == 30 && done.is_ok() && told.is_none());
        for room in [60, 71] {
            let (written, done, told) = write(room, full);
            assert!(written == 30 && done.is_ok(), "{done:?}");
            let told = told.unwrap();
            assert!(told.contains(": metrics.jsonl needed its room;"), "{told}");
        }
        // Not even then: tried once more, and told as it is.
        let (written, done, told) = write(20, full);
        assert!(written == 20 && told.is_some());
        let Err(Error::Write { path, source }) = done else { panic!("{done:?}") };
        assert_eq!((path.as_path(), source.kind()), (Path::new("run/metrics.jsonl"), full));
        // Room helps against nothing else.
        let (written, done, told) = write(60, io::ErrorKind::PermissionDenied);
        assert!(written == 0 && done.is_err() && told.is_none());
    }

    #[test]
    fn without_a_file_work_is_done_once() {
        let file =
            Arc::new(StatesFile::new(Path::new("run"), |_| Err(io::ErrorKind::StorageFull.into())));
        // Gone; there, but nothing was written to it.
        let gone = SpareRoom::of(Arc::downgrade(&file));
        drop(file);
        let file =
            Arc::new(StatesFile::new(Path::new("run"), |_| Err(io::ErrorKind::StorageFull.into())));
        for spare in [SpareRoom::default(), gone, SpareRoom::of(Arc::downgrade(&file))] {
            let mut tried = 0;
            let done: Result<()> = spare.retry(|| {
                tried += 1;
                Err(Error::write(Path::new("x"))(io::ErrorKind::StorageFull.into()))
            });
            assert!(done.is_err() && tried == 1);
        }
        assert!(file.trouble().is_none());
    }
}
