//! Runs whose steps are shared by replicas or by processes: both learn what one device learns, bit for bit.
#![cfg(feature = "cpu")]

use std::{sync::Arc, thread};

use burn::tensor::{DType, Device};
use peft_cli::selftest::measures::Reports;
use peft_core::{
    FrozenModel, PeftMethod,
    contract::params,
    train::{
        InThreads, RunContext, TrainConfig, Trainable, TrainingData, assist, in_threads, train,
    },
};
use peft_models::LoadOptions;
use peft_tests::{Family, random_model_with};

use crate::{
    lanes::{SHAPE, head, rows, task_of},
    methods::{Check, each_method},
    short_run::losses_and_norms,
};

/// What shares the steps of a run.
#[derive(Clone, Copy, Debug)]
pub enum Sharing {
    /// So many models on the CPU; one is a run on one device.
    Replicas(usize),
    /// So many processes, which are threads here.
    Processes(usize),
}

pub fn model(family: Family) -> Arc<dyn FrozenModel> {
    random_model_with(family, SHAPE, 3, &Device::flex(), DType::F32, LoadOptions::default()).model
}

/// The losses and the norms of a run, and what it has learnt.
fn learnt<M: PeftMethod>(
    model: &Arc<dyn FrozenModel>,
    method: &M,
    sharing: Sharing,
    steps: usize,
) -> Vec<Vec<f64>> {
    let task = task_of(model.as_ref());
    let head = head(model.as_ref(), task);
    let rows = rows(task);
    let config = TrainConfig {
        steps: Some(steps),
        batch_size: 5,
        accumulation: 2,
        clip_norm: Some(1.0),
        lr: 0.05,
        ..TrainConfig::new(task)
    };
    let (data, mut reports) = (TrainingData { train: &rows, valid: &[] }, Reports::default());
    let trainable = || Trainable::new(method.clone(), head.clone());
    let mut run = |context: &RunContext| {
        train(model.as_ref(), trainable(), &data, &config, context, &mut reports).unwrap()
    };
    let found = match sharing {
        Sharing::Replicas(count) => {
            run(&RunContext { replicas: vec![model.clone(); count - 1], ..RunContext::default() })
        }
        Sharing::Processes(count) => {
            let with = |peers: InThreads| RunContext {
                peers: Some(Arc::new(peers)),
                ..RunContext::default()
            };
            let mut peers = in_threads(count).into_iter();
            let first = peers.next().unwrap();
            thread::scope(|scope| {
                let others: Vec<_> = peers
                    .map(|own| {
                        let (model, data, config) = (model.as_ref(), &data, &config);
                        let trainable = trainable();
                        scope.spawn(move || assist(model, &trainable, data, config, &with(own)))
                    })
                    .collect();
                let found = run(&with(first));
                others.into_iter().for_each(|other| other.join().unwrap().unwrap());
                found
            })
        }
    };
    assert_eq!(reports.0.len(), steps);
    let values = params::values(&found.trainable).into_iter();
    let values = values.map(|flat| flat.values.into_data().iter().collect());
    [losses_and_norms(&reports.0)].into_iter().chain(values).collect()
}

/// By two and by four, and by three, among which slices are not dealt out evenly.
pub fn check<M: PeftMethod>(
    model: &Arc<dyn FrozenModel>,
    method: &M,
    by: fn(usize) -> Sharing,
    steps: usize,
) {
    let expected = learnt(model, method, Sharing::Replicas(1), steps);
    for sharing in [2, 3, 4].map(by) {
        let found = learnt(model, method, sharing, steps);
        assert_eq!(found, expected, "{} by {sharing:?}", model.spec().model_type);
    }
}

struct Same {
    model: Arc<dyn FrozenModel>,
    by: fn(usize) -> Sharing,
}

impl Check for Same {
    fn check<M: PeftMethod>(&self, _: &dyn FrozenModel, method: M, _: usize) {
        check(&self.model, &method, self.by, 3);
    }
}

pub fn every_method_learns_the_same(by: fn(usize) -> Sharing) {
    for family in [Family::Bert, Family::Llama] {
        let model = model(family);
        each_method(model.as_ref(), 3, 3, &Same { model: model.clone(), by });
    }
}
