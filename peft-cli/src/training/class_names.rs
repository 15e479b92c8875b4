//! The classes of a run: given, remembered by an adapter, or found in the rows.

use burn::tensor::Device;
use peft_core::{
    Adapter, Head, Result, Task,
    data::Labels,
    text::{FieldNames, Record, collect_labels},
};
use peft_models::Loaded;

use crate::encoding::{parse_labels, stored_labels};

/// The classes of a run: those of `--labels`, of the adapter to start from, or of the training records.
///
/// # Errors
///
/// Returns an error naming what is wrong with `given`, the adapter's head, or the line of a record.
pub fn of_run(
    given: Option<&str>,
    task: Task,
    base: &Loaded,
    start_adapter: Option<&Adapter>,
    records: &[Record],
    fields: &FieldNames,
    device: &Device,
) -> Result<Option<Labels>> {
    if let Some(list) = given {
        return Ok(Some(parse_labels(list)?));
    }
    if !matches!(task, Task::SeqCls | Task::TokenCls) {
        return Ok(None);
    }
    if let Some(names) = start_adapter.and_then(|adapter| adapter.config.own.labels.clone()) {
        return Ok(Some(stored_labels(names, "adapter")?));
    }
    let found = collect_labels(records, task, fields)?;
    let model = base.model.as_ref();
    let head = match start_adapter {
        Some(adapter) => adapter.head(model.head_layout(task), model.spec(), device)?,
        None => model.classifier().cloned(),
    };
    let found = with_all_classes(found, head.as_ref())?;
    match base.config.labels().filter(|own| same_names(own, &found)) {
        // The base model's own order, which is that of its head.
        Some(own) if start_adapter.is_none() => Ok(Some(stored_labels(own, "base model")?)),
        _ => Ok(Some(found)),
    }
}

/// Whether the classes have no names but their indices.
pub fn are_indices(labels: &Labels) -> bool {
    labels.names().iter().enumerate().all(|(i, name)| *name == i.to_string())
}

/// Whether both have the same names, in any order.
fn same_names(own: &[String], labels: &Labels) -> bool {
    own.len() == labels.len() && labels.names().iter().all(|name| own.contains(name))
}

/// Rows with class indices need not show every class, but a head that exists knows how many there are.
fn with_all_classes(found: Labels, head: Option<&Head>) -> Result<Labels> {
    match head.map(Head::num_classes) {
        Some(classes) if are_indices(&found) && classes > found.len() => {
            Labels::from_list((0..classes).map(|class| class.to_string()).collect())
        }
        _ => Ok(found),
    }
}
