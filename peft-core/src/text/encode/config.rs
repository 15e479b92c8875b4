//! What an encoder is made for.

use tokenizers::Tokenizer;

use super::Encoder;
use crate::{
    contract::task::Task,
    data::Labels,
    error::{Error, Result},
    text::{template::Template, tokenizer::prepare},
};

/// What an [`Encoder`] is made for.
#[derive(Clone, Debug)]
pub struct EncoderConfig {
    /// The task; it decides which fields are read.
    pub task: Task,
    /// V: the model's vocabulary size, which every token id has to be below.
    pub vocab_size: usize,
    /// The number of token types that the model knows. Default 0: it takes none.
    pub type_vocab_size: usize,
    /// Makes the text, or source, instead of the fields `text` or `source`. Default none.
    pub source_template: Option<Template>,
    /// Makes the target instead of the field `target`. Default none.
    pub target_template: Option<Template>,
    /// The label list of a classification task. Default none.
    pub labels: Option<Labels>,
    /// C: what class indices have to be below. Default: as many as there are labels, else unknown.
    pub num_classes: Option<usize>,
    /// Texts are cut to this many tokens. Default none: nothing is cut.
    pub max_length: Option<usize>,
    /// Targets of an encoder-decoder are cut to this many tokens. Default none: nothing is cut.
    pub max_target_length: Option<usize>,
    /// Tokens that windows onto a long context have in common, half a window's at most. Default 128.
    pub doc_stride: usize,
    /// The end-of-text token that closes the text of a language model. Default none: nothing does.
    pub eos: Option<u32>,
    /// The token that the decoder of an encoder-decoder begins with (`decoder_start_token_id`). Default
    /// none; text with targets needs it.
    pub decoder_start: Option<u32>,
    /// What a decoder reads in place of a target that is ignored (`pad_token_id`). Default none; rows
    /// with such targets need it.
    pub pad: Option<u32>,
    /// Whether the rows have targets. Default true; false for rows to predict.
    pub targets: bool,
}

impl EncoderConfig {
    /// The settings of a task, all else at its default.
    pub fn new(task: Task, vocab_size: usize) -> Self {
        Self {
            task,
            vocab_size,
            type_vocab_size: 0,
            source_template: None,
            target_template: None,
            labels: None,
            num_classes: None,
            max_length: None,
            max_target_length: None,
            doc_stride: 128,
            eos: None,
            decoder_start: None,
            pad: None,
            targets: true,
        }
    }

    /// The encoder. Rows of token ids need no tokenizer.
    ///
    /// # Errors
    /// [`Error::Setting`] for a template or length that the task does not use, a special token outside
    /// the vocabulary, or a length without room for text; [`Error::Mismatch`] where `labels` and
    /// `num_classes` disagree.
    pub fn init(mut self, tokenizer: Option<Tokenizer>) -> Result<Encoder> {
        let unused = |template: &Option<Template>, name: &str, instead: &str| match template {
            None => Ok(()),
            Some(_) => Err(Error::setting(
                name,
                format!("not used by {}, which reads {instead}", self.task),
            )),
        };
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
        if self.max_target_length.is_some() && self.task != Task::Seq2SeqLm {
            let message = format!("not used by {}, which has no targets apart", self.task);
            return Err(Error::setting("max_target_length", message));
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
        for (key, id) in [
            ("eos_token_id", self.eos),
            ("decoder_start_token_id", self.decoder_start),
            ("pad_token_id", self.pad),
        ] {
            if let Some(id) = id.filter(|id| *id as usize >= self.vocab_size) {
                let message = format!("found {id}, outside the vocabulary of {}", self.vocab_size);
                return Err(Error::setting(key, message));
            }
        }
        for (setting, length) in
            [("max_length", self.max_length), ("max_target_length", self.max_target_length)]
        {
            if length == Some(0) {
                return Err(Error::setting(setting, "found 0, expected at least 1"));
            }
        }
        let tokenizer = tokenizer
            .map(|own| prepare(own, self.task, self.max_length, self.max_target_length))
            .transpose()?;
        Ok(Encoder { config: self, tokenizer })
    }
}
