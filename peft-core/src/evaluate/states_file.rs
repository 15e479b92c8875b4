//! Hidden states in a file, where memory has no room for them.
//!
//! Each row's numbers stand in one piece, and are read back whole or not at all: their length and checksum are in memory. The
//! first thing that goes wrong with the file ends its use, and gives the room that it took back to the system; whoever asked
//! for states then computes them again.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

const NUMBER: usize = size_of::<f32>();

/// What holds the bytes: written and read at any place, by several threads at once.
pub(crate) trait Storage: fmt::Debug + Send + Sync {
    /// Writes all of `bytes` from byte `offset` on.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Fills all of `bytes` with those from byte `offset` on.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
}

/// Makes the file when something is written to it for the first time.
type Make = dyn Fn(&Path) -> io::Result<Arc<dyn Storage>> + Send + Sync;

/// The file of a run. It grows by what is written, and nothing in it changes.
pub(crate) struct StatesFile {
    /// The folder that it is in.
    dir: PathBuf,
    make: Box<Make>,
    state: Mutex<State>,
}

/// Where a row's numbers are in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    offset: u64,
    /// How many numbers there are.
    len: usize,
    checksum: u32,
}

#[derive(Debug, Default)]
struct State {
    /// The file, once it is made.
    storage: Option<Arc<dyn Storage>>,
    /// Where the next row begins.
    end: u64,
    /// Whether it is used no more.
    given_up: bool,
    /// Why, until it was told.
    untold: Option<String>,
}

impl fmt::Debug for StatesFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatesFile").field("dir", &self.dir).field("state", &self.state).finish()
    }
}

impl StatesFile {
    /// A file in the folder `dir`, made when it is needed.
    pub(crate) fn new(
        dir: &Path,
        make: impl Fn(&Path) -> io::Result<Arc<dyn Storage>> + Send + Sync + 'static,
    ) -> Self {
        Self { dir: dir.to_path_buf(), make: Box::new(make), state: Mutex::default() }
    }

    /// Writes the numbers of a row; `None` if that is not possible.
    pub(crate) fn write(&self, numbers: &[f32]) -> Option<Place> {
        let (storage, offset) = self.room((numbers.len() * NUMBER) as u64)?;
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        match storage.write_all_at(&bytes, offset) {
            Ok(()) => {
                let checksum = crc32fast::hash(&bytes);
                Some(Place { offset, len: numbers.len(), checksum })
            }
            Err(error) => {
                self.give_up(&error.to_string());
                None
            }
        }
    }

    /// The file, and where so many bytes may be written that nobody else writes.
    fn room(&self, bytes: u64) -> Option<(Arc<dyn Storage>, u64)> {
        let mut state = self.lock();
        if state.given_up {
            return None;
        }
        let storage = match &state.storage {
            Some(storage) => storage.clone(),
            None => match (self.make)(&self.dir) {
                Ok(storage) => state.storage.insert(storage).clone(),
                Err(error) => {
                    drop(state);
                    self.give_up(&error.to_string());
                    return None;
                }
            },
        };
        let offset = state.end;
        state.end += bytes;
        Some((storage, offset))
    }

    /// The numbers that were written there; `None` if they cannot be read.
    pub(super) fn read(&self, place: Place) -> Option<Arc<[f32]>> {
        let storage = self.lock().storage.clone()?;
        let mut bytes = vec![0; place.len * NUMBER];
        if let Err(error) = storage.read_exact_at(&mut bytes, place.offset) {
            self.give_up(&error.to_string());
            return None;
        }
        if crc32fast::hash(&bytes) != place.checksum {
            self.give_up("what is read is not what was written");
            return None;
        }
        let (numbers, _) = bytes.as_chunks::<NUMBER>();
        Some(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// Whether something may still be written to it.
    pub(super) fn is_in_use(&self) -> bool {
        !self.lock().given_up
    }

    /// Gives up the room that it takes for the file `to`, which finds none; whether it took any.
    pub(crate) fn give_way(&self, to: &Path) -> bool {
        let takes_room = {
            let state = self.lock();
            state.end > 0 && !state.given_up
        };
        if takes_room {
            let last = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_owned();
            let of_checkpoint = |folder: &Path| last(folder).to_string_lossy().starts_with("step-");
            let name = match to.parent().filter(|folder| of_checkpoint(folder)) {
                Some(folder) => Path::new(&last(folder)).join(last(to)),
                None => last(to).into(),
            };
            self.give_up(&format!("{} needed its room", name.display()));
        }
        takes_room
    }

    /// Why it is used no more, once.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.lock().untold.take()
    }

    fn give_up(&self, why: &str) {
        let mut state = self.lock();
        // The last one who reads or writes closes it.
        state.storage = None;
        if !std::mem::replace(&mut state.given_up, true) {
            state.untold = Some(format!(
                "{}: hidden states of frozen layers are no longer kept in a file there: {why}; those that memory has no \
                 room for are computed again in each epoch, with the same results",
                self.dir.display()
            ));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panic leaves is whole: bytes that nobody was told the place of.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file in memory, of a disk with room for so many bytes.
    #[derive(Debug)]
    pub(crate) struct Disk {
        pub(crate) bytes: Mutex<Vec<u8>>,
        room: usize,
    }

    impl Disk {
        pub(crate) fn of(room: usize) -> Arc<Self> {
            Arc::new(Self { bytes: Mutex::default(), room })
        }
    }

    impl Storage for Disk {
        fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
            let (mut own, offset) = (self.bytes.lock().unwrap(), offset as usize);
            // A full disk takes what it has room for.
            let fits = bytes.len().min(self.room.saturating_sub(offset));
            let end = offset + fits;
            if own.len() < end {
                own.resize(end, 0);
            }
            own[offset..end].copy_from_slice(&bytes[..fits]);
            if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
            let (own, offset) = (self.bytes.lock().unwrap(), offset as usize);
            match own.get(offset..offset + bytes.len()) {
                Some(there) => bytes.copy_from_slice(there),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
            Ok(())
        }
    }

    pub(crate) fn file_on(disk: &Arc<Disk>) -> StatesFile {
        let disk = disk.clone();
        StatesFile::new(Path::new("run"), move |_| Ok(disk.clone()))
    }

    proptest! {
        #[test]
        fn rows_are_read_back_bit_for_bit_until_the_disk_is_full(
            rows in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..40), 1..20),
            room in 0usize..2000,
        ) {
            let disk = Disk::of(room);
            let file = file_on(&disk);
            let rows: Vec<Vec<f32>> =
                rows.into_iter().map(|row| row.into_iter().map(f32::from_bits).collect()).collect();
            let bits = |row: &[f32]| row.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
            let mut written = 0;
            let mut places = Vec::new();
            for row in &rows {
                written += row.len() * NUMBER;
                let place = file.write(row);
                prop_assert_eq!(place.is_some(), written <= room);
                let Some(place) = place else { break };
                places.push(place);
                for (place, row) in places.iter().zip(&rows) {
                    prop_assert_eq!(bits(&file.read(*place).unwrap()), bits(row));
                }
            }
            let whole: usize = rows.iter().map(|row| row.len() * NUMBER).sum();
            prop_assert_eq!(file.is_in_use(), whole <= room);
            let told = file.trouble();
            prop_assert_eq!(told.is_some(), whole > room);
            if let Some(told) = told {
                prop_assert!(told.starts_with("run: ") && told.contains("no storage space"), "{}", told);
                // Once, and nothing of what had been written is read any more.
                prop_assert!(file.write(&[1.0]).is_none() && file.trouble().is_none());
                prop_assert!(places.iter().all(|place| file.read(*place).is_none()));
                // Nobody holds it.
                prop_assert_eq!(Arc::strong_count(&disk), 2);
            }
        }
    }

    #[test]
    fn what_is_damaged_or_cut_off_is_not_read() {
        type Damage = fn(&mut Vec<u8>);
        let damages: [Damage; 2] = [|bytes| bytes[5] ^= 1, |bytes| bytes.truncate(7)];
        for damage in damages {
            let disk = Disk::of(1000);
            let file = file_on(&disk);
            let place = file.write(&[1.0, 2.0]).unwrap();
            let other = file.write(&[3.0]).unwrap();
            damage(&mut disk.bytes.lock().unwrap());
            assert_eq!(file.read(place), None);
            assert!(file.trouble().is_some() && !file.is_in_use());
            assert_eq!(file.read(other), None);
        }
    }

    #[test]
    fn a_file_that_cannot_be_made_is_asked_for_once() {
        let asked = Arc::new(Mutex::new(0));
        let count = asked.clone();
        let file = StatesFile::new(Path::new("run"), move |dir| {
            assert_eq!(dir, Path::new("run"));
            *count.lock().unwrap() += 1;
            Err(io::ErrorKind::PermissionDenied.into())
        });
        assert!(file.is_in_use());
        assert_eq!((file.write(&[1.0]), file.write(&[1.0])), (None, None));
        assert_eq!(*asked.lock().unwrap(), 1);
        assert!(file.trouble().unwrap().contains("permission denied"));
    }

    #[test]
    fn a_file_makes_room_once_if_it_takes_any() {
        let file = file_on(&Disk::of(1000));
        let to = Path::new("run/metrics.jsonl");
        assert!(!file.give_way(to) && file.is_in_use());
        let place = file.write(&[1.0]).unwrap();
        assert!(file.give_way(to) && !file.give_way(to));
        assert_eq!(file.read(place), None);
        assert!(file.trouble().unwrap().contains(": metrics.jsonl needed its room;"));
        // All checkpoints have files of the same names.
        let file = file_on(&Disk::of(1000));
        file.write(&[1.0]).unwrap();
        assert!(file.give_way(Path::new("run/checkpoints/step-000004/state.json")));
        let told = file.trouble().unwrap();
        assert!(told.contains(": step-000004/state.json needed its room;"), "{told}");
    }
}
