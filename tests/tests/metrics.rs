//! Scores against vectors of the programs that define them: scikit-learn, seqeval and SQuAD's script.
//!
//! Vectors: `python/make_entities.py`, `python/make_squad.py` and `python/make_squad_v2.py`.

use std::{collections::BTreeMap, fs};

use peft_core::metrics::{
    Attempt, Score, answer_f1, classification_metrics, entities, entity_scores, exact_match,
    normalized_answer, squad_scores, squad_v2_scores,
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
