//! Source and target texts: where they come from, and how they are truncated.

use std::borrow::Cow;

use serde_json::Value;
use tokenizers::Encoding;

use super::{Encoder, EncoderConfig, truncate::End};
use crate::{
    contract::task::Task,
    error::Result,
    text::{fields::Role, record::Record, template::Template},
};

/// Whether a row is one text, rather than source and target.
pub(super) fn is_text(config: &EncoderConfig, record: &Record) -> bool {
    let fields = &config.fields;
    match (fields.get(Role::Source), fields.get(Role::Text)) {
        _ if is_templated(config) => false,
        (Some(_), _) => false,
        (None, Some(_)) => true,
        (None, None) => {
            let (source, text) = (Role::Source.name(), Role::Text.name());
            // A text that is null is still what the row should consist of.
            let is_alone = record.value(source).is_none() && !record.has(Role::Target.name());
            !record.has(source) && (record.has(text) || is_alone && record.value(text).is_some())
        }
    }
}

/// What a decoder is given of a row: its text, or its source.
pub(super) fn input<'r>(encoder: &Encoder, record: &'r Record) -> Result<Cow<'r, str>> {
    match is_text(&encoder.config, record) {
        true => text(encoder, record).map(Cow::Borrowed),
        false => source(encoder, record),
    }
}

/// What a model reads of a row's input `text`: behind the text that stands in front of every source.
pub(super) fn behind_prefix<'r>(encoder: &Encoder, text: Cow<'r, str>) -> Cow<'r, str> {
    match &encoder.config.source_prefix {
        Some(prefix) => Cow::Owned(format!("{prefix}{text}")),
        None => text,
    }
}

/// Rejects a row in front of whose source no text can stand.
pub(super) fn check_prefixed(encoder: &Encoder, record: &Record) -> Result<()> {
    let config = &encoder.config;
    let refuse = |what: &str| {
        Err(record
            .error(format!("is {what}: examples stand in front of rows of a source and a target")))
    };
    match (&config.source_prefix, record.is_ids()) {
        (None, _) => Ok(()),
        (_, true) => refuse("a row of token ids"),
        _ if config.is_conversation(record) => refuse("a conversation"),
        _ if config.targets && is_text(config, record) => refuse("one text"),
        _ => Ok(()),
    }
}

/// The text that a row consists of.
pub(super) fn text<'r>(encoder: &Encoder, record: &'r Record) -> Result<&'r str> {
    match encoder.config.targets && encoder.config.task == Task::CausalLm {
        true => taught(encoder, record, one_text(encoder, Role::Text, record)),
        false => {
            refuse_null(record, encoder.config.fields.name(Role::Text))?;
            one_text(encoder, Role::Text, record)
        }
    }
}

/// What is read of a row, or the error with the way out where the row has nothing to be learnt by.
fn taught<T>(encoder: &Encoder, record: &Record, found: Result<T>) -> Result<T> {
    found.map_err(|error| encoder.config.with_way_out(error, record))
}

/// The text of a field. TRL also keeps messages there, of which those of the target are learnt.
fn one_text<'r>(encoder: &Encoder, role: Role, record: &'r Record) -> Result<&'r str> {
    let key = encoder.config.fields.name(role);
    refuse_messages(encoder, key, record)?;
    record.text(key)
}

/// Refuses a text that is `null`, with the way out.
pub(super) fn refuse_null(record: &Record, key: &str) -> Result<()> {
    let is_null = record.value(key).is_some_and(Value::is_null) && !record.is_repeated(key);
    match is_null {
        true => Err(record.error(format!(
            "field `{key}` is null (NaN counts as null), expected a string; remove the rows without a text"
        ))),
        false => Ok(()),
    }
}

fn refuse_messages(encoder: &Encoder, key: &str, record: &Record) -> Result<()> {
    let is_causal = encoder.config.task == Task::CausalLm;
    let first = record.optional(key).and_then(|value| value.get(0)).filter(|_| is_causal);
    match first.is_some_and(|first| first.get("role").or(first.get("from")).is_some()) {
        true => Err(record.error(format!(
            "field `{key}`: found messages, expected a string: put all messages of the row into one list named \
             `messages`, with `\"weight\": 0` for those of the assistant that are not to be learnt"
        ))),
        false => Ok(()),
    }
}

/// Whether templates of the settings make texts from a row's fields.
pub(super) fn is_templated(config: &EncoderConfig) -> bool {
    config.source_template.is_some() || config.target_template.is_some()
}

/// The source, from the template or, without one, from the field `source`.
pub(super) fn source<'r>(encoder: &Encoder, record: &'r Record) -> Result<Cow<'r, str>> {
    let found = filled(encoder, encoder.config.source_template.as_ref(), Role::Source, record);
    taught(encoder, record, found)
}

/// The target, from the template or, without one, from the field `target`: of a list, the first.
pub(super) fn target<'r>(encoder: &Encoder, record: &'r Record) -> Result<Cow<'r, str>> {
    let config = &encoder.config;
    let found = targets(encoder, record).and_then(|all| match all.into_iter().next() {
        Some(first) => Ok(Cow::Owned(first)),
        None => filled(encoder, config.target_template.as_ref(), Role::Target, record),
    });
    taught(encoder, record, found)
}

/// The targets of a row that has a list of them; none if it has one.
pub(super) fn targets(encoder: &Encoder, record: &Record) -> Result<Vec<String>> {
    let config = &encoder.config;
    let key = config.fields.name(Role::Target);
    match record.optional(key) {
        Some(Value::Array(list)) if config.target_template.is_none() => match list.is_empty() {
            true => Err(record.error(format!("field `{key}`: found an empty list of targets"))),
            false => {
                refuse_messages(encoder, key, record)?;
                record.strings(key)
            }
        },
        _ => Ok(Vec::new()),
    }
}

fn filled<'r>(
    encoder: &Encoder,
    template: Option<&Template>,
    role: Role,
    record: &'r Record,
) -> Result<Cow<'r, str>> {
    match template {
        Some(template) => template.render(record).map(Cow::Owned),
        None => {
            refuse_number(encoder, role, record)?;
            if role == Role::Source {
                refuse_null(record, encoder.config.fields.name(role))?;
            }
            one_text(encoder, role, record).map(Cow::Borrowed)
        }
    }
}

/// Refuses a number or a boolean, which a template writes as a text.
pub(super) fn refuse_number(encoder: &Encoder, role: Role, record: &Record) -> Result<()> {
    let key = encoder.config.fields.name(role);
    let setting = match role {
        Role::Target => "target_template",
        _ => "source_template",
    };
    match record.optional(key) {
        Some(value @ (Value::Number(_) | Value::Bool(_))) => {
            let expected = format!("a string; set `{setting}` to \"{{{key}}}\" to read it as one");
            Err(record.unexpected(key, value, &expected))
        }
        _ => Ok(()),
    }
}

/// A tokenised text in three parts: the text, and the special tokens on either side of it.
pub(super) struct TextTokens<'a> {
    before: &'a [u32],
    body: &'a [u32],
    after: &'a [u32],
}

impl<'a> TextTokens<'a> {
    pub(super) fn new(encoding: &'a Encoding) -> Self {
        // Set for what the tokenizer added, not for special tokens spelled out in the text.
        let special = encoding.get_special_tokens_mask();
        let before = special.iter().take_while(|&&special| special == 1).count();
        let after = special[before..].iter().rev().take_while(|&&special| special == 1).count();
        let (before, rest) = encoding.get_ids().split_at(before);
        let (body, after) = rest.split_at(rest.len() - after);
        Self { before, body, after }
    }

    pub(super) fn ids(&self) -> Vec<u32> {
        [self.before, self.body, self.after].concat()
    }

    /// The number of special tokens.
    pub(super) fn specials(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// Removes an end-of-text token that the tokenizer added: the text continues.
    pub(super) fn open(&mut self, eos: Option<u32>) {
        while let (Some((last, rest)), Some(eos)) = (self.after.split_last(), eos)
            && *last == eos
        {
            self.after = rest;
        }
    }

    /// Returns the end-of-text token, unless the text already ends with it.
    pub(super) fn closing(&self, eos: Option<u32>) -> Vec<u32> {
        // In an empty text, all special tokens count as being before it.
        let last = self.after.last().or(self.body.last()).or(self.before.last());
        eos.filter(|eos| last != Some(eos)).into_iter().collect()
    }

    /// Keeps `budget` tokens of the text, besides the special ones. Returns whether anything was cut.
    pub(super) fn cut(&mut self, budget: usize, end: End) -> bool {
        let Some(surplus) = self.body.len().checked_sub(budget).filter(|&n| n > 0) else {
            return false;
        };
        self.body = match end {
            End::Left => &self.body[surplus..],
            End::Right => &self.body[..budget],
        };
        true
    }
}
