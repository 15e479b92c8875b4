//! The likeliest class of each row: the classes as a language model would write them, compared by their likelihood.

use peft_core::{
    Error, Result,
    data::{Example, Labels},
    metrics::Metrics,
    text::{Encoded, FieldNames, Record, Role, label_text},
};
use peft_models::generate::{GenerateConfig, log_likelihoods};
use serde_json::{Map, Value, json};

use super::{
    scores::{Answer, scores},
    written::no_class,
};
use crate::{
    generation_scores::split, predictions::Given, screen::rows::RowsDone, session::Session,
    signals::Signals, text_settings::TextArgs,
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

/// Ranks the classes for each row, which is read once for all of them.
///
/// # Errors
///
/// [`Error::Data`] at a row whose target is none of the classes; [`Error::Setting`] if the target's template has more than
/// the class in it; [`Error::Stopped`] if a signal came; as [`log_likelihoods`].
pub fn rank(
    session: &Session,
    labels: &Labels,
    (records, encoded): (&[Record], &Encoded),
    text: &TextArgs,
    (config, by): (&GenerateConfig, RankBy),
    groups: Option<&[String]>,
    signals: &Signals,
) -> Result<Ranked> {
    let field = class_field(session, text, &encoded.fields, "--rank-classes")?;
    let ids = class_ids(session, labels, records, text, &field)?;
    let mut inputs = Vec::with_capacity(records.len());
    let mut expected = Vec::with_capacity(records.len());
    for (row, (record, example)) in records.iter().zip(&encoded.examples).enumerate() {
        inputs.push(input(session, example, record)?);
        let name = record.optional(&field).and_then(label_text).unwrap_or_default();
        let class = labels.index(&name).ok_or_else(|| no_class(labels, encoded, row, &name))?;
        expected.push(class);
    }
    let done = RowsDone::new("eval", inputs.len(), &signals.bars());
    let mut likelihoods = Vec::with_capacity(inputs.len());
    for part in inputs.chunks(AT_ONCE) {
        let model = session.model();
        likelihoods.extend(log_likelihoods(model, part, &ids, &session.virtual_tokens, config)?);
        done.set(likelihoods.len());
        if signals.came() {
            return Err(Error::Stopped { done: likelihoods.len(), of: inputs.len() });
        }
    }
    let score = |(sum, ids): (&f64, &Vec<u32>)| match by {
        RankBy::Sum => *sum,
        RankBy::Mean => sum / ids.len() as f64,
    };
    let of_row = |sums: &Vec<f64>| sums.iter().zip(&ids).map(score).collect();
    let compared: Vec<Vec<f64>> = likelihoods.iter().map(of_row).collect();
    // The first of those that are equal.
    let best = |scores: &Vec<f64>| {
        (0..scores.len()).rev().max_by(|a, b| scores[*a].total_cmp(&scores[*b]))
    };
    let answers: Vec<Answer> = compared.iter().map(best).zip(expected).collect();
    let metrics = scores(&answers, labels.len(), groups);
    Ok(Ranked { metrics, likelihoods, compared, answers })
}

impl Ranked {
    /// The rows with their likeliest class (`label`), the right one (`reference`) and the log-likelihood of each.
    pub fn rows(&self, records: &[Record], labels: &Labels) -> Vec<Map<String, Value>> {
        let name = |class: usize| labels.name(class).unwrap_or_default();
        let row = |((record, sums), (found, expected)): ((&Record, &Vec<f64>), &Answer)| {
            let mut fields = Map::new();
            Given { fields: true }.add(record, &mut fields);
            fields.insert("label".into(), json!(found.map(name)));
            fields.insert("reference".into(), json!(name(*expected)));
            let each =
                sums.iter().enumerate().map(|(class, sum)| (name(class).to_string(), json!(sum)));
            fields.insert("log_likelihoods".into(), Value::Object(each.collect()));
            fields
        };
        records.iter().zip(&self.likelihoods).zip(&self.answers).map(row).collect()
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
    records: &[Record],
    text: &TextArgs,
    field: &str,
) -> Result<Vec<Vec<u32>>> {
    let Some(first) = records.first() else { return Ok(Vec::new()) };
    let with = |name: &String| {
        let mut record = first.clone();
        record.fields.insert(field.to_string(), name.as_str().into());
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
    for (second, own) in ids.iter().enumerate() {
        if let Some(first) = ids[..second].iter().position(|other| other == own) {
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
