//! Turns records into [`Example`]s: token ids, and targets for the task.
//!
//! | file | what it is |
//! |---|---|
//! | `encode/config.rs` | the settings |
//! | `encode/rows.rs` | rows that are encoded as they are read |
//! | `encode/encoded.rs` | the examples, and what only all rows together tell |
//! | `encode/empty.rs` | rows whose text is empty |
//! | `encode/untaught.rs` | rows without a label, tags, a target or answers |
//! | `encode/split.rs` | rows held out from training |
//! | `encode/ids.rs` | token ids, for any task |
//! | `encode/tokenise.rs` | texts to tokens, many at once |
//! | `encode/texts.rs` | sources and targets, and how they are cut |
//! | `encode/truncate.rs` | which tokens of a text or pair are kept |
//! | `encode/causal.rs` | texts to continue |
//! | `encode/chat.rs` | conversations to continue |
//! | `encode/seq2seq.rs` | texts to turn into others |
//! | `encode/seq_cls.rs` | texts with a class |
//! | `encode/token_cls.rs` | words with tags |
//! | `encode/qa.rs` | questions with a context |

mod causal;
mod chat;
mod config;
mod empty;
mod encoded;
mod ids;
mod qa;
mod rows;
mod seq2seq;
mod seq_cls;
mod split;
mod texts;
mod token_cls;
mod tokenise;
mod truncate;
mod untaught;

use std::borrow::Cow;

use tokenizers::{EncodeInput, Encoding, Tokenizer};

pub use config::EncoderConfig;
pub use encoded::Encoded;
pub use rows::{Needs, Supplies};

use encoded::Gathered;
use truncate::{End, Kept};

use super::record::Record;
use crate::{
    contract::task::Task,
    data::{
        example::{Example, Target},
        labels::Labels,
    },
    error::{Error, Result},
};

/// Rows that are read and tokenised at once: enough to keep all threads busy, few enough that they and their
/// encodings, which are much larger than the examples, do not matter.
const CHUNK: usize = 4096;

/// Turns records into examples. Should be created with [`EncoderConfig`].
///
/// - Rows with `input_ids` are used unchanged and not truncated. They have `labels`: one per token,
///   -100 where there is none. For `seq-cls` they have `label`: a class index, or a name in the
///   list. For `qa` they have `start_positions` and `end_positions`: token positions counted from
///   0, both 0 if there is no answer and a threshold is set for that, both -100 if nothing is
///   known of it. For `seq2seq-lm` they have `labels` of any length, with or without
///   `decoder_input_ids`; without, the decoder reads the labels, shifted by one position, after its
///   start token.
/// - `seq-cls`: `text` (and `text_pair`) with `label`: a class, or by `problem_type` a list of
///   classes (or of a number from 0.0 to 1.0 for each of them), or one or more numbers.
/// - `token-cls`: `tokens` with `tags`, one per word. The tag is the target of the word's first
///   subword token; its other subword tokens and the special tokens have no target.
/// - `causal-lm`: `source` with `target`, tokenised separately: the source with the tokenizer's
///   special tokens, but without an end-of-text token after it; the target without special tokens,
///   closed by `eos`. Only the target is learnt, of a list of targets the first. Or `text` alone,
///   closed by `eos`, all of which is learnt. Or `messages`, or sharegpt's `conversations`: rendered
///   by the model's chat template and tokenised without special tokens; what the assistant says is
///   learnt, but for messages with `weight` 0 or that `train`, `training` or `loss` mark so.
/// - `seq2seq-lm`: `source` with `target`, each with the tokenizer's special tokens; the target is
///   closed by `eos` if the tokenizer does not close it.
/// - `qa`: `question` and `context` as a pair, with `answers` as in SQuAD:
///   `{"text": [...], "answer_start": [...]}`, counted in characters, or a list of
///   `{"text", "answer_start"}`. The first answer is learnt; all of them count in the scores. A
///   question without an answer has an empty list, `null`, or `is_impossible`: the first token of
///   the row is learnt, as in all windows that do not hold the answer.
///
/// Without `targets`, the fields `label`, `tags`, `labels`, `answers` and `target` are not read and
/// nothing is closed by `eos`: the model is asked for what comes next. A `seq2seq-lm` row may then
/// consist of `text` alone. A conversation is asked for the assistant's next message; one at its end
/// is not read. With `as_chat` a text is such a conversation, of one message of a user.
///
/// With `max_length`, text is truncated at its end, or where the tokenizer's truncation has the direction
/// left at its beginning, and keeps its special tokens (of a pair, the longer text is truncated
/// first). What a decoder-only model continues (a `source`, a `text` without targets) is truncated
/// at its beginning, so that the part next to the target is kept. A
/// conversation with targets is truncated at its end, and may keep none of them. A
/// long context is not truncated but split into several examples: windows that overlap by
/// `doc_stride` tokens.
///
/// # Examples
///
/// Rows of text with a class, for a tokenizer of three words (that of a model's folder is read by
/// [`ModelTokenizer`](crate::text::ModelTokenizer)):
///
/// ```
/// use std::path::Path;
///
/// use peft_core::{
///     Task,
///     data::{Labels, Target},
///     text::{EncoderConfig, Record},
/// };
/// use serde_json::json;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let tokenizer = r#"{
///     "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"},
///     "model": {"type": "WordLevel", "vocab": {"good": 0, "bad": 1, "film": 2}, "unk_token": "film"}
/// }"#;
/// let mut config = EncoderConfig::new(Task::SeqCls, 3);
/// config.labels = Some(Labels::from_list(vec!["no".into(), "yes".into()])?);
/// let encoder = config.init(Some(tokenizer.parse()?))?;
///
/// // As `read_records` reads them from a file.
/// let fields = json!({"text": "bad film", "label": "no"}).as_object().cloned().unwrap_or_default();
/// let row = Record::new(Path::new("rows.jsonl").into(), 1, fields);
/// let encoded = encoder.encode(&[row])?;
/// assert_eq!(encoded.examples[0].input_ids, [1, 2]);
/// assert_eq!(encoded.examples[0].target, Target::Class(0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Encoder {
    config: EncoderConfig,
    tokenizer: Option<Tokenizer>,
    /// The end at which texts are truncated.
    end: End,
}

/// An example, and whether it was truncated.
type Cut = (Example, bool);

/// The result of one record.
struct Row {
    examples: Vec<Example>,
    cut: bool,
    target_cut: bool,
    /// Whether a conversation has a message of the system of its own.
    own_system: bool,
}

impl From<Cut> for Row {
    fn from((example, cut): Cut) -> Self {
        Self { examples: vec![example], cut, target_cut: false, own_system: false }
    }
}

impl Encoder {
    /// Returns the settings of the encoder; `num_classes` is filled in from the labels.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Returns the tokenizer, without padding, for decoding.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizer.as_ref()
    }

    /// The source of a language model's row as a text, without what stands in front of it: by the template or of its
    /// field, or the text that the row consists of.
    ///
    /// # Errors
    /// [`Error::Data`] at the record's line for a row of token ids, a conversation, or one that lacks a field.
    pub fn source_text(&self, record: &Record) -> Result<String> {
        if record.is_ids() || self.config.is_conversation(record) {
            return Err(record.error("is no row of a source and a target"));
        }
        texts::input(self, record).map(Cow::into_owned)
    }

    /// The target of a language model's row as a text, of several the first.
    ///
    /// # Errors
    /// [`Error::Data`] at the record's line for one that lacks a field.
    pub fn target_text(&self, record: &Record) -> Result<String> {
        if record.is_ids()
            || self.config.is_conversation(record)
            || texts::is_text(&self.config, record)
        {
            return Err(record.error("has no target of its own, expected a source and a target"));
        }
        texts::target(self, record).map(Cow::into_owned)
    }

    /// Encodes records in parallel, in order.
    ///
    /// # Errors
    /// [`Error::Data`] at the line of a record that lacks a field or has an invalid one: a label
    /// outside the list, a number of targets that differs from the number of tokens, no tokens at
    /// all, text without a tokenizer. [`Error::TokenId`] for one outside the vocabulary,
    /// [`Error::SpecialToken`] if a decoder's input needs one that is missing, [`Error::Setting`] if
    /// text needs a label list and there is none, or if `max_length` leaves no space in a pair of texts.
    pub fn encode(&self, records: &[Record]) -> Result<Encoded> {
        let mut gathered = Gathered::new(&self.config, records.len());
        records.chunks(CHUNK).try_for_each(|chunk| gathered.add(self, chunk))?;
        gathered.finish()
    }

    fn encode_texts(&self, records: &[&Record]) -> Result<Vec<Row>> {
        let single = |examples: Vec<Cut>| examples.into_iter().map(Row::from).collect();
        match self.config.task {
            _ if records.is_empty() => Ok(Vec::new()),
            Task::CausalLm => {
                let rows = causal::rows(self, records)?;
                self.with_references(records, rows)
            }
            Task::Seq2SeqLm => {
                let rows = seq2seq::rows(self, records)?;
                self.with_references(records, rows)
            }
            Task::SeqCls => seq_cls::examples(self, records).map(single),
            Task::TokenCls => token_cls::examples(self, records).map(single),
            Task::QuestionAns => qa::rows(self, records),
        }
    }

    /// Adds the further targets of rows that have a list of them.
    fn with_references(&self, records: &[&Record], mut rows: Vec<Row>) -> Result<Vec<Row>> {
        let has_targets =
            |record: &Record| self.config.targets && !self.config.is_conversation(record);
        for (record, row) in records.iter().zip(&mut rows).filter(|(row, _)| has_targets(row)) {
            for (i, target) in texts::targets(self, record)?.into_iter().enumerate().skip(1) {
                let encodings =
                    self.tokenize(&[*record], false, false, |_| Ok(target.as_str().into()))?;
                let ids = encodings.first().map(|encoding| encoding.get_ids().to_vec());
                let ids = ids
                    .filter(|ids| !ids.is_empty())
                    .ok_or_else(|| record.error(format!("target {i} of the list has no tokens")))?;
                row.examples.iter_mut().for_each(|example| example.references.push(ids.clone()));
            }
        }
        Ok(rows)
    }

    /// Tokenises what `input` returns for each record, in parallel, in order.
    ///
    /// `words` asks for the word of each token, which makes tokenisation slower.
    fn tokenize<'r>(
        &self,
        records: &[&'r Record],
        special_tokens: bool,
        words: bool,
        input: impl Fn(&'r Record) -> Result<EncodeInput<'r>>,
    ) -> Result<Vec<Encoding>> {
        let Some(tokenizer) = &self.tokenizer else {
            return records.first().map_or(Ok(Vec::new()), |record| Err(self.no_tokenizer(record)));
        };
        tokenise::tokenise(tokenizer, records, [special_tokens, words], |row| input(records[row]))
    }

    fn no_tokenizer(&self, record: &Record) -> Error {
        record.error(
            "found a row of text, but the model has no tokenizer; expected token ids in \
             `input_ids`",
        )
    }

    /// Returns the label list, which text needs.
    fn labels(&self) -> Result<&Labels> {
        self.config.labels.as_ref().ok_or_else(|| {
            let message = format!(
                "{} on text needs a label list: the names of the classes in the order of the head's outputs, such as neg,pos",
                self.config.task
            );
            Error::setting("labels", message)
        })
    }

    /// Returns what `max_length` leaves of a tokenised text or pair.
    fn kept(&self, encoding: &Encoding) -> Kept {
        Kept::of(encoding, self.config.max_length, self.end)
    }

    /// Returns the example of what is kept of a text or pair.
    fn tokenized(&self, record: &Record, kept: Kept, target: Target) -> Result<Example> {
        // If all tokens are of one type, the tokenizer's types are of no use, and often not what
        // the model was trained with.
        let types = (self.config.type_vocab_size > 1).then_some(kept.type_ids);
        let example =
            Example { token_type_ids: types, ..Example::new(kept.ids, target, record.line) };
        check(&self.config, record, example)
    }
}

/// Rejects examples that the model could not look up.
fn check(config: &EncoderConfig, record: &Record, example: Example) -> Result<Example> {
    if example.input_ids.is_empty() {
        return Err(record.error("found no tokens, expected at least one"));
    }
    if example.decoder_input_ids.as_ref().is_some_and(Vec::is_empty) {
        return Err(record.error("found no tokens for the decoder, expected at least one"));
    }
    let mut ids = example.input_ids.iter().chain(example.decoder_input_ids.iter().flatten());
    if let Some(&id) = ids.find(|&&id| id as usize >= config.vocab_size) {
        let (path, line, vocab_size) = (record.path.to_path_buf(), record.line, config.vocab_size);
        return Err(Error::TokenId { path, line, id, vocab_size });
    }
    if let Some(types) = &example.token_type_ids {
        let limit = config.type_vocab_size;
        if types.len() != example.input_ids.len() {
            return Err(record.error(format!(
                "field `token_type_ids`: found {} of them, expected one for each of {} tokens",
                types.len(),
                example.input_ids.len()
            )));
        }
        if let Some(kind) = types.iter().find(|&&kind| kind as usize >= limit) {
            let message = format!("token type {kind}: the model knows {limit} of them");
            return Err(record.error(message));
        }
    }
    Ok(example)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::text::{
        record::tests::record,
        template::Template,
        tokenizer::tests::{llama_like, word_piece},
    };
    use serde_json::{Value, json};

    /// Records on lines 1, 2, ...
    pub(super) fn rows(fields: impl IntoIterator<Item = Value>) -> Vec<Record> {
        fields.into_iter().enumerate().map(|(i, fields)| record(i + 1, fields)).collect()
    }

    /// The only example of one record, and whether it was truncated.
    pub(super) fn one(encoder: &Encoder, fields: Value) -> Result<Cut> {
        let mut encoded = encoder.encode(&rows([fields]))?;
        assert_eq!(encoded.examples.len(), 1);
        Ok((encoded.examples.remove(0), encoded.truncated == 1))
    }

    pub(super) fn refusal(encoder: &Encoder, fields: Value) -> String {
        one(encoder, fields).unwrap_err().to_string()
    }

    pub(super) fn labels(names: &[&str]) -> Option<Labels> {
        Some(Labels::from_list(names.iter().map(ToString::to_string).collect()).unwrap())
    }

    fn init_error(config: EncoderConfig) -> String {
        config.init(Some(word_piece())).unwrap_err().to_string()
    }

    #[test]
    fn settings_that_cannot_be_used_are_refused() {
        let of = |task| EncoderConfig::new(task, 14);
        let template = Some(Template::parse("{a}", "t").unwrap());
        let config = EncoderConfig { source_template: template.clone(), ..of(Task::QuestionAns) };
        assert_eq!(
            init_error(config),
            "source_template: not used by qa, which reads fields `question` and `context`"
        );
        let config = EncoderConfig { max_target_length: Some(5), ..of(Task::CausalLm) };
        assert!(init_error(config).starts_with("max_target_length: not used by causal-lm"));
        let config = EncoderConfig { decoder_start: Some(14), ..of(Task::Seq2SeqLm) };
        assert!(init_error(config).contains("decoder_start_token_id: found 14, outside the"));
        let config = EncoderConfig { source_template: template.clone(), ..of(Task::TokenCls) };
        assert_eq!(
            init_error(config),
            "source_template: not used by token-cls, which reads field `tokens`"
        );
        let config = EncoderConfig { target_template: template, ..of(Task::SeqCls) };
        assert!(init_error(config).starts_with("target_template: not used by seq-cls"));
        let config =
            EncoderConfig { labels: labels(&["a"]), num_classes: Some(2), ..of(Task::SeqCls) };
        assert!(init_error(config).contains("1 labels, but the model has 2 classes"));
        let config = EncoderConfig { eos: Some(14), ..of(Task::CausalLm) };
        assert_eq!(
            init_error(config.clone()),
            "eos_token_id: found 14, outside the vocabulary of 14: set it to a token of the vocabulary, or to null"
        );
        // Rows without targets are not closed.
        assert!(EncoderConfig { targets: false, ..config }.init(None).is_ok());
        let config = EncoderConfig { max_length: Some(0), ..of(Task::CausalLm) };
        assert!(config.clone().init(None).unwrap_err().to_string().contains("expected at least 1"));
        let config = EncoderConfig { labels: labels(&["a", "b"]), ..of(Task::SeqCls) };
        assert_eq!(config.init(None).unwrap().config().num_classes, Some(2));
    }

    #[test]
    fn text_without_a_tokenizer_is_refused() {
        let encoder = EncoderConfig::new(Task::CausalLm, 14).init(None).unwrap();
        let error = refusal(&encoder, json!({"text": "a"}));
        assert!(error.contains("line 1: found a row of text, but the model has no tokenizer;"));
    }

    #[test]
    fn the_row_that_the_tokenizer_refuses_is_named() {
        let encoder = EncoderConfig::new(Task::CausalLm, 8).init(Some(llama_like(false))).unwrap();
        let texts = ["a", "b", "zzz", "c"].map(|text| json!({ "text": text }));
        let error = encoder.encode(&rows(texts)).unwrap_err().to_string();
        assert!(error.starts_with("rows.jsonl, line 3: the tokenizer rejects it: "), "{error}");
    }

    #[test]
    fn tokens_beyond_the_model_s_vocabulary_are_refused() {
        let config = EncoderConfig { targets: false, ..EncoderConfig::new(Task::SeqCls, 7) };
        let encoder = config.init(Some(word_piece())).unwrap();
        assert_eq!(
            refusal(&encoder, json!({"text": "the mat"})),
            "rows.jsonl, line 1: token id 7 is outside the vocabulary of 7"
        );
    }

    #[test]
    fn text_and_ids_may_stand_in_one_file_and_keep_their_order() {
        let config = EncoderConfig { targets: false, ..EncoderConfig::new(Task::SeqCls, 14) };
        let encoder = config.init(Some(word_piece())).unwrap();
        // More rows than one chunk, so that the boundary is crossed.
        let records = rows((0..2 * CHUNK + 3).map(|i| match i % 3 {
            0 => json!({"input_ids": [i % 14]}),
            1 => json!({"text": "the cat"}),
            _ => json!({"text": "a", "text_pair": "b"}),
        }));
        let encoded = encoder.encode(&records).unwrap();
        assert_eq!((encoded.examples.len(), encoded.truncated), (records.len(), 0));
        for (i, example) in encoded.examples.iter().enumerate() {
            let ids = match i % 3 {
                0 => vec![(i % 14) as u32],
                1 => vec![0, 3, 4, 1],
                _ => vec![0, 12, 1, 13, 1],
            };
            assert_eq!((&example.input_ids, example.line), (&ids, i + 1));
        }
        assert_eq!(encoder.encode(&[]).unwrap(), Encoded::default());
    }

    #[test]
    fn rows_that_are_not_right_by_their_own_word_are_refused() {
        let language = EncoderConfig { eos: Some(2), ..EncoderConfig::new(Task::CausalLm, 100) };
        let language = language.init(Some(llama_like(false))).unwrap();
        let classes =
            EncoderConfig { labels: labels(&["no"]), ..EncoderConfig::new(Task::SeqCls, 100) };
        let classes = classes.init(Some(word_piece())).unwrap();
        for (encoder, row, says) in [
            (
                &classes,
                json!({"text": "a", "label": "no", "answer": "reject"}),
                "field `answer` is reject",
            ),
            (
                &classes,
                json!({"text": "a", "label": "no", "answer": "ignore"}),
                "field `answer` is ignore",
            ),
            (
                &language,
                json!({"source": "a", "target": "b", "prompt": "a", "completion": "b", "label": false}),
                "field `label` is false",
            ),
            (
                &language,
                json!({"source": "a", "target": "b", "kto_tag": false}),
                "field `kto_tag` is false",
            ),
        ] {
            let error = refusal(encoder, row);
            assert!(error.contains(says) && error.contains("leave such rows out"), "{error}");
        }
        for row in [
            json!({"source": "a", "target": "b", "prompt": "a", "completion": "b", "label": true}),
            json!({"source": "a", "target": "b", "label": false}),
        ] {
            one(&language, row).unwrap();
        }
        one(&classes, json!({"text": "a", "label": "no", "answer": "accept"})).unwrap();
    }
}
