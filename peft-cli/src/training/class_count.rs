//! How many classes a run would find in its training rows, for who has no model to train on.

use peft_core::{
    ProblemType, Result, Task,
    data::Labels,
    text::{Role, Wanted, are_class_numbers},
};
use peft_models::ModelConfig;

use super::{class_names, inputs};
use crate::{
    data_files::is_standard_input, fields, output, settings::Settings, tasks::task_file::TaskFile,
};

/// The classes of the head of a run with these settings, which name none, on a model of this config: those of its rows.
/// `None` if there are no rows to read; that they cannot be read is told.
///
/// # Errors
///
/// Returns an error naming the key of the config that is wrong.
pub fn of_rows(settings: &Settings, task: Task, config: &ModelConfig) -> Result<Option<usize>> {
    let problem_type = match (settings.problem_type, task) {
        (Some(given), _) => given,
        (None, Task::SeqCls) => config.problem_type()?.unwrap_or_default(),
        (None, _) => ProblemType::default(),
    };
    if problem_type == ProblemType::Regression {
        return Ok(Some(1));
    }
    // Standard input is for the run.
    let Some(names) = settings.train.as_deref().filter(|names| !is_standard_input(names)) else {
        return Ok(None);
    };
    match count(settings, names, (task, problem_type), config) {
        Ok(count) => Ok(Some(count)),
        Err(error) => {
            output::note(format!(
                "note: the classes of --train are not known here: {error}; --classes says how many there are, or --labels"
            ));
            Ok(None)
        }
    }
}

fn count(
    settings: &Settings,
    names: &[std::path::PathBuf],
    (task, problem_type): (Task, ProblemType),
    config: &ModelConfig,
) -> Result<usize> {
    let task_file = settings.task_file.as_deref().map(TaskFile::open).transpose()?;
    let rows = inputs::rows(settings, task_file.as_ref(), names, true)?;
    let first = rows.first_rows()?;
    let found = fields::find(
        &first,
        &Wanted {
            task,
            given: &settings.field_names(),
            preferred: &Default::default(),
            source_template: settings.source_template.is_some(),
            target_template: settings.target_template.is_some(),
            targets: true,
        },
    )?;
    let key = found.names.name(if task == Task::TokenCls { Role::Tags } else { Role::Label });
    let numbered = first.iter().all(|row| !row.is_ids()) && are_class_numbers(&first, key);
    let named = first.first().filter(|_| numbered).and_then(|row| row.class_names(key));
    if let Some(known) = named {
        return Ok(known.names.len());
    }
    let skip = settings.skip_unlabelled.unwrap_or_default();
    let found = class_names::collected(&rows, &found.names, (task, problem_type), skip)?;
    // The head of a classifier knows of classes that rows with numbers do not show.
    let own = config.labels().filter(|_| config.task() == Some(task));
    Ok(with_those_of_model(&found, own.map_or(0, |own| own.len())))
}

fn with_those_of_model(found: &Labels, own: usize) -> usize {
    let are_numbers = found.names().iter().all(|name| name.parse::<usize>().is_ok_and(|i| i < own));
    if are_numbers { own } else { found.len() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_head_knows_of_classes_that_no_row_has() {
        let of = |names: &[&str], own| {
            let names = names.iter().map(|name| name.to_string()).collect();
            with_those_of_model(&Labels::from_list(names).unwrap(), own)
        };
        assert_eq!(of(&["0", "1"], 3), 3);
        assert_eq!((of(&["0", "3"], 3), of(&["0", "1", "2"], 2), of(&["a", "b"], 3)), (2, 3, 2));
    }
}
