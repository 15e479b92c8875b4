//! Runs of several processes, which are threads here: they learn what one learns, bit for bit.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
};

use super::{
    counted::{Counted, Fault},
    *,
};
use crate::contract::frozen::FrozenModel;

/// What a process needs: its peers in a context of its own.
fn with_peers(run: RunContext, peers: InThreads) -> RunContext {
    RunContext { peers: Some(Arc::new(peers)), ..run }
}

/// A process without a folder: what it says of the run is that of rank 0.
fn assistant(peers: InThreads) -> RunContext {
    with_peers(anywhere(), peers)
}

/// Makes a run with as many processes. What each assistant computes with is made in its own thread.
fn together(
    of: (Task, Topology, Kind),
    count: usize,
    config: &TrainConfig,
    run: RunContext,
    watch: &mut Watch,
) -> (crate::error::Result<Outcome<TestMethod>>, Vec<crate::error::Result<()>>) {
    together_with(count, watch, |case, run, watch| case.run(config, &run, 0.2, watch), {
        let assist = |case: &Case, run: RunContext| {
            let data = TrainingData { train: &case.train, valid: &case.valid };
            assist(&case.model, &case.trainable(0.2), &data, config, &run)
        };
        (of, run, assist)
    })
}

fn together_with(
    count: usize,
    watch: &mut Watch,
    lead: impl FnOnce(&Case, RunContext, &mut Watch) -> crate::error::Result<Outcome<TestMethod>>,
    (of, run, assist): (
        (Task, Topology, Kind),
        RunContext,
        impl Fn(&Case, RunContext) -> crate::error::Result<()> + Sync,
    ),
) -> (crate::error::Result<Outcome<TestMethod>>, Vec<crate::error::Result<()>>) {
    let mut peers = in_threads(count).into_iter();
    let first = peers.next().unwrap();
    thread::scope(|scope| {
        let assist = &assist;
        let others: Vec<_> =
            peers.map(|own| scope.spawn(move || assist(&Case::new(of), assistant(own)))).collect();
        let led = lead(&Case::new(of), with_peers(run, first), watch);
        (led, others.into_iter().map(|other| other.join().unwrap()).collect())
    })
}

/// What reports say of the run, in a comparable form.
fn compared(reports: &[StepReport]) -> Vec<StepReport> {
    said(reports).into_iter().map(|report| StepReport { exchanged: None, ..report }).collect()
}

fn several(task: Task, steps: usize) -> TrainConfig {
    TrainConfig {
        accumulation: 5,
        batch_size: 2,
        eval_every: Some(5),
        clip_norm: Some(0.5),
        ..config(task, steps)
    }
}

#[test]
fn processes_learn_what_one_learns_to_the_bit() {
    for of in CASES {
        let config = several(of.0, 12);
        let case = Case::new(of);
        let mut watch = Watch::default();
        let alone = case.run(&config, &anywhere(), 0.2, &mut watch).unwrap();
        assert!(watch.reports.iter().all(|report| report.exchanged.is_none()));
        let expected =
            (bytes(&case.model, &alone.trainable), compared(&watch.reports), watch.evaluated);
        for count in [1, 2, 3, 4, 7] {
            let mut watch = Watch::default();
            let (led, assisted) = together(of, count, &config, anywhere(), &mut watch);
            let found = bytes(&case.model, &led.unwrap().trainable);
            let reports = compared(&watch.reports);
            assert_eq!((found, reports, watch.evaluated), expected, "{of:?} on {count}");
            assert!(assisted.len() == count - 1 && assisted.iter().all(Result::is_ok));
            for report in &watch.reports {
                let exchanged = report.exchanged.unwrap();
                let both = (exchanged.sent > 0, exchanged.received > 0);
                assert_eq!(both, (count > 1, count > 1), "{exchanged:?}");
            }
        }
    }
}

#[test]
fn a_run_goes_on_with_another_number_of_processes() {
    let of = CASES[1];
    let config = TrainConfig { accumulation: 4, batch_size: 2, ..config(of.0, 20) };
    let case = Case::new(of);
    let whole = case.run(&config, &anywhere(), 0.2, &mut Watch::default()).unwrap();
    let whole = bytes(&case.model, &whole.trainable);
    for (first, second) in [(2, 1), (1, 3), (4, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch { stop_at: Some(10), ..Watch::default() };
        let (led, assisted) =
            together(of, first, &config, in_folder(dir.path(), false), &mut watch);
        assert!(led.unwrap().interrupted && assisted.iter().all(Result::is_ok));
        let mut watch = Watch::default();
        let (led, assisted) =
            together(of, second, &config, in_folder(dir.path(), true), &mut watch);
        assert_eq!(watch.started, Some((10, 20)));
        assert!(assisted.iter().all(Result::is_ok));
        assert_eq!(bytes(&case.model, &led.unwrap().trainable), whole, "{first} {second}");
    }
}

/// The factor of the loss reaches the slices of all processes: with it, gradients that f16 would make zero are there, and steps
/// in which a slice anywhere overflows are left out.
#[test]
fn the_factor_of_the_loss_holds_in_all_processes() {
    for (of, gain) in [(CASES[1], 1e-4), (CASES[0], 1000.0), (CASES[1], 1000.0), (CASES[6], 1000.0)]
    {
        let config = several(of.0, 20);
        let half = || Case::new(of).half(gain);
        let assist = |_: &Case, run: RunContext| {
            let case = half();
            let data = TrainingData { train: &case.train, valid: &case.valid };
            assist(&case.model, &case.trainable(0.2), &data, &config, &run)
        };
        let lead =
            |_: &Case, run: RunContext, watch: &mut Watch| half().run(&config, &run, 0.2, watch);
        let mut watch = Watch::default();
        let alone = half().run(&config, &anywhere(), 0.2, &mut watch).unwrap();
        assert!(watch.reports.iter().all(|report| report.loss_scale.is_some()));
        assert_eq!(watch.reports.iter().any(|report| report.skipped), gain > 1.0, "{of:?}");
        let said = |watch: Watch| (compared(&watch.reports), watch.evaluated, watch.notes);
        let expected = (bytes(&half().model, &alone.trainable), said(watch));
        for count in [1, 2, 3] {
            let mut watch = Watch::default();
            let (led, assisted) = together_with(count, &mut watch, lead, (of, anywhere(), assist));
            assert!(watch.reports.iter().all(|report| report.exchanged.is_some()));
            let found = bytes(&half().model, &led.unwrap().trainable);
            assert_eq!((found, said(watch)), expected, "{of:?} {gain} on {count}");
            assert!(assisted.iter().all(Result::is_ok));
        }
    }
}

/// A signal that reaches one process stops all of them, in order.
#[test]
fn a_process_that_is_asked_to_stop_stops_all() {
    let of = CASES[1];
    let config = config(of.0, 20);
    let case = Case::new(of);
    let data = TrainingData { train: &case.train, valid: &case.valid };
    let mut peers = in_threads(2);
    let (second, first) = (peers.pop().unwrap(), peers.pop().unwrap());
    second.stop().store(true, Ordering::Relaxed);
    let dir = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        let assisted = scope.spawn(|| {
            assist(&case.model, &case.trainable(0.2), &data, &config, &assistant(second))
        });
        let run = with_peers(in_folder(dir.path(), false), first);
        let led = case.run(&config, &run, 0.2, &mut Watch::default()).unwrap();
        assert!(led.interrupted && led.last_step == 1);
        assisted.join().unwrap().unwrap();
    });
    assert_eq!(Checkpoints::new(dir.path(), 1).list().unwrap()[0].0, 1);
}

#[test]
fn an_error_of_one_process_ends_the_run_for_all() {
    let of = CASES[1];
    let config = TrainConfig { checkpoint_every: Some(1), ..several(of.0, 7) };
    let case = Case::new(of);
    let whole = case.run(&config, &anywhere(), 0.2, &mut Watch::default()).unwrap();
    for fault in [Fault::Panic, Fault::Error] {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::default();
        let assist = |case: &Case, run: RunContext| {
            let data = TrainingData { train: &case.train, valid: &case.valid };
            let trainable = case.trainable(0.2);
            if run.peers.as_ref().unwrap().rank() == 1 {
                let model = Counted::failing(TinyModel::new(of.1), fault, 5);
                return assist(&model, &trainable, &data, &config, &run);
            }
            assist(&case.model, &trainable, &data, &config, &run)
        };
        let lead =
            |case: &Case, run: RunContext, watch: &mut Watch| case.run(&config, &run, 0.2, watch);
        let run = in_folder(dir.path(), false);
        let (led, assisted) = together_with(3, &mut watch, lead, (of, run, assist));
        let message = match fault {
            Fault::Panic => "out of memory",
            Fault::Error => "no such layer",
        };
        for told in [&led.unwrap_err(), assisted[1].as_ref().unwrap_err()].map(Error::to_string) {
            assert!(told.starts_with(&format!("rank 1 failed: {message};")), "{told}");
        }
        assert_eq!(assisted[0].as_ref().unwrap_err().to_string(), message);
        let stored = Checkpoints::new(dir.path(), 1).list().unwrap();
        assert!((1..7).contains(&stored[0].0), "{stored:?} {fault:?}");
        let alone = in_folder(dir.path(), true);
        let resumed = case.run(&config, &alone, 0.2, &mut Watch::default()).unwrap();
        assert_eq!(bytes(&case.model, &resumed.trainable), bytes(&case.model, &whole.trainable));
    }
}

/// Of what only rank 0 does, the others learn that it went wrong.
#[test]
fn an_error_of_rank_0_ends_the_run_for_all() {
    let of = CASES[0];
    let config = config(of.0, 3);
    let mut watch = Watch::default();
    let run = RunContext { resume: true, ..anywhere() };
    let (led, assisted) = together(of, 2, &config, run, &mut watch);
    let message = led.unwrap_err().to_string();
    assert!(message.contains("needs the run's folder"), "{message}");
    let told = assisted[0].as_ref().unwrap_err().to_string();
    assert!(told.contains("rank 0 failed") && told.contains(&message), "{told}");
}

/// One that is gone without a word, as after a kill.
#[test]
fn nobody_waits_for_a_process_that_is_gone() {
    let of = CASES[1];
    let config = several(of.0, 7);
    let assist = |case: &Case, run: RunContext| {
        if run.peers.as_ref().unwrap().rank() == 2 {
            return Ok(());
        }
        let data = TrainingData { train: &case.train, valid: &case.valid };
        assist(&case.model, &case.trainable(0.2), &data, &config, &run)
    };
    let lead =
        |case: &Case, run: RunContext, watch: &mut Watch| case.run(&config, &run, 0.2, watch);
    let (led, assisted) = together_with(3, &mut Watch::default(), lead, (of, anywhere(), assist));
    for error in [&led.unwrap_err(), assisted[0].as_ref().unwrap_err()] {
        assert!(error.to_string().contains("it has ended"), "{error}");
    }
}

#[test]
fn processes_that_would_make_other_runs_are_refused_by_name() {
    let of = CASES[2];
    let config = config(of.0, 3);
    for (what, rate, row) in
        [("lr (0.3, on rank 0 0.05)", 0.3, 0), ("training rows (other content)", 0.05, 1)]
    {
        let assist = |case: &Case, run: RunContext| {
            let mut train = case.train.clone();
            train[row].input_ids[0] += u32::from(row > 0);
            let data = TrainingData { train: &train, valid: &case.valid };
            let config = TrainConfig { lr: rate, ..config.clone() };
            assist(&case.model, &case.trainable(0.2), &data, &config, &run)
        };
        let lead =
            |case: &Case, run: RunContext, watch: &mut Watch| case.run(&config, &run, 0.2, watch);
        let mut watch = Watch::default();
        let (led, assisted) = together_with(2, &mut watch, lead, (of, anywhere(), assist));
        let told = led.unwrap_err().to_string();
        assert!(told.contains("rank 1") && told.contains(what), "{told}");
        assert_eq!(assisted[0].as_ref().unwrap_err().to_string(), told);
        assert!(watch.started.is_none());
    }
}

/// As where one of them has kernels, and another has not.
#[test]
fn a_process_whose_gradients_do_not_pass_through_f16_is_refused() {
    let of = CASES[1];
    let config = config(of.0, 3);
    let assist = |case: &Case, run: RunContext| {
        let data = TrainingData { train: &case.train, valid: &case.valid };
        assist(&case.model, &case.trainable(0.2), &data, &config, &run)
    };
    let lead = |_: &Case, run: RunContext, watch: &mut Watch| {
        Case::new(of).half(1.0).run(&config, &run, 0.2, watch)
    };
    let mut watch = Watch::default();
    let (led, assisted) = together_with(2, &mut watch, lead, (of, anywhere(), assist));
    let told = led.unwrap_err().to_string();
    let expected = "gradients in f16 (false, on rank 0 true)";
    assert!(told.contains("rank 1") && told.contains(expected), "{told}");
    assert_eq!(assisted[0].as_ref().unwrap_err().to_string(), told);
    assert!(watch.started.is_none());
}

#[test]
fn what_has_no_place_among_processes_is_refused() {
    let of = CASES[2];
    let config = config(of.0, 3);
    let case = Case::new(of);
    let data = TrainingData { train: &case.train, valid: &case.valid };
    let alone = assist(&case.model, &case.trainable(0.0), &data, &config, &anywhere());
    assert!(
        matches!(&alone, Err(Error::Setting { setting, .. }) if setting == "peers"),
        "{alone:?}"
    );
    let replica: Arc<dyn FrozenModel> = Arc::new(TinyModel::new(of.1));
    let run = with_peers(anywhere(), in_threads(1).remove(0));
    let run = RunContext { replicas: vec![replica], ..run };
    let both = case.run(&config, &run, 0.0, &mut Watch::default()).unwrap_err();
    assert!(matches!(&both, Error::Setting { setting, .. } if setting == "replicas"), "{both}");
}
