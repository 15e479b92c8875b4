//! Rows that are encoded as they are read, so that few of them are in memory at a time.

use std::sync::Arc;

use tokenizers::Tokenizer;

use super::{CHUNK, Encoded, Encoder, EncoderConfig, encoded::Gathered};
use crate::{
    data::example::Example,
    error::{Error, Result},
    text::{chat::ChatSource, record::Record},
};

/// What rows are encoded with beside the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Some are text.
    pub tokenizer: bool,
    /// Some are conversations.
    pub chat_template: bool,
}

impl Needs {
    /// These needs and those of further rows.
    fn with(self, records: &[Record], config: &EncoderConfig) -> Self {
        let is_text = |record: &Record| !record.is_ids();
        let is_conversation = |record: &Record| config.is_conversation(record);
        Self {
            tokenizer: self.tokenizer || records.iter().any(is_text),
            chat_template: self.chat_template || records.iter().any(is_conversation),
        }
    }
}

/// What a model has for [`Needs`].
#[derive(Debug, Default)]
pub struct Supplies {
    /// Its tokenizer.
    pub tokenizer: Option<Tokenizer>,
    /// Its chat template; replaces that of the settings.
    pub chat: Option<Arc<ChatSource>>,
    /// The token that closes a text, which may depend on the tokenizer; replaces that of the settings.
    pub eos: Option<u32>,
}

impl EncoderConfig {
    /// Encodes rows as they are read, in order; some thousands of them are in memory at a time.
    ///
    /// `supply` is asked for what the first rows need, and again where later ones need more: a tokenizer that no row
    /// needs is not loaded.
    ///
    /// # Errors
    /// Those among the rows and those of `supply`; as [`init`](Self::init) and [`Encoder::encode`]; [`Error::File`] if
    /// the rows should have targets and none has one.
    pub fn encode_rows(
        &self,
        rows: impl IntoIterator<Item = Result<Record>>,
        mut supply: impl FnMut(Needs) -> Result<Supplies>,
    ) -> Result<Encoded> {
        let mut rows = rows.into_iter();
        let mut gathered = Gathered::new(self, 0);
        let mut ready: Option<(Needs, Encoder)> = None;
        loop {
            let chunk = rows.by_ref().take(CHUNK).collect::<Result<Vec<Record>>>()?;
            let known = ready.as_ref().map(|(needs, _)| *needs);
            let needs = known.unwrap_or_default().with(&chunk, self);
            let (_, encoder) = match ready.take().filter(|_| known == Some(needs)) {
                Some(ready) => ready,
                None => (needs, self.supplied(supply(needs)?)?),
            };
            if chunk.is_empty() {
                break;
            }
            gathered.add(&encoder, &chunk)?;
            ready = Some((needs, encoder));
        }
        let encoded = gathered.finish()?;
        match encoded.files.first() {
            Some((_, path)) if self.targets && encoded.examples.iter().all(has_no_target) => {
                Err(Error::file(path, "no row has a target"))
            }
            _ => Ok(encoded),
        }
    }

    /// The encoder of these settings, with what the rows need.
    fn supplied(&self, supplies: Supplies) -> Result<Encoder> {
        let Supplies { tokenizer, chat, eos } = supplies;
        let config = self.clone();
        let (chat, eos) = (chat.or(config.chat), eos.or(config.eos));
        Self { chat, eos, ..config }.init(tokenizer)
    }
}

fn has_no_target(example: &Example) -> bool {
    example.labelled() == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        contract::{problem_type::ProblemType, task::Task},
        text::{
            encode::tests::{labels, rows},
            template::Template,
            tokenizer::tests::word_piece,
        },
    };

    /// The rows `all`, encoded as they are read, and what was supplied for them.
    fn encode(
        config: &EncoderConfig,
        all: impl IntoIterator<Item = Value>,
    ) -> (Result<Encoded>, Vec<Needs>) {
        let mut asked = Vec::new();
        let supply = |needs: Needs| {
            asked.push(needs);
            let tokenizer = needs.tokenizer.then(word_piece);
            Ok(Supplies { tokenizer, ..Supplies::default() })
        };
        let encoded = config.encode_rows(rows(all).into_iter().map(Ok), supply);
        (encoded, asked)
    }

    fn classes() -> EncoderConfig {
        EncoderConfig { labels: labels(&["a", "b"]), ..EncoderConfig::new(Task::SeqCls, 14) }
    }

    #[test]
    fn chunks_make_what_all_rows_at_once_make() {
        let ids = (0..CHUNK + 2).map(|i| json!({"input_ids": [i % 14], "label": i % 2}));
        let texts = (0..CHUNK).map(|_| json!({"text": "the cat", "label": "b"}));
        let all: Vec<Value> = ids.chain(texts).collect();
        let (encoded, asked) = encode(&classes(), all.clone());
        let encoder = classes().init(Some(word_piece())).unwrap();
        assert_eq!(encoded.unwrap(), encoder.encode(&rows(all)).unwrap());
        // The tokenizer, not before the first text.
        let text = Needs { tokenizer: true, chat_template: false };
        assert_eq!(asked, [Needs::default(), text]);
        let (encoded, asked) = encode(&classes(), []);
        assert_eq!((encoded.unwrap(), asked), (Encoded::default(), vec![Needs::default()]));
    }

    #[test]
    fn what_only_all_chunks_together_tell_is_told() {
        let config = EncoderConfig { problem_type: ProblemType::MultiLabel, ..classes() };
        let open = |count| (0..count).map(|_| json!({"text": "the cat", "label": [0, 1]}));
        let error = encode(&config, open(2 * CHUNK + 1)).0.unwrap_err().to_string();
        assert!(error.starts_with("rows.jsonl, line 1: field `label`: every row has"), "{error}");
        // One row of another chunk says how all are meant.
        let told = json!({"text": "the cat", "label": [1]});
        assert!(encode(&config, open(2 * CHUNK).chain([told])).0.is_ok());

        let config = EncoderConfig::new(Task::CausalLm, 14);
        let ignored =
            |count| (0..count).map(|_| json!({"input_ids": [1, 2], "labels": [-100, -100]}));
        let error = encode(&config, ignored(CHUNK + 1)).0.unwrap_err().to_string();
        assert_eq!(error, "rows.jsonl: no row has a target");
        let learnt = json!({"input_ids": [1, 2], "labels": [-100, 2]});
        assert!(encode(&config, ignored(CHUNK + 1).chain([learnt])).0.is_ok());
    }

    #[test]
    fn fields_that_no_row_of_any_chunk_has_are_named() {
        let template = Template::parse("{text}{? {tail}?}{? {more}?}", "source_template").unwrap();
        let config = EncoderConfig { source_template: Some(template.clone()), ..classes() };
        let row = |_| json!({"text": "the cat", "label": "a"});
        let late = json!({"text": "the cat", "tail": "sat", "label": "a"});
        let encoded = encode(&config, (0..CHUNK).map(row).chain([late])).0.unwrap();
        assert_eq!(encoded.absent, [("more".to_owned(), template)]);
    }

    #[test]
    fn rows_without_a_label_are_left_out_and_counted() {
        let skipping = EncoderConfig { skip_unlabelled: true, ..classes() };
        let label = |label: Value| json!({"text": "the cat", "label": label});
        let absent = json!({"text": "the cat"});
        let ids = json!({"input_ids": [1], "label": -1});
        let all = [label(json!("-")), label(json!("a")), absent, ids, label(json!(null))];
        let encoded = encode(&skipping, all.clone()).0.unwrap();
        assert_eq!((encoded.left_out, encoded.goes_on.len()), (vec![0, 2, 3, 4], 1));
        assert_eq!((encoded.examples[0].line, encoded.texts), (2, 1));
        assert!(encode(&classes(), all).0.is_err());
        let other = encode(&skipping, [label(json!("c"))]).0.unwrap_err().to_string();
        assert!(other.contains("found label `c`"), "{other}");
        let none = (0..CHUNK + 1).map(|_| label(json!("-1")));
        for config in [&skipping, &classes()] {
            let error = encode(config, none.clone()).0.unwrap_err().to_string();
            let says = "rows.jsonl: no row has a label in field `label`; set `label_field`";
            assert!(error.starts_with(says), "{error}");
            let one = encode(config, [label(json!(null))]).0.unwrap_err().to_string();
            assert!(one.starts_with(says), "{one}");
        }
        // Where the file goes on with labels, the first row is told.
        let late = none.chain([label(json!("a"))]);
        assert_eq!(encode(&skipping, late.clone()).0.unwrap().records(), 1);
        let error = encode(&classes(), late).0.unwrap_err().to_string();
        let is_of_row = error.starts_with("rows.jsonl, line 1: ");
        assert!(is_of_row && error.contains("set `skip_unlabelled`"), "{error}");
        let predict = EncoderConfig { targets: false, ..skipping.clone() };
        assert_eq!(encode(&predict, [label(json!("-"))]).0.unwrap().records(), 1);
        // The places are those among all rows, in whichever chunk they are.
        let many = (0..2 * CHUNK).map(|row| label(json!(if row % 3 == 0 { "-" } else { "a" })));
        let encoded = encode(&skipping, many.clone()).0.unwrap();
        assert_eq!(encoded.left_out, (0..2 * CHUNK).step_by(3).collect::<Vec<_>>());
        let kept = encoded.kept(many.collect());
        assert!(kept.iter().all(|row| row["label"] == "a") && kept.len() == encoded.records());
    }

    #[test]
    fn an_error_among_the_rows_is_that_of_all() {
        let broken = || Err::<Record, _>(Error::setting("rows", "broken"));
        let good = rows([json!({"text": "the cat", "label": "a"})]).into_iter().map(Ok);
        let supply = |_| Ok(Supplies { tokenizer: Some(word_piece()), ..Supplies::default() });
        let result = classes().encode_rows(good.chain([broken()]), supply);
        assert_eq!(result.unwrap_err().to_string(), broken().unwrap_err().to_string());
    }
}
