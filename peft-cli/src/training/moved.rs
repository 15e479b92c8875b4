//! A run that goes on, and whose settings name what is not there any more: its folder was moved without its base model or its
//! rows, or these were moved. Flags say where they are now.

use std::path::{Path, PathBuf};

use peft_core::{Error, text::find_files};

use super::class_weights::BALANCED;
use crate::{
    data_files::is_standard_input,
    error::CliError,
    hub, message,
    settings::{Settings, tasks::NamedTask},
    tasks::task_file::is_file,
    usage::listed,
};

/// What the settings of a run that goes on name in vain.
#[derive(Clone, Debug, Default)]
pub struct Moved {
    /// The file of these settings, and the flags in whose place they stand.
    lost: Option<(PathBuf, Vec<&'static str>)>,
}

impl Moved {
    /// What is lost of the `used` settings, of which some are `given` and the others are from `file`. The adapter to start
    /// from is needed only where `starts` says so.
    pub fn of(given: &Settings, used: &Settings, file: &Path, starts: bool) -> Self {
        let lost: Vec<&str> = lost(used, starts)
            .into_iter()
            .filter(|(_, is_given)| !is_given(given))
            .map(|(flag, _)| flag)
            .collect();
        Self { lost: (!lost.is_empty()).then(|| (file.to_path_buf(), lost)) }
    }

    /// An error of the run, with the way out where something is lost.
    pub fn explain(&self, error: impl Into<CliError>) -> CliError {
        let error = error.into();
        let Some((file, flags)) = &self.lost else { return error };
        if !matches!(error, CliError::Usage(_) | CliError::Failed(_) | CliError::Hub(_)) {
            return error;
        }
        let says = format!(
            "{}; not all that {} names is there from here: give where it is now, with {}",
            message::of(&error),
            file.display(),
            listed(flags, "and")
        );
        match error.exit_code() {
            1 => Error::Mismatch(says).into(),
            _ => CliError::Usage(says),
        }
    }
}

/// Whether settings give what a flag stands for.
type IsGiven = fn(&Settings) -> bool;

/// The flags of what settings name in vain.
fn lost(settings: &Settings, starts: bool) -> Vec<(&'static str, IsGiven)> {
    let Settings {
        model,
        init_adapter,
        train,
        valid,
        chat_template,
        class_weights,
        task_file,
        data_dir,
        tasks,
        ..
    } = settings;
    let no_file = |path: &PathBuf| !path.exists();
    let no_model = |path: &PathBuf| !path.exists() && !hub::is_name(path);
    let own = |task: &NamedTask| Settings::of_fields(task.own.clone()).ok();
    let is_task_lost = |own: Settings| !lost(&own, false).is_empty();
    let all: [(bool, &'static str, IsGiven); 9] = [
        (model.as_ref().is_some_and(no_model), "--model", |given| given.model.is_some()),
        (starts && init_adapter.as_ref().is_some_and(no_model), "--init-adapter", |given| {
            given.init_adapter.is_some()
        }),
        (train.as_deref().is_some_and(no_rows), "--train", |given| given.train.is_some()),
        (valid.as_deref().is_some_and(no_rows), "--valid", |given| given.valid.is_some()),
        (chat_template.as_ref().is_some_and(no_file), "--chat-template", |given| {
            given.chat_template.is_some()
        }),
        (
            class_weights
                .as_ref()
                .is_some_and(|path| path.as_os_str() != BALANCED && no_file(path)),
            "--class-weights",
            |given| given.class_weights.is_some(),
        ),
        (
            task_file.as_ref().is_some_and(|path| is_file(path) && no_file(path)),
            "--task-file",
            |given| given.task_file.is_some(),
        ),
        (data_dir.as_ref().is_some_and(no_file), "--data-dir", |given| given.data_dir.is_some()),
        (
            tasks.iter().flat_map(|tasks| &tasks.0).filter_map(own).any(is_task_lost),
            "--tasks",
            |given| given.tasks.is_some(),
        ),
    ];
    all.into_iter().filter(|(is_lost, ..)| *is_lost).map(|(_, flag, given)| (flag, given)).collect()
}

/// Whether one of the names of files of rows stands for none.
fn no_rows(names: &[PathBuf]) -> bool {
    let is_lost = |name: &PathBuf| {
        let found = || find_files(std::slice::from_ref(name)).unwrap_or_default();
        !name.exists() && !found().files.iter().any(|file| file.exists())
    };
    !is_standard_input(names) && names.iter().any(is_lost)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_not_there_is_named_by_its_flag() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a.jsonl"), "").unwrap();
        let used = Settings {
            model: Some(at("model")),
            init_adapter: Some(at("adapter")),
            train: Some(vec![at("*.jsonl")]),
            valid: Some(vec![at("a.jsonl"), at("b.jsonl")]),
            class_weights: Some(BALANCED.into()),
            task_file: Some("superglue-rte".into()),
            ..Settings::default()
        };
        let none = Settings::default();
        let said = |given: &Settings, used: &Settings, starts| {
            let moved = Moved::of(given, used, Path::new("out/run.toml"), starts);
            let error = moved.explain(Error::Mismatch("why".into()));
            assert_eq!(error.exit_code(), 1);
            error.to_string()
        };
        let begins =
            "why; not all that out/run.toml names is there from here: give where it is now, with ";
        assert_eq!(said(&none, &used, false), format!("{begins}--model and --valid"));
        assert_eq!(
            said(&none, &used, true),
            format!("{begins}--model, --init-adapter and --valid")
        );
        let given = Settings { model: Some(at("other")), ..Settings::default() };
        assert_eq!(said(&given, &used, false), format!("{begins}--valid"));
        let train = Some(vec![at("*.csv")]);
        assert_eq!(
            said(&given, &Settings { train, ..none.clone() }, true),
            format!("{begins}--train")
        );
        // A name on the Hub, standard input, and what is there.
        let there = Settings {
            model: Some("org/name".into()),
            train: Some(vec!["-".into()]),
            valid: Some(vec![at("a.jsonl")]),
            ..Settings::default()
        };
        assert_eq!(said(&none, &there, true), "why");
        // Wrong usage stays that.
        let moved = Moved::of(&none, &used, Path::new("run.toml"), false);
        assert_eq!(moved.explain(Error::setting("lr", "found 0")).exit_code(), 2);
    }
}
