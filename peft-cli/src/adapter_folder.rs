//! The adapter of a folder, with what a person should know of it.

use std::path::Path;

use burn::tensor::Device;
use peft_core::{
    Adapter, Error, Result,
    adapter::{config_sum, foreign, own_file},
};

use crate::output;

/// Reads an adapter. A config that was edited is used as it stands, and said.
///
/// # Errors
///
/// As for [`Adapter::load`]; [`Error::File`] naming `peft convert` for what it would make an adapter of.
pub fn load(dir: &Path) -> Result<Adapter> {
    if !Adapter::exists(dir)
        && (is_alone(dir) || foreign::holds_tensors(dir))
        && let Ok(found) = foreign::read(dir, &Device::default())
    {
        let named = dir.display();
        return Err(Error::file(
            dir,
            format!(
                "is no adapter yet: it holds {}, which becomes one by `peft convert --from {named} --to NEW`",
                found.layout()
            ),
        ));
    }
    let adapter = Adapter::load(dir)?;
    if config_sum::is_changed(dir)? {
        output::note(format!(
            "note: {} was changed after it was saved: it is used as it stands",
            dir.join(own_file::file_of(dir)).display()
        ));
    }
    Ok(adapter)
}

/// Whether this is a file, and none of an adapter's folder.
fn is_alone(file: &Path) -> bool {
    file.is_file() && file.parent().is_none_or(|folder| !Adapter::exists(folder))
}
