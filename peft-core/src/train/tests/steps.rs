//! What a step learns, and what it leaves as it is.

use super::*;
use crate::{contract::method::Mode, data::Target, evaluate::Predictor};

#[test]
fn the_loss_falls_and_the_frozen_model_stays_as_it_is() {
    for case in CASES {
        let case = Case::new(case);
        let before = case.model.bits();
        let mut watch = Watch::default();
        let config = TrainConfig { padding: PaddingSide::Left, ..config(case.task, 60) };
        let outcome = case.run(&config, &anywhere(), 0.0, &mut watch).unwrap();
        let mean = |part: &[StepReport]| part.iter().map(|r| r.loss).sum::<f64>() / 6.0;
        let (first, last) = (mean(&watch.reports[..6]), mean(&watch.reports[54..]));
        assert!(last < 0.9 * first, "{:?} {:?}: {first} {last}", case.task, case.kind);
        assert_eq!(case.model.bits(), before);
        assert_eq!((outcome.last_step, outcome.step, outcome.history.len()), (60, 60, 1));
        assert!(!outcome.interrupted && !outcome.stopped_early);
        assert!(watch.reports.iter().all(|r| r.tokens > 0 && r.tokens_per_second > 0.0));
    }
}

/// Rows have unequal lengths, so a mean of batch means would be wrong.
#[test]
fn accumulated_batches_equal_one_large_batch() {
    for (case, weighted) in CASES.into_iter().flat_map(|case| [(case, false), (case, true)]) {
        let case = Case::new(case);
        let has_classes = matches!(case.task, Task::SeqCls | Task::TokenCls);
        let smooths = has_classes || case.task.is_language_model();
        let run = |batch_size, accumulation| {
            let config = TrainConfig {
                class_weights: (weighted && has_classes).then(|| vec![0.25, 2.0]),
                label_smoothing: if weighted && smooths { 0.2 } else { 0.0 },
                batch_size,
                accumulation,
                shuffle: false,
                optimizer: OptimizerConfig::Sgd(Sgd::default()),
                lr: 0.3,
                ..config(case.task, 3)
            };
            let mut watch = Watch::default();
            let outcome = case.run(&config, &anywhere(), 0.3, &mut watch).unwrap();
            (outcome.trainable.parameters().unwrap(), watch.reports)
        };
        let (whole, whole_reports) = run(8, 1);
        for (batch_size, accumulation) in [(4, 2), (2, 4), (1, 8)] {
            let (parts, reports) = run(batch_size, accumulation);
            for (name, data) in &whole {
                for (a, b) in data.iter::<f64>().zip(parts[name].iter::<f64>()) {
                    assert!((a - b).abs() < 1e-6, "{name} {a} {b}");
                }
            }
            for (a, b) in whole_reports.iter().zip(reports) {
                assert!((a.loss - b.loss).abs() < 1e-6, "{} {}", a.loss, b.loss);
                assert_eq!((a.tokens, a.labelled), (b.tokens, b.labelled));
            }
        }
    }
}

#[test]
fn packed_batches_make_the_update_of_rows_of_their_own() {
    for case in &CASES[..2] {
        let case = Case::new(*case);
        for padding in [PaddingSide::Right, PaddingSide::Left] {
            let config = TrainConfig { batch_size: 100, padding, ..config(case.task, 6) };
            let run = |packing, packed_length| {
                let mut watch = Watch::default();
                let config = TrainConfig { packing, packed_length, ..config.clone() };
                let outcome = case.run(&config, &anywhere(), 0.3, &mut watch).unwrap();
                (watch.reports, outcome)
            };
            let (alone, expected) = run(false, None);
            // The second is longer than the model has positions, which each example has to itself.
            for length in [None, Some(50)] {
                let (packed, found) = run(true, length);
                for (packed, alone) in packed.iter().zip(&alone) {
                    assert_eq!((packed.tokens, packed.labelled), (alone.tokens, alone.labelled));
                    let difference = (packed.loss - alone.loss).abs();
                    assert!(difference < 1e-4, "{length:?}: {} is not {}", packed.loss, alone.loss);
                }
                // Scores of validation rows know nothing of it.
                for (packed, alone) in found.history.iter().zip(&expected.history) {
                    let loss = |of: &Evaluation| of.metrics.get("loss").unwrap();
                    assert!((loss(packed) - loss(alone)).abs() < 1e-4);
                }
                assert!(!found.history.is_empty());
            }
        }
    }
}

/// Adam's first step moves a parameter by its learning rate.
#[test]
fn the_head_learns_at_a_rate_of_its_own() {
    let case = Case::new((Task::SeqCls, Topology::EncoderOnly, Kind::Prefix));
    let case = Case { valid: Vec::new(), ..case };
    let start = case.trainable(0.0).parameters().unwrap();
    let moved = |head_lr: Option<f64>| {
        let config = TrainConfig { head_lr, ..config(case.task, 1) };
        let outcome = case.run(&config, &anywhere(), 0.0, &mut Watch::default()).unwrap();
        let by = |(name, values): (String, burn::tensor::TensorData)| {
            let pairs = values.iter::<f64>().zip(start[&name].iter::<f64>());
            let moved = pairs.map(|(now, then)| (now - then).abs()).fold(0.0, f64::max);
            (name, moved)
        };
        outcome.trainable.parameters().unwrap().into_iter().map(by).collect::<Vec<_>>()
    };
    let same = moved(None);
    assert_eq!(moved(Some(0.05)), same);
    for ((name, moved), (_, same)) in moved(Some(0.2)).into_iter().zip(same) {
        let expected = if name.starts_with("head.") { 0.2 } else { same };
        assert!((moved - expected).abs() < 1e-4, "{name}: {moved}, {expected}");
    }
}

#[test]
fn clipping_bounds_the_step() {
    let case = Case::new(CASES[1]);
    let config = TrainConfig {
        clip_norm: Some(1e-3),
        optimizer: OptimizerConfig::Sgd(Sgd::default()),
        lr: 1.0,
        ..config(case.task, 1)
    };
    let mut watch = Watch::default();
    let start = case.trainable(0.0).fold().parameters().unwrap();
    let outcome = case.run(&config, &anywhere(), 0.0, &mut watch).unwrap();
    assert!(watch.reports[0].grad_norm.unwrap() > 1e-2);
    let end = outcome.trainable.parameters().unwrap();
    let moved: f64 = start
        .iter()
        .flat_map(|(name, data)| data.iter::<f64>().zip(end[name].iter::<f64>()))
        .map(|(a, b)| (a - b).powi(2))
        .sum();
    assert!(moved.sqrt() > 1e-5 && moved.sqrt() < 5e-3, "{}", moved.sqrt());
}

#[test]
fn a_step_without_targets_changes_nothing() {
    let mut case = Case::new(CASES[1]);
    for example in &mut case.train[..8] {
        example.target = Target::None;
    }
    let config = TrainConfig { shuffle: false, ..config(case.task, 1) };
    let mut watch = Watch::default();
    let outcome = case.run(&config, &anywhere(), 0.0, &mut watch).unwrap();
    assert_eq!((watch.reports[0].labelled, watch.reports[0].loss), (0, 0.0));
    let start = case.trainable(0.0).fold();
    assert_eq!(bytes(&case.model, &outcome.trainable), bytes(&case.model, &start));
}

/// The loss of a step equals that of an evaluation before it, which computes spans differently.
#[test]
fn a_step_s_loss_is_the_evaluation_s() {
    for case in CASES {
        let case = Case::new(case);
        let config = TrainConfig {
            batch_size: case.train.len(),
            padding: PaddingSide::Left,
            ..config(case.task, 1)
        };
        let mut watch = Watch::default();
        case.run(&config, &anywhere(), 0.0, &mut watch).unwrap();
        let trainable = case.trainable(0.0).fold();
        let tokens = trainable.method.virtual_tokens(Mode::Evaluate);
        let predictor =
            Predictor::new(&case.model, &tokens, trainable.head.as_ref(), case.task).unwrap();
        let metrics = predictor.evaluate(&case.train, None).unwrap();
        let (loss, expected) = (watch.reports[0].loss, metrics.get("loss").unwrap());
        assert!((loss - expected).abs() < 1e-5, "{:?}: {loss} {expected}", case.task);
    }
}

/// Of rows of one class the weight drops out, and two means are averaged by the weights of their rows.
#[test]
fn classes_count_as_much_as_their_weights() {
    let case = Case::new(CASES[2]);
    let base = config(case.task, 1);
    let loss = |rows: &[Example], weights: Option<Vec<f32>>| {
        let config = TrainConfig { batch_size: rows.len(), class_weights: weights, ..base.clone() };
        let data = TrainingData { train: rows, valid: &[] };
        let mut watch = Watch::default();
        train(&case.model, case.trainable(0.0), &data, &config, &anywhere(), &mut watch).unwrap();
        watch.reports[0].loss
    };
    let (first, second): (Vec<Example>, Vec<Example>) =
        case.train.iter().cloned().partition(|row| row.target == Target::Class(0));
    let (a, b) = (loss(&first, None), loss(&second, None));
    assert!((loss(&first, Some(vec![0.25, 2.0])) - a).abs() < 1e-5);
    let weight = (0.25 * first.len() as f64, 2.0 * second.len() as f64);
    let expected = (weight.0 * a + weight.1 * b) / (weight.0 + weight.1);
    let found = loss(&case.train, Some(vec![0.25, 2.0]));
    assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    // A class that counts nothing.
    assert_eq!(loss(&first, Some(vec![0.0, 1.0])), 0.0);
    assert!((loss(&case.train, Some(vec![0.0, 1.0])) - b).abs() < 1e-5);

    let refused = |task, weights: Option<Vec<f32>>, smoothing| {
        let config =
            TrainConfig { class_weights: weights, label_smoothing: smoothing, ..config(task, 1) };
        config.validate().unwrap_err().to_string()
    };
    for (task, weights, smoothing, says) in [
        (Task::CausalLm, Some(vec![1.0, 1.0]), 0.0, "class_weights: not used by causal-lm"),
        (Task::QuestionAns, None, 0.1, "label_smoothing: not used by qa"),
        (Task::SeqCls, None, 1.0, "label_smoothing: found 1"),
        (Task::SeqCls, None, f64::NAN, "label_smoothing: found NaN"),
        (Task::SeqCls, Some(vec![1.0, -1.0]), 0.0, "class_weights: found -1"),
        (Task::SeqCls, Some(vec![0.0, 0.0]), 0.0, "class_weights: all are 0"),
    ] {
        let error = refused(task, weights, smoothing);
        assert!(error.contains(says), "{error}");
    }
    let data = TrainingData { train: &case.train, valid: &[] };
    let config = TrainConfig { class_weights: Some(vec![1.0; 3]), ..base };
    let error = train(&case.model, case.trainable(0.0), &data, &config, &anywhere(), &mut Silent)
        .unwrap_err();
    assert!(error.to_string().contains("weights for 3 classes, the head has 2"), "{error}");
}

/// The frozen model never saw a reversed row; a prefix teaches it better than chance.
#[test]
fn an_encoder_decoder_learns_to_turn_rows_around() {
    let mut case = Case::new(CASES[6]);
    case.valid = case.train.clone();
    let config = TrainConfig { eval_every: Some(150), ..config(case.task, 300) };
    let outcome = case.run(&config, &anywhere(), 0.0, &mut Watch::default()).unwrap();
    let score = |at: usize, name: &str| outcome.history[at].metrics.get(name).unwrap();
    let tokens = case.trainable(0.0).fold().method.virtual_tokens(Mode::Evaluate);
    let before = Predictor::new(&case.model, &tokens, None, case.task).unwrap();
    let before = before.evaluate(&case.valid, None).unwrap();
    assert!(score(1, "loss") < before.get("loss").unwrap() - 0.2);
    assert!(score(1, "accuracy") > before.get("accuracy").unwrap() + 0.1);
    assert!((score(1, "perplexity") - score(1, "loss").exp()).abs() < 1e-9);
}
