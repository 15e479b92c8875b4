//! Loading the base model, with what a person should know about its files.

use std::path::Path;

use burn::tensor::{DType, Device, TensorData};
use peft_core::{Adapter, Result};
use peft_models::{LoadOptions, Loaded, Weights};

use crate::output;

/// As [`peft_models::load_with`]; heads that the files hold and that no task here uses are told on stderr.
///
/// # Errors
///
/// Returns the errors of [`peft_models::load_with`].
pub fn load(dir: &Path, device: &Device, options: LoadOptions) -> Result<Loaded> {
    let loaded = peft_models::load_with(dir, device, options)?;
    let heads = &loaded.report.other_heads;
    if !heads.is_empty() {
        let heads: Vec<String> = heads
            .iter()
            .map(|(module, count)| match count {
                1 => format!("{module} (1 tensor)"),
                count => format!("{module} ({count} tensors)"),
            })
            .collect();
        output::note(format!(
            "note: {} also holds what is not used here: {}",
            dir.display(),
            heads.join(", ")
        ));
    }
    Ok(loaded)
}

/// What the files of the base model in `dir` hold under a name.
///
/// # Errors
///
/// Returns the errors of [`Weights::open`].
pub fn stored(dir: &Path) -> Result<impl Fn(&str) -> Result<Option<TensorData>>> {
    let weights = Weights::open(dir, &Device::default(), DType::F32)?;
    Ok(move |name: &str| weights.stored(name))
}

/// Checks that what PEFT would put into the base model in `dir` is there already.
///
/// # Errors
///
/// Returns the errors of [`Adapter::check_surplus`].
pub fn check_surplus(adapter: &Adapter, dir: &Path) -> Result<()> {
    match adapter.surplus().next() {
        Some(_) => adapter.check_surplus(&stored(dir)?),
        None => Ok(()),
    }
}
