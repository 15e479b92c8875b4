//! Loading the base model, with what a person should know about its files.

use std::{collections::BTreeMap, path::Path};

use burn::tensor::{DType, Device, TensorData};
use peft_core::{Adapter, Result};
use peft_models::{LoadOptions, Loaded, Weights};

use crate::output;

/// As [`peft_models::load_with`]; what the files hold and nothing here uses is told on stderr.
///
/// # Errors
///
/// Returns the errors of [`peft_models::load_with`].
pub fn load(dir: &Path, device: &Device, options: LoadOptions) -> Result<Loaded> {
    let loaded = peft_models::load_with(dir, device, options)?;
    note_adapter(&loaded)?;
    let layers = listed(&loaded.report.more_layers);
    if !layers.is_empty() {
        output::note(format!(
            "warning: {} also holds layers beyond those that {} names, which are not used, as in transformers: {layers}",
            dir.display(),
            loaded.config.path().file_name().unwrap_or_default().display()
        ));
    }
    let heads = listed(&loaded.report.other_heads);
    if !heads.is_empty() {
        output::note(format!("note: {} also holds what is not used here: {heads}", dir.display()));
    }
    Ok(loaded)
}

/// Names, each with its number of tensors.
fn listed(counts: &BTreeMap<String, usize>) -> String {
    let names = counts.iter().map(|(name, count)| match count {
        1 => format!("{name} (1 tensor)"),
        count => format!("{name} ({count} tensors)"),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Tells of virtual tokens in the folder of the base model.
///
/// # Errors
///
/// Returns the errors of [`peft_models::adapter_beside`].
pub fn note_adapter(base: &Loaded) -> Result<()> {
    if let Some((path, kind)) = peft_models::adapter_beside(&base.config)? {
        output::note(format!(
            "note: {} holds an adapter ({}); it is not used unless this folder is also given as --adapter. transformers \
             does not load such a folder",
            path.parent().unwrap_or(&path).display(),
            kind.name()
        ));
    }
    Ok(())
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
