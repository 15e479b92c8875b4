//! Runs that were moved, or gathered from other machines: their settings name the base model or the rows by other paths, and
//! what they remember of these says whether they are the same. `peft compare` does so with `compare/same_content.rs`.

use std::collections::BTreeSet;

use burn::tensor::Device;
use peft_core::{Adapter, Result};

use super::{
    differing::{refusal, told},
    plan::{Plan, Planned, There},
};
use crate::{
    error::CliResult,
    message,
    training::{
        PreparedRun, ending::Ending, row_sums::all_row_sums, run_result::RunResult, shared::Shared,
    },
};

/// The runs that name what they were made of by other paths, and whose sums are to be compared.
///
/// # Errors
///
/// Returns an error if the settings of one cannot be read.
pub fn named_otherwise<'a>(plan: &'a Plan, there: &[There]) -> Result<Vec<&'a Planned>> {
    let mut found = Vec::new();
    for (run, there) in plan.runs.iter().zip(there) {
        if *there == There::Ended(Ending::Finished) && !run.differing()?.is_empty() {
            found.push(run);
        }
    }
    Ok(found)
}

/// Refuses runs that have ended, name what they were made of by other paths, and remember other sums than those of now.
///
/// # Errors
///
/// [`Error::Mismatch`](peft_core::Error::Mismatch) as for [`Plan::there`], also where what there is now cannot be read.
pub fn check(plan: &Plan, there: &[There], device: &Device, shared: &Shared) -> Result<()> {
    let mut others = Vec::new();
    for run in named_otherwise(plan, there)? {
        let why = match is_same(run, device, shared) {
            Ok(true) => continue,
            Ok(false) => "and what was there was another".to_string(),
            Err(error) => {
                format!("and whether they are the same is not known: {}", message::of(&error))
            }
        };
        others.push(format!("{}, {why}", told(&run.folder, &run.differing()?)));
    }
    match others.is_empty() {
        true => Ok(()),
        false => Err(refusal(others)),
    }
}

/// Whether a run that has ended was made of the base model, the rows and the classes that its plan names.
fn is_same(run: &Planned, device: &Device, shared: &Shared) -> CliResult<bool> {
    let result = RunResult::read(&run.folder)?.unwrap_or_default();
    let adapter = Adapter::load(&run.folder)?;
    // What it took from its rows or the day stays.
    let settings = run.settings.clone().or(run.stored()?);
    let base = shared.base(&settings, device)?;
    if base.differing(&adapter)?.is_some() {
        return Ok(false);
    }
    let now = PreparedRun::resumed(settings, device, shared)?;
    let [train, valid] = all_row_sums(&now);
    let valid = valid.filter(|_| now.best_metric().is_some());
    // The sum of rows knows classes by their place alone.
    let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<String>>();
    let classes = now.labels.as_ref().map(|labels| sorted(labels.names()));
    let other_classes = adapter
        .config
        .own
        .labels
        .as_deref()
        .zip(classes)
        .is_some_and(|(own, now)| sorted(own) != now);
    Ok(result.train_sha256 == train && result.valid_sha256 == valid && !other_classes)
}
