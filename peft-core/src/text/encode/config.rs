//! What an encoder is made for.

use std::sync::Arc;

use tokenizers::Tokenizer;

use super::{Encoder, truncate::End};
use crate::{
    contract::{problem_type::ProblemType, task::Task},
    data::Labels,
    error::{Error, Result},
    text::{
        chat::ChatSource,
        fields::{FieldNames, Role},
        record::Record,
        template::Template,
        tokenizer::prepare,
    },
};

/// Settings of an [`Encoder`].
#[derive(Clone, Debug)]
pub struct EncoderConfig {
    /// The task; it determines which fields are read.
    pub task: Task,
    /// What the labels of a row are, for `seq-cls`. Default one class.
    pub problem_type: ProblemType,
    /// The model's vocabulary size V; every token id must be below it.
    pub vocab_size: usize,
    /// The number of token types that the model knows. Default 0: it takes none.
    pub type_vocab_size: usize,
    /// The names of the fields that are read. Default those of [`Role::name`](crate::text::Role::name).
    pub fields: FieldNames,
    /// Template for the text, or source, instead of the field `text` or `source`. Default none.
    pub source_template: Option<Template>,
    /// A text in front of every source, such as examples that a language model reads before the row: tokenised
    /// together with the source, and cut with it. Rows have a source and, with targets, a target. Default none.
    pub source_prefix: Option<String>,
    /// Template for the target, instead of the field `target`. Default none.
    pub target_template: Option<Template>,
    /// The chat template that renders conversations. Default none: they are refused.
    pub chat: Option<Arc<ChatSource>>,
    /// Whether a text is not continued but asked: rendered by the chat template, as the message of a user. Default
    /// false.
    pub as_chat: bool,
    /// The message of the system of conversations that have none. Default none.
    pub system: Option<String>,
    /// The label list of a classification task. Default none.
    pub labels: Option<Labels>,
    /// The number of classes C; class indices must be below it. Default: the number of labels, if
    /// known.
    pub num_classes: Option<usize>,
    /// Texts are truncated to this many tokens. Default none: no truncation.
    pub max_length: Option<usize>,
    /// Targets of an encoder-decoder are truncated to this many tokens. Default none: no
    /// truncation.
    pub max_target_length: Option<usize>,
    /// Number of tokens by which the windows onto a long context overlap, at most half a window.
    /// Default 128.
    pub doc_stride: usize,
    /// The end-of-text token that closes the text of a language model. Default none: the text is
    /// not closed.
    pub eos: Option<u32>,
    /// The token that the decoder of an encoder-decoder begins with (`decoder_start_token_id`).
    /// Default none; required for text with targets.
    pub decoder_start: Option<u32>,
    /// What a decoder reads in place of an ignored target (`pad_token_id`). Default none; required
    /// for rows with such targets.
    pub pad: Option<u32>,
    /// Whether rows without a label ([`is_unlabelled`](crate::text::is_unlabelled)), tags, a target or answers are left out
    /// and counted ([`leaves_out`](Self::leaves_out)); otherwise they are errors. Default false.
    pub skip_unlabelled: bool,
    /// Whether the rows have targets. Default true; false for rows to predict.
    pub targets: bool,
}

impl EncoderConfig {
    /// Returns the settings of a task, with the defaults for everything else.
    pub fn new(task: Task, vocab_size: usize) -> Self {
        Self {
            task,
            problem_type: ProblemType::default(),
            vocab_size,
            type_vocab_size: 0,
            fields: FieldNames::default(),
            source_template: None,
            source_prefix: None,
            target_template: None,
            chat: None,
            as_chat: false,
            system: None,
            labels: None,
            num_classes: None,
            max_length: None,
            max_target_length: None,
            doc_stride: 128,
            eos: None,
            decoder_start: None,
            pad: None,
            skip_unlabelled: false,
            targets: true,
        }
    }

    /// Whether a row is rendered by the chat template: it has messages, or its text is asked.
    pub fn is_conversation(&self, record: &Record) -> bool {
        let is_asked = self.as_chat && self.task == Task::CausalLm && !record.is_ids();
        is_asked || self.has_messages(record)
    }

    /// Whether a row's messages are read, rather than fields for the templates of the settings, or text in a field that
    /// they name.
    pub(super) fn has_messages(&self, record: &Record) -> bool {
        let named = |role| self.fields.get(role).is_some_and(|name| record.has(name));
        self.task == Task::CausalLm
            && self.source_template.is_none()
            && self.target_template.is_none()
            && record.is_conversation()
            && !record.is_ids()
            && ![Role::Text, Role::Source].into_iter().any(named)
    }

    /// Creates the encoder. Rows of token ids need no tokenizer.
    ///
    /// # Errors
    /// [`Error::Setting`] for a template or length that the task does not use, or a length that
    /// leaves no space for text; [`Error::SpecialToken`] for one outside the vocabulary, unless the rows have no targets;
    /// [`Error::Mismatch`] if `labels` and `num_classes` disagree.
    pub fn init(mut self, tokenizer: Option<Tokenizer>) -> Result<Encoder> {
        let unused = |template: &Option<Template>, name: &str, instead: &str| match template {
            None => Ok(()),
            Some(_) => Err(Error::setting(
                name,
                format!("not used by {}, which reads {instead}", self.task),
            )),
        };
        self.fields.check_task(self.task)?;
        match self.task {
            Task::SeqCls => unused(&self.target_template, "target_template", "field `label`")?,
            Task::TokenCls => {
                unused(&self.source_template, "source_template", "field `tokens`")?;
                unused(&self.target_template, "target_template", "field `tags`")?;
            }
            Task::QuestionAns => {
                let fields = "fields `question` and `context`";
                unused(&self.source_template, "source_template", fields)?;
                unused(&self.target_template, "target_template", "field `answers`")?;
            }
            Task::CausalLm | Task::Seq2SeqLm => {}
        }
        if self.source_prefix.is_some() && !self.task.is_language_model() {
            let message = format!("not used by {}, which reads each row alone", self.task);
            return Err(Error::setting("source_prefix", message));
        }
        if self.max_target_length.is_some() && self.task != Task::Seq2SeqLm {
            let message = format!("not used by {}, which has no separate targets", self.task);
            return Err(Error::setting("max_target_length", message));
        }
        if self.as_chat && self.task != Task::CausalLm {
            let message = format!("not used by {}, whose texts are not asked", self.task);
            return Err(Error::setting("as_chat", message));
        }
        if self.as_chat && self.targets {
            return Err(Error::setting("as_chat", "is for rows to answer, which have no targets"));
        }
        if let Some(labels) = &self.labels {
            let classes = *self.num_classes.get_or_insert(labels.len());
            if classes != labels.len() {
                return Err(Error::Mismatch(format!(
                    "the label list has {} labels, but the model has {classes} classes",
                    labels.len()
                )));
            }
        }
        // Rows without targets get none of them.
        for (key, id, or_null) in [
            ("eos_token_id", self.eos, ", or to null"),
            ("decoder_start_token_id", self.decoder_start, ""),
            ("pad_token_id", self.pad, ", or to null"),
        ] {
            let is_outside = |id: &u32| self.targets && *id as usize >= self.vocab_size;
            if let Some(id) = id.filter(is_outside) {
                let message = format!(
                    "found {id}, outside the vocabulary of {}: set it to a token of the vocabulary{or_null}",
                    self.vocab_size
                );
                return Err(Error::SpecialToken { key, message });
            }
        }
        for (setting, length) in
            [("max_length", self.max_length), ("max_target_length", self.max_target_length)]
        {
            if length == Some(0) {
                return Err(Error::setting(setting, "found 0, expected at least 1"));
            }
        }
        let end = tokenizer.as_ref().map(End::of).unwrap_or_default();
        let tokenizer = tokenizer
            .map(|own| prepare(own, self.task, self.max_length, self.max_target_length))
            .transpose()?;
        Ok(Encoder { config: self, tokenizer, end })
    }
}
