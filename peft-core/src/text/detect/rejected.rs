//! Rows that say of themselves that their target is not right.

use crate::{
    contract::task::Task,
    error::Result,
    text::{
        fields::{FieldNames, Role},
        labels::label_text,
        record::Record,
    },
};

/// A field that says so.
struct Mark {
    tasks: &'static [Task],
    field: &'static str,
    /// What it says then.
    says: &'static [&'static str],
    /// Fields that such a row has, too: elsewhere this one means something else.
    beside: &'static [&'static str],
}

const LANGUAGE_MODELS: &[Task] = &[Task::CausalLm, Task::Seq2SeqLm];
const FALSE: &[&str] = &["false", "False"];

const MARKS: &[Mark] = &[
    // Of Prodigy.
    Mark {
        tasks: &[Task::SeqCls, Task::TokenCls],
        field: "answer",
        says: &["reject", "ignore"],
        beside: &[],
    },
    // Of preferences that come one by one (KTO).
    Mark { tasks: LANGUAGE_MODELS, field: "kto_tag", says: FALSE, beside: &[] },
    Mark { tasks: LANGUAGE_MODELS, field: "label", says: FALSE, beside: &["prompt", "completion"] },
];

/// Refuses a row with a target that says of itself that this is not right, by a field that is read as nothing else.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data).
pub(in crate::text) fn refuse_rejected(
    record: &Record,
    task: Task,
    names: &FieldNames,
) -> Result<()> {
    let is_read = |field: &str| Role::of_task(task).iter().any(|role| names.name(*role) == field);
    let said = |mark: &Mark| {
        let value = record.optional(mark.field).filter(|_| !is_read(mark.field))?;
        let text = label_text(value)?;
        let is_such = mark.beside.iter().all(|field| record.has(field));
        (is_such && mark.says.contains(&text.as_str())).then_some(text)
    };
    let mut of_task = MARKS.iter().filter(|mark| mark.tasks.contains(&task));
    match of_task.find_map(|mark| Some((mark.field, said(mark)?))) {
        Some((field, text)) => Err(record.error(format!(
            "field `{field}` is {text}: the row says that its target is not right; leave such rows out"
        ))),
        None => Ok(()),
    }
}
