//! Several processes that make one run learn what one learns, bit for bit. Here they are threads; `tests/mpi/run` starts them
//! by MPI.
#![cfg(feature = "cpu")]

use std::{sync::Arc, thread};

use peft_core::{
    FrozenModel, PeftMethod,
    contract::params,
    train::{
        InThreads, RunContext, TrainConfig, Trainable, TrainingData, assist, in_threads, train,
    },
};
use peft_tests::Family;

use crate::{
    lanes::{Losses, rows, task_and_head},
    methods::{Check, each_method},
    replicas::{learnt, model, start},
};

fn with(peers: InThreads) -> RunContext {
    RunContext { peers: Some(Arc::new(peers)), ..RunContext::default() }
}

/// What `replicas::learnt` finds, by as many processes.
fn learnt_by<M: PeftMethod>(
    processes: usize,
    model: &dyn FrozenModel,
    method: &M,
    steps: usize,
) -> Vec<Vec<f64>> {
    let (task, head) = task_and_head(model);
    let rows = rows(task);
    let config = TrainConfig {
        steps: Some(steps),
        batch_size: 5,
        accumulation: 2,
        clip_norm: Some(1.0),
        lr: 0.05,
        ..TrainConfig::new(task)
    };
    let data = TrainingData { train: &rows, valid: &[] };
    let mut peers = in_threads(processes).into_iter();
    let first = peers.next().unwrap();
    let mut losses = Losses(Vec::new());
    let found = thread::scope(|scope| {
        let others: Vec<_> = peers
            .map(|own| {
                let trainable = Trainable::new(method.clone(), head.clone());
                let (config, data) = (&config, &data);
                scope.spawn(move || assist(model, &trainable, data, config, &with(own)))
            })
            .collect();
        let trainable = Trainable::new(method.clone(), head.clone());
        let found = train(model, trainable, &data, &config, &with(first), &mut losses).unwrap();
        others.into_iter().for_each(|other| other.join().unwrap().unwrap());
        found
    });
    let values = params::values(&found.trainable).into_iter();
    let values = values.map(|flat| flat.values.into_data().iter().collect());
    [losses.0].into_iter().chain(values).collect()
}

struct SameByProcesses(Arc<dyn FrozenModel>);

impl Check for SameByProcesses {
    fn check<M: PeftMethod>(&self, model: &dyn FrozenModel, method: M, _: usize) {
        let expected = learnt(&self.0, &method, 1, 3);
        for processes in [2, 3, 4] {
            let found = learnt_by(processes, model, &method, 3);
            assert_eq!(found, expected, "{} by {processes}", model.spec().model_type);
        }
    }
}

#[test]
fn every_method_learns_the_same_by_several_processes() {
    for family in [Family::Bert, Family::Llama] {
        let model = model(family);
        each_method(model.as_ref(), 3, 3, &SameByProcesses(model.clone()));
    }
}

/// With or without MPI: whether there are others is not known.
#[test]
fn ranks_that_no_launcher_gives_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    for (rank, size) in [("2", "2"), ("7", "2"), ("-1", "2"), ("1", "")] {
        let variables = [("OMPI_COMM_WORLD_RANK", rank), ("OMPI_COMM_WORLD_SIZE", size)];
        let output = start(&out, &["--device=cpu"]).envs(variables).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("OMPI_COMM_WORLD_RANK is ") && said.contains("`env -u "), "{said}");
        assert!(!out.exists());
    }
}

#[test]
fn several_processes_of_a_program_without_mpi_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    for variables in [
        [("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "2")],
        [("SLURM_PROCID", "1"), ("SLURM_STEP_NUM_TASKS", "2")],
    ] {
        let output = start(&out, &["--device=cpu"]).envs(variables).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--features mpi") && said.contains("--shard auto"), "{said}");
        assert!(said.contains(&format!("env -u {}", variables[0].0)), "{said}");
        assert!(!out.exists());
    }
}
