//! Rows behind their examples.

use std::{collections::BTreeSet, path::Path};

use peft_core::{
    ContextBudget, Error, Result, VirtualTokens,
    data::Example,
    text::{Encoded, Encoder, Record, label_text},
};

use super::{
    ShotArgs,
    draw::{Shot, draw, pool},
    share::{of_input, share},
};
use crate::{
    output::{self, grouped},
    session::Session,
    text_settings::TextArgs,
};

/// Encodes rows, behind the examples that the flags ask for, which are returned. With `targets`, rows have targets; so
/// many `new_tokens` are to be generated behind each.
///
/// A row's input is the examples, each with what separates it from the next, and then its own source, tokenised as one
/// text. Tokens that all rows begin with become the session's virtual tokens, so that they are read once.
///
/// # Errors
///
/// [`Error::Setting`] for examples where there can be none, or for more than there are rows to draw; [`Error::Data`] at
/// a row that does not fit the model behind them, or has no source and target, and at an example whose target is none of
/// the classes.
pub fn encode(
    session: &mut Session,
    records: &[Record],
    text: &TextArgs,
    (targets, new_tokens): (bool, usize),
    args: &ShotArgs,
) -> Result<(Encoded, Vec<Shot>)> {
    if args.count() == 0 {
        let encoded = session.encode_records(records, text, targets)?;
        session.check_lengths(&encoded, 0)?;
        return Ok((encoded, Vec::new()));
    }
    let shots = drawn(session, records, text, args)?;
    let front: String = shots.iter().map(|shot| shot.text() + args.separator()).collect();
    let own = session.dir.tokenizer()?.tokenizer.encode(front.as_str(), false);
    let of_front = own.map_err(|error| Error::setting("--shots", error.to_string()))?.len();
    session.source_prefix = Some(front);
    let mut encoded = session.encode_records(records, text, targets)?;
    if encoded.truncated > 0 {
        let message = format!(
            "would cut the examples in front of {} of {} rows, which have {of_front} tokens: leave it out, or lower \
             --shots",
            encoded.truncated,
            encoded.records()
        );
        return Err(Error::setting("--max-length", message));
    }
    check_lengths(session, &encoded, new_tokens, (args.count(), of_front))?;
    let shared = share(session.base.model.as_ref(), &mut encoded.examples)?;
    let once = match &shared {
        Some(shared) => {
            format!("; the {} tokens that all rows begin with are read once", grouped(shared.len()))
        }
        None => String::new(),
    };
    output::note(format!(
        "note: {} examples, {} tokens, stand in front of each of {} rows{once}",
        shots.len(),
        grouped(of_front),
        grouped(encoded.records())
    ));
    if let Some(shared) = shared {
        session.virtual_tokens = shared;
    }
    Ok((encoded, shots))
}

/// The examples.
fn drawn(
    session: &Session,
    records: &[Record],
    text: &TextArgs,
    args: &ShotArgs,
) -> Result<Vec<Shot>> {
    let task = session.task()?;
    let refuse = |message: String| Err(Error::setting("--shots", message));
    if !task.is_language_model() {
        return refuse(format!("is for language models, which read examples; this is {task}"));
    }
    if session.adapter.is_some() {
        return refuse("is for a model without an adapter: leave out --adapter, or --shots".into());
    }
    let reader = session.texts_of(records, text, false)?;
    let scored = records.iter().map(|row| Ok(reader.source_text(row)?.trim().to_string()));
    let scored: BTreeSet<String> = scored.collect::<Result<_>>()?;
    let rows = session.read_training(&args.shots_from, text)?;
    let rows = session.with_targets(&rows, text)?;
    let reader = session.texts_of(&rows, text, true)?;
    check_classes(session, &rows, text, &reader)?;
    let shot = |row: &Record| {
        Ok(Shot { source: reader.source_text(row)?, target: reader.target_text(row)? })
    };
    let all = rows.iter().map(shot).collect::<Result<Vec<_>>>()?;
    let (pool, left_out) = pool(all, &scored);
    if left_out > 0 {
        output::note(format!(
            "note: {left_out} of {} rows that examples are drawn from have the input of a row to answer: none of them \
             is drawn",
            rows.len()
        ));
    }
    if args.count() > pool.len() {
        return refuse(format!(
            "found {}, expected 0 to {}: so many rows of --shots-from have an input of their own that is not to be \
             answered",
            args.count(),
            pool.len()
        ));
    }
    Ok(draw(&pool, args.count(), args.seed(), session.labels.is_some()))
}

/// Refuses rows to draw from whose target is none of the classes: an example would show the model an answer that no row to
/// score has.
fn check_classes(
    session: &Session,
    rows: &[Record],
    text: &TextArgs,
    reader: &Encoder,
) -> Result<()> {
    let Some(labels) = &session.labels else { return Ok(()) };
    let template = session.target_template(text)?;
    let fields = template.iter().flat_map(|one| one.required_fields().chain(one.optional_fields()));
    let mut fields: Vec<&str> = fields.collect();
    fields.dedup();
    for row in rows {
        let target = reader.target_text(row)?;
        let target = target.trim();
        let class = match (&template, fields.as_slice()) {
            (None, _) => label_text(&serde_json::Value::from(target)),
            (Some(_), [field]) => row.optional(field).and_then(label_text),
            // Of several fields none is the class.
            (Some(_), _) => None,
        };
        let is_class = |name: &str| labels.index(name).is_some();
        if !is_class(target) && class.as_deref().is_some_and(|name| !is_class(name)) {
            return Err(row.error(format!(
                "found the target {target:?} in a row of --shots-from, expected one of the classes (`labels`): {}; \
                 --rename-label is for rows to score: name the class in this file, or by the step `words` of a task in TOML",
                labels.names().join(", ")
            )));
        }
    }
    Ok(())
}

/// Checks that rows fit the model's positions behind examples.
fn check_lengths(
    session: &Session,
    rows: &Encoded,
    new_tokens: usize,
    (shots, of_front): (usize, usize),
) -> Result<()> {
    let budget = ContextBudget::new(session.model().spec(), &VirtualTokens::none());
    let start = usize::from(new_tokens > 0);
    let input = |row: &Example| match session.model().spec().is_causal() {
        true => of_input(row),
        false => row.input_ids.len(),
    };
    rows.examples.iter().enumerate().try_for_each(|(index, row)| {
        let whole = budget.check(row.input_ids.len(), row.decoder_len(), 0);
        let goes_on = || budget.check(input(row), start.max(row.decoder_len()), new_tokens);
        whole.and_then(|()| goes_on()).map_err(|error| {
            let path = rows.file_of(index).unwrap_or(Path::new(""));
            let message = format!(
                "{error}; the {shots} examples in front of it are {of_front} tokens of these: lower --shots"
            );
            Error::data(path, row.line, message)
        })
    })
}
