//! Metrics of texts, classes and numbers against the programs that define them, and `peft score` and `peft eval` as
//! processes.
//!
//! Vectors: `python/make_scores.py`.

mod eval;
mod program;
mod real;
mod rows;

use std::{collections::BTreeMap, fs};

use peft_core::metrics::{
    self, ClassReport, Metrics, Rouge, Segment, binary_score, exact_match_by_group, f1_by_group,
};
use peft_tests::vectors;
use serde::{Deserialize, de::DeserializeOwned};

/// Scores by the names that `peft score` has for them; `None` where the reference has none.
type Scores = BTreeMap<String, Option<f64>>;

#[derive(Deserialize)]
struct Texts {
    name: String,
    predictions: Vec<String>,
    references: Vec<Vec<String>>,
    scores: Scores,
}

#[derive(Deserialize)]
struct Others {
    classes: Vec<Classes>,
    numbers: Vec<Numbers>,
}

#[derive(Deserialize)]
struct Classes {
    predictions: Vec<String>,
    references: Vec<String>,
    groups: Vec<u32>,
    labels: Vec<String>,
    positive: String,
    scores: BTreeMap<String, f64>,
    by_group: BTreeMap<String, f64>,
    /// Precision, recall, F1 and support of each label.
    classes: Vec<[f64; 4]>,
    confusion: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct Numbers {
    predictions: Vec<f64>,
    references: Vec<f64>,
    scores: BTreeMap<String, f64>,
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = vectors("scores").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// All metrics of texts.
fn of_texts(segments: &[Segment]) -> Metrics {
    let rouge = |kind| metrics::rouge(kind, segments);
    let all = [
        ("exact_match", metrics::exact_matches(segments)),
        ("bleu", metrics::bleu(segments)),
        ("sacrebleu", metrics::sacrebleu(segments)),
        ("nist", metrics::nist(segments)),
        ("rouge_1", rouge(Rouge::N(1))),
        ("rouge_2", rouge(Rouge::N(2))),
        ("rouge_l", rouge(Rouge::L)),
        ("rouge_lsum", rouge(Rouge::Lsum)),
        ("cider", metrics::cider(segments)),
        ("rouge_l_coco", metrics::rouge_l_coco(segments)),
        ("chrf", metrics::chrf(segments)),
        ("chrf++", metrics::chrf_plus_plus(segments)),
        ("ter", metrics::ter(segments)),
    ];
    all.into_iter().map(|(name, score)| (name, score.unwrap())).collect()
}

/// Compares scores with those of the references, and says how many there were.
fn compare(case: &str, found: &Metrics, expected: &Scores) -> usize {
    let known = expected.iter().filter_map(|(name, score)| Some((name, (*score)?)));
    let mut count = 0;
    for (name, expected) in known {
        let found = found.get(name).unwrap();
        let scale = expected.abs().max(1.0);
        assert!((found - expected).abs() < 1e-9 * scale, "{case}, {name}: {found} {expected}");
        count += 1;
    }
    count
}

#[test]
fn texts_score_as_in_the_programs_that_define_the_metrics() {
    let cases: Vec<Texts> = read("texts.json");
    assert!(cases.len() >= 25);
    let mut count = 0;
    for case in &cases {
        let texts = case.predictions.iter().zip(&case.references);
        let segments: Vec<Segment> = texts.map(|(text, list)| Segment::new(text, list)).collect();
        count += compare(&case.name, &of_texts(&segments), &case.scores);
    }
    assert!(count > 12 * cases.len(), "{count} scores");
}

#[test]
fn classes_and_groups_score_as_in_scikit_learn_and_multirc() {
    let cases = read::<Others>("classes.json").classes;
    assert!(cases.len() >= 40);
    let near = |found: f64, expected: f64| (found - expected).abs() < 1e-12;
    for (i, case) in cases.iter().enumerate() {
        let (found, wanted) = (&case.predictions, &case.references);
        let mut scores = metrics::classification_metrics(found, wanted).unwrap();
        let one = binary_score(found, wanted, &case.positive).unwrap();
        scores.extend([("precision", one.precision), ("recall", one.recall), ("f1", one.f1)]);
        for (name, expected) in &case.scores {
            assert!(near(scores.get(name).unwrap(), *expected), "case {i}, {name}");
        }
        let is =
            |classes: &[String]| classes.iter().map(|c| *c == case.positive).collect::<Vec<_>>();
        let (found_is, wanted_is) = (is(found), is(wanted));
        let mut by_group = f1_by_group(&found_is, &wanted_is, &case.groups).unwrap();
        let right: Vec<bool> = found_is.iter().zip(&wanted_is).map(|(f, w)| f == w).collect();
        by_group.insert("exact_match", exact_match_by_group(&right, &case.groups).unwrap());
        for (name, expected) in &case.by_group {
            assert!(near(by_group.get(name).unwrap(), *expected), "case {i}, by group, {name}");
        }
        let index = |class: &String| case.labels.binary_search(class).unwrap();
        let of = |classes: &[String]| classes.iter().map(index).collect::<Vec<_>>();
        let report = ClassReport::of(&of(found), &of(wanted), case.labels.len()).unwrap();
        assert_eq!(report.confusion, case.confusion, "case {i}");
        for (score, [precision, recall, f1, support]) in report.classes.iter().zip(&case.classes) {
            assert!(near(score.precision, *precision) && near(score.recall, *recall), "case {i}");
            assert!(near(score.f1, *f1) && near(score.support as f64, *support), "case {i}");
        }
    }
}

#[test]
fn numbers_score_as_in_scipy() {
    let cases = read::<Others>("classes.json").numbers;
    assert!(cases.len() >= 20);
    for case in &cases {
        let (found, wanted) = (&case.predictions, &case.references);
        for (name, score) in [
            ("pearson", metrics::pearson(found, wanted)),
            ("spearman", metrics::spearman(found, wanted)),
            ("mse", metrics::mean_squared_error(found, wanted)),
        ] {
            assert!(
                (score - case.scores[name]).abs() < 1e-9,
                "{name} {score} {}",
                case.scores[name]
            );
        }
    }
}
