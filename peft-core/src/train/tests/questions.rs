//! Answers to questions: of several windows, and of none.

use super::*;
use crate::{
    contract::method::Mode,
    data::{Passage, Window},
    evaluate::{Answer, Predictor},
    metrics::SQUAD_V2_SCORES,
};

#[test]
fn the_best_window_of_a_question_answers_it() {
    let case = Case::new(CASES[8]);
    let trainable = case.trainable(0.0).fold();
    let tokens = trainable.method.virtual_tokens(Mode::Evaluate);
    let predictor =
        Predictor::new(&case.model, &tokens, trainable.head.as_ref(), case.task).unwrap();
    let alone = predictor.answer(&case.train).unwrap();
    // Rows 1 to 4 are windows of one question; the first token of a window is not context.
    let passage = |answers: &[&str]| {
        let answers = Some(answers.iter().map(ToString::to_string).collect());
        std::sync::Arc::new(Passage { context: "abcdefgh".into(), answers })
    };
    let shared = passage(&["the h", "x"]);
    let mut rows = case.train[..6].to_vec();
    for (at, row) in rows.iter_mut().enumerate() {
        let passage = if (1..=4).contains(&at) { shared.clone() } else { passage(&["a"]) };
        let tokens = row.input_ids.len();
        let bytes = (0..tokens).map(|token| {
            let context = tokens == 1 || token > 0;
            context.then_some((token, token + 1))
        });
        row.window = Some(Window { passage, bytes: bytes.collect() });
    }
    let answers = predictor.answer(&rows).unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!((answers[0].example, answers[2].example), (0, 5));
    let chosen = answers[1];
    assert!((1..=4).contains(&chosen.example));
    for (row, own) in rows.iter().zip(&alone).take(5).skip(1) {
        // Fewer tokens may be chosen, so no window beats its result when all of them could be
        // chosen.
        let single = predictor.answer(std::slice::from_ref(row)).unwrap()[0];
        assert!(single.probability <= own.probability + 1e-9);
        assert!(single.probability <= chosen.probability + 1e-6);
        assert!(row.input_ids.len() == 1 || single.start > 0);
    }
    let one = predictor.clone().with_max_answer_length(1).answer(&rows).unwrap();
    assert!(one.iter().all(|answer| answer.start == answer.end));
    let metrics = predictor.evaluate(&rows, None).unwrap();
    let words = |answer: &Answer| {
        let window = rows[answer.example].window.clone().unwrap();
        window.excerpt(answer.start, answer.end).unwrap().text.to_owned()
    };
    let right = |text: String, of: &[&str]| f64::from(u8::from(of.contains(&text.as_str())));
    let expected = right(words(&answers[0]), &["a", ""])
        + right(words(&answers[1]), &["h", "x"])
        + right(words(&answers[2]), &["a", ""]);
    assert!((metrics.get("exact_match").unwrap() - expected / 3.0).abs() < 1e-9);
}

#[test]
fn a_question_may_have_no_answer() {
    let mut case = Case::new(CASES[8]);
    let mut rows = case.train[..6].to_vec();
    for (at, row) in rows.iter_mut().enumerate() {
        let answers = if at % 2 == 0 { vec!["c d".to_string()] } else { Vec::new() };
        let context = "bcdefghijklmnopqrs".to_string();
        let passage = std::sync::Arc::new(Passage { context, answers: Some(answers) });
        let tokens = row.input_ids.len();
        let bytes =
            (0..tokens).map(|token| (tokens == 1 || token > 0).then_some((token, token + 1)));
        row.window = Some(Window { passage, bytes: bytes.collect() });
    }
    case.valid = rows;
    let rows = &case.valid;
    let trainable = case.trainable(0.0).fold();
    let tokens = trainable.method.virtual_tokens(Mode::Evaluate);
    let predictor =
        Predictor::new(&case.model, &tokens, trainable.head.as_ref(), case.task).unwrap();
    let metrics = predictor.evaluate(rows, None).unwrap();
    let names: Vec<&str> = metrics.iter().map(|(name, _)| name).collect();
    assert_eq!(names[0], "loss");
    assert_eq!(names[1..], SQUAD_V2_SCORES);
    assert_eq!((metrics.get("total"), metrics.get("NoAns_total")), (Some(6.0), Some(3.0)));
    // Rows that are to be predicted say nothing of it.
    assert!(predictor.answer(rows).unwrap().iter().all(|answer| answer.null.is_none()));
    for (threshold, is_null) in [(f64::MAX, false), (f64::MIN, true)] {
        let predictor = predictor.clone().with_null_score_diff_threshold(Some(threshold));
        let answers = predictor.answer(rows).unwrap();
        assert_eq!(answers.len(), 6);
        let logits = predictor.logits(rows).unwrap();
        for (answer, logits) in answers.iter().zip(&logits) {
            let null = answer.null.unwrap();
            assert_eq!(null.is_chosen, is_null);
            let ends: Vec<f64> = logits.iter::<f64>().collect();
            let score = |start: usize, end: usize| ends[2 * start] + ends[2 * end + 1];
            let diff = score(0, 0) - score(answer.start, answer.end);
            assert!((null.score_diff - diff).abs() < 1e-5, "{} {diff}", null.score_diff);
        }
        let scores = predictor.evaluate(rows, None).unwrap();
        assert_eq!(scores.get("NoAns_exact"), Some(if is_null { 1.0 } else { 0.0 }));
        assert!(!is_null || scores.get("HasAns_f1") == Some(0.0));
        for name in ["best_exact", "best_f1"] {
            assert_eq!(scores.get(name), metrics.get(name), "{name}");
        }
    }
    let best = |name: &str| TrainConfig {
        best_metric: Some(BestMetric::named(name)),
        ..config(case.task, 2)
    };
    let outcome = case.run(&best("NoAns_f1"), &anywhere(), 0.0, &mut Watch::default()).unwrap();
    assert!(outcome.metrics.unwrap().get("HasAns_f1").is_some());
    let error = case.run(&best("exact_match"), &anywhere(), 0.0, &mut Watch::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("found `exact_match`, expected one of loss, exact, f1"), "{error}");
}
