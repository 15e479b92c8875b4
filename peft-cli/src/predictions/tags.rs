//! Tags of words, and the entities that they mark.

use std::ops::Range;

use peft_core::{
    data::{Example, Labels},
    metrics,
};
use serde_json::{Map, Value, json};

use super::{Shown, name};

/// The text or the words that a row's tags are of.
#[derive(Clone, Debug)]
pub enum Words<'a> {
    /// A text, and the bytes of its words.
    Text(&'a str, Vec<Range<usize>>),
    /// Words alone.
    List(Vec<String>),
    /// Token ids.
    Unknown,
}

/// The class chosen at a place, and the probabilities of all classes.
pub type Chosen = (usize, Vec<f32>);

/// The tags of a row with their probabilities, from the class chosen at each token and the probabilities of all
/// classes. A word without subword tokens, or one that was cut off, has no tag.
pub fn tags(
    example: &Example,
    labels: Option<&Labels>,
    chosen: &[Chosen],
    words: &Words<'_>,
    shown: Shown,
) -> Map<String, Value> {
    let at: Vec<Option<&Chosen>> = match &example.word_of_token {
        Some(word_of_token) => {
            let mut of_word = vec![None; example.num_words];
            for (word, at) in word_of_token.iter().zip(chosen) {
                if let Some(word) = word {
                    of_word[*word] = Some(at);
                }
            }
            of_word
        }
        None => chosen.iter().map(Some).collect(),
    };
    let probability = |at: &Chosen| at.1.get(at.0).copied();
    let mut fields = Map::new();
    fields.insert("tags".into(), each(&at, |at| name(labels, at.0)));
    fields.insert("probabilities".into(), each(&at, |at| json!(probability(at))));
    if shown.top.is_some() {
        fields.insert("top".into(), each(&at, |at| json!(shown.likeliest("tag", labels, &at.1))));
    }
    if let Some(labels) = labels.filter(|labels| labels.are_tags()) {
        // As they are scored: words without a tag are passed over.
        let known: Vec<(usize, &Chosen)> =
            at.iter().enumerate().filter_map(|(word, at)| Some((word, (*at)?))).collect();
        let tags: Vec<&str> =
            known.iter().map(|(_, at)| labels.name(at.0).unwrap_or_default()).collect();
        let entity = |found: metrics::Entity| {
            let of_words = &known[found.start..=found.end];
            let sum: f32 = of_words.iter().filter_map(|(_, at)| probability(at)).sum();
            entity(
                &found.kind,
                of_words[0].0..known[found.end].0 + 1,
                sum / of_words.len() as f32,
                words,
            )
        };
        let entities = metrics::entities(&tags).into_iter().map(entity);
        fields.insert("entities".into(), entities.collect());
    }
    fields
}

/// A value for each word, null where it has no tag.
fn each(at: &[Option<&Chosen>], value: impl Fn(&Chosen) -> Value) -> Value {
    at.iter().map(|at| at.map_or(Value::Null, &value)).collect()
}

/// An entity of a type: its words, as the first and the one behind the last, with its text and, in a text, the
/// characters in the same way. Its probability is the mean of those of its tags.
fn entity(kind: &str, span: Range<usize>, probability: f32, words: &Words<'_>) -> Value {
    let mut found = json!({
        "type": kind, "start_word": span.start, "end_word": span.end, "probability": probability,
    });
    match words {
        Words::Text(text, bytes) => {
            let (from, to) = (bytes[span.start].start, bytes[span.end - 1].end);
            let start = text[..from].chars().count();
            found["text"] = text[from..to].into();
            found["start"] = start.into();
            found["end"] = (start + text[from..to].chars().count()).into();
        }
        Words::List(words) => found["text"] = words[span].join(" ").into(),
        Words::Unknown => {}
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use peft_core::data::Target;

    use super::*;
    use crate::predictions::words;

    fn labels(names: &[&str]) -> Labels {
        Labels::from_list(names.iter().map(ToString::to_string).collect()).unwrap()
    }

    /// Words of one token each, tagged so; those of `None` have no token.
    fn tagged(classes: &[Option<usize>], labels: &Labels, words: &Words<'_>) -> Map<String, Value> {
        let known: Vec<Option<usize>> =
            classes.iter().enumerate().map(|(word, class)| class.map(|_| word)).collect();
        let mut example = Example::new(vec![1; classes.len()], Target::None, 1);
        (example.word_of_token, example.num_words) = (Some(known), classes.len());
        let chosen = |class: &Option<usize>| (class.unwrap_or(0), vec![0.25, 0.5, 0.75]);
        let chosen: Vec<(usize, Vec<f32>)> = classes.iter().map(chosen).collect();
        tags(&example, Some(labels), &chosen, words, Shown { top: None })
    }

    #[test]
    fn entities_have_their_words_and_characters() {
        let labels = labels(&["O", "B-LOC", "I-LOC"]);
        let text = "Ä in New York.";
        let of_text = Words::Text(text, words(text));
        let found = tagged(&[Some(0), Some(0), Some(1), Some(2), Some(0)], &labels, &of_text);
        assert_eq!(found["tags"], json!(["O", "O", "B-LOC", "I-LOC", "O"]));
        let entity = json!({"type": "LOC", "start_word": 2, "end_word": 4, "probability": 0.625,
            "text": "New York", "start": 5, "end": 13});
        assert_eq!(found["entities"], json!([entity]));
        let list = Words::List(["a", "b", "c"].map(String::from).to_vec());
        let found = tagged(&[Some(1), None, Some(2)], &labels, &list);
        assert_eq!(found["tags"], json!(["B-LOC", null, "I-LOC"]));
        let entity = json!({"type": "LOC", "start_word": 0, "end_word": 3, "probability": 0.625,
            "text": "a b c"});
        assert_eq!(found["entities"], json!([entity]));
    }

    #[test]
    fn tags_that_mark_no_entities_have_none() {
        let found = tagged(&[Some(1)], &labels(&["X", "NOUN", "VERB"]), &Words::Unknown);
        assert_eq!(found["tags"], json!(["NOUN"]));
        assert!(!found.contains_key("entities"));
    }
}
