//! Answers to a question.

use peft_core::{
    data::Example,
    evaluate::{Answer, NullAnswer},
};
use serde_json::{Map, Value, json};

/// The best of the answers to a question and, where so many were asked for, up to that many of them in a list. Where questions may have
/// no answer, also whether this one has, and by how much none scores above the best one. `found` is not empty.
pub fn answers(examples: &[Example], found: &[Answer], asked: Option<usize>) -> Map<String, Value> {
    let best = &found[0];
    let example = &examples[best.example];
    let mut fields = match best.null.filter(|none| none.is_chosen) {
        Some(none) => none_of(example, &none),
        None => answer(example, best),
    };
    if let Some(none) = best.null {
        fields.insert("has_answer".into(), json!(!none.is_chosen));
        fields.insert("null_score_diff".into(), json!(none.score_diff));
    }
    if let Some(asked) = asked {
        let mut all: Vec<(f64, Map<String, Value>)> = found
            .iter()
            .map(|found| (found.score, answer(&examples[found.example], found)))
            .collect();
        if let Some(none) = best.null {
            // They are ordered by their scores wherever there may be none.
            let at = all.partition_point(|(score, _)| *score >= none.score);
            all.insert(at, (none.score, none_of(example, &none)));
            all.truncate(asked);
        }
        let scored = |(score, mut fields): (f64, Map<String, Value>)| {
            fields.insert("score".into(), json!(score));
            Value::Object(fields)
        };
        fields.insert("answers".into(), all.into_iter().map(scored).collect());
    }
    fields
}

/// An answer's text and its place in the context, in characters; for a row of token ids, its first and last token.
fn answer(example: &Example, answer: &Answer) -> Map<String, Value> {
    let excerpt = example.window.as_ref().and_then(|w| w.excerpt(answer.start, answer.end));
    let place = match excerpt {
        Some(found) => [
            ("answer", json!(found.text)),
            ("start", json!(found.start)),
            ("end", json!(found.end)),
        ]
        .to_vec(),
        None => positions(answer.start, answer.end),
    };
    with_probability(place, answer.probability)
}

/// No answer: an empty text without a place, or the first token.
fn none_of(example: &Example, none: &NullAnswer) -> Map<String, Value> {
    let place = match example.window {
        Some(_) => [("answer", json!("")), ("start", Value::Null), ("end", Value::Null)].to_vec(),
        None => positions(0, 0),
    };
    with_probability(place, none.probability)
}

fn positions(start: usize, end: usize) -> Vec<(&'static str, Value)> {
    vec![("start_position", json!(start)), ("end_position", json!(end))]
}

fn with_probability(place: Vec<(&str, Value)>, probability: f64) -> Map<String, Value> {
    let probability = ("probability", json!(probability));
    place.into_iter().chain([probability]).map(|(key, value)| (key.to_string(), value)).collect()
}
