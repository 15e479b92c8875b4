//! The adapter that the run before left in the folder of a run that replaces it: it stays until the new run has one of
//! its own, and is told from that by the sum of its fields.

use std::{fs, path::Path};

use peft_core::{
    Adapter, Error, Result,
    adapter::{atomic, codec::sha256, own_file},
};

/// Holds the SHA-256 of the fields of an adapter that an earlier run left, which tell it from others.
pub(super) const EARLIER: &str = ".peft.earlier";

/// Keeps of the adapter in `out`, if there is one, that an earlier run left it.
///
/// # Errors
///
/// [`Error::Write`] or [`Error::Read`].
pub(super) fn remember(out: &Path) -> Result<()> {
    match Adapter::exists(out) {
        true => atomic::write_file(&out.join(EARLIER), sum_of_fields(out)?.as_bytes()),
        false => Ok(()),
    }
}

/// Whether `out` holds an adapter of the run that is there, not one that the run before it left.
///
/// # Errors
///
/// [`Error::Read`].
pub fn has_own_adapter(out: &Path) -> Result<bool> {
    // A file that cannot be read names no earlier adapter.
    let earlier = fs::read_to_string(out.join(EARLIER)).unwrap_or_default();
    Ok(Adapter::exists(out) && sum_of_fields(out)? != earlier)
}

/// Whether the run before this one left an adapter in `out`, and this one has not ended yet.
pub fn has_earlier_adapter(out: &Path) -> bool {
    out.join(EARLIER).exists()
}

/// The run has an adapter of its own: no earlier one is left.
///
/// # Errors
///
/// [`Error::Write`].
pub fn adapter_saved(out: &Path) -> Result<()> {
    let earlier = out.join(EARLIER);
    match has_earlier_adapter(out) {
        true => fs::remove_file(&earlier).map_err(Error::write(&earlier)),
        false => Ok(()),
    }
}

/// Of the file that holds the sums of the adapter's others; earlier versions wrote them into its config.
fn sum_of_fields(out: &Path) -> Result<String> {
    let path = out.join(own_file::file_of(out));
    fs::read(&path).map(|bytes| sha256(&bytes)).map_err(Error::read(&path))
}
