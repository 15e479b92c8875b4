//! The likeliest class of each row: the classes as a language model would write them, compared by their likelihood.

use std::collections::HashMap;

use peft_core::{
    Error, Result,
    data::{Example, Labels},
    metrics::{ClassReport, Metrics},
    text::{Encoded, FieldNames, Record, Role, label_text},
};
use peft_models::generate::{GenerateConfig, log_likelihoods};
use serde_json::{Map, Value, json};

use super::{
    scores::{Answer, scores},
    written::no_class,
};
use crate::{
    generation_scores::split,
    predictions::{Given, Shown},
    screen::rows::RowsDone,
    session::Session,
    shard::Block,
    signals::Signals,
    text_settings::TextArgs,
};

/// Rows whose likelihoods are computed between two looks for a signal.
const AT_ONCE: usize = 64;

/// How likelihoods of classes with different numbers of tokens are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RankBy {
    /// By the sum over the tokens: the probability of the class.
    Sum,
    /// By the mean over the tokens, so that longer names are not at a disadvantage.
    Mean,
}

/// The classes as a language model would write them, to be compared behind rows.
#[derive(Debug)]
pub struct Ranking<'s> {
    session: &'s Session,
    by: RankBy,
    config: GenerateConfig,
    /// The field of a row that holds its class.
    field: String,
    /// The tokens of each class.
    ids: Vec<Vec<u32>>,
}

impl<'s> Ranking<'s> {
    /// Reads the classes as targets, whose template and tokens are those of the rows'.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if the target's template has more than the class in it, or two classes become the same tokens.
    pub fn new(
        session: &'s Session,
        labels: &Labels,
        (records, encoded): (&[Record], &Encoded),
        text: &TextArgs,
        (config, by): (&GenerateConfig, RankBy),
    ) -> Result<Self> {
        let field = class_field(session, text, &encoded.fields, "--rank-classes")?;
        let ids = class_ids(session, labels, (records, encoded), text, &field)?;
        Ok(Self { session, by, config: config.clone(), field, ids })
    }

    /// For each of the rows the log-likelihood of each class.
    ///
    /// # Errors
    ///
    /// As [`log_likelihoods`].
    pub fn likelihoods(&self, rows: &[&[u32]]) -> Result<Vec<Vec<f64>>> {
        let (model, virtual_tokens) = (self.session.model(), &self.session.virtual_tokens);
        log_likelihoods(model, rows, &self.ids, virtual_tokens, &self.config)
    }

    /// What is compared, of the log-likelihoods of a row.
    pub fn compared(&self, sums: &[f64]) -> Vec<f64> {
        let of = |(sum, ids): (&f64, &Vec<u32>)| match self.by {
            RankBy::Sum => *sum,
            RankBy::Mean => sum / ids.len() as f64,
        };
        sums.iter().zip(&self.ids).map(of).collect()
    }

    /// The likeliest class of a row.
    pub fn best(&self, sums: &[f64]) -> Option<usize> {
        let scores = self.compared(sums);
        // The first of those that are equal.
        (0..scores.len()).rev().max_by(|a, b| scores[*a].total_cmp(&scores[*b]))
    }

    /// What a row says of its own class, if it does.
    pub fn own(&self, record: &Record) -> Option<String> {
        record.optional(&self.field).and_then(label_text)
    }
}

/// What was found for the rows.
#[derive(Debug)]
pub struct Ranked {
    /// The scores.
    pub metrics: Metrics,
    /// For each row the log-likelihood of each class.
    pub likelihoods: Vec<Vec<f64>>,
    /// What classes are compared by: that, or its mean over the tokens.
    pub compared: Vec<Vec<f64>>,
    /// The likeliest class of each row, and the right one.
    pub answers: Vec<Answer>,
}

/// Ranks the classes for each row of a block, which is read once for all of them. Groups are those of all rows.
///
/// # Errors
///
/// [`Error::Data`] at a row whose target is none of the classes; [`Error::Stopped`] if a signal came; as
/// [`Ranking::new`] and [`log_likelihoods`].
pub fn rank(
    session: &Session,
    labels: &Labels,
    (records, encoded): (&[Record], &Encoded),
    text: &TextArgs,
    how: (&GenerateConfig, RankBy),
    (groups, block): (Option<&[String]>, &Block),
    signals: &Signals,
) -> Result<Ranked> {
    let ranking = Ranking::new(session, labels, (records, encoded), text, how)?;
    let mut inputs = Vec::with_capacity(records.len());
    let mut expected = Vec::with_capacity(records.len());
    for (row, (record, example)) in records.iter().zip(&encoded.examples).enumerate() {
        inputs.push(input(session, example, record)?);
        let name = ranking.own(record).unwrap_or_default();
        let class = labels.index(&name).ok_or_else(|| no_class(labels, encoded, row, &name))?;
        expected.push(class);
    }
    block.note_together(AT_ONCE, None);
    let computed = block.together(AT_ONCE);
    let done = RowsDone::new("eval", computed.len(), &signals.bars());
    let mut likelihoods = Vec::with_capacity(block.rows.len());
    for part in block.groups(AT_ONCE) {
        let found = ranking.likelihoods(&inputs[part.clone()])?;
        let of_block = part.clone().zip(found).filter(|(row, _)| block.contains(*row));
        likelihoods.extend(of_block.map(|(_, sums)| sums));
        done.set(part.end - computed.start);
        if signals.came() {
            return Err(Error::Stopped { done: part.end - computed.start, of: computed.len() });
        }
    }
    let expected = expected.drain(block.rows.clone());
    let groups = groups.map(|groups| &groups[block.rows.clone()]);
    let compared: Vec<Vec<f64>> = likelihoods.iter().map(|sums| ranking.compared(sums)).collect();
    let found = likelihoods.iter().map(|sums| ranking.best(sums));
    let answers: Vec<Answer> = found.zip(expected).collect();
    let metrics = scores(&answers, labels.len(), groups);
    Ok(Ranked { metrics, likelihoods, compared, answers })
}

impl Ranked {
    /// Precision, recall and F1 of each class, and which was taken for which.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if there are no rows.
    pub fn report(&self, labels: &Labels) -> Result<ClassReport> {
        report_of(&self.answers, labels)
    }

    /// The `records` of the block with their likeliest class (`label`), the right one (`reference`) and the log-likelihood of each.
    pub fn rows(&self, records: &[Record], labels: &Labels) -> Vec<Map<String, Value>> {
        let name = |class: usize| labels.name(class).unwrap_or_default();
        let row = |((record, sums), (found, expected)): ((&Record, &Vec<f64>), &Answer)| {
            let mut fields = Map::new();
            Given { fields: true }.add(record, &mut fields);
            fields.insert("label".into(), json!(found.map(name)));
            fields.insert("reference".into(), json!(name(*expected)));
            fields.insert("log_likelihoods".into(), of_each(labels, sums));
            fields
        };
        records.iter().zip(&self.likelihoods).zip(&self.answers).map(row).collect()
    }
}

/// Precision, recall and F1 of each class in the answers that are one, and which was taken for which.
///
/// # Errors
///
/// [`Error::Mismatch`] if there are none.
pub fn report_of(answers: &[Answer], labels: &Labels) -> Result<ClassReport> {
    let classes = answers.iter().filter_map(|(found, expected)| Some(((*found)?, *expected)));
    let (found, expected): (Vec<usize>, Vec<usize>) = classes.unzip();
    ClassReport::of(&found, &expected, labels.len())
}

impl Ranking<'_> {
    /// What `predict` writes of a row: its likeliest class with probabilities, which are the softmax of what is compared,
    /// and unless the K likeliest were asked for, the log-likelihood of each class.
    pub fn predicted(&self, labels: &Labels, sums: &[f64], shown: Shown) -> Map<String, Value> {
        let probabilities = softmax(&self.compared(sums));
        let best = self.best(sums).unwrap_or_default();
        let mut fields = shown.one_class(Some(labels), best, &probabilities);
        if shown.top.is_none() {
            fields.insert("log_likelihoods".into(), of_each(labels, sums));
        }
        fields
    }
}

/// `exp(s_c) / Σ exp(s)`.
fn softmax(scores: &[f64]) -> Vec<f32> {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let each: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = each.iter().sum();
    each.iter().map(|one| (one / sum) as f32).collect()
}

/// The log-likelihoods of the classes, by their names.
pub fn of_each(labels: &Labels, sums: &[f64]) -> Value {
    let each = labels.names().iter().zip(sums).map(|(name, sum)| (name.clone(), json!(sum)));
    Value::Object(each.collect())
}

/// The classes to rank.
///
/// # Errors
///
/// [`Error::Setting`] for rows of token ids, and where no classes are known.
pub fn rankable<'l>(classes: Option<&'l Labels>, rows: &[Record]) -> Result<&'l Labels> {
    let refuse = |message: &str| Err(Error::setting("--rank-classes", message));
    if rows.iter().any(Record::is_ids) {
        return refuse("is for rows of text, not of token ids");
    }
    match classes {
        Some(labels) => Ok(labels),
        None => {
            refuse("needs the classes: --labels, --task-file, or an adapter that remembers them")
        }
    }
}

/// The field whose text is the class: the only one of the target's template, else the target, of the `fields` that are read.
///
/// # Errors
///
/// [`Error::Setting`] naming `flag`, if the template has more in it than the class.
pub fn class_field(
    session: &Session,
    text: &TextArgs,
    fields: &FieldNames,
    flag: &str,
) -> Result<String> {
    let Some(template) = session.target_template(text)? else {
        return Ok(fields.name(Role::Target).to_string());
    };
    let mut fields: Vec<&str> =
        template.required_fields().chain(template.optional_fields()).collect();
    fields.dedup();
    match fields.as_slice() {
        [one] => Ok((*one).to_string()),
        _ => Err(Error::setting(
            flag,
            format!(
                "needs a target of one field, the class; that of this task is made by {template}"
            ),
        )),
    }
}

/// The tokens of each class as a target, with the token that ends a text. They do not depend on the row.
fn class_ids(
    session: &Session,
    labels: &Labels,
    (records, encoded): (&[Record], &Encoded),
    text: &TextArgs,
    field: &str,
) -> Result<Vec<Vec<u32>>> {
    let Some(first) = records.first() else { return Ok(Vec::new()) };
    let goes_on = encoded.goes_on.first() == Some(&true);
    let of_text = encoded.fields.name(Role::Text).to_string();
    if goes_on && text.fields.text_field.is_some() {
        let message =
            "is for one text, and a class follows a source: name the field by --source-field";
        return Err(Error::setting("--text-field", message));
    }
    let with = |name: &String| {
        let mut record = first.clone();
        record.fields.insert(field.to_string(), name.as_str().into());
        // What follows a text is a target once the text is a source.
        if goes_on && let Some(own) = record.optional(&of_text).cloned() {
            record.fields.insert(Role::Source.name().into(), own);
        }
        record
    };
    let records: Vec<Record> = labels.names().iter().map(with).collect();
    let encoded = session.encode_records(&records, text, true)?;
    let target = |example: &Example| {
        split(example, session.model())
            .map(|(_, target)| target)
            .map_err(|message| first.error(message))
    };
    let ids: Vec<Vec<u32>> = encoded.examples.iter().map(target).collect::<Result<_>>()?;
    let mut classes = HashMap::with_capacity(ids.len());
    for (second, own) in ids.iter().enumerate() {
        if let Some(first) = classes.insert(own, second) {
            let name = |class: usize| labels.name(class).unwrap_or_default();
            let message = format!(
                "the classes {:?} and {:?} become the same tokens, so neither can be likelier: give them other words, \
                 or a longer --max-target-length",
                name(first),
                name(second)
            );
            return Err(Error::setting("--rank-classes", message));
        }
    }
    Ok(ids)
}

/// What a row's class follows.
fn input<'e>(session: &Session, example: &'e Example, record: &Record) -> Result<&'e [u32]> {
    split(example, session.model()).map(|(input, _)| input).map_err(|message| record.error(message))
}
