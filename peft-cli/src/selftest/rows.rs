//! The models and the rows of the self-test. All families have the same sizes and short rows, so that a GPU compiles few
//! kernels; one has a long row, too.

use burn::tensor::Device;
use peft_core::{
    Result, Task,
    data::{Example, IGNORE, Target},
};
use peft_models::{
    LoadOptions, Loaded,
    random_model::{Family, Shape, VOCAB, random_model_of_one_width},
};

/// The sizes of the models: H is 36 and D 18, of which vectors of 8 and of 16 numbers leave a rest.
pub const SHAPE: Shape = Shape { layers: 2, kv_heads: 2, head_dim: 18, positions: 256 };

/// The seed of the weights.
pub const SEED: u64 = 3;

/// P, the virtual tokens of each method.
pub const VIRTUAL_TOKENS: usize = 3;

/// C, the classes of heads.
pub const CLASSES: usize = 3;

/// Longer than the sliding windows of the models, and of unequal lengths.
pub const ROWS: [&[u32]; 4] = [&[5, 11, 2, 20, 7, 9, 1], &[3, 3, 8], &[12], &[17, 4, 13, 6, 22]];

/// The batches of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batches {
    /// Of short rows, of which a run learns all in each step: few shapes, for a device that compiles and chooses kernels for
    /// each.
    Alike,
    /// One family has a long row, too, and a run learns two rows at a time.
    Varied,
}

/// The family that has a long row, too.
const LONG: Family = Family::Llama;

/// T of the long row: attention takes 64 queries at a time, and batches have two slices from 128 positions on.
const LONG_TOKENS: u32 = 150;

/// What decoders of encoder-decoders read.
const DECODER_ROWS: [&[u32]; 4] = [&[0, 6], &[0, 2, 3, 4, 5], &[0, 9, 9], &[0]];

/// All families.
pub fn families() -> Vec<Family> {
    [Family::ALL.as_slice(), &Family::ENCODER_DECODER].concat()
}

/// The model of a family.
///
/// # Errors
///
/// If it cannot be built with these options on this device.
pub fn model(family: Family, device: &Device, options: LoadOptions) -> Result<Loaded> {
    random_model_of_one_width(family, SHAPE, SEED, device, options)
}

/// The task that a family is trained on.
pub fn task_of(family: Family) -> Task {
    match family {
        _ if family.is_causal() => Task::CausalLm,
        _ if Family::ENCODER_DECODER.contains(&family) => Task::Seq2SeqLm,
        _ => Task::SeqCls,
    }
}

/// The rows of a family, without what a decoder reads.
fn ids(family: Family, batches: Batches) -> Vec<Vec<u32>> {
    let mut all = ROWS.map(<[u32]>::to_vec).to_vec();
    if family == LONG && batches == Batches::Varied {
        all.push((0..LONG_TOKENS).map(|at| (at * at + 3 * at + 1) % VOCAB as u32).collect());
    }
    all
}

/// The rows with targets for the task of a family.
pub fn examples(family: Family, batches: Batches) -> Vec<Example> {
    let task = task_of(family);
    let of_row = |(row, ids): (usize, Vec<u32>)| {
        let target = match task {
            Task::SeqCls => Target::Class(row % CLASSES),
            Task::Seq2SeqLm => {
                let next = |id: &u32| i64::from((7 * id + 2) % VOCAB as u32);
                Target::Tokens(DECODER_ROWS[row].iter().map(next).collect())
            }
            // The first token of one row has none.
            _ => Target::Tokens(
                ids.iter()
                    .enumerate()
                    .map(|(at, id)| if (row, at) == (0, 0) { IGNORE } else { i64::from(*id) })
                    .collect(),
            ),
        };
        let mut example = Example::new(ids, target, row + 1);
        if task == Task::Seq2SeqLm {
            example.decoder_input_ids = Some(DECODER_ROWS[row].to_vec());
        }
        example
    };
    ids(family, batches).into_iter().enumerate().map(of_row).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_family_has_a_row_that_is_divided() {
        let longest = |family, batches| ids(family, batches).iter().map(Vec::len).max();
        let varied = longest(LONG, Batches::Varied);
        assert!(varied > Some(128), "{varied:?}");
        for family in families() {
            assert!(longest(family, Batches::Alike) < Some(64), "{family:?}");
            let is_short = longest(family, Batches::Varied) < Some(64);
            assert_eq!(is_short, family != LONG, "{family:?}");
        }
    }

    #[test]
    fn all_families_are_as_wide() {
        for family in families() {
            let loaded = model(family, &Device::default(), LoadOptions::default()).unwrap();
            let spec = loaded.model.spec();
            assert_eq!(spec.hidden_size, SHAPE.kv_heads * SHAPE.head_dim, "{family:?}");
        }
    }

    #[test]
    fn every_row_has_a_target_and_fits() {
        for family in families() {
            for example in examples(family, Batches::Varied) {
                assert!(example.labelled() > 0, "{family:?}");
                let decoder = example.decoder_input_ids.unwrap_or_default();
                assert!(example.input_ids.len() + VIRTUAL_TOKENS <= SHAPE.positions, "{family:?}");
                let known = |id: &u32| (*id as usize) < VOCAB;
                assert!(example.input_ids.iter().chain(&decoder).all(known), "{family:?}");
                if let Target::Tokens(targets) = &example.target {
                    let read =
                        if decoder.is_empty() { example.input_ids.len() } else { decoder.len() };
                    assert_eq!(targets.len(), read, "{family:?}");
                }
            }
        }
    }
}
