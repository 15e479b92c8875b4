//! The settings that prefix tuning and P-tuning v2 share: their defaults and their limits.

use crate::error::{Error, Result};

/// The default M, the width of the MLP's hidden layer.
pub const DEFAULT_HIDDEN_SIZE: usize = 512;

/// AdamW's default learning rate. An MLP amplifies each step, so with one it is smaller.
pub const fn default_lr(prefix_projection: bool) -> f64 {
    if prefix_projection { 3e-4 } else { 3e-2 }
}

/// Checks that every size is at least 1, and that the dropout rate is one.
///
/// # Errors
///
/// [`Error::Setting`] naming the first field that is not valid.
pub fn check_settings(sizes: &[(&str, usize)], dropout: f64) -> Result<()> {
    if let Some((field, _)) = sizes.iter().find(|(_, size)| *size == 0) {
        return Err(Error::setting(*field, "found 0, expected at least 1"));
    }
    if !(0.0..1.0).contains(&dropout) {
        let message = format!("found {dropout}, expected a number from 0 to below 1");
        return Err(Error::setting("dropout", message));
    }
    Ok(())
}
