//! Loading the base model, with what a person should know about its files.

use std::path::Path;

use burn::tensor::Device;
use peft_core::Result;
use peft_models::{LoadOptions, Loaded};

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
