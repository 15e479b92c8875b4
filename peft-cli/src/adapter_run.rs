//! Whether the adapter in the folder of a run is what that run has come to: `--overwrite` leaves the old one until there is a
//! new one, and a run that goes on leaves that of its earlier end.

use std::path::{Path, PathBuf};

use peft_core::{Adapter, Result};

use crate::{
    output::{self, quoted},
    training::{
        damaged,
        ending::Ending,
        file_names::{RESULT, TASKS},
        overwrite,
    },
};

/// What there is to say of the adapter in `dir`, if it is of a run that another one replaces, which has made none yet.
///
/// # Errors
///
/// [`Error::Read`](peft_core::Error::Read).
pub fn replaced(dir: &Path) -> Result<Option<String>> {
    let run = match (overwrite::holds_replaced(dir)?, run_of_task(dir)) {
        (true, _) => dir.to_path_buf(),
        (false, Some(run)) if Adapter::exists(dir) && overwrite::holds_replaced(&run)? => run,
        _ => return Ok(None),
    };
    let (state, way_on) = match Ending::of_run(&run) {
        Some(Ending::Diverged) => ("diverged, and has none", String::new()),
        _ => {
            // Before its first step the checkpoints are still those of the old run.
            let newest = damaged::newest(&run).filter(|_| !overwrite::is_due(&run));
            let newest = newest.map(|newest| format!("; {} is its newest", newest.display()));
            let resume = format!("`peft train --resume --out {}` goes on with it", quoted(&run));
            ("has none yet", format!(". {resume}{}", newest.unwrap_or_default()))
        }
    };
    Ok(Some(format!(
        "holds the adapter of an earlier run: the one that --overwrite put in its place {state}{way_on}. `peft convert --from {} \
         --to NEW` takes the earlier one all the same",
        quoted(dir)
    )))
}

/// Tells of an adapter in `dir` whose run went on from its end, and has not ended since.
pub fn note_earlier_end(dir: &Path) {
    let own = Some(dir.to_path_buf()).filter(|dir| dir.join(RESULT).exists());
    let Some(run) = own.or_else(|| run_of_task(dir)) else { return };
    let state = match Ending::of_run(&run) {
        Some(Ending::Begun) => "went on and has not ended since",
        Some(Ending::Diverged) => "went on and diverged",
        _ => return,
    };
    let newest = damaged::newest(&run)
        .map(|newest| format!("; its newest checkpoint is {}", newest.display()));
    output::note(format!(
        "note: {}: the run {state}, so that this adapter may be that of its earlier end{}",
        dir.display(),
        newest.unwrap_or_default()
    ));
}

/// The folder of the joint run whose task has its adapter in `dir`.
fn run_of_task(dir: &Path) -> Option<PathBuf> {
    let dir = dir.canonicalize().ok()?;
    let tasks = dir.parent().filter(|tasks| tasks.ends_with(TASKS))?;
    tasks.parent().map(Path::to_path_buf)
}
