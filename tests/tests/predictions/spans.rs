//! What is marked in a text: entities, and answers to questions.

use peft_core::metrics;
use serde_json::{Value, json};

use super::{lines, model, predict, run_with, without, write};

#[test]
fn tags_mark_entities_with_their_words_and_characters() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir, "bert-tok");
    let text = "Mia lives in (the) blue town, near the sea. Who built it?";
    let words = [
        "Mia", "lives", "in", "(", "the", ")", "blue", "town", ",", "near", "the", "sea", ".",
        "Who", "built", "it", "?",
    ];
    let rows = [json!({"id": 5, "text": text}), json!({"tokens": words, "text": "not read"})];
    write(dir, "text.jsonl", &rows[..1]);
    write(dir, "words.jsonl", &rows[1..]);
    let flags = ["--labels", "B-PER,I-PER,O,B-LOC,I-LOC", "--top-k", "2", "--input"];
    let run = |name: &str| lines(predict(dir, &flags).arg(name)).remove(0);
    let (of_text, of_words) = (run("text.jsonl"), run("words.jsonl"));
    assert_eq!((&of_text["id"], &of_text["input"]), (&json!(5), &rows[0]));
    assert_eq!(of_text["tags"], of_words["tags"]);
    let tags: Vec<&str> =
        of_text["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    assert_eq!(tags.len(), words.len());
    for (tag, top) in tags.iter().zip(of_text["top"].as_array().unwrap()) {
        assert_eq!((top[0]["tag"].as_str(), top.as_array().unwrap().len()), (Some(*tag), 2));
    }
    let marked = metrics::entities(&tags);
    assert!(!marked.is_empty(), "{tags:?}");
    let number = |value: &Value| value.as_u64().unwrap() as usize;
    let characters: Vec<char> = text.chars().collect();
    for ((entity, of_text), of_words) in marked
        .iter()
        .zip(of_text["entities"].as_array().unwrap())
        .zip(of_words["entities"].as_array().unwrap())
    {
        assert_eq!(of_text["type"], entity.kind);
        assert_eq!(
            number(&of_text["start_word"])..number(&of_text["end_word"]),
            entity.start..entity.end + 1
        );
        let span = number(&of_text["start"])..number(&of_text["end"]);
        assert_eq!(characters[span].iter().collect::<String>(), of_text["text"]);
        assert!(of_text["text"].as_str().unwrap().starts_with(words[entity.start]));
        assert!(of_text["text"].as_str().unwrap().ends_with(words[entity.end]));
        assert_eq!(of_words["text"], words[entity.start..=entity.end].join(" "));
        assert!(of_words.get("start").is_none());
    }
    assert_eq!(of_text["entities"].as_array().unwrap().len(), marked.len());
    let asked = lines(predict(dir, &flags[..4]).args(["--text", text])).remove(0);
    assert_eq!(asked, without(&of_text, &["id", "input"]));
    // A text or words in a field of another name.
    write(dir, "other.jsonl", &[json!({"sentence": text, "tokens": ["not", "read"]})]);
    let other = run_with(dir, &flags, &["other.jsonl", "--text-field", "sentence"]);
    assert_eq!(without(&other, &["input"]), without(&of_text, &["id", "input"]));
    write(dir, "other.jsonl", &[json!({"form": words})]);
    let other = run_with(dir, &flags, &["other.jsonl", "--text-field", "form"]);
    assert_eq!(without(&other, &["input"]), without(&of_words, &["input"]));
}

#[test]
fn the_best_answers_have_their_places_and_scores() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    model(dir, "bert-qa");
    let context =
        "mia lives in a red house near the sea. the cat sat on the small mat in the blue town.";
    let row = json!({"id": "q-7", "question": "where does mia live", "context": context});
    write(dir, "rows.jsonl", &[row]);
    let cut = ["--max-length", "16", "--doc-stride", "6"];
    let run = |more: &[&str]| {
        lines(predict(dir, &["--input", "rows.jsonl"]).args(cut).args(more)).remove(0)
    };
    let best = run(&[]);
    assert_eq!(best["id"], "q-7");
    let several = run(&["--n-best", "6"]);
    assert_eq!(without(&several, &["answers"]), best);
    let number = |value: &Value, key: &str| value[key].as_f64().unwrap();
    let answers = several["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 6);
    assert_eq!(without(&answers[0], &["score"]), without(&best, &["id", "input"]));
    for (at, answer) in answers.iter().enumerate() {
        let span = number(answer, "start") as usize..number(answer, "end") as usize;
        // The context is ASCII.
        assert_eq!(answer["answer"], context[span]);
        let later = answers[at + 1..].iter();
        assert!(
            later
                .clone()
                .all(|other| number(other, "probability") <= number(answer, "probability"))
        );
        let place = |answer: &Value| (answer["start"].clone(), answer["end"].clone());
        assert!(later.clone().all(|other| place(other) != place(answer)));
    }
    // No answer is one of them where there may be none; then scores decide.
    let may_have_none = ["--max-answer-length", "2", "--null-score-diff-threshold", "0"];
    let perhaps = run(&[&may_have_none[..], &["--n-best", "90"]].concat());
    let answers = perhaps["answers"].as_array().unwrap();
    let none = answers.iter().find(|answer| answer["answer"] == "").unwrap();
    assert!(none["start"].is_null());
    assert!(answers.windows(2).all(|two| number(&two[0], "score") >= number(&two[1], "score")));
    let first = answers.iter().find(|answer| answer["answer"] != "").unwrap();
    let diff = number(none, "score") - number(first, "score");
    assert!((diff - number(&perhaps, "null_score_diff")).abs() < 1e-9);

    let asked =
        lines(predict(dir, &["--text", "where does mia live", "--text-pair", context]).args(cut));
    assert_eq!(asked[0], without(&best, &["id", "input"]));
    for (args, says) in [
        (
            ["--text", "where", "--batch-size", "1"],
            "error: --text: is the question here: give its context",
        ),
        (["--input", "rows.jsonl", "--top-k", "2"], "error: --top-k: not used by qa"),
    ] {
        let output = predict(dir, &args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(says), "{args:?}: {said}");
    }
}
