//! Files of a run's folder that were cut off or changed: what can be done about each.

use std::path::{Path, PathBuf};

use peft_core::{Adapter, Error, Result, train::checkpoint::Checkpoints};

use super::{
    earlier_adapter,
    file_names::{CHECKPOINTS, METRICS, RUN_FILE},
};
use crate::{
    output::quoted,
    settings::{Settings, file},
};

/// Adds a way out to an error about a file as a whole.
pub fn with_way_out(error: Error, way_out: impl FnOnce() -> String) -> Error {
    match error {
        Error::File { path, message } => {
            Error::File { path, message: format!("{message}; {}", way_out()) }
        }
        other => other,
    }
}

/// The settings in the folder of a run.
///
/// # Errors
///
/// As for [`file::load`]; `otherwise` is what can be done in place of putting the file back.
pub fn settings(folder: &Path, otherwise: impl FnOnce() -> String) -> Result<Settings> {
    file::load(&folder.join(RUN_FILE)).map_err(|error| {
        with_way_out(error, || format!("put the file back as it was, or {}", otherwise()))
    })
}

/// What else can be done where the settings of the run in `folder` are lost.
pub fn without_settings(folder: &Path) -> String {
    match learnt(folder) {
        Some(adapter) => format!(
            "start another run from what this one has learnt: --init-adapter {} and another --out",
            quoted(&adapter)
        ),
        None => "give its settings again, with --overwrite to start it anew".into(),
    }
}

/// What can be done where the result of the run in `folder` cannot be read.
pub fn without_result(folder: &Path) -> &'static str {
    let of_run = [CHECKPOINTS, METRICS, Adapter::CONFIG];
    match of_run.iter().any(|name| folder.join(name).exists()) {
        true => {
            "remove this file: the run goes on from its newest checkpoint where it is resumed, and writes it anew"
        }
        false => "remove the folder, and make the evaluation anew",
    }
}

/// Adds to an error about an adapter in the folder of a run that the run has it in a checkpoint.
pub fn in_run(error: Error, folder: &Path) -> Error {
    match newest(folder) {
        Some(checkpoint) => with_way_out(error, || {
            format!(
                "`peft train --resume --out {}` writes the adapter anew from the newest checkpoint, {}, which is one, too",
                quoted(folder),
                checkpoint.display()
            )
        }),
        None => error,
    }
}

/// An adapter of the run in `folder`: its newest complete checkpoint, else its own.
fn learnt(folder: &Path) -> Option<PathBuf> {
    let own = || earlier_adapter::has_own_adapter(folder).is_ok_and(|has| has);
    newest(folder).or_else(|| own().then(|| folder.to_path_buf()))
}

/// The newest complete checkpoint of the run in a folder, where the folders of checkpoints can be read.
pub fn newest(folder: &Path) -> Option<PathBuf> {
    let found = Checkpoints::new(folder, 1).newest(|_| {}).ok().flatten();
    found.map(|(path, _)| path)
}
