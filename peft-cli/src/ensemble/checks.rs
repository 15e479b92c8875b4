//! What keeps an ensemble from being trained: settings that it cannot use, and members that could not vote together.

use std::{collections::BTreeSet, path::Path};

use peft_core::{Adapter, Error, Result};

use super::score::{FREE_TEXT, cannot_vote};
use crate::{
    data_files::is_standard_input,
    settings::Settings,
    sweep::{Plan, There},
    training::{
        PreparedRun, ending::Ending, inputs::Base, row_sums::row_sums, run_result::RunResult,
    },
};

/// The way out where a member has other classes than the rows give now.
pub(super) const MADE_ANEW: &str = "remove the folder of the member whose classes are not those of the rows, and --resume makes it anew";

/// The most members.
const MOST: usize = 1000;

/// Refuses settings that an ensemble cannot use, before anything is loaded. Returns the number of members.
pub(super) fn check_settings(settings: &Settings) -> Result<usize> {
    let refuse = |flag: &str, message: String| Err(Error::setting(flag, message));
    let count = settings.ensemble.unwrap_or_default();
    if !(2..=MOST).contains(&count) {
        return refuse("--ensemble", format!("found {count}, expected 2 to {MOST} adapters"));
    }
    if settings.tasks.is_some() {
        return refuse("--tasks", "not used with --ensemble: its members have one task".into());
    }
    if settings.valid_split.is_some() {
        let message = "not used with --ensemble: each seed would hold out other rows, and their vote would be scored on \
                       rows that some of them learnt; give a file (--valid)";
        return refuse("--valid-split", message.into());
    }
    let Some(valid) = &settings.valid else {
        let message =
            "needs validation rows, on which its members and their vote are scored (--valid)";
        return refuse("--ensemble", message.into());
    };
    if is_standard_input(valid) {
        let message = "found -, standard input, but with --ensemble the rows are read again to be voted on: give a file";
        return refuse("--valid", message.into());
    }
    if settings.metrics_file.is_some() {
        let message =
            "not used with --ensemble: each member writes metrics.jsonl in a folder of its own";
        return refuse("--metrics-file", message.into());
    }
    let task = *Settings::required(&settings.task, "--task")?;
    if let Some(reason) = cannot_vote(task, settings.problem_type.unwrap_or_default()) {
        return refuse("--ensemble", reason);
    }
    if task.is_language_model() && settings.labels.is_none() {
        return refuse("--ensemble", FREE_TEXT.into());
    }
    Ok(count)
}

/// Refuses an ensemble that lacks a member.
pub(super) fn check_finished(name: &str, folder: &Path) -> Result<()> {
    match RunResult::read(folder)?.unwrap_or_default().ending {
        Ending::Finished => Ok(()),
        Ending::Diverged => Err(Error::Mismatch(format!(
            "{name} diverged, so that there is no ensemble: a lower learning rate (--lr, and --head-lr of a head) or \
             --clip-norm, and another --out, make one"
        ))),
        Ending::Begun | Ending::Halted => Err(Error::Mismatch(format!(
            "{} has not ended, so that there is no ensemble: --resume goes on with it",
            folder.display()
        ))),
    }
}

/// Refuses members that were trained on another base model than the one that is there now: an ensemble has one.
pub(super) fn same_base(plan: &Plan, there: &[There], base: &Base) -> Result<()> {
    for (member, there) in plan.runs.iter().zip(there) {
        if *there == There::Ended(Ending::Finished) {
            is_on_base(&Adapter::load(&member.folder)?, &member.folder, base)?;
        }
    }
    Ok(())
}

/// Refuses a member in `folder` that was trained on other weights, or with another config, than `base` has. What an adapter
/// of an earlier version does not remember is taken for granted.
pub(super) fn is_on_base(adapter: &Adapter, folder: &Path, base: &Base) -> Result<()> {
    let Some(differs) = base.differing(adapter)? else { return Ok(()) };
    Err(Error::Mismatch(format!(
        "{}: was trained on another base model than {} holds now, so that it cannot vote with members on this one: {differs}. \
         Put the model back as it was, or give another --out",
        folder.display(),
        base.dir.path().display()
    )))
}

/// Refuses members that learnt or were scored on other rows than `first` does.
pub(super) fn same_rows(plan: &Plan, first: &PreparedRun) -> Result<()> {
    let sums = row_sums(first);
    for member in &plan.runs {
        let result = RunResult::read(&member.folder)?.filter(|there| there.ending != Ending::Begun);
        if result.is_some_and(|there| !there.is_of_rows(&sums)) {
            return Err(Error::Mismatch(format!(
                "{}: was made with other training or validation rows than those of --train and --valid now: give those \
                 files again as they were, or another --out",
                member.folder.display()
            )));
        }
    }
    Ok(())
}

/// Refuses members whose classes are not those of the rows now, before others are trained that could not vote with them.
pub(super) fn same_classes(plan: &Plan, there: &[There], first: &PreparedRun) -> Result<()> {
    let Some(now) = &first.labels else { return Ok(()) };
    let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<String>>();
    for (member, there) in plan.runs.iter().zip(there) {
        if *there != There::Ended(Ending::Finished) {
            continue;
        }
        let own = Adapter::load(&member.folder)?.config.own.labels;
        if let Some(own) = own.filter(|own| sorted(own) != sorted(now.names())) {
            return Err(Error::Mismatch(format!(
                "{}: has the classes {}, and the rows of --train have {} now, so that they cannot vote: {MADE_ANEW}; or give \
                 that file as it was",
                member.folder.display(),
                own.join(", "),
                now.names().join(", ")
            )));
        }
    }
    Ok(())
}
