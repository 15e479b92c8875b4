//! The examples of records that are encoded chunk by chunk, and what only all of them together tell.

use std::{path::Path, sync::Arc};

use super::{Encoder, EncoderConfig, empty::is_empty, ids, texts};
use crate::{
    contract::{problem_type::ProblemType, task::Task},
    data::example::{Example, Target},
    error::{Error, Result},
    text::{
        detect::refuse_rejected,
        fields::{FieldNames, Role},
        labels::has_other_reason,
        record::Record,
        template::Template,
        values::{ambiguous, is_ambiguous},
    },
};

/// The examples of some records, in the same order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded {
    /// One example per record that is not left out; for a question with a long context, one per window.
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
    /// The places of the records that were left out, since they have nothing to be learnt by
    /// ([`EncoderConfig::leaves_out`]), among all that were given.
    pub left_out: Vec<usize>,
    /// The number of records of text, rather than of token ids.
    pub texts: usize,
    /// The number of records that the chat template renders.
    pub conversations: usize,
    /// The files and the lines of those that have a message of the system of their own, in place of that of the settings.
    pub own_system: Vec<(Arc<Path>, usize)>,
    /// The files and the lines of the records of text whose text is empty.
    pub empty: Vec<(Arc<Path>, usize)>,
    /// The files and the lines of the records of text whose target is blank: what is learnt is to write nothing.
    pub blank_targets: Vec<(Arc<Path>, usize)>,
    /// The number of records of `seq-cls` that have one text, where a field could hold a second one.
    pub single: usize,
    /// The file and the line of the first of them.
    pub first_single: Option<(Arc<Path>, usize)>,
    /// Fields of optional parts of the templates that no record has, each with its template: they may be misspelled.
    pub absent: Vec<(String, Template)>,
    /// What the fields that were read are called.
    pub fields: FieldNames,
    /// The files of the examples: of each the index of its first example.
    pub files: Vec<(usize, Arc<Path>)>,
}

impl Encoded {
    /// The number of records that were not left out.
    pub fn records(&self) -> usize {
        self.goes_on.len()
    }

    /// Those of the given records that were not left out, in order: one for each of those that the examples are of.
    pub fn kept<T>(&self, records: Vec<T>) -> Vec<T> {
        let mut left_out = self.left_out.iter().peekable();
        let mut is_kept = |place: usize| left_out.next_if(|next| **next == place).is_none();
        let all = records.into_iter().enumerate();
        all.filter(|(place, _)| is_kept(*place)).map(|(_, record)| record).collect()
    }

    /// The file of an example.
    pub fn file_of(&self, example: usize) -> Option<&Path> {
        let after = self.files.partition_point(|(first, _)| *first <= example);
        self.files[..after].last().map(|(_, path)| &**path)
    }
}

/// Records encoded so far. [`finish`](Self::finish) alone gives them away, so that no way of encoding leaves it out.
pub(super) struct Gathered<'c> {
    config: &'c EncoderConfig,
    encoded: Encoded,
    /// The number of records whose numbers could be read in two ways.
    ambiguous: usize,
    /// The file of the first record that was left out.
    left_out: Option<Arc<Path>>,
    /// The file of the first record, and its error, where neither it nor one after it has a label that is needed: a
    /// later one may.
    none_labelled: Option<(Arc<Path>, Error)>,
    /// Fields of optional parts of the templates that no record has had.
    absent: Vec<(&'c str, &'c Template)>,
}

impl<'c> Gathered<'c> {
    /// No records yet; `expected` of them are known to come.
    pub(super) fn new(config: &'c EncoderConfig, expected: usize) -> Self {
        let templates = config.source_template.iter().chain(&config.target_template);
        let optional =
            |template: &'c Template| template.optional_fields().map(move |name| (name, template));
        Self {
            config,
            encoded: Encoded {
                examples: Vec::with_capacity(expected),
                fields: config.fields.clone(),
                ..Encoded::default()
            },
            ambiguous: 0,
            left_out: None,
            none_labelled: None,
            absent: templates.flat_map(optional).collect(),
        }
    }

    /// Encodes the next records, with an encoder of these settings.
    ///
    /// # Errors
    /// As [`Encoder::encode`]. That the first rows have no label is told once all rows are read, or one has one.
    pub(super) fn add(&mut self, encoder: &Encoder, records: &[Record]) -> Result<()> {
        let is_first = self.encoded.records() == 0;
        match records.iter().all(|record| lacks_label(self.config, record)) {
            true if self.none_labelled.is_some() => return Ok(()),
            true if is_first && !records.is_empty() => {
                let (first, rest) = records.split_at(1);
                return match self.add_rows(encoder, first) {
                    Ok(()) => self.add_rows(encoder, rest),
                    Err(error) => {
                        self.none_labelled = Some((first[0].path.clone(), error));
                        Ok(())
                    }
                };
            }
            _ => {}
        }
        match self.none_labelled.take() {
            Some((_, error)) => Err(error),
            None => self.add_rows(encoder, records),
        }
    }

    fn add_rows(&mut self, encoder: &Encoder, records: &[Record]) -> Result<()> {
        let Self { config, encoded, left_out, .. } = self;
        self.absent.retain(|(name, _)| records.iter().all(|record| record.value(name).is_none()));
        let before = encoded.records() + encoded.left_out.len();
        let mut kept = Vec::with_capacity(records.len());
        for (place, record) in records.iter().enumerate() {
            match config.leaves_out(record) {
                true => {
                    encoded.left_out.push(before + place);
                    left_out.get_or_insert_with(|| record.path.clone());
                }
                false => kept.push(record),
            }
        }
        let records = kept;
        records.iter().try_for_each(|record| texts::check_prefixed(encoder, record))?;
        let texts: Vec<&Record> =
            records.iter().copied().filter(|record| !record.is_ids()).collect();
        encoded.texts += texts.len();
        let mut texts = encoder.encode_texts(&texts)?.into_iter();
        for record in records {
            if config.targets && !record.is_ids() {
                refuse_rejected(record, config.task, &config.fields)?;
            }
            if encoded.files.last().is_none_or(|(_, last)| *last != record.path) {
                encoded.files.push((encoded.examples.len(), record.path.clone()));
            }
            self.ambiguous += usize::from(could_be_indices(config, record));
            let is_conversation = config.is_conversation(record);
            encoded.conversations += usize::from(is_conversation);
            let row = match record.is_ids() {
                true => (ids::example(&encoder.config, record)?, false).into(),
                false => texts.next().expect("one row was made for each text"),
            };
            if !record.is_ids() && !is_conversation && is_empty(encoder, record) {
                encoded.empty.push((record.path.clone(), record.line));
            }
            if !record.is_ids() && has_blank_target(config, record) {
                encoded.blank_targets.push((record.path.clone(), record.line));
            }
            if !record.is_ids() && is_single(config, record) {
                encoded.single += 1;
                encoded.first_single.get_or_insert_with(|| (record.path.clone(), record.line));
            }
            if config.system.is_some() && row.own_system {
                encoded.own_system.push((record.path.clone(), record.line));
            }
            let emptied = config.targets
                && row.cut
                && row.examples.iter().all(|example| example.labelled() == 0);
            encoded.emptied += usize::from(emptied);
            check_width(encoded.examples.first(), &row.examples, record)?;
            encoded.examples.extend(row.examples);
            let is_text = !record.is_ids() && !is_conversation;
            let goes_on = config.task == Task::CausalLm && texts::is_text(config, record);
            encoded.goes_on.push(is_text && goes_on);
            encoded.truncated += usize::from(row.cut);
            encoded.truncated_targets += usize::from(row.target_cut);
        }
        Ok(())
    }

    /// The examples of all records, which have been added.
    ///
    /// # Errors
    /// [`Error::Data`] at the first record, if each has a list of numbers that could be read in two ways;
    /// [`Error::File`] if all were left out, or none has a label.
    pub(super) fn finish(self) -> Result<Encoded> {
        let Self { config, mut encoded, ambiguous: open, left_out, none_labelled: first, absent } =
            self;
        let none = first.map(|(path, _)| path);
        if let Some(path) = none.or(left_out.filter(|_| encoded.records() == 0)) {
            return Err(config.none_teaches(&path));
        }
        if let (Some(labels), Some((_, path)), Some(first)) =
            (&config.labels, encoded.files.first(), encoded.examples.first())
            && open == encoded.records()
        {
            let key = config.fields.name(Role::Label);
            return Err(Error::data(path, first.line, ambiguous(key, labels)));
        }
        let owned = |(name, template): (&str, &Template)| (name.to_owned(), template.clone());
        encoded.absent = absent.into_iter().map(owned).collect();
        encoded.examples.shrink_to_fit();
        encoded.left_out.shrink_to_fit();
        Ok(encoded)
    }
}

/// Whether a row has no label where it needs one, and nothing else is said to be the reason.
fn lacks_label(config: &EncoderConfig, record: &Record) -> bool {
    let key = config.fields.name(Role::Label);
    let is_read = config.targets && config.task == Task::SeqCls && !config.skip_unlabelled;
    is_read && config.teaches_nothing(record) && !has_other_reason(record, key)
}

/// Whether the target that a language model learns from a row is blank. One that is missing was refused.
fn has_blank_target(config: &EncoderConfig, record: &Record) -> bool {
    config.targets
        && matches!(config.task, Task::CausalLm | Task::Seq2SeqLm)
        && !texts::is_text(config, record)
        && config.teaches_nothing(record)
}

/// Whether a row has no second text, where it could have one: a template makes one text of all, unless a field is named.
fn is_single(config: &EncoderConfig, record: &Record) -> bool {
    let is_read = config.source_template.is_none() || config.fields.get(Role::TextPair).is_some();
    config.task == Task::SeqCls && is_read && !record.has(config.fields.name(Role::TextPair))
}

/// Whether the numbers of a row are the indices of classes, or a mark for each class.
fn could_be_indices(config: &EncoderConfig, record: &Record) -> bool {
    config.targets
        && config.problem_type == ProblemType::MultiLabel
        && config.labels.as_ref().is_some_and(|labels| labels.len() == 2)
        && is_ambiguous(record, config.fields.name(Role::Label))
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
