//! Runs whose gradients pass through f16: the loss is scaled, steps with gradients that are too large are left out, and the
//! factor is part of what is stored.

use super::*;

impl Case {
    /// The same case on a model whose gradients pass through f16, there `gain` times as large as elsewhere.
    pub(super) fn half(mut self, gain: f64) -> Self {
        self.model.half = Some(gain);
        self
    }
}

/// Without an overflow, the numbers are those of a run in f32 but for what f16 rounds: 1 in 2048, of hidden states and of
/// their gradients. These are so small with this gain that f16 would have none of their digits without the factor.
#[test]
fn small_gradients_pass_by_the_factor_of_the_loss() {
    for case in CASES {
        // AdamW makes steps of one size even of gradients that are nothing but rounding.
        let optimizer = OptimizerConfig::Sgd(Sgd { momentum: 0.0, weight_decay: 0.0 });
        let config = TrainConfig { clip_norm: Some(0.5), optimizer, ..config(case.0, 10) };
        let run = |case: Case| {
            let mut watch = Watch::default();
            case.run(&config, &anywhere(), 0.2, &mut watch).unwrap();
            assert!(watch.notes.is_empty(), "{:?}", watch.notes);
            watch.reports
        };
        let (scaled, plain) = (run(Case::new(case).half(1e-4)), run(Case::new(case)));
        assert_eq!((scaled.len(), plain.len()), (10, 10));
        for (scaled, plain) in scaled.iter().zip(&plain) {
            assert_eq!((scaled.loss_scale, plain.loss_scale), (Some(65536.0), None));
            assert!(!scaled.skipped);
            let near = |found: f64, expected: f64| (found - expected).abs() < 0.02 * expected;
            assert!(near(scaled.loss, plain.loss), "{case:?}: {} {}", scaled.loss, plain.loss);
            let norms = (scaled.grad_norm.unwrap(), plain.grad_norm.unwrap());
            assert!(near(norms.0, norms.1), "{case:?}: {norms:?}");
        }
    }
}

#[test]
fn a_step_whose_gradient_overflows_changes_nothing_and_halves_the_factor() {
    for case in [CASES[0], CASES[1], CASES[6]] {
        let start = bytes(&TinyModel::new(case.1), &Case::new(case).trainable(0.0).fold());
        let mut watch = Watch::default();
        let case = Case::new(case).half(1000.0);
        // The last step is one of those that are left out.
        let outcome = case.run(&config(case.task, 1), &anywhere(), 0.0, &mut watch).unwrap();
        assert_eq!((watch.reports[0].skipped, watch.reports[0].grad_norm), (true, None));
        assert_eq!(bytes(&case.model, &outcome.trainable), start);
        assert!(watch.notes[0].starts_with("1 of 1 steps changed nothing"), "{:?}", watch.notes);

        let mut watch = Watch::default();
        let outcome = case.run(&config(case.task, 60), &anywhere(), 0.0, &mut watch).unwrap();
        assert_ne!(bytes(&case.model, &outcome.trainable), start);
        let skipped = watch.reports.iter().filter(|report| report.skipped).count();
        assert!((1..30).contains(&skipped), "{skipped}");
        let mut factor = 65536.0;
        for report in &watch.reports {
            assert_eq!(report.loss_scale, Some(factor));
            assert!(report.loss.is_finite());
            if report.skipped {
                factor /= 2.0;
            }
        }
        let mean = |part: &[StepReport]| part.iter().map(|r| r.loss).sum::<f64>() / 6.0;
        let (first, last) = (mean(&watch.reports[..6]), mean(&watch.reports[54..]));
        assert!(last < 0.95 * first, "{first} {last}");
        let line = serde_json::to_value(&watch.reports[0]).unwrap();
        assert_eq!(line["loss_scale"], 65536.0);
        assert_eq!(line["skipped"], true);
    }
}

/// What did not change could not score better. The factor is halved in each of the first steps, more of them than evaluations
/// that the run waits for.
#[test]
fn steps_that_are_left_out_take_no_patience() {
    const PATIENCE: usize = 2;
    for case in [CASES[0], CASES[2]] {
        let case = || Case::new(case).half(1e5);
        let of = |eval_every| TrainConfig {
            eval_every: Some(eval_every),
            patience: Some(PATIENCE),
            ..config(case().task, 60)
        };
        let mut watch = Watch::default();
        let outcome = case().run(&of(1), &anywhere(), 0.0, &mut watch).unwrap();
        let skipped = watch.reports.iter().take_while(|report| report.skipped).count();
        assert!(skipped > PATIENCE + 1, "{skipped}");
        // The first has no other to be compared with.
        let is_best: Vec<bool> = watch.evaluated.iter().map(|(_, is_best)| *is_best).collect();
        assert!(is_best[0] && !is_best[1..skipped].iter().any(|is_best| *is_best));
        let mut without = 0;
        let mut ends = is_best.iter().zip(&watch.reports).position(|(is_best, report)| {
            match (is_best, report.skipped) {
                (true, _) => without = 0,
                (false, true) => {}
                (false, false) => without += 1,
            }
            without == PATIENCE
        });
        let end = ends.get_or_insert(59);
        assert_eq!((outcome.last_step, outcome.history.len()), (*end + 1, *end + 1));

        // Between two evaluations, too: it is stored.
        let mut whole = Watch::default();
        let expected = case().run(&of(2), &anywhere(), 0.0, &mut whole).unwrap();
        assert!(expected.last_step > skipped);
        for stop in [1, 2, 3, skipped, skipped + 1] {
            let dir = tempfile::tempdir().unwrap();
            let mut first = Watch { stop_at: Some(stop), ..Watch::default() };
            case().run(&of(2), &in_folder(dir.path(), false), 0.0, &mut first).unwrap();
            let mut second = Watch::default();
            let found = case().run(&of(2), &in_folder(dir.path(), true), 0.0, &mut second).unwrap();
            assert_eq!((found.last_step, found.step), (expected.last_step, expected.step));
            assert_eq!([first.evaluated, second.evaluated].concat(), whole.evaluated);
        }
    }
}

/// On a device that reading would stop, too: whether a step is left out must be known before the next one.
#[test]
fn the_factor_is_stored_and_a_resumed_run_goes_on_with_it() {
    for waits in [false, true] {
        let case = || {
            let mut case = Case::new(CASES[1]).half(1000.0);
            case.model.waits = waits;
            case
        };
        let config = TrainConfig { checkpoint_every: Some(100), ..config(case().task, 20) };
        let run = |run: &RunContext, watch: &mut Watch| {
            let outcome = case().run(&config, run, 0.2, watch).unwrap();
            bytes(&case().model, &outcome.trainable)
        };
        let mut whole = Watch::default();
        let expected = run(&anywhere(), &mut whole);
        for stop in [2, 11] {
            let dir = tempfile::tempdir().unwrap();
            let mut first = Watch { stop_at: Some(stop), ..Watch::default() };
            run(&in_folder(dir.path(), false), &mut first);
            assert_eq!(first.reports.len(), stop, "read at once, on every device");
            let mut second = Watch::default();
            assert_eq!(run(&in_folder(dir.path(), true), &mut second), expected);
            let all = [said(&first.reports), said(&second.reports)].concat();
            assert_eq!(all, said(&whole.reports));
            assert_eq!(second.notes, whole.notes);
        }
    }
}

#[test]
fn gradients_that_no_factor_makes_fit_end_the_run() {
    let case = Case::new(CASES[1]).half(1e12);
    let mut watch = Watch::default();
    let error = case.run(&config(case.task, 60), &anywhere(), 0.0, &mut watch).unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 33, .. }), "{error}");
    assert_eq!(watch.reports.len(), 32);
    assert!(error.to_string().contains("set `dtype` to bf16 or f32"), "{error}");
}
