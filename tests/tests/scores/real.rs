//! Real texts: E2E's, which have several references, and paragraphs of XQuAD; made as `make_scores.py` makes them.

use std::collections::BTreeMap;

use peft_core::{metrics::Segment, text::read_records};
use peft_tests::shared;
use serde_json::Value;

use super::{Scores, compare, of_texts, read};

/// Of each meaning with several texts, the last as prediction and the others as references; every fifth prediction is
/// that of the meaning before it.
fn e2e(part: &str) -> Option<Vec<Segment>> {
    let path = shared(&format!("data/e2e-nlg/{part}.jsonl"))?;
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    let mut places = BTreeMap::new();
    for row in read_records(&path).unwrap() {
        let source = row.text("source").unwrap().to_owned();
        let at = *places.entry(source.clone()).or_insert(groups.len());
        if at == groups.len() {
            groups.push((source, Vec::new()));
        }
        groups[at].1.push(row.text("target").unwrap().to_owned());
    }
    let groups: Vec<Vec<String>> =
        groups.into_iter().map(|(_, texts)| texts).filter(|texts| texts.len() > 1).collect();
    let last = |at: usize| groups[at].last().unwrap();
    let segment = |(at, texts): (usize, &Vec<String>)| {
        Segment::new(last(if at % 5 == 4 { at - 1 } else { at }), &texts[..texts.len() - 1])
    };
    Some(groups.iter().enumerate().map(segment).collect())
}

/// Of every sixth paragraph its sentences, a line each, as reference; as prediction those at odd places first, and of each
/// sentence without every seventh word.
fn xquad() -> Option<Vec<Segment>> {
    let path = shared("data/xquad-en/xquad.en.json")?;
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let articles = all["data"].as_array().unwrap();
    let paragraphs = articles.iter().flat_map(|article| article["paragraphs"].as_array().unwrap());
    let segment = |paragraph: &Value| {
        let context = paragraph["context"].as_str().unwrap().replace('\n', " ");
        let sentences: Vec<&str> = context.split(". ").collect();
        let thinned = |sentence: &&str| {
            let words = sentence.split(' ').enumerate().filter(|(at, _)| at % 7 != 6);
            words.map(|(_, word)| word).collect::<Vec<_>>().join(" ")
        };
        let moved = sentences.iter().skip(1).step_by(2).chain(sentences.iter().step_by(2));
        let prediction = moved.map(thinned).collect::<Vec<_>>().join("\n");
        Segment::new(prediction, [sentences.join("\n")])
    };
    Some(paragraphs.step_by(6).map(segment).collect())
}

#[test]
fn real_texts_score_as_in_the_programs_that_define_the_metrics() {
    let expected: BTreeMap<String, Scores> = read("real.json");
    // The larger set where time does not matter.
    let long = std::env::var_os("PEFT_TESTS_LONG").is_some();
    let test = if long { e2e("test") } else { None };
    for (name, segments) in [("e2e_dev", e2e("dev")), ("e2e_test", test), ("xquad", xquad())] {
        let Some(segments) = segments else { continue };
        let count = compare(name, &of_texts(&segments), &expected[name]);
        println!("{name}: {} predictions, {count} metrics", segments.len());
        assert!(count > 10);
    }
}
