//! Training with an infix, whatever computes it.

use burn::tensor::{DType, Device};
use peft_cli::selftest::measures::Reports;
use peft_core::{
    FrozenModel, PaddingSide, Task,
    contract::params,
    data::Example,
    train::{RunContext, TrainConfig, Trainable, TrainingData, train},
};
use peft_models::LoadOptions;
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};
use peft_tests::{
    Family, Shape, VOCAB,
    leaves::{Kind, Leaves},
    random_model_with,
};
use rayon::ThreadPoolBuilder;

use super::{Row, batch, placement};
use crate::short_run::losses_and_norms;

const SHAPE: Shape = Shape { layers: 3, kv_heads: 2, head_dim: 4, positions: 128 };

/// Rows of several lengths. The first two differ in nothing but where their sources end.
fn examples() -> Vec<Example> {
    let row = |index: usize| {
        let of = index.max(1);
        let len = 4 + 6 * (5 * of % 11);
        let ids: Vec<u32> = (0..len).map(|at| ((7 * at + of) % VOCAB) as u32).collect();
        let source = 1 + 3 * index % (len - 1);
        let (source, target) = ids.split_at(source);
        let row = Row { source: source.to_vec(), target: target.to_vec() };
        Example { line: index + 1, ..row.example() }
    };
    (0..7).map(row).collect()
}

/// The losses of a run, and what it has learnt.
fn learnt(
    model: &dyn FrozenModel,
    method: &PTuningV2,
    (threads, batch_size): (usize, usize),
    cache_frozen: u64,
) -> Vec<Vec<f64>> {
    let rows = examples();
    let config = TrainConfig {
        steps: Some(4),
        batch_size,
        accumulation: rows.len() / batch_size,
        shuffle: false,
        bucket: false,
        lr: 0.1,
        ..TrainConfig::new(Task::CausalLm)
    };
    let mut reports = Reports::default();
    let context = RunContext { cache_frozen, ..RunContext::default() };
    let work = || {
        let data = TrainingData { train: &rows, valid: &[] };
        let trainable = Trainable::new(method.clone(), None);
        let found = train(model, trainable, &data, &config, &context, &mut reports).unwrap();
        params::values(&found.trainable)
    };
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let values = pool.install(work).into_iter();
    let values = values.map(|flat| flat.values.into_data().iter().collect());
    [losses_and_norms(&reports.0)].into_iter().chain(values).collect()
}

/// Whatever the threads, with hidden states below it that are kept or not, and rows that come one by one.
#[test]
fn p15_a_run_with_an_infix_is_the_same_however_it_is_computed() {
    for family in Family::CAUSAL {
        for recompute in [false, true] {
            let options = LoadOptions { recompute, ..LoadOptions::default() };
            let loaded = random_model_with(family, SHAPE, 3, &Device::flex(), DType::F32, options);
            let model = loaded.model.as_ref();
            for layers in [None, Some(vec![1, 2])] {
                let config = PTuningV2Config::new(3).with_placement(placement());
                let config = config.with_layers(layers.clone());
                let init = PTuningV2Init::Random { std: 0.7 };
                let device = Device::flex().autodiff();
                let method = PTuningV2::init(config, model, &init, 3, &device).unwrap();
                let found = learnt(model, &method, (1, 7), 0);
                for (threads, cache) in [(3, 0), (1, 1 << 20), (3, 1 << 20)] {
                    let again = learnt(model, &method, (threads, 7), cache);
                    assert_eq!(found, again, "{family:?} {layers:?} {threads} {cache}");
                }
                let one_by_one = learnt(model, &method, (2, 1), 0);
                let pairs = found.iter().flatten().zip(one_by_one.iter().flatten());
                for (found, expected) in pairs {
                    let near = (found - expected).abs() <= 2e-4 * (1.0 + expected.abs());
                    assert!(near, "{family:?} {layers:?}: {found}, {expected}");
                }
            }
        }
    }
}

/// Hidden states and the gradient of every leaf, with gradient checkpointing and without.
#[test]
fn p15_gradient_checkpointing_changes_no_number() {
    let rows = [(3, 4), (1, 2), (5, 1)].map(|(source, target)| Row {
        source: (0..source).map(|at| at * 5 + 1).collect(),
        target: (0..target).map(|at| at * 3 + 2).collect(),
    });
    for family in Family::CAUSAL {
        for kind in [Kind::Prefix(1), Kind::Prefix(3), Kind::LastLayer] {
            let [plain, again] = [false, true].map(|recompute| {
                let options = LoadOptions { recompute, ..LoadOptions::default() };
                let loaded =
                    random_model_with(family, SHAPE, 3, &Device::flex(), DType::F32, options);
                let model = loaded.model.as_ref();
                let mut leaves = Leaves::new(Device::flex().autodiff(), DType::F32);
                let mut own = leaves.virtual_tokens(model, kind, 3);
                own.infix = true;
                let batch = batch(&rows, PaddingSide::Left);
                let hidden = model.forward(&batch, &own).unwrap().tokens;
                let states = hidden.clone().inner().into_data();
                let loss = (hidden.clone() * hidden.add_scalar(1.0).square()).sum();
                let gradients = leaves.gradients(&loss.backward());
                [vec![states], gradients].concat()
            });
            assert!(plain.len() > 1);
            assert_eq!(plain, again, "{family:?} {kind:?}");
        }
    }
}
