//! The adapter of a folder, with what a person should know of it.

use std::path::Path;

use burn::tensor::Device;
use peft_core::{
    Adapter, Error, Result, Task,
    adapter::{config_sum, foreign, own_file},
    formats::read,
};

use crate::{
    adapter_run,
    output::{self, quoted},
    training::{damaged, file_names::RUN_FILE},
};

/// Reads an adapter, for a `task` if one is known. A config that was edited is used as it stands, and said.
///
/// # Errors
///
/// As for [`Adapter::load`]; [`Error::File`] naming `peft convert` for what it would make an adapter of, or the file that
/// was left behind; and for the adapter of a run that another one replaces.
pub fn load(dir: &Path, task: Option<Task>) -> Result<Adapter> {
    match adapter_run::replaced(dir)? {
        Some(replaced) => Err(Error::file(dir, replaced)),
        None => {
            let adapter = load_of_any_run(dir, task)?;
            adapter_run::note_earlier_end(dir);
            Ok(adapter)
        }
    }
}

/// As [`load`], also that of a run that another one replaces.
///
/// # Errors
///
/// As for [`load`].
pub fn load_of_any_run(dir: &Path, task: Option<Task>) -> Result<Adapter> {
    if !Adapter::exists(dir) && is_of_this_program(dir) && foreign::holds_tensors(dir) {
        let message = format!(
            "holds no {}, which was saved with what it holds: copy it, too",
            Adapter::CONFIG
        );
        return Err(Error::file(dir, message));
    }
    if !Adapter::exists(dir)
        && (is_alone(dir) || foreign::holds_tensors(dir))
        && let Ok(found) = foreign::read(dir, &Device::default())
    {
        let (named, whose) = match task.or(found.task()) {
            Some(task) => (task.to_string(), ""),
            None => ("TASK".into(), ", with the task that it was trained for"),
        };
        let message = format!(
            "is no adapter yet: it holds {}, which becomes one by `peft convert --from {} --task {named} --to NEW`{whose}",
            found.layout(),
            quoted(dir)
        );
        return Err(Error::file(dir, message));
    }
    let adapter = Adapter::load(dir).map_err(|error| damaged::in_run(error, dir))?;
    if config_sum::is_changed(dir)? {
        output::note(format!(
            "note: {} was changed after it was saved: it is used as it stands",
            dir.join(own_file::file_of(dir)).display()
        ));
    }
    note_no_task(&adapter, dir, task)?;
    Ok(adapter)
}

/// Tells of an adapter of PEFT's whose virtual tokens PEFT leaves out: its class for an adapter without a task computes with
/// the base model alone.
fn note_no_task(adapter: &Adapter, dir: &Path, task: Option<Task>) -> Result<()> {
    let config = &adapter.config;
    let file = dir.join(Adapter::CONFIG);
    // Names of tasks that are not known here are tasks for PEFT.
    if config.own.method.is_none()
        && config.task.is_none()
        && config.num_virtual_tokens > 0
        && read::json(&file)?["task_type"].is_null()
    {
        let (named, used) = match task {
            Some(task) => (task.peft_name(), format!(" for {task}")),
            None => ("TASK", String::new()),
        };
        output::note(format!(
            "note: {} has no task_type, and so PEFT leaves its virtual tokens out; here they are used{used}. To have them in \
             both, write \"task_type\": \"{named}\" into it",
            file.display()
        ));
    }
    Ok(())
}

/// Whether a folder holds what this program saves beside an adapter's config.
fn is_of_this_program(dir: &Path) -> bool {
    own_file::file_of(dir) != Adapter::CONFIG || dir.join(RUN_FILE).exists()
}

/// Whether this is a file, and none of an adapter's folder.
fn is_alone(file: &Path) -> bool {
    file.is_file() && file.parent().is_none_or(|folder| !Adapter::exists(folder))
}
