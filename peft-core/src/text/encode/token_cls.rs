//! Words with tags.

use super::{Cut, Encoder};
use crate::{
    data::example::{IGNORE, Target},
    error::Result,
    text::{
        fields::Role,
        labels::{label_index, record_tags},
        record::Record,
    },
};

/// Returns the examples of rows with `tokens` and `tags`.
pub(super) fn examples(encoder: &Encoder, records: &[&Record]) -> Result<Vec<Cut>> {
    let tokens = encoder.config.fields.name(Role::Tokens);
    let encodings =
        encoder.tokenize(records, true, true, |record| Ok(record.strings(tokens)?.into()))?;
    let mut examples = Vec::with_capacity(records.len());
    for (record, encoding) in records.iter().zip(&encodings) {
        let kept = encoder.kept(encoding);
        let (words, cut) = (first_subwords(&kept.words), kept.cut);
        let target = match encoder.config.targets {
            false => Target::None,
            true => {
                let classes = classes(encoder, record)?;
                let class = |word: &Option<usize>| word.map_or(IGNORE, |word| classes[word]);
                Target::Tokens(words.iter().map(class).collect())
            }
        };
        let mut example = encoder.tokenized(record, kept, target)?;
        example.word_of_token = Some(words);
        example.num_words = record.strings(tokens)?.len();
        examples.push((example, cut));
    }
    Ok(examples)
}

/// The classes of the words' tags.
fn classes(encoder: &Encoder, record: &Record) -> Result<Vec<i64>> {
    let fields = &encoder.config.fields;
    let words = record.strings(fields.name(Role::Tokens))?.len();
    let key = fields.name(Role::Tags);
    let tags =
        record_tags(record, key).map_err(|error| encoder.config.with_way_out(error, record))?;
    if tags.len() != words {
        let tags = tags.len();
        return Err(
            record.error(format!("found {tags} tags, expected one for each of {words} words"))
        );
    }
    let labels = encoder.labels()?;
    let class = |tag: &String| match tag.parse() {
        Ok(IGNORE) if labels.index(tag).is_none() => Ok(IGNORE),
        _ => label_index(labels, tag, record, key).map(|class| class as i64),
    };
    tags.iter().map(class).collect()
}

/// The word that each token begins; `None` if it continues a word or is a special token.
///
/// A word may be missing: the tokenizer returns no token for, say, a lone variation selector, which
/// occurs in WNUT 2017.
fn first_subwords(word_ids: &[Option<u32>]) -> Vec<Option<usize>> {
    let mut before = None;
    let first = |&word: &Option<u32>| {
        let first = if word == before { None } else { word };
        before = word;
        first.map(|word| word as usize)
    };
    word_ids.iter().map(first).collect()
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
                tests::{labels, one, refusal},
            },
            tokenizer::tests::word_piece,
        },
    };
    use serde_json::{Value, json};

    fn config() -> EncoderConfig {
        EncoderConfig {
            labels: labels(&["O", "B-x", "I-x"]),
            ..EncoderConfig::new(Task::TokenCls, 14)
        }
    }

    fn encoder(config: EncoderConfig) -> Encoder {
        config.init(Some(word_piece())).unwrap()
    }

    fn tagged(tokens: Value, tags: Value) -> Value {
        json!({"tokens": tokens, "tags": tags})
    }

    #[test]
    fn the_tag_belongs_to_the_first_piece() {
        let row =
            tagged(json!(["The", "wordyless", "cat.", "zz"]), json!(["O", "B-x", "I-x", "O"]));
        let (example, cut) = one(&encoder(config()), row).unwrap();
        assert_eq!(example.input_ids, [0, 3, 8, 9, 10, 4, 11, 2, 1]);
        let targets = vec![IGNORE, 0, 1, IGNORE, IGNORE, 2, IGNORE, 0, IGNORE];
        assert_eq!(example.target, Target::Tokens(targets));
        let words = [None, Some(0), Some(1), None, None, Some(2), None, Some(3), None];
        assert_eq!((example.labelled(), cut), (4, false));
        assert_eq!(example.word_of_token.unwrap(), words);
        // A word without a tag, as transformers writes it.
        let row = tagged(json!(["a", "cat"]), json!([-100, "O"]));
        let (example, _) = one(&encoder(config()), row).unwrap();
        assert_eq!(example.target, Target::Tokens(vec![IGNORE, IGNORE, 0, IGNORE]));
        // The same word twice in a row is two words.
        let twice = one(&encoder(config()), tagged(json!(["a", "a"]), json!(["O", "O"])));
        assert_eq!(twice.unwrap().0.word_of_token.unwrap(), [None, Some(0), Some(1), None]);
    }

    #[test]
    fn words_without_tokens_keep_the_others_in_place() {
        let row = tagged(
            json!(["\u{200b}", "cat", "", "\u{ad}", "mat"]),
            json!(["O", "B-x", "O", "O", "I-x"]),
        );
        let (example, _) = one(&encoder(config()), row).unwrap();
        assert_eq!(example.input_ids, [0, 4, 7, 1]);
        assert_eq!(example.target, Target::Tokens(vec![IGNORE, 1, 2, IGNORE]));
        assert_eq!(example.word_of_token.unwrap(), [None, Some(1), Some(4), None]);
        let (example, _) = one(&encoder(config()), tagged(json!([]), json!([]))).unwrap();
        assert_eq!((example.input_ids.len(), example.labelled()), (2, 0));
    }

    #[test]
    fn words_that_are_cut_off_lose_their_tags() {
        let encoder = encoder(EncoderConfig { max_length: Some(4), ..config() });
        let (example, cut) =
            one(&encoder, tagged(json!(["cat", "wordy", "mat"]), json!(["O", "B-x", "O"])))
                .unwrap();
        assert_eq!(example.input_ids, [0, 4, 8, 1]);
        assert_eq!(example.target, Target::Tokens(vec![IGNORE, 0, 1, IGNORE]));
        assert_eq!(example.word_of_token.unwrap(), [None, Some(0), Some(1), None]);
        assert!(cut);
        assert!(!one(&encoder, tagged(json!(["cat", "mat"]), json!(["O", "O"]))).unwrap().1);
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        let encoder = encoder(config());
        assert_eq!(
            refusal(&encoder, tagged(json!(["a", "b"]), json!(["O"]))),
            "rows.jsonl, line 1: found 1 tags, expected one for each of 2 words"
        );
        let error = refusal(&encoder, tagged(json!(["a"]), json!(["B-y"])));
        assert!(error.contains("found label `B-y`, expected one of: O, B-x, I-x"), "{error}");
        assert!(refusal(&encoder, tagged(json!("a b"), json!(["O"]))).contains("array of strings"));
        assert!(
            refusal(&encoder, tagged(json!(["a"]), json!("O")))
                .contains("expected an array of tags")
        );
        assert!(refusal(&encoder, json!({"tokens": ["a"]})).contains("field `tags` is missing"));
        assert!(refusal(&encoder, json!({"text": "a"})).contains("field `tokens` is missing"));
    }

    #[test]
    fn rows_to_predict_still_say_which_token_is_which_word() {
        let encoder = encoder(EncoderConfig { targets: false, labels: None, ..config() });
        let (example, _) = one(&encoder, json!({"tokens": ["wordy", "a"]})).unwrap();
        assert_eq!(example.target, Target::None);
        assert_eq!(example.word_of_token.unwrap(), [None, Some(0), None, Some(1), None]);
    }
}
