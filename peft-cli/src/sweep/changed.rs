//! Whether the runs of a sweep that had ended are of the rows and the base model that are there now: the table has them side
//! by side with those that are made now.

use burn::tensor::Device;
use peft_core::Adapter;

use super::plan::{Plan, Planned, There};
use crate::{
    error::CliResult,
    message,
    settings::Settings,
    training::{
        PreparedRun, ending::Ending, row_sums::all_row_sums, run_result::RunResult, shared::Shared,
    },
};

/// Runs that are named in a note.
const NAMED: usize = 3;

/// What there is to say of the runs at these places that had ended; a run that was begun is refused where it goes on.
pub fn notes(
    plan: &Plan,
    (places, there): (&[usize], &[There]),
    device: &Device,
    shared: &Shared,
) -> Vec<String> {
    let ended = places.iter().filter(|place| there[**place] == There::Ended(Ending::Finished));
    let mut found: Vec<(String, Vec<&str>)> = Vec::new();
    for run in ended.map(|place| &plan.runs[*place]) {
        let what = match changed(run, device, shared) {
            Ok(None) => continue,
            Ok(Some(what)) => what,
            // Where they cannot be read, the table is still that of the runs that are there.
            Err(error) => {
                let why = message::of(&error);
                let name = &run.name;
                return vec![format!(
                    "note: {name}: whether its rows and its base model are those of now is not known: {why}"
                )];
            }
        };
        match found.iter_mut().find(|(known, _)| *known == what) {
            Some((_, names)) => names.push(&run.name),
            None => found.push((what, vec![&run.name])),
        }
    }
    let note = |(what, names): (String, Vec<&str>)| {
        let named = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let more = match names.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "note: {named}{more} ended with other {what} than there are now, and stand in the table as they are: remove their \
             folders to have them made anew, or put back what was changed"
        )
    };
    found.into_iter().map(note).collect()
}

/// What a run that has ended was made with and is not so now.
fn changed(run: &Planned, device: &Device, shared: &Shared) -> CliResult<Option<String>> {
    let Some(result) = RunResult::read(&run.folder)? else { return Ok(None) };
    // What it took from its rows or the day stays.
    let settings = run.settings.clone().or(run.stored()?);
    if let Some(what) = other_base(run, &settings, device, shared)? {
        return Ok(Some(what));
    }
    let now = all_row_sums(&PreparedRun::resumed(settings, device, shared)?);
    let other = |known: &Option<String>, now: &Option<String>| {
        known.as_ref().zip(now.as_ref()).is_some_and(|(known, now)| known != now)
    };
    let of = [(&result.train_sha256, "training rows"), (&result.valid_sha256, "validation rows")];
    let names = of.into_iter().zip(&now).filter(|((known, _), now)| other(known, now));
    let names: Vec<&str> = names.map(|((_, name), _)| name).collect();
    Ok((!names.is_empty()).then(|| names.join(" and ")))
}

/// Whether its base model has other weights.
fn other_base(
    run: &Planned,
    settings: &Settings,
    device: &Device,
    shared: &Shared,
) -> CliResult<Option<String>> {
    let differs = shared.base(settings, device)?.differing(&Adapter::load(&run.folder)?)?;
    Ok(differs.map(|_| "weights or config of the base model".to_string()))
}
