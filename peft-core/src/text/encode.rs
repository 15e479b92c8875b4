//! Turns records into [`Example`]s: token ids, and targets for the task.
//!
//! | file | what it is |
//! |---|---|
//! | `encode/config.rs` | the settings |
//! | `encode/ids.rs` | token ids, for any task |
//! | `encode/texts.rs` | sources and targets, and how they are cut |
//! | `encode/causal.rs` | texts to continue |
//! | `encode/chat.rs` | conversations to continue |
//! | `encode/seq2seq.rs` | texts to turn into others |
//! | `encode/seq_cls.rs` | texts with a class |
//! | `encode/token_cls.rs` | words with tags |
//! | `encode/qa.rs` | questions with a context |

mod causal;
mod chat;
mod config;
mod ids;
mod qa;
mod seq2seq;
mod seq_cls;
mod texts;
mod token_cls;

use std::{path::Path, sync::Arc};

use tokenizers::{EncodeInput, Encoding, Tokenizer};

pub use config::EncoderConfig;

use super::{
    fields::Role,
    labels::is_id_row,
    record::Record,
    values::{ambiguous, is_ambiguous},
};
use crate::{
    contract::{problem_type::ProblemType, task::Task},
    data::{
        example::{Example, Target},
        labels::Labels,
    },
    error::{Error, Result},
};

/// Rows that are tokenised at once: enough to keep all threads busy, few enough that their
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
///   learnt.
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
/// is not read.
///
/// With `max_length`, text is truncated at its end and keeps its special tokens (of a pair, the
/// longer text is truncated first). What a decoder-only model continues (a `source`, a `text`
/// without targets) is truncated at its beginning, so that the part next to the target is kept. A
/// conversation with targets is truncated at its end, and may keep none of them. A
/// long context is not truncated but split into several examples: windows that overlap by
/// `doc_stride` tokens.
#[derive(Clone, Debug)]
pub struct Encoder {
    config: EncoderConfig,
    tokenizer: Option<Tokenizer>,
}

/// The examples of some records, in the same order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded {
    /// One example per record; for a question with a long context, one per window.
    pub examples: Vec<Example>,
    /// The number of records that were truncated to `max_length`.
    pub truncated: usize,
    /// The number of those that lost all their targets with it.
    pub emptied: usize,
    /// The number of targets that were truncated to `max_target_length`.
    pub truncated_targets: usize,
    /// For each record, whether a decoder goes on with its text. What is generated otherwise, behind a source or by an
    /// encoder-decoder, stands alone as a target does.
    pub goes_on: Vec<bool>,
    /// The number of records of text, rather than of token ids.
    pub texts: usize,
    /// The number of records that are conversations.
    pub conversations: usize,
    /// The number of records whose numbers could be read in two ways.
    pub ambiguous: usize,
    /// The files of the examples: of each the index of its first example.
    pub files: Vec<(usize, Arc<Path>)>,
}

impl Encoded {
    /// The number of records.
    pub fn records(&self) -> usize {
        self.goes_on.len()
    }

    /// The file of an example.
    pub fn file_of(&self, example: usize) -> Option<&Path> {
        let after = self.files.partition_point(|(first, _)| *first <= example);
        self.files[..after].last().map(|(_, path)| &**path)
    }
}

/// An example, and whether it was truncated.
type Cut = (Example, bool);

/// The result of one record.
struct Row {
    examples: Vec<Example>,
    cut: bool,
    target_cut: bool,
}

impl From<Cut> for Row {
    fn from((example, cut): Cut) -> Self {
        Self { examples: vec![example], cut, target_cut: false }
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

    /// Encodes records in parallel, in order.
    ///
    /// # Errors
    /// [`Error::Data`] at the line of a record that lacks a field or has an invalid one: a label
    /// outside the list, a number of targets that differs from the number of tokens, no tokens at
    /// all, text without a tokenizer. [`Error::TokenId`] for one outside the vocabulary,
    /// [`Error::SpecialToken`] if a decoder's input needs one that is missing, [`Error::Setting`] if
    /// text needs a label list and there is none.
    pub fn encode(&self, records: &[Record]) -> Result<Encoded> {
        let mut encoded =
            Encoded { examples: Vec::with_capacity(records.len()), ..Encoded::default() };
        self.encode_onto(records, &mut encoded)?;
        self.finish(&encoded)?;
        Ok(encoded)
    }

    /// Encodes records that come after those encoded already; [`finish`](Self::finish) has to follow the last.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_onto(&self, records: &[Record], encoded: &mut Encoded) -> Result<()> {
        for chunk in records.chunks(CHUNK) {
            let texts: Vec<&Record> = chunk.iter().filter(|record| !is_id_row(record)).collect();
            encoded.texts += texts.len();
            let mut texts = self.encode_texts(&texts)?.into_iter();
            for record in chunk {
                if encoded.files.last().is_none_or(|(_, last)| *last != record.path) {
                    encoded.files.push((encoded.examples.len(), record.path.clone()));
                }
                encoded.ambiguous += usize::from(self.is_ambiguous(record));
                encoded.conversations += usize::from(self.config.is_conversation(record));
                let row = match is_id_row(record) {
                    true => (ids::example(&self.config, record)?, false).into(),
                    false => texts.next().expect("one row was made for each text"),
                };
                let emptied = self.config.targets
                    && row.cut
                    && row.examples.iter().all(|example| example.labelled() == 0);
                encoded.emptied += usize::from(emptied);
                check_width(encoded.examples.first(), &row.examples, record)?;
                encoded.examples.extend(row.examples);
                let is_text = !is_id_row(record) && !self.config.is_conversation(record);
                let goes_on = self.config.task == Task::CausalLm && texts::is_text(self, record);
                encoded.goes_on.push(is_text && goes_on);
                encoded.truncated += usize::from(row.cut);
                encoded.truncated_targets += usize::from(row.target_cut);
            }
        }
        Ok(())
    }

    /// Refuses what only all records together tell.
    ///
    /// # Errors
    /// [`Error::Data`] at the first record, if each has a list of numbers that could be read in two ways.
    pub fn finish(&self, encoded: &Encoded) -> Result<()> {
        match (&self.config.labels, encoded.files.first(), encoded.examples.first()) {
            (Some(labels), Some((_, path)), Some(first))
                if encoded.ambiguous > 0 && encoded.ambiguous == encoded.records() =>
            {
                let key = self.config.fields.name(Role::Label);
                Err(Error::data(path, first.line, ambiguous(key, labels)))
            }
            _ => Ok(()),
        }
    }

    fn is_ambiguous(&self, record: &Record) -> bool {
        self.config.targets
            && self.config.problem_type == ProblemType::MultiLabel
            && self.config.labels.as_ref().is_some_and(|labels| labels.len() == 2)
            && is_ambiguous(record, self.config.fields.name(Role::Label))
    }

    fn encode_texts(&self, records: &[&Record]) -> Result<Vec<Row>> {
        let single = |examples: Vec<Cut>| examples.into_iter().map(Row::from).collect();
        match self.config.task {
            _ if records.is_empty() => Ok(Vec::new()),
            Task::CausalLm => {
                let rows = causal::examples(self, records).map(single)?;
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
                let encodings = self.tokenize(&[*record], false, false, |_| Ok(target.into()))?;
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
        let inputs = records.iter().map(|&record| input(record)).collect::<Result<Vec<_>>>()?;
        let encodings = match words {
            true => tokenizer.encode_batch(inputs, special_tokens),
            false => tokenizer.encode_batch_fast(inputs, special_tokens),
        };
        encodings.or_else(|_| {
            // The batch does not say which of its rows failed, so they are tokenised one by one.
            let one = |&record: &&'r Record| {
                tokenizer
                    .encode(input(record)?, special_tokens)
                    .map_err(|error| record.error(format!("the tokenizer rejects it: {error}")))
            };
            records.iter().map(one).collect()
        })
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
            let message = format!("{} on text needs a label list", self.config.task);
            Error::setting("labels", message)
        })
    }

    /// Returns the example of one tokenised text or pair.
    fn tokenized(&self, record: &Record, encoding: &Encoding, target: Target) -> Result<Example> {
        // If all tokens are of one type, the tokenizer's types are of no use, and often not what
        // the model was trained with.
        let types = (self.config.type_vocab_size > 1).then(|| encoding.get_type_ids().to_vec());
        let ids = encoding.get_ids().to_vec();
        let example = Example { token_type_ids: types, ..Example::new(ids, target, record.line) };
        check(&self.config, record, example)
    }
}

/// Rejects a row that has more or fewer numbers to predict than the first.
fn check_width(first: Option<&Example>, examples: &[Example], record: &Record) -> Result<()> {
    let width = |example: &Example| match &example.target {
        Target::Values(values) => Some(values.len()),
        _ => None,
    };
    match (first.and_then(width), examples.first().and_then(width)) {
        (Some(first), Some(own)) if own != first => {
            Err(record
                .error(format!("found {own} numbers to predict, the rows before have {first}")))
        }
        _ => Ok(()),
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
        assert!(
            init_error(config).contains("eos_token_id: found 14, outside the vocabulary of 14")
        );
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
}
