//! Questions with a context, in windows that fit the model.
//!
//! | file | what it is |
//! |---|---|
//! | `qa/answers.rs` | the answers of a row, found in its context |

mod answers;

use std::sync::Arc;

pub(super) use answers::says_answers;
use answers::{Answer, answers};
use tokenizers::Encoding;

use super::{Encoder, Row, check};
use crate::{
    data::{
        example::{Example, Target},
        passage::{Passage, Window},
    },
    error::Result,
    text::{fields::Role, record::Record},
};

/// Returns the examples of rows with `question`, `context` and `answers`.
pub(super) fn rows(encoder: &Encoder, records: &[&Record]) -> Result<Vec<Row>> {
    let encodings = encoder.tokenize(records, true, true, |record| {
        let fields = &encoder.config.fields;
        Ok((record.text(fields.name(Role::Question))?, record.text(fields.name(Role::Context))?)
            .into())
    })?;
    let row = |(record, encoding): (&&Record, &Encoding)| {
        let examples = windows(encoder, record, encoding)?;
        Ok(Row { examples, cut: false, target_cut: false, own_system: false })
    };
    records.iter().zip(&encodings).map(row).collect()
}

/// Returns one example per window onto the context.
///
/// With n tokens of context, windows of r context tokens and an overlap of s, the windows begin at
/// 0, r - s, 2 (r - s), ... until one holds the last token.
fn windows(encoder: &Encoder, record: &Record, encoding: &Encoding) -> Result<Vec<Example>> {
    let config = &encoder.config;
    let context = config.fields.name(Role::Context);
    let answers = config.targets.then(|| answers(record, &config.fields)).transpose();
    let answers = answers.map_err(|error| config.with_way_out(error, record))?;
    let whole = Window {
        bytes: offsets(encoding),
        passage: Arc::new(Passage {
            context: record.text(context)?.to_owned(),
            answers: answers.as_ref().map(|list| list.iter().map(|a| a.text.clone()).collect()),
        }),
    };
    let tokens_of = |answer: &Answer| whole.tokens_of(answer.start, answer.end);
    let found = answers.as_ref().map(|list| list.first().and_then(tokens_of));
    let from = whole.bytes.iter().position(Option::is_some);
    let to = whole.bytes.iter().rposition(Option::is_some);
    let (Some(from), Some(to)) = (from, to) else {
        return Err(
            record.error(format!("field `{context}`: found no tokens, expected at least one"))
        );
    };
    let (before, after) = (0..from, to + 1..encoding.len());
    let length = to + 1 - from;
    let fixed = encoding.len() - length;
    let budget = match config.max_length {
        None => length,
        Some(max_length) => {
            max_length.checked_sub(fixed).filter(|budget| *budget > 0).ok_or_else(|| {
                record.error(format!(
                    "question and special tokens are {fixed} tokens, which leaves no room for the \
                     context in the maximum length of {max_length}"
                ))
            })?
        }
    };
    let step = budget - config.doc_stride.min(budget / 2);

    let mut examples = Vec::new();
    let mut start = from;
    loop {
        let end = (start + budget).min(to + 1);
        let chosen: Vec<usize> = before.clone().chain(start..end).chain(after.clone()).collect();
        let pick = |values: &[u32]| chosen.iter().map(|token| values[*token]).collect::<Vec<_>>();
        let target = match found {
            None => Target::None,
            Some(Some((first, last))) if first >= start && last < end => {
                let shift = start - from;
                Target::Span { start: first - shift, end: last - shift }
            }
            // As in transformers' `run_qa`: the special token at the beginning of the row, also in
            // the windows that do not hold the answer.
            Some(_) => Target::Span { start: 0, end: 0 },
        };
        let types = (config.type_vocab_size > 1).then(|| pick(encoding.get_type_ids()));
        let example = Example {
            token_type_ids: types,
            window: Some(Window {
                passage: whole.passage.clone(),
                bytes: chosen.iter().map(|token| whole.bytes[*token]).collect(),
            }),
            ..Example::new(pick(encoding.get_ids()), target, record.line)
        };
        examples.push(check(config, record, example)?);
        if end > to {
            return Ok(examples);
        }
        start += step;
    }
}

/// The bytes of the context that each token stands for; `None` outside the context.
fn offsets(encoding: &Encoding) -> Vec<Option<(usize, usize)>> {
    let special = encoding.get_special_tokens_mask();
    let sequences = encoding.get_sequence_ids();
    let tokens = encoding.get_offsets().iter().zip(special).zip(sequences);
    tokens
        .map(|((bytes, special), sequence)| {
            (*special == 0 && sequence == Some(1)).then_some(*bytes)
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        contract::task::Task,
        text::{
            encode::{
                EncoderConfig,
                tests::{refusal, rows as records},
            },
            tokenizer::tests::{llama_like, word_piece},
        },
    };
    use proptest::prelude::*;
    use serde_json::{Value, json};

    // The tokenizer's ids: [CLS] 0, [SEP] 1, [UNK] 2, the 3, cat 4, sat 5, on 6, mat 7, word 8, ##y 9.

    fn config() -> EncoderConfig {
        EncoderConfig { type_vocab_size: 2, ..EncoderConfig::new(Task::QuestionAns, 14) }
    }

    fn encoder(config: EncoderConfig) -> Encoder {
        config.init(Some(word_piece())).unwrap()
    }

    fn row(context: &str, text: &str, start: usize) -> Value {
        let answers = json!({"text": [text], "answer_start": [start]});
        json!({"question": "the cat", "context": context, "answers": answers})
    }

    fn encode(encoder: &Encoder, fields: Value) -> Vec<Example> {
        encoder.encode(&records([fields])).unwrap().examples
    }

    /// The text that the row's target stands for.
    fn learnt(example: &Example) -> Option<&str> {
        let Target::Span { start, end } = example.target else { return None };
        Some(example.window.as_ref()?.excerpt(start, end)?.text)
    }

    #[test]
    fn a_pair_gets_its_types_and_the_answer_its_tokens() {
        let examples = encode(&encoder(config()), row("The cat sat wordy.", "sat wordy", 8));
        let [example] = examples.as_slice() else { panic!("one window") };
        assert_eq!(example.input_ids, [0, 3, 4, 1, 3, 4, 5, 8, 9, 11, 1]);
        assert_eq!(example.token_type_ids, Some(vec![0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]));
        assert_eq!(example.target, Target::Span { start: 6, end: 8 });
        let window = example.window.as_ref().unwrap();
        assert_eq!(window.bytes[..5], [None, None, None, None, Some((0, 3))]);
        assert_eq!(*window.passage.answers.as_ref().unwrap(), ["sat wordy"]);
        // An answer that is part of a word: the tokens of the word.
        let part = encode(&encoder(config()), row("The cat sat wordy.", "ordy", 13));
        assert_eq!(learnt(&part[0]), Some("wordy"));
    }

    #[test]
    fn answers_are_counted_in_characters() {
        let context = "ÄÖÜ ẞ€𝄞 cat, the ĵĥ mat";
        let start = context.chars().position(|c| c == 'ĵ').unwrap();
        let examples = encode(&encoder(config()), row(context, "ĵĥ mat", start));
        assert_eq!(learnt(&examples[0]), Some("ĵĥ mat"));
        let window = examples[0].window.as_ref().unwrap();
        let Target::Span { start: first, end } = examples[0].target else { panic!() };
        let excerpt = window.excerpt(first, end).unwrap();
        assert_eq!((excerpt.start, excerpt.end), (start, start + 6));
    }

    #[test]
    fn a_long_context_becomes_windows_that_overlap() {
        let short = EncoderConfig { max_length: Some(10), doc_stride: 2, ..config() };
        // 5 of 11 tokens fit: windows at 0, 3 and 6.
        let context = "the cat sat on the mat on a b a mat";
        let examples = encode(&encoder(short.clone()), row(context, "mat on", 19));
        let ids: Vec<&[u32]> = examples.iter().map(|e| &e.input_ids[4..]).collect();
        let expected: [&[u32]; 3] =
            [&[3, 4, 5, 6, 3, 1], &[6, 3, 7, 6, 12, 1], &[6, 12, 13, 12, 7, 1]];
        assert_eq!(ids, expected);
        let targets: Vec<Option<&str>> = examples.iter().map(learnt).collect();
        assert_eq!(targets, [None, Some("mat on"), None]);
        assert_eq!(examples[0].target, Target::Span { start: 0, end: 0 });
        assert!(examples.iter().all(|e| e.same_question(&examples[0]) && e.line == 1));
        // An overlap of more than half a window is reduced to half.
        let wide = EncoderConfig { doc_stride: 128, ..short };
        assert_eq!(encode(&encoder(wide), row(context, "mat on", 19)).len(), 3);
        let none = EncoderConfig { max_length: Some(4), ..config() };
        let error = refusal(&encoder(none), row(context, "mat on", 19));
        assert!(error.contains("are 5 tokens") && error.contains("maximum length of 4"), "{error}");
    }

    #[test]
    fn answers_may_be_in_columns_of_their_own() {
        let config = EncoderConfig::new(Task::QuestionAns, 8);
        let encoder = config.init(Some(llama_like(false))).unwrap();
        let mut row = json!({"question": "a b", "context": "c d e", "answers.text": ["d"], "answers.answer_start": [2]});
        assert_eq!(encode(&encoder, row.clone())[0].target, Target::Span { start: 3, end: 3 });
        row.as_object_mut().unwrap().remove("answers.answer_start");
        assert!(refusal(&encoder, row).contains("field `answers` has no `answer_start`"));
    }

    #[test]
    fn a_table_has_answers_as_text() {
        let config = EncoderConfig::new(Task::QuestionAns, 8);
        let encoder = config.init(Some(llama_like(false))).unwrap();
        for answers in [
            json!({"answers.text": "[\"d\"]", "answers.answer_start": "[2]"}),
            json!({"answers": "{\"text\": [\"d\"], \"answer_start\": [2]}"}),
            json!({"answers": "[{\"text\": \"d\", \"answer_start\": 2}]"}),
            // As pandas writes them, with NumPy's arrays and without.
            json!({"answers": "{'text': array(['d'], dtype=object), 'answer_start': array([2], dtype=int32)}"}),
            json!({"answers": "{'text': ['d'], 'answer_start': [2]}"}),
            json!({"answers": "[{'text': \"d\", 'answer_start': 2}]"}),
            json!({"answers.text": "['d']", "answers.answer_start": "[2]"}),
        ] {
            let mut row = json!({"question": "a b", "context": "c d e"});
            row.as_object_mut().unwrap().extend(answers.as_object().unwrap().clone());
            let example = encode(&encoder, row).remove(0);
            assert_eq!(example.target, Target::Span { start: 3, end: 3 }, "{answers}");
        }
        for none in [
            "{'text': [], 'answer_start': []}",
            "{'text': array([], dtype=object), 'answer_start': array([], dtype=int32)}",
        ] {
            let row = json!({"question": "a b", "context": "c d e", "answers": none});
            assert!(encode(&encoder, row).remove(0).is_unanswerable(), "{none}");
        }
        let row = json!({"question": "a", "context": "b", "answers.text": "['b' 'b']", "answers.answer_start": "[0 0]"});
        assert_eq!(
            refusal(&encoder, row),
            "rows.jsonl, line 1: field `answers.text`: found the string `['b' 'b']`, expected an array, in a table as \
             JSON ([\"a\", \"b\"], [1, 2]) or as Python writes a list"
        );
        // NumPy leaves the middle of long ones out.
        let row = json!({"question": "a", "context": "b", "answers": "{'text': array(['b', ..., 'b']), 'answer_start': array([0, ..., 0])}"});
        assert!(refusal(&encoder, row).contains("field `answers`: found the string `{'text'"));
    }

    #[test]
    fn a_decoder_reads_question_and_context_too() {
        let config = EncoderConfig::new(Task::QuestionAns, 8);
        let encoder = config.init(Some(llama_like(false))).unwrap();
        let answers = json!([{"text": "d", "answer_start": 2}, {"text": "e", "answer_start": 4}]);
        let row = json!({"question": "a b", "context": "c d e", "answers": answers});
        let examples = encode(&encoder, row);
        assert_eq!(examples[0].input_ids, [3, 4, 5, 6, 7]);
        assert_eq!(examples[0].target, Target::Span { start: 3, end: 3 });
        let passage = &examples[0].window.as_ref().unwrap().passage;
        assert_eq!(*passage.answers.as_ref().unwrap(), ["d", "e"]);
    }

    #[test]
    fn answers_that_are_not_there_are_refused() {
        let encoder = encoder(config());
        assert_eq!(
            refusal(&encoder, row("the cat", "cat", 7)),
            "rows.jsonl, line 1: field `answers`: answer 0: answer_start is 7, the context has 7 \
             characters"
        );
        assert_eq!(
            refusal(&encoder, row("the cat sat", "cat", 5)),
            "rows.jsonl, line 1: field `answers`: answer 0: the context has `at ` at character 5, \
             expected `cat`"
        );
        // Where other programs count other things.
        for (context, start, says) in [
            ("\u{1f600} cat", 3, "at character 3, expected `cat`; it is there in UTF-16"),
            ("\u{1f600}\u{1f600}cat", 4, "; it is there in UTF-16"),
            ("\u{e9} cat", 3, "; it is there in bytes"),
            ("\u{e9}\u{e9}\u{e9}cat", 6, "has 6 characters; it is there in bytes"),
        ] {
            let error = refusal(&encoder, row(context, "cat", start));
            assert!(error.contains(says), "{error}");
        }
        let with = |answers: Value| {
            refusal(&encoder, json!({"question": "a", "context": "b", "answers": answers}))
        };
        assert!(with(json!({"text": ["b"]})).contains("field `answers` has no `answer_start`"));
        assert!(
            with(json!({"text": "b", "answer_start": [0]})).contains("`answers.text`: found the")
        );
        let error = with(json!({"text": ["b"], "answer_start": []}));
        assert!(error.contains("found 1 texts and 0 starts"), "{error}");
        assert!(with(json!("b")).contains("found the string `b`, expected {"));
        assert!(with(json!([{"text": "b"}])).contains("expected an object with `answer_start`"));
        assert!(with(json!(["b"])).contains("`answers[0]`: found the string `b`"));
        let error = with(json!([{"text": " ", "answer_start": 0}]));
        assert!(error.ends_with("expected a text (the list is empty where there is no answer)"));
        assert!(with(json!([{"text": "b", "answer_start": -1}])).contains("number of a character"));
        let error = refusal(&encoder, json!({"question": "a", "context": "b"}));
        assert!(error.contains("field `answers` is missing"), "{error}");
        assert!(refusal(&encoder, json!({"question": "a"})).contains("`context` is missing"));
        let error = refusal(&encoder, json!({"question": "a", "context": " "}));
        assert!(error.contains("field `context`: found no tokens") || error.contains("answers"));
    }

    #[test]
    fn a_question_without_an_answer_learns_the_first_token() {
        let lists = json!({"text": [], "answer_start": []});
        let nulls = json!({"text": null, "answer_start": null});
        let plausible = json!([{"text": "cat", "answer_start": 0}]);
        for answers in [
            json!({"answers": []}),
            json!({"answers": lists}),
            json!({"answers": lists, "is_impossible": true}),
            json!({"answers": nulls, "is_impossible": 1}),
            json!({"answers": null}),
            json!({"answers": [], "is_impossible": true, "plausible_answers": plausible}),
            json!({"is_impossible": true, "plausible_answers": plausible}),
        ] {
            let mut row = json!({"question": "the cat", "context": "cat sat on the mat cat sat"});
            row.as_object_mut().unwrap().extend(answers.as_object().unwrap().clone());
            let short = EncoderConfig { max_length: Some(9), doc_stride: 1, ..config() };
            let examples = encode(&encoder(short), row);
            assert_eq!(examples.len(), 2, "{answers}");
            for example in &examples {
                assert_eq!(example.target, Target::Span { start: 0, end: 0 });
                assert!(example.is_unanswerable());
            }
        }
        let contrary = |answers: Value| {
            refusal(&encoder(config()), {
                let mut row = json!({"question": "the cat", "context": "cat sat"});
                row.as_object_mut().unwrap().extend(answers.as_object().unwrap().clone());
                row
            })
        };
        let error = contrary(json!({"answers": plausible, "is_impossible": true}));
        assert!(
            error.ends_with("field `answers`: found 1, but `is_impossible` is true"),
            "{error}"
        );
        let error = contrary(json!({"answers": [], "is_impossible": false}));
        assert!(error.ends_with("field `answers`: found none, but `is_impossible` is false"));
        let error = contrary(json!({"answers": [], "is_impossible": "no"}));
        assert!(error.ends_with("found the string `no`, expected true or false"), "{error}");
        assert!(contrary(json!({"is_impossible": false})).contains("`answers` is missing"));
    }

    #[test]
    fn an_answer_may_be_written_with_other_letters_and_blanks() {
        let encoder = encoder(config());
        for (text, start) in [("THE MAT ", 11), (" the Mat", 10), ("the mat", 11)] {
            let examples = encode(&encoder, row("cat sat on the mat", text, start));
            assert_eq!(learnt(&examples[0]), Some("the mat"), "{text}");
            let passage = &examples[0].window.as_ref().unwrap().passage;
            assert_eq!(*passage.answers.as_ref().unwrap(), [text], "the scores get what was given");
        }
        for (text, start) in [(" the mat", 11), ("the mat on", 11), ("mat", 11)] {
            assert!(refusal(&encoder, row("cat sat on the mat", text, start)).contains("expected"));
        }
    }

    #[test]
    fn rows_to_predict_need_no_answers() {
        let encoder = encoder(EncoderConfig { targets: false, ..config() });
        let row = json!({"question": "the", "context": "cat sat", "answers": 3});
        let examples = encode(&encoder, row);
        assert_eq!(examples[0].target, Target::None);
        assert_eq!(examples[0].window.as_ref().unwrap().passage.answers, None);
        assert!(!examples[0].is_unanswerable());
    }

    proptest! {
        /// Words of any letters: the target's tokens stand for the answer's text, in the window
        /// that holds all of it, and no window exceeds the length.
        #[test]
        fn spans_come_back_as_the_text_they_were_made_from(
            words in prop::collection::vec("[a-zäßçøéλжñ漢字é]{1,6}", 1..30),
            first in 0usize..30, count in 1usize..4, max_length in 7usize..40, stride in 0usize..20,
        ) {
            let first = first % words.len();
            let last = (first + count).min(words.len());
            let context = words.join(" ");
            let text = words[first..last].join(" ");
            let start = words[..first].iter().map(|word| word.chars().count() + 1).sum();
            let whole = encode(&encoder(config()), row(&context, &text, start));
            prop_assert_eq!(learnt(&whole[0]), Some(text.as_str()));
            let config =
                EncoderConfig { max_length: Some(max_length), doc_stride: stride, ..config() };
            let windows = encode(&encoder(config), row(&context, &text, start));
            prop_assert!(windows.iter().all(|window| window.input_ids.len() <= max_length));
            for found in windows.iter().filter_map(learnt) {
                prop_assert_eq!(found, text.as_str());
            }
            // The windows hold every token, in order.
            let tokens = |example: &Example| {
                example.window.as_ref().unwrap().bytes.iter().flatten().copied().collect::<Vec<_>>()
            };
            let mut joined: Vec<(usize, usize)> = windows.iter().flat_map(tokens).collect();
            joined.sort_unstable();
            joined.dedup();
            prop_assert_eq!(joined, tokens(&whole[0]));
        }
    }
}
