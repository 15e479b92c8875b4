//! How much a run keeps of its rows' hidden states below the first layer that virtual tokens enter.

use super::{config::TrainConfig, mixing::Mixing, training_data::TrainingData};
use crate::{contract::spec::ModelSpec, data::Example, evaluate::bytes_of_frozen_states};

/// Bytes of states that a run keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptStates {
    /// Of the training rows: none in a run that reads each of them once at most.
    pub train: u64,
    /// Of the validation rows: none if they are evaluated once.
    pub valid: u64,
}

impl KeptStates {
    /// Those of a run that may keep `limit` bytes, whose tasks have so many batches in an epoch of theirs; the training rows
    /// of all tasks come first. They are kept if those of any task are read again.
    pub fn of(
        limit: u64,
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
        let bytes = |rows: &[Example]| -> u64 {
            rows.iter().map(|row| bytes_of_frozen_states(spec, row)).sum()
        };
        let of_train = data.iter().map(|data| bytes(data.train)).sum();
        let of_valid = data.iter().map(|data| bytes(data.valid)).sum();
        let train = if again { limit.min(of_train) } else { 0 };
        let valid = if evaluated_again { (limit - train).min(of_valid) } else { 0 };
        Self { train, valid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        contract::{frozen::FrozenModel, spec::Topology, task::Task},
        data::Target,
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
        let kept = |limit, steps, eval_every| {
            let config =
                TrainConfig { steps: Some(steps), eval_every, ..TrainConfig::new(Task::SeqCls) };
            let KeptStates { train, valid } =
                KeptStates::of(limit, model.spec(), &config, (Mixing::All, &[3]), &[data]);
            [train, valid]
        };
        let [train, valid] = [sum(data.train), sum(data.valid)];
        assert_eq!(kept(u64::MAX, 4, Some(2)), [train, valid]);
        assert_eq!(kept(u64::MAX, 3, Some(2)), [0, valid]);
        assert_eq!(kept(u64::MAX, 4, Some(4)), [train, 0]);
        assert_eq!(kept(train + 1, 4, Some(2)), [train, 1]);
        assert_eq!(kept(7, 4, Some(2)), [7, 0]);
        assert_eq!(kept(0, 4, Some(2)), [0, 0]);
        // A small task begins again while a large one goes through its rows for the first time.
        let config = TrainConfig { steps: Some(3), ..TrainConfig::new(Task::SeqCls) };
        let of = |batches: &[usize]| {
            let both = [data, TrainingData { train: &rows[3..], valid: &[] }];
            KeptStates::of(u64::MAX, model.spec(), &config, (Mixing::All, batches), &both).train
        };
        assert_eq!((of(&[3, 3]), of(&[3, 1])), (0, sum(&rows)));
    }
}
