//! Slices of a batch that cores compute side by side: the numbers of rows that come one by one, and the same bits for
//! any number of threads.
#![cfg(feature = "cpu")]

use burn::tensor::{DType, Device, TensorData};
use peft_cli::selftest::measures::Reports;
use peft_core::{
    FrozenModel, Head, Mode, PeftMethod, Task, Topology,
    contract::params,
    data::{Example, IGNORE, Order, Sampler, Target},
    evaluate::Predictor,
    train::{RunContext, TrainConfig, Trainable, TrainingData, train},
};
use peft_models::{LoadOptions, Loaded};
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};
use peft_tests::{Family, Shape, VOCAB, random_model_with};
use rayon::ThreadPoolBuilder;

use crate::{
    methods::{Check, each_method},
    short_run::losses_and_norms,
};

pub const SHAPE: Shape = Shape { layers: 2, kv_heads: 2, head_dim: 4, positions: 256 };
pub const CLASSES: usize = 3;
const PACKED: usize = 120;

/// Rows of 1 to 103 tokens, so that batches have several slices; the last has no target, where targets are tokens.
pub fn rows(task: Task) -> Vec<Example> {
    let row = |index: usize| {
        let ids: Vec<u32> = (0..1 + 6 * (5 * index % 18))
            .map(|at| (7 * at + index) as u32 % VOCAB as u32)
            .collect();
        let last = index == 13;
        let labels = |ids: &[u32]| match last {
            true => vec![IGNORE; ids.len()],
            false => ids.iter().map(|id| i64::from(*id)).collect(),
        };
        let answer = &ids[..ids.len().min(4)];
        match task {
            Task::SeqCls => Example::new(ids, Target::Class(index % CLASSES), index),
            Task::Seq2SeqLm => {
                let target = Target::Tokens(labels(answer));
                let decoder = answer.to_vec();
                Example { decoder_input_ids: Some(decoder), ..Example::new(ids, target, index) }
            }
            _ => {
                let target = Target::Tokens(labels(&ids));
                Example::new(ids, target, index)
            }
        }
    };
    (0..14).map(row).collect()
}

/// How the rows of a step come.
#[derive(Clone, Copy)]
enum Come {
    /// In batches, which are divided.
    InBatches,
    /// One by one, so that nothing is divided.
    OneByOne,
}

/// What a model is trained for.
pub fn task_of(model: &dyn FrozenModel) -> Task {
    match model.spec().topology {
        Topology::EncoderOnly => Task::SeqCls,
        Topology::DecoderOnly => Task::CausalLm,
        Topology::EncoderDecoder => Task::Seq2SeqLm,
    }
}

/// The head that a task takes.
pub fn head(model: &dyn FrozenModel, task: Task) -> Option<Head> {
    task.has_head().then(|| {
        let device = Device::flex().autodiff();
        Head::init(model.head_layout(task), CLASSES, model.spec().hidden_size, 3, &device)
    })
}

/// What a run of 4 steps on `threads` threads finds: its losses, what it has learnt, and the scores of its rows.
fn run<M: PeftMethod>(
    threads: usize,
    model: &dyn FrozenModel,
    method: &M,
    packing: bool,
    come: Come,
) -> Vec<Vec<f64>> {
    let task = task_of(model);
    let head = head(model, task);
    let rows = rows(task);
    let lengths = rows.iter().map(Example::num_tokens).collect();
    let shuffled = Sampler::new(lengths, 1, 0, Order::Shuffled, false).unwrap();
    let packed = shuffled.with_packing(PACKED).unwrap().packed_rows().unwrap().0;
    // A step has all packed rows of an epoch, or all rows.
    let (batch_size, accumulation) = match (come, packing) {
        (Come::InBatches, false) => (7, 2),
        (Come::InBatches, true) => (packed, 1),
        (Come::OneByOne, false) => (1, 14),
        (Come::OneByOne, true) => (1, packed),
    };
    let config = TrainConfig {
        steps: Some(4),
        batch_size,
        accumulation,
        clip_norm: Some(1.0),
        lr: 0.1,
        // Only shuffled rows are packed.
        shuffle: packing,
        bucket: false,
        packing,
        packed_length: packing.then_some(PACKED),
        ..TrainConfig::new(task)
    };
    let (mut reports, method) = (Reports::default(), method.clone());
    let work = || {
        assert_eq!(model.lanes().workers(), threads);
        let trainable = Trainable::new(method, head);
        let data = TrainingData { train: &rows, valid: &[] };
        let found = train(model, trainable, &data, &config, &RunContext::default(), &mut reports);
        let found = found.unwrap().trainable;
        let tokens = found.method.virtual_tokens(Mode::Evaluate);
        let predictor = Predictor::new(model, &tokens, found.head.as_ref(), task).unwrap();
        let logits = predictor.logits(&rows).unwrap();
        let values = params::values(&found).into_iter().map(|flat| flat.values.into_data());
        let numbers = |data: TensorData| data.iter::<f64>().collect();
        values.chain(logits).map(numbers).collect::<Vec<Vec<f64>>>()
    };
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let found = pool.install(work);
    [vec![losses_and_norms(&reports.0)], found].concat()
}

struct SameOnAllThreads(Family);

impl Check for SameOnAllThreads {
    fn check<M: PeftMethod>(&self, model: &dyn FrozenModel, method: M, _: usize) {
        for packing in [false, true] {
            if packing && model.spec().topology != Topology::DecoderOnly {
                continue;
            }
            let found = run(1, model, &method, packing, Come::InBatches);
            for threads in [2, 5] {
                let again = run(threads, model, &method, packing, Come::InBatches);
                assert_eq!(found, again, "{:?} on {threads} threads, packed {packing}", self.0);
            }
            let expected = run(2, model, &method, packing, Come::OneByOne);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                assert!(
                    (found - expected).abs() <= 2e-4 * (1.0 + expected.abs()),
                    "{:?}, packed {packing}: {found}, {expected}",
                    self.0
                );
            }
        }
    }
}

fn model(family: Family, recompute: bool) -> Loaded {
    let options = LoadOptions { recompute, ..LoadOptions::default() };
    random_model_with(family, SHAPE, 3, &Device::flex(), DType::F32, options)
}

#[test]
fn numbers_do_not_depend_on_the_number_of_threads() {
    for family in Family::ALL {
        for recompute in [false, true] {
            let loaded = model(family, recompute);
            each_method(loaded.model.as_ref(), 3, 3, &SameOnAllThreads(family));
        }
    }
}

#[test]
fn nor_do_those_of_an_encoder_decoder() {
    for family in Family::ENCODER_DECODER {
        for recompute in [false, true] {
            let loaded = model(family, recompute);
            let (model, device) = (loaded.model.as_ref(), Device::flex().autodiff());
            let init = PTuningV2Init::Random { std: 0.7 };
            let method = PTuningV2::init(PTuningV2Config::new(3), model, &init, 3, &device);
            SameOnAllThreads(family).check(model, method.unwrap(), 0);
        }
    }
}
