//! What a run has made is put into its folder: the adapters, then the result.

use std::{fs, path::Path};

use peft_core::{Adapter, Error, Result, adapter::atomic};

use super::{
    TrainedRun, earlier_adapter,
    file_names::{PREDICTIONS, RUN_FILE, TASK_NAME, TASKS},
    run_result::RunResult,
};

/// Puts what a run has made into its folder: the adapter (of several tasks theirs before it), and then its result.
/// Predictions of an earlier adapter get another name, so that nobody takes them for those of this one.
///
/// # Errors
///
/// [`Error::Write`]; the run can be resumed then.
pub fn save(trained: &TrainedRun, result: &RunResult, folder: &Path) -> Result<()> {
    rename_predictions(folder)?;
    let of_tasks = folder.join(TASKS);
    for (name, adapter) in &trained.tasks {
        rename_predictions(&of_tasks.join(name))?;
        adapter.save(&of_tasks.join(name))?;
    }
    trained.adapter.save(folder)?;
    // Only the run that was replaced here can have left some.
    if earlier_adapter::has_earlier_adapter(folder) {
        remove_others(&of_tasks, |name| trained.tasks.iter().any(|(known, _)| known == name))?;
    }
    earlier_adapter::adapter_saved(folder)?;
    // A run that was continued has all settings from its file; which of them were given, and what computed, is known since
    // it began.
    let RunResult { derived, computed_by, devices, .. } =
        RunResult::read(folder)?.unwrap_or_default();
    RunResult { derived, computed_by, devices, ..result.clone() }.write(folder)
}

/// Removes the adapters of tasks that this run does not have: an earlier one left them. Whatever else lies there, such as
/// the folder of another run, stays.
fn remove_others(of_tasks: &Path, is_ours: impl Fn(&str) -> bool) -> Result<()> {
    if !of_tasks.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(of_tasks).map_err(Error::read(of_tasks))? {
        let path = entry.map_err(Error::read(of_tasks))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| !is_ours(name) && is_of_task(&path, name)) {
            atomic::remove(&path)?;
        }
    }
    Ok(())
}

/// Whether a folder is what a joint run keeps of the task of this name, and not a run of its own.
fn is_of_task(folder: &Path, name: &str) -> bool {
    if folder.join(RUN_FILE).exists() || !Adapter::exists(folder) {
        return false;
    }
    // One that cannot be read does not say whose it is.
    Adapter::load(folder).is_ok_and(|adapter| adapter.config.own.recipe[TASK_NAME] == *name)
}

fn rename_predictions(folder: &Path) -> Result<()> {
    for name in PREDICTIONS {
        let path = folder.join(name);
        if path.is_file() {
            atomic::rename(&path, &folder.join(format!("earlier-{name}")))?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn predictions_of_an_earlier_adapter_get_another_name() {
        let dir = tempfile::tempdir().unwrap();
        rename_predictions(dir.path()).unwrap();
        std::fs::write(dir.path().join("predictions.csv"), "old").unwrap();
        rename_predictions(dir.path()).unwrap();
        assert!(!dir.path().join("predictions.csv").exists());
        let kept = std::fs::read_to_string(dir.path().join("earlier-predictions.csv")).unwrap();
        assert_eq!(kept, "old");
    }
}
