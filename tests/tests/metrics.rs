//! Scores and tests against vectors of the programs that define them: scikit-learn, seqeval, SQuAD's script, SciPy.
//!
//! Vectors: `python/make_entities.py`, `python/make_squad.py`, `python/make_squad_v2.py` and
//! `python/make_significance.py`.

use std::{collections::BTreeMap, fs};

use peft_core::{
    contract::rng,
    metrics::{
        Attempt, RowScore, Score, answer_f1, approximate_randomisation, classification_metrics,
        entities, entity_scores, exact_match, normalized_answer, paired_bootstrap, squad_scores,
        squad_v2_scores, welch,
    },
};
use peft_tests::vectors;
use serde::{Deserialize, de::DeserializeOwned};

/// `entities.json`: `make_entities.py` takes the entity scores from seqeval, and the others from plain formulas that it
/// checks against scikit-learn.
#[derive(Deserialize)]
struct Vectors {
    classification: Vec<Classification>,
    entities: Vec<Tagged>,
}

#[derive(Deserialize)]
struct Classification {
    predictions: Vec<i64>,
    references: Vec<i64>,
    accuracy: f64,
    f1_micro: f64,
    f1_macro: f64,
    matthews: f64,
}

#[derive(Deserialize)]
struct Tagged {
    predictions: Vec<Vec<String>>,
    references: Vec<Vec<String>>,
    precision: f64,
    recall: f64,
    f1: f64,
    by_kind: BTreeMap<String, (f64, f64, f64, usize)>,
    /// The entities of the first reference sentence.
    first: Vec<(String, usize, usize)>,
}

/// `squad.json`.
#[derive(Deserialize)]
struct Answered {
    prediction: String,
    answers: Vec<String>,
    normalized: String,
    exact_match: bool,
    f1: f64,
}

/// `squad_v2.json`.
#[derive(Deserialize)]
struct PerhapsUnanswerable {
    scores: Vec<Thresholded>,
}

#[derive(Deserialize)]
struct Thresholded {
    /// Prediction, answers, and the score of no answer minus that of the prediction.
    questions: Vec<(String, Vec<String>, f64)>,
    threshold: f64,
    scores: BTreeMap<String, f64>,
}

/// `significance.json`.
#[derive(Deserialize)]
struct Tests {
    welch: Vec<OverSeeds>,
    rows: Vec<OverRows>,
}

#[derive(Deserialize)]
struct OverSeeds {
    a: Vec<f64>,
    b: Vec<f64>,
    degrees: f64,
    p: f64,
    low: f64,
    high: f64,
}

/// Numerators and denominators of two systems.
#[derive(Deserialize)]
struct OverRows {
    a: Vec<(f64, f64)>,
    b: Vec<(f64, f64)>,
    low: f64,
    high: f64,
    p: f64,
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = vectors("metrics").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn classes_score_as_in_scikit_learn() {
    let cases = read::<Vectors>("entities.json").classification;
    assert!(cases.len() >= 50);
    for Classification { predictions: p, references: r, accuracy, f1_micro, f1_macro, matthews } in
        &cases
    {
        let metrics = classification_metrics(p, r).unwrap();
        for (name, expected) in [
            ("accuracy", accuracy),
            ("f1_micro", f1_micro),
            ("f1_macro", f1_macro),
            ("matthews", matthews),
        ] {
            let found = metrics.get(name).unwrap();
            assert!((found - expected).abs() < 1e-12, "{name} {found} {expected} {p:?} {r:?}");
        }
    }
}

#[test]
fn entities_score_as_in_seqeval() {
    let cases = read::<Vectors>("entities.json").entities;
    assert!(cases.len() >= 200);
    for (i, case) in cases.iter().enumerate() {
        let scores = entity_scores(&case.predictions, &case.references).unwrap();
        let Score { precision, recall, f1, .. } = scores.overall;
        assert_eq!((precision, recall, f1), (case.precision, case.recall, case.f1), "case {i}");
        assert!(scores.by_kind.keys().eq(case.by_kind.keys()), "case {i}");
        for (kind, score) in &scores.by_kind {
            let found = (score.precision, score.recall, score.f1, score.support);
            assert_eq!(found, case.by_kind[kind], "case {i}, {kind}");
        }
        let first = entities(&case.references[0]);
        let first: Vec<_> = first.into_iter().map(|e| (e.kind, e.start, e.end)).collect();
        assert_eq!(first, case.first, "case {i}");
    }
}

#[test]
fn answers_score_as_in_squads_script() {
    let cases: Vec<Answered> = read("squad.json");
    assert!(cases.len() >= 300);
    for case in &cases {
        let (prediction, answers) = (&case.prediction, &case.answers);
        assert_eq!(normalized_answer(prediction), case.normalized, "{prediction:?}");
        assert_eq!(exact_match(prediction, answers), case.exact_match, "{prediction:?}");
        let f1 = answer_f1(prediction, answers);
        assert!((f1 - case.f1).abs() < 1e-12, "{prediction:?} {answers:?}: {f1} {}", case.f1);
    }
    let questions = cases.iter().map(|c| (c.prediction.as_str(), c.answers.as_slice()));
    let scores = squad_scores(questions).unwrap();
    let mean = cases.iter().map(|c| c.f1).sum::<f64>() / cases.len() as f64;
    assert!((scores.get("f1").unwrap() - mean).abs() < 1e-12);
}

#[test]
fn questions_without_an_answer_score_as_in_squads_second_script() {
    let cases = read::<PerhapsUnanswerable>("squad_v2.json").scores;
    assert!(cases.len() >= 60);
    let mut silent = 0;
    for (i, case) in cases.iter().enumerate() {
        let attempt = |(text, answers, diff): &(String, Vec<String>, f64)| {
            Attempt::of_text(text, answers, *diff)
        };
        let attempts: Vec<Attempt> = case.questions.iter().map(attempt).collect();
        let scores = squad_v2_scores(&attempts, case.threshold).unwrap();
        assert_eq!(scores.len(), case.scores.len(), "case {i}");
        let unanswerable = attempts.iter().filter(|attempt| !attempt.has_answer).count();
        for (name, found) in scores.iter() {
            let expected = case.scores[name];
            let best = name.strip_suffix("_thresh").map(|best| case.scores[best]);
            if best == Some(unanswerable as f64 / attempts.len() as f64) {
                // Nothing is to be answered: the script says 0, which may let some through.
                assert!(attempts.iter().all(|attempt| attempt.null_score_diff > found));
                silent += 1;
                continue;
            }
            assert!((found - expected).abs() < 1e-12, "case {i}, {name}: {found} {expected}");
        }
    }
    assert!(silent > 0 && silent < 60, "{silent}");
}

#[test]
fn differences_are_tested_as_in_scipy() {
    let Tests { welch: seeds, rows } = read("significance.json");
    assert!(seeds.len() >= 4 && rows.len() >= 3);
    for case in &seeds {
        let found = welch(&case.a, &case.b).unwrap();
        for (found, expected) in [
            (found.degrees, case.degrees),
            (found.p, case.p),
            (found.interval.low, case.low),
            (found.interval.high, case.high),
        ] {
            assert!((found - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{found} {expected}");
        }
    }
    for (index, case) in (0..).zip(&rows) {
        let of = |pairs: &[(f64, f64)]| -> Vec<RowScore> {
            let row = |&(numerator, denominator): &(f64, f64)| RowScore { numerator, denominator };
            pairs.iter().map(row).collect()
        };
        let (a, b) = (of(&case.a), of(&case.b));
        let mut draws = rng::stream(0, index, "tests/significance");
        let interval = paired_bootstrap(&a, &b, 10_000, &mut draws).unwrap();
        let p = approximate_randomisation(&a, &b, 10_000, &mut draws).unwrap();
        let width = case.high - case.low;
        assert!((interval.low - case.low).abs() < 0.05 * width, "{index}: {interval:?}");
        assert!((interval.high - case.high).abs() < 0.05 * width, "{index}: {interval:?}");
        // Four deviations of a share of 10 000 draws, and of SciPy's 40 000.
        let deviation = (case.p * (1.0 - case.p) * (1.0 / 10_000.0 + 1.0 / 40_000.0)).sqrt();
        assert!((p - case.p).abs() < 4.0 * deviation + 2e-4, "{index}: {p}, {}", case.p);
    }
}
