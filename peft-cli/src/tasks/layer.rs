//! The settings of a run on top of a task.

use peft_core::{Error, Result};

use super::task_file::TaskFile;
use crate::{recipes::named::Recipe, settings::Settings};

/// Completes settings from the task that they name, if they name one. Its kind is the given one, else that of a recipe
/// that the task can be done by, else its usual one.
///
/// # Errors
///
/// [`Error::Setting`] if the file cannot be used, is not for that kind of task, or renames labels, which rows to learn do
/// not.
pub fn complete(given: Settings) -> Result<Settings> {
    completed(given, true)
}

/// The same for rows to score, whose labels a task may rename.
///
/// # Errors
///
/// [`Error::Setting`] if the file cannot be used, or is not for that kind of task.
pub fn complete_to_score(given: Settings) -> Result<Settings> {
    completed(given, false)
}

fn completed(mut given: Settings, learns: bool) -> Result<Settings> {
    let Some(named) = &given.task_file else {
        return match given.data_dir {
            Some(_) => {
                Err(Error::setting("--data-dir", "needs --task-file, which names the files in it"))
            }
            None => Ok(given),
        };
    };
    let file = TaskFile::open(named)?;
    if learns && file.rename_labels.is_some() {
        let message = format!(
            "{} has rename_labels, which are for rows to score by the classes of an adapter (peft eval); classes of rows to \
             learn are named by the step `words`",
            named.display()
        );
        return Err(Error::setting("--task-file", message));
    }
    let of_recipe = match &given.recipe {
        Some(name) => Recipe::named(name)?.settings().task,
        None => None,
    };
    let of_recipe = of_recipe.filter(|task| file.kinds().any(|kind| kind == *task));
    let task = given.task.or(of_recipe).unwrap_or(file.usual());
    let mut layer = file.settings(task)?.clone();
    layer.task = Some(task);
    layer.labels = file.labels.clone();
    if given.train.is_none() {
        let folder = given.data_dir.take();
        if let Some((train, valid)) = file.data(folder.as_deref())? {
            layer.train = Some(vec![train]);
            layer.valid = valid.map(|valid| vec![valid]);
        }
    } else if given.data_dir.is_some() {
        return Err(Error::setting("--data-dir", "not used with --train, which names the files"));
    }
    let mut settings = given.or(layer);
    // A score of validation rows.
    if settings.valid.is_none() && settings.valid_split.is_none() {
        settings.best_metric = None;
    }
    Ok(settings)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use peft_core::Task;

    use super::*;

    fn of(text: &str) -> Result<Settings> {
        complete(toml::from_str(text).unwrap())
    }

    #[test]
    fn a_task_gives_what_is_not_given() {
        let settings = of("task_file = \"superglue-rte\"\nlabels = \"a,b\"").unwrap();
        assert_eq!(
            (settings.task, settings.labels.as_deref()),
            (Some(Task::Seq2SeqLm), Some("a,b"))
        );
        let source = "hypothesis: {hypothesis} premise: {premise}";
        assert_eq!(settings.source_template.as_deref(), Some(source));
        let classes = of("task_file = \"superglue-rte\"\ntask = \"seq-cls\"").unwrap();
        assert_eq!(
            (classes.source_template, classes.text_field.as_deref()),
            (None, Some("premise"))
        );
        let by_recipe =
            of("task_file = \"superglue-rte\"\nrecipe = \"liu2022-superglue\"").unwrap();
        assert_eq!(by_recipe.task, Some(Task::SeqCls));
        let not_by_recipe = of("task_file = \"superglue-rte\"\nrecipe = \"liu2022-qa\"").unwrap();
        assert_eq!(not_by_recipe.task, Some(Task::Seq2SeqLm));
        let error = of("task_file = \"superglue-rte\"\ntask = \"qa\"").unwrap_err().to_string();
        let says =
            "--task: found qa, the task superglue-rte is for seq2seq-lm, causal-lm or seq-cls";
        assert_eq!(error, says);
        assert_eq!(of("task_file = \"glue-cola\"\ntask = \"seq-cls\"").unwrap().best_metric, None);
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own.toml");
        std::fs::write(&own, "task = \"qa\"\n[rename_labels]\na = \"b\"\n[qa]").unwrap();
        let renames = format!("task_file = {own:?}");
        let error = of(&renames).unwrap_err().to_string();
        assert!(error.contains("has rename_labels, which are for rows to score"), "{error}");
        let to_score = complete_to_score(toml::from_str(&renames).unwrap()).unwrap();
        assert_eq!(to_score.task, Some(Task::QuestionAns));
        let error = of("data_dir = \"d\"").unwrap_err().to_string();
        assert!(error.starts_with("--data-dir: needs --task-file"), "{error}");
    }
}
