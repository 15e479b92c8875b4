//! When a run ends, and which of its steps it keeps.

use super::*;
use crate::{contract::method::Mode, evaluate::Predictor};

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_writes_nothing_more() {
    let case = Case::new(CASES[0]);
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { checkpoint_every: Some(1), ..config(case.task, 8) };
    let data = TrainingData { train: &case.train, valid: &case.valid };
    let run = in_folder(dir.path(), false);
    let broken = Trainable::new(case.trainable(0.0).method.with_value(f32::NAN), None);
    let error = train(&case.model, broken, &data, &config, &run, &mut Silent).unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 1, .. }), "{error}");
    assert!(!dir.path().join("checkpoints").exists());
    // The first update makes the parameters infinite: they must not end up in a checkpoint, or in a
    // result.
    let sgd = OptimizerConfig::Sgd(Sgd { momentum: 0.0, weight_decay: 1e10 });
    for steps in [1, 8] {
        let explode = TrainConfig {
            optimizer: sgd,
            lr: 1e38,
            steps: Some(steps),
            checkpoint_every: (steps > 1).then_some(1),
            ..config.clone()
        };
        let error = case.run(&explode, &run, 0.0, &mut Watch::default()).unwrap_err();
        assert!(matches!(error, Error::NotFinite { step: 1, .. }), "{error}");
        assert!(!dir.path().join("checkpoints").exists());
    }
}

#[test]
fn training_ends_when_the_scores_get_no_better() {
    let case = Case::new(CASES[2]);
    // Steps too small to change any answer.
    let config =
        TrainConfig { lr: 1e-9, eval_every: Some(2), patience: Some(3), ..config(case.task, 100) };
    let mut watch = Watch::default();
    let outcome = case.run(&config, &anywhere(), 0.0, &mut watch).unwrap();
    assert!(outcome.stopped_early && !outcome.interrupted);
    assert_eq!(watch.evaluated, [(2, true), (4, false), (6, false), (8, false)]);
    assert_eq!(watch.read[..3], [(2, 8, 9), (2, 9, 9), (4, 8, 9)]);
    assert_eq!((outcome.step, outcome.last_step, outcome.history.len()), (2, 8, 4));
    assert_eq!(outcome.metrics.unwrap(), outcome.history[0].metrics);
}

#[test]
fn the_best_step_is_kept() {
    let case = Case::new(CASES[0]);
    let config = TrainConfig { lr: 1.5, eval_every: Some(1), ..config(case.task, 12) };
    let outcome = case.run(&config, &anywhere(), 0.0, &mut Watch::default()).unwrap();
    let losses: Vec<f64> =
        outcome.history.iter().map(|found| found.metrics.get("loss").unwrap()).collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses[outcome.step - 1], best);
    assert!(outcome.step < 12, "a learning rate this high must overshoot: {losses:?}");
    let tokens = outcome.trainable.method.virtual_tokens(Mode::Evaluate);
    let predictor = Predictor::new(&case.model, &tokens, None, case.task).unwrap();
    let again = predictor.with_batch_size(8).evaluate(&case.valid, None).unwrap();
    assert_eq!(again.get("loss"), Some(best));
}
