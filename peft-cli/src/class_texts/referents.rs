//! What a pronoun stands for, in texts that were generated: Winograd schemas as T5 scores them.

use peft_core::{
    Result,
    metrics::{Metrics, names_referent},
    text::{Encoded, Record, label_text},
};
use peft_models::generate::GenerateConfig;

use crate::{
    generation_scores::{Written, targets_of},
    session::Session,
    text_stream::NewText,
    token_text::TokenText,
};

/// `accuracy`: how often a text names the words of a row's target exactly if the field `label` says that they are the right
/// ones. A text without words is wrong.
///
/// # Errors
///
/// [`Error::Data`](peft_core::Error::Data) at a row whose label is neither true nor false; an error if the model has no
/// tokenizer.
pub fn of_referents(
    session: &Session,
    (records, rows): (&[Record], &Encoded),
    written: &[Written],
    config: &GenerateConfig,
    label: &str,
) -> Result<Metrics> {
    let tokens = TokenText::new(&session.dir.tokenizer()?.tokenizer);
    let text = |ids: &[u32]| NewText::new(tokens, &[], &[]).whole(ids).unwrap_or_default();
    let (mut right, mut count) = (0_usize, 0_usize);
    for one in written {
        let found = text(&one.found);
        for row in &one.rows {
            let named = names_referent(&found, &text(&targets_of(session, rows, *row, config)?));
            right += usize::from(named == Some(is_true(&records[*row], label)?));
            count += 1;
        }
    }
    Ok(Metrics::from_iter([("accuracy", right as f64 / count.max(1) as f64)]))
}

/// A label, as the task's steps leave it.
fn is_true(record: &Record, field: &str) -> Result<bool> {
    let label = label_text(record.get(field)?).unwrap_or_default();
    match label.to_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(record.error(format!("field `{field}`: found `{label}`, expected True or False"))),
    }
}
