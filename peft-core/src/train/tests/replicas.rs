//! Runs on several devices: the same model several times, on the CPU.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use burn::tensor::{Device, Int, Tensor};

use super::*;
use crate::contract::{
    frozen::FrozenModel,
    spec::ModelSpec,
    stack::{StackInput, StackOutput},
};

/// How replicas compute: side by side as slices do, or each in a thread of its own, as on devices that compute while the
/// host goes on.
const WAITS: [bool; 2] = [false, true];

fn model(topology: Topology, waits: bool) -> TinyModel {
    let mut model = TinyModel::new(topology);
    model.waits = waits;
    model
}

fn case(of: (Task, Topology, Kind), waits: bool) -> Case {
    let case = Case::new(of);
    Case { model: model(of.1, waits), ..case }
}

/// A run on `count` replicas.
fn on(run: RunContext, count: usize, topology: Topology, waits: bool) -> RunContext {
    let replica = || Arc::new(model(topology, waits)) as Arc<dyn FrozenModel>;
    RunContext { replicas: (1..count).map(|_| replica()).collect(), ..run }
}

/// What a report says, without the time that the step took.
fn said(reports: &[StepReport]) -> Vec<StepReport> {
    reports.iter().map(|report| StepReport { tokens_per_second: 0.0, ..report.clone() }).collect()
}

#[test]
fn replicas_learn_what_one_device_learns_to_the_bit() {
    for of in CASES {
        let config = TrainConfig {
            accumulation: 5,
            batch_size: 2,
            eval_every: Some(5),
            clip_norm: Some(0.5),
            ..config(of.0, 12)
        };
        for waits in WAITS {
            let run = |count| {
                let case = case(of, waits);
                let mut watch = Watch::default();
                let run = on(anywhere(), count, of.1, waits);
                let outcome = case.run(&config, &run, 0.2, &mut watch).unwrap();
                (bytes(&case.model, &outcome.trainable), said(&watch.reports), watch.evaluated)
            };
            let expected = run(1);
            for count in [2, 4, 5] {
                assert_eq!(run(count), expected, "{of:?} on {count}, {waits}");
            }
        }
    }
}

#[test]
fn a_step_of_one_batch_is_divided_where_devices_take_it_whole() {
    for of in CASES {
        let config = TrainConfig {
            optimizer: OptimizerConfig::Sgd(Sgd::default()),
            lr: 0.3,
            ..config(of.0, 8)
        };
        let run = |count, waits| {
            let mut watch = Watch::default();
            let run = on(anywhere(), count, of.1, waits);
            case(of, waits).run(&config, &run, 0.2, &mut watch).unwrap();
            said(&watch.reports)
        };
        // On the CPU slices depend on the batch alone.
        assert_eq!(run(4, false), run(1, false));
        let expected = run(1, true);
        for count in [2, 4] {
            let found = run(count, true);
            assert_eq!(found.len(), 8);
            for (found, expected) in found.iter().zip(&expected) {
                let (a, b) = (found.loss, expected.loss);
                assert!((a - b).abs() < 1e-5 * b, "{of:?} on {count}: {a} {b}");
                assert_eq!(found.labelled, expected.labelled);
            }
        }
    }
}

#[test]
fn a_run_is_resumed_on_another_number_of_devices() {
    let of = CASES[1];
    let config = TrainConfig { accumulation: 4, batch_size: 2, ..config(of.0, 20) };
    let whole = case(of, false).run(&config, &anywhere(), 0.2, &mut Watch::default()).unwrap();
    let whole = bytes(&TinyModel::new(of.1), &whole.trainable);
    for waits in WAITS {
        for (first, second) in [(2, 1), (1, 2), (4, 3)] {
            let case = case(of, waits);
            let dir = tempfile::tempdir().unwrap();
            let mut watch = Watch { stop_at: Some(10), ..Watch::default() };
            let begun = on(in_folder(dir.path(), false), first, of.1, waits);
            let stopped = case.run(&config, &begun, 0.2, &mut watch).unwrap();
            assert!(stopped.interrupted);
            let resumed = on(in_folder(dir.path(), true), second, of.1, waits);
            let resumed = case.run(&config, &resumed, 0.2, &mut Watch::default()).unwrap();
            assert_eq!(bytes(&case.model, &resumed.trainable), whole, "{first} {second} {waits}");
        }
    }
}

/// How a replica fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Panic,
    Error,
}

/// A model that fails once it was asked so often.
#[derive(Debug)]
struct Faulty {
    model: TinyModel,
    fault: Fault,
    left: AtomicUsize,
}

impl FrozenModel for Faulty {
    fn spec(&self) -> &ModelSpec {
        self.model.spec()
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn reads_wait(&self) -> bool {
        self.model.reads_wait()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.model.embed(ids)
    }

    fn layers(&self, input: StackInput) -> crate::error::Result<StackOutput> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            match self.fault {
                Fault::Panic => {
                    assert!(crate::guard::panics_become_errors(), "a program would print it, too");
                    panic!("out of memory")
                }
                Fault::Error => return Err(Error::Mismatch("no such layer".into())),
            }
        }
        self.left.store(left - 1, Ordering::Relaxed);
        self.model.layers(input)
    }

    fn has_lm_head(&self) -> bool {
        true
    }

    fn lm_logits(&self, hidden: Tensor<2>) -> crate::error::Result<Tensor<2>> {
        self.model.lm_logits(hidden)
    }
}

#[test]
fn a_replica_that_fails_ends_the_run_and_leaves_what_was_stored() {
    // Of a decoder's prefix, which no pass prefills.
    let of = CASES[1];
    let config = TrainConfig {
        accumulation: 4,
        batch_size: 2,
        checkpoint_every: Some(1),
        ..config(of.0, 7)
    };
    let whole = case(of, false).run(&config, &anywhere(), 0.0, &mut Watch::default()).unwrap();
    for (waits, fault) in WAITS.into_iter().flat_map(|w| [(w, Fault::Panic), (w, Fault::Error)]) {
        let dir = tempfile::tempdir().unwrap();
        let faulty = |left| {
            let model = model(of.1, waits);
            Arc::new(Faulty { model, fault, left: AtomicUsize::new(left) }) as Arc<dyn FrozenModel>
        };
        // Two slices of a step are the second replica's, if they have targets: it fails in the fourth step or soon after.
        let run = RunContext { replicas: vec![faulty(7)], ..in_folder(dir.path(), false) };
        let case = case(of, waits);
        let error = case.run(&config, &run, 0.0, &mut Watch::default()).unwrap_err();
        match fault {
            Fault::Panic => {
                let is_told = matches!(
                    &error,
                    Error::Replica { number: 2, of: 2, message, .. } if message == "out of memory"
                );
                assert!(is_told, "{error}");
                assert!(error.to_string().contains("resume the run"), "{error}");
            }
            Fault::Error => assert_eq!(error.to_string(), "no such layer"),
        }
        let stored = Checkpoints::new(dir.path(), 1).list().unwrap();
        assert!((3..7).contains(&stored[0].0), "{stored:?}, {waits} {fault:?}");
        let alone = in_folder(dir.path(), true);
        let resumed = case.run(&config, &alone, 0.0, &mut Watch::default()).unwrap();
        assert_eq!(bytes(&case.model, &resumed.trainable), bytes(&case.model, &whole.trainable));
    }
}

#[test]
fn replicas_of_another_model_or_kind_of_device_are_refused() {
    let of = CASES[1];
    let config = config(of.0, 3);
    for (waits, topology, expected) in [
        (false, Topology::EncoderOnly, "replica 2 of 2 is another model"),
        (true, of.1, "devices of one kind"),
    ] {
        let run = on(anywhere(), 2, topology, waits);
        let error = case(of, false).run(&config, &run, 0.0, &mut Watch::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
