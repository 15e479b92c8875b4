//! Steps that are read one step late, as on a device that computes while the host goes on.

use super::{
    counted::{Counted, Fault},
    *,
};

impl Case {
    /// The same case on a device that reading would stop.
    fn late(mut self) -> Self {
        self.model.waits = true;
        self
    }
}

#[test]
fn steps_that_are_read_late_are_the_same() {
    for case in CASES {
        let config = TrainConfig { eval_every: Some(3), accumulation: 2, ..config(case.0, 10) };
        let run = |case: Case| {
            let mut watch = Watch::default();
            let outcome = case.run(&config, &anywhere(), 0.2, &mut watch).unwrap();
            (bytes(&case.model, &outcome.trainable), said(&watch.reports), watch.evaluated)
        };
        assert_eq!(run(Case::new(case).late()), run(Case::new(case)));
    }
}

/// The norm stays on the device, which rounds the scale in f32.
#[test]
fn clipping_by_a_norm_that_nobody_read_is_the_same_but_for_rounding() {
    let config = TrainConfig { clip_norm: Some(1e-2), ..config(CASES[1].0, 10) };
    let run = |case: Case| {
        let mut watch = Watch::default();
        case.run(&config, &anywhere(), 0.0, &mut watch).unwrap();
        watch.reports
    };
    let (late, now) = (run(Case::new(CASES[1]).late()), run(Case::new(CASES[1])));
    assert_eq!(late.len(), 10);
    for (late, now) in late.iter().zip(&now) {
        assert!(now.grad_norm.unwrap() > 1e-2);
        assert!((late.loss - now.loss).abs() < 1e-5 * now.loss, "{} {}", late.loss, now.loss);
    }
}

/// Whoever stops a run hears of a step late; what is stored then is known to be finite.
#[test]
fn a_run_that_is_stopped_goes_on_where_it_was() {
    let config = TrainConfig { checkpoint_every: Some(4), ..config(CASES[0].0, 9) };
    let whole = Case::new(CASES[0]).late().run(&config, &anywhere(), 0.2, &mut Watch::default());
    let whole = bytes(&TinyModel::new(CASES[0].1), &whole.unwrap().trainable);
    for stop in [1, 3, 4, 8] {
        let case = Case::new(CASES[0]).late();
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch { stop_at: Some(stop), ..Watch::default() };
        let stopped = case.run(&config, &in_folder(dir.path(), false), 0.2, &mut watch).unwrap();
        // A step that is due to be stored is read at once.
        let at = if stop == 4 || stop == 8 { stop } else { stop + 1 };
        assert_eq!(stopped.last_step, at);
        assert_eq!(
            watch.reports.iter().map(|r| r.step).collect::<Vec<_>>(),
            Vec::from_iter(1..=at)
        );
        let mut watch = Watch::default();
        let resumed = case.run(&config, &in_folder(dir.path(), true), 0.2, &mut watch).unwrap();
        assert_eq!(watch.started, Some((at, 9)));
        assert_eq!(bytes(&case.model, &resumed.trainable), whole);
    }
}

/// A loss that is not finite is known one step late: the error names its step, and nothing of it is stored.
#[test]
fn a_loss_that_is_no_number_is_told_with_its_step() {
    let case = Case::new(CASES[0]).late();
    let data = TrainingData { train: &case.train, valid: &case.valid };
    let dir = tempfile::tempdir().unwrap();
    let run = in_folder(dir.path(), false);
    for every in [1, 100] {
        let config = TrainConfig { checkpoint_every: Some(every), ..config(case.task, 8) };
        let broken = Trainable::new(case.trainable(0.0).method.with_value(f32::NAN), None);
        let error = train(&case.model, broken, &data, &config, &run, &mut Silent).unwrap_err();
        assert!(matches!(error, Error::NotFinite { step: 1, .. }), "{error}");
        assert!(!dir.path().join("checkpoints").exists());
    }
    // Parameters that overflow in the first update: the loss of the second step shows it, if nothing is stored before.
    let sgd = OptimizerConfig::Sgd(Sgd { momentum: 0.0, weight_decay: 1e10 });
    for (every, step) in [(1, 1), (2, 2), (100, 2)] {
        let config = TrainConfig {
            optimizer: sgd,
            lr: 1e38,
            checkpoint_every: Some(every),
            ..config(case.task, 8)
        };
        let error = case.run(&config, &run, 0.0, &mut Watch::default()).unwrap_err();
        assert!(matches!(error, Error::NotFinite { step: found, .. } if found == step), "{error}");
        assert!(!dir.path().join("checkpoints").exists());
    }
}

/// A step that fails does not hide what is wrong with the one before, which nobody has read.
#[test]
fn a_step_that_fails_leaves_the_one_before_to_be_told() {
    // Of a decoder's prefix, which no pass prefills: one pass a step.
    let case = Case::new(CASES[1]).late();
    let config = config(case.task, 8);
    let data = TrainingData { train: &case.train, valid: &[] };
    let run = |method: TestMethod| {
        let model = Case::new(CASES[1]).late().model;
        let model = Counted::failing(model, Fault::Error, 1);
        let mut watch = Watch::default();
        let trainable = Trainable::new(method, None);
        let error = train(&model, trainable, &data, &config, &anywhere(), &mut watch).unwrap_err();
        (error, watch.reports.iter().map(|report| report.step).collect::<Vec<_>>())
    };
    let method = case.trainable(0.0).method;
    let (error, told) = run(method.clone());
    assert_eq!((error.to_string().as_str(), told), ("no such layer", vec![1]));
    let (error, told) = run(method.with_value(f32::NAN));
    assert!(matches!(error, Error::NotFinite { step: 1, .. }), "{error}");
    assert!(told.is_empty());
}
