//! How much a run keeps of its rows' hidden states below the first layer that virtual tokens enter, and where.

use std::{io, path::Path, sync::Arc};

use super::{
    config::TrainConfig, mixing::Mixing, run_context::RunContext, spare_room::SpareRoom,
    training_data::TrainingData,
};
use crate::{
    adapter::scratch::ScratchFile,
    contract::spec::ModelSpec,
    data::Example,
    evaluate::{
        StatesRoom, bytes_of_frozen_states,
        frozen_states::FrozenStates,
        states_file::{StatesFile, Storage},
    },
};

/// Bytes of states that a run keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptStates {
    /// Of the training rows: none in a run that reads each of them once at most.
    pub train: StatesRoom,
    /// Of the validation rows: none if they are evaluated once.
    pub valid: StatesRoom,
}

impl KeptStates {
    /// Those of a run that has so much room for them, whose tasks have so many batches in an epoch of theirs; the training rows
    /// of all tasks come first. They are kept if those of any task are read again, and if there is room for one row.
    pub fn of(
        room: StatesRoom,
        spec: &ModelSpec,
        config: &TrainConfig,
        (mixing, batches): (Mixing, &[usize]),
        data: &[TrainingData<'_>],
    ) -> Self {
        let total = config.total_steps(mixing.places_per_epoch(batches));
        let places = total.saturating_mul(config.accumulation);
        let rows: Vec<usize> = data.iter().map(|data| data.train.len()).collect();
        let read = mixing.batches_in(places, &rows);
        let again = read.iter().zip(batches).any(|(read, once)| read > once);
        let evaluated_again = config.eval_every.is_some_and(|every| every < total);
        let of = |rows: &mut dyn Iterator<Item = &Example>, room: StatesRoom| {
            let (mut all, mut least) = (0, u64::MAX);
            // Of an empty row nothing is kept.
            for row in rows.filter(|row| !row.input_ids.is_empty()) {
                let bytes = bytes_of_frozen_states(spec, row);
                (all, least) = (all + bytes, least.min(bytes));
            }
            let kept = room.at_most(all);
            if kept.total() < least { StatesRoom::default() } else { kept }
        };
        let mut train = StatesRoom::default();
        if again {
            train = of(&mut data.iter().flat_map(|data| data.train), room);
        }
        let mut valid = StatesRoom::default();
        if evaluated_again {
            valid = of(&mut data.iter().flat_map(|data| data.valid), room.without(train));
        }
        Self { train, valid }
    }

    /// Both together.
    pub fn sum(self) -> StatesRoom {
        let Self { train, valid } = self;
        StatesRoom {
            memory: train.memory.saturating_add(valid.memory),
            file: train.file.saturating_add(valid.file),
        }
    }
}

impl Storage for ScratchFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        ScratchFile::write_all_at(self, bytes, offset)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        ScratchFile::read_exact_at(self, bytes, offset)
    }
}

/// The states that a run keeps.
#[derive(Debug)]
pub(super) struct RunStates {
    /// Those of the training rows.
    pub(super) train: Arc<FrozenStates>,
    /// Those of the validation rows.
    pub(super) valid: Arc<FrozenStates>,
    /// What both have of the run's folder.
    file: Option<Arc<StatesFile>>,
}

impl RunStates {
    /// None yet, with room for so many.
    pub(super) fn new(kept: KeptStates, run: &RunContext) -> Self {
        let make =
            |dir: &Path| -> io::Result<Arc<dyn Storage>> { Ok(Arc::new(ScratchFile::new(dir)?)) };
        let dir = run.dir.as_deref().filter(|_| kept.sum().file > 0);
        let file = dir.map(|dir| Arc::new(StatesFile::new(dir, make)));
        let of = |room| Arc::new(FrozenStates::new(room, file.clone()));
        Self { train: of(kept.train), valid: of(kept.valid), file }
    }

    /// Why no file is used any more, once.
    pub(super) fn trouble(&self) -> Option<String> {
        self.file.as_ref()?.trouble()
    }

    /// The room of their file, for what finds none.
    pub(super) fn spare_room(&self) -> SpareRoom {
        SpareRoom::of(self.file.as_ref().map(Arc::downgrade).unwrap_or_default())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        contract::{frozen::FrozenModel, spec::Topology, task::Task},
        data::Target,
        error::Error,
        train::test_model::TinyModel,
    };

    #[test]
    fn rows_that_are_read_again_are_kept() {
        let model = TinyModel::new(Topology::DecoderOnly);
        let rows: Vec<Example> =
            (1..5).map(|length| Example::new(vec![1; length], Target::Class(0), length)).collect();
        let sum = |rows: &[Example]| -> u64 {
            rows.iter().map(|row| bytes_of_frozen_states(model.spec(), row)).sum()
        };
        let data = TrainingData { train: &rows[..3], valid: &rows[3..] };
        let of = |room, steps, eval_every| {
            let config =
                TrainConfig { steps: Some(steps), eval_every, ..TrainConfig::new(Task::SeqCls) };
            KeptStates::of(room, model.spec(), &config, (Mixing::All, &[3]), &[data])
        };
        let kept = |limit, steps, eval_every| {
            let KeptStates { train, valid } =
                of(StatesRoom { memory: limit, file: 0 }, steps, eval_every);
            assert_eq!([train.file, valid.file], [0, 0]);
            [train.memory, valid.memory]
        };
        let [train, valid] = [sum(data.train), sum(data.valid)];
        assert_eq!(kept(u64::MAX, 4, Some(2)), [train, valid]);
        assert_eq!(kept(u64::MAX, 3, Some(2)), [0, valid]);
        assert_eq!(kept(u64::MAX, 4, Some(4)), [train, 0]);
        // The room for less than a row is none, and is that of the validation rows where the training rows are too long.
        let least = bytes_of_frozen_states(model.spec(), &rows[0]);
        assert_eq!(kept(train + 1, 4, Some(2)), [train, 0]);
        assert_eq!(kept(train + valid - 1, 4, Some(2)), [train, 0]);
        assert_eq!(kept(least, 4, Some(2)), [least, 0]);
        assert_eq!(kept(least - 1, 4, Some(2)), [0, 0]);
        assert_eq!(kept(0, 4, Some(2)), [0, 0]);
        // The file has what memory has no room for.
        let split = |memory, file| {
            let kept = of(StatesRoom { memory, file }, 4, Some(2));
            [kept.train, kept.valid].map(|room| [room.memory, room.file])
        };
        assert_eq!(split(train + valid, 99), [[train, 0], [valid, 0]]);
        assert_eq!(split(train + 1, valid - 1), [[train, 0], [1, valid - 1]]);
        assert_eq!(split(train + 1, valid - 2), [[train, 0], [0, 0]]);
        assert_eq!(split(5, train), [[5, train - 5], [0, 0]]);
        assert_eq!(split(5, least - 6), [[0, 0], [0, 0]]);
        assert_eq!(split(0, 1 << 40), [[0, train], [0, valid]]);
        // A small task begins again while a large one goes through its rows for the first time.
        let config = TrainConfig { steps: Some(3), ..TrainConfig::new(Task::SeqCls) };
        let of = |batches: &[usize]| {
            let both = [data, TrainingData { train: &rows[3..], valid: &[] }];
            let room = StatesRoom { memory: u64::MAX, file: 0 };
            KeptStates::of(room, model.spec(), &config, (Mixing::All, batches), &both).train.memory
        };
        assert_eq!((of(&[3, 3]), of(&[3, 1])), (0, sum(&rows)));
    }

    #[test]
    fn room_is_neither_below_none_nor_above_all() {
        let room = |memory, file| StatesRoom { memory, file };
        assert_eq!(room(5, 3).without(room(2, 3)), room(3, 0));
        assert_eq!(room(5, 3).without(room(6, 1)), room(0, 2));
        assert_eq!(room(5, 3).without(room(1, 4)), room(4, 0));
        let kept = KeptStates { train: room(u64::MAX, 2), valid: room(1, u64::MAX) };
        assert_eq!(kept.sum(), room(u64::MAX, u64::MAX));
    }

    #[test]
    fn only_a_full_disk_takes_the_room_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let room = StatesRoom { memory: 0, file: 1000 };
        let kept = KeptStates { train: room, valid: StatesRoom::default() };
        // Whether something that ends so once is done the second time.
        let is_done = |states: &RunStates, kind: io::ErrorKind| {
            let mut error = Some(Error::write(Path::new("x"))(kind.into()));
            states.spare_room().retry(|| error.take().map_or(Ok(()), Err)).is_ok()
        };
        for run in [None, Some(dir.path().to_path_buf())] {
            let run = RunContext { dir: run, ..RunContext::default() };
            let states = RunStates::new(kept, &run);
            assert_eq!(states.file.is_some(), run.dir.is_some());
            // Nothing was written.
            assert!(!is_done(&states, io::ErrorKind::StorageFull));
            assert!(RunStates::new(KeptStates::default(), &run).file.is_none());
        }
        let run = RunContext { dir: Some(dir.path().to_path_buf()), ..RunContext::default() };
        let states = RunStates::new(kept, &run);
        let model = TinyModel::new(Topology::DecoderOnly);
        let row = Example::new(vec![1, 2], Target::Class(0), 1);
        let numbers: Arc<[f32]> = vec![1.5; 2 * model.spec().hidden_size].into();
        states.train.keep(model.spec(), (&row, false), &numbers);
        assert_eq!(states.train.find(model.spec(), (&row, false)), Some(numbers));
        assert!(!is_done(&states, io::ErrorKind::PermissionDenied));
        assert!(is_done(&states, io::ErrorKind::StorageFull));
        assert_eq!(states.train.find(model.spec(), (&row, false)), None);
        assert!(states.trouble().is_some() && states.trouble().is_none());
    }
}
