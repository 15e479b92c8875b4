//! The adapter of a folder, with what a person should know of it.

use std::path::Path;

use peft_core::{
    Adapter, Result,
    adapter::{config_sum, own_file},
};

use crate::output;

/// Reads an adapter. A config that was edited is used as it stands, and said.
///
/// # Errors
///
/// As for [`Adapter::load`].
pub fn load(dir: &Path) -> Result<Adapter> {
    let adapter = Adapter::load(dir)?;
    if config_sum::is_changed(dir)? {
        output::note(format!(
            "note: {} was changed after it was saved: it is used as it stands",
            dir.join(own_file::file_of(dir)).display()
        ));
    }
    Ok(adapter)
}
