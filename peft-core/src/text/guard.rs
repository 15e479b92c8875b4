//! Calls of libraries that may end in a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a piece of a library, which ends in a panic where it meets what its own checks should have refused. Nothing of
/// it may be used after that.
///
/// # Errors
/// Those of the library, and `panicked` for a panic.
pub(in crate::text) fn guarded<T, E>(
    run: impl FnOnce() -> Result<T, E>,
    panicked: impl FnOnce() -> E,
) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(panicked()))
}
