//! The classes in texts that were generated.

use std::path::Path;

use peft_core::{Error, Result, data::Labels, metrics::Metrics, text::Encoded};
use peft_models::generate::GenerateConfig;

use super::scores::{Answer, scores};
use crate::{
    generation_scores::{Written, targets_of},
    label_renames::way_out,
    output,
    session::Session,
    text_stream::NewText,
    token_text::TokenText,
};

/// Scores of the classes that were written, as [`scores_of_written`]; nothing but a note if a target is none of the
/// classes. `groups` says which of all rows belong together.
///
/// # Errors
///
/// An error if the model has no tokenizer.
pub fn of_written(
    session: &Session,
    labels: &Labels,
    rows: &Encoded,
    written: &[Written],
    config: &GenerateConfig,
    groups: Option<&[String]>,
) -> Result<Metrics> {
    match answers_of(session, labels, rows, written, config)? {
        Ok(answers) => {
            let groups = groups.map(|groups| groups_of(written, groups));
            Ok(scores_of_written(&answers, labels.len(), groups.as_deref()))
        }
        Err(error) => {
            output::note(format!("note: no accuracy of classes: {error}"));
            Ok(Metrics::default())
        }
    }
}

/// The groups of the rows that something was written for, in their order.
fn groups_of(written: &[Written], groups: &[String]) -> Vec<String> {
    let mut rows: Vec<usize> = written.iter().flat_map(|one| one.rows.iter().copied()).collect();
    rows.sort_unstable();
    rows.into_iter().map(|row| groups[row].clone()).collect()
}

/// The classes that were written for each row, matched exactly but for blanks around them, and the right ones; in place of
/// them an error that names the first row whose target is none of the classes.
///
/// # Errors
///
/// An error if the model has no tokenizer.
pub fn answers_of(
    session: &Session,
    labels: &Labels,
    rows: &Encoded,
    written: &[Written],
    config: &GenerateConfig,
) -> Result<std::result::Result<Vec<Answer>, Error>> {
    let tokens = TokenText::new(&session.dir.tokenizer()?.tokenizer);
    let text = |ids: &[u32]| NewText::new(tokens, &[], &[]).whole(ids).unwrap_or_default();
    let class = |ids: &[u32]| labels.index(text(ids).trim());
    let mut answers: Vec<Option<Answer>> = vec![None; rows.examples.len()];
    for one in written {
        let found = class(&one.found);
        for row in &one.rows {
            let target = targets_of(session, rows, *row, config)?;
            let Some(expected) = class(&target) else {
                return Ok(Err(no_class(labels, rows, *row, text(&target).trim())));
            };
            answers[*row] = Some((found, expected));
        }
    }
    Ok(Ok(answers.into_iter().flatten().collect()))
}

/// [`scores`] of classes that were written, and `invalid`, the share of texts that are none.
pub fn scores_of_written(answers: &[Answer], classes: usize, groups: Option<&[String]>) -> Metrics {
    let mut metrics = scores(answers, classes, groups);
    let invalid = answers.iter().filter(|(found, _)| found.is_none()).count();
    metrics.insert("invalid", invalid as f64 / answers.len().max(1) as f64);
    metrics
}

/// The error for a row whose target is none of the classes.
pub fn no_class(labels: &Labels, rows: &Encoded, row: usize, found: &str) -> Error {
    let path = rows.file_of(row).unwrap_or(Path::new(""));
    let line = rows.examples.get(row).map_or(0, |example| example.line);
    let message = format!(
        "found the target {found:?}, expected one of the classes (`labels`): {}{}",
        labels.names().join(", "),
        way_out(found)
    );
    Error::data(path, line, message)
}
