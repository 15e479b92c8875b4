//! By what a run that is there differs from what is asked for, and whether it may be the same nonetheless.

use std::path::Path;

use peft_core::{Adapter, Error, Result};
use serde_json::Value;

use crate::{
    compare::settings_of_run,
    settings::Settings,
    training::{ending::Ending, run_result::RunResult},
};

/// Settings that a run takes from its rows, if nobody gives them.
const FROM_ROWS: [&str; 4] =
    ["eval_every", "checkpoint_every", "chat_date", "null_score_diff_threshold"];

/// The base model, of which a run remembers the sum.
const MODEL: &str = "model";

/// Settings that say where something is of which a run remembers the sum.
const KNOWN_BY_SUM: [&str; 4] = [MODEL, "train", "valid", "data_dir"];

/// Folders that are named in a message.
const NAMED: usize = 3;

/// A setting by which a run that is there differs from what is asked for.
#[derive(Clone, Debug)]
pub(super) struct Differing {
    name: String,
    /// Both values.
    text: String,
    is_in_both: bool,
}

/// The settings by which a run that is there differs.
pub(super) fn differing(planned: &Settings, stored: &Settings) -> Vec<Differing> {
    let (planned, stored) = (settings_of_run(planned), settings_of_run(stored));
    let names = planned.keys().chain(stored.keys().filter(|name| !planned.contains_key(*name)));
    let shown =
        |value: Option<&Value>| value.map_or_else(|| "none".to_string(), ToString::to_string);
    names
        .filter(|name| planned.contains_key(*name) || !FROM_ROWS.contains(&name.as_str()))
        .map(|name| (name, stored.get(name), planned.get(name)))
        .filter(|(_, then, now)| then != now)
        .map(|(name, then, now)| Differing {
            name: name.clone(),
            text: format!("{name} is {}, not {}", shown(then), shown(now)),
            is_in_both: then.is_some() && now.is_some(),
        })
        .collect()
}

/// Whether a run in `folder` that differs so from what is asked for may be the same nonetheless: it names what it was made
/// of by other paths, and remembers the sums. One that was begun, which has no ending, compares them when it goes on.
///
/// # Errors
///
/// Returns the errors of [`RunResult::read`] and [`Adapter::load`].
pub(super) fn may_be_same(
    folder: &Path,
    ending: Option<Ending>,
    differing: &[Differing],
) -> Result<bool> {
    let is_path = |one: &Differing| one.is_in_both && KNOWN_BY_SUM.contains(&&*one.name);
    if !differing.iter().all(is_path) {
        return Ok(false);
    }
    match ending {
        None => Ok(true),
        Some(Ending::Finished) => {
            let result = RunResult::read(folder)?.unwrap_or_default();
            let needs_base = differing.iter().any(|one| one.name == MODEL);
            Ok(result.train_sha256.is_some()
                && (!needs_base || Adapter::load(folder)?.config.own.base_sha256.is_some()))
        }
        // Without an adapter a run does not know all that it was made of.
        Some(_) => Ok(false),
    }
}

/// What is said of a run in `folder` that differs so.
pub(super) fn told(folder: &Path, differing: &[Differing]) -> String {
    let texts: Vec<&str> = differing.iter().map(|one| one.text.as_str()).collect();
    format!("{}: {}", folder.display(), texts.join(", "))
}

/// Refuses runs that are there with other settings, each with what is said of it.
pub(super) fn refusal(mut others: Vec<String>) -> Error {
    let more = match others.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    others.truncate(NAMED);
    Error::Mismatch(format!(
        "runs are there with other settings: what is asked for was changed, or the folder is that of other runs\n  \
         {}{more}\ngive another --out, or remove the folders that are to be made anew",
        others.join("\n  ")
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_what_has_a_sum_may_lead_to_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let with = |train: &str, lr| Settings {
            train: Some(vec![train.into()]),
            lr: Some(lr),
            ..Settings::default()
        };
        let there = with("/there/rows.jsonl", 0.5);
        let may = |planned: &Settings, ending| {
            may_be_same(dir.path(), ending, &differing(planned, &there)).unwrap()
        };
        let here = with("/here/rows.jsonl", 0.5);
        assert!(may(&here, None));
        assert!(!may(&with("/here/rows.jsonl", 0.6), None));
        let valid = Some(vec!["/here/valid.jsonl".into()]);
        assert!(!may(&Settings { valid, ..here.clone() }, None));
        // One that has ended knows its rows, or does not.
        assert!(!may(&here, Some(Ending::Finished)));
        let result = RunResult { ending: Ending::Finished, ..RunResult::default() };
        RunResult { train_sha256: Some("0".into()), ..result }.write(dir.path()).unwrap();
        assert!(may(&here, Some(Ending::Finished)));
        assert!(!may(&here, Some(Ending::Diverged)) && !may(&here, Some(Ending::Halted)));
    }
}
