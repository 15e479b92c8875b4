//! Calls of libraries that may end in a panic.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
};

/// How many such calls are under way. Not a number of the thread: the libraries have threads of their own.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// Runs a piece of a library, which ends in a panic where it meets what its own checks should have refused. What it was
/// changing may not be used after that; what it only read may.
///
/// # Errors
/// Those of the library, and `panicked` for a panic.
pub(in crate::text) fn guarded<T, E>(
    run: impl FnOnce() -> Result<T, E>,
    panicked: impl FnOnce() -> E,
) -> Result<T, E> {
    UNDER_WAY.fetch_add(1, Ordering::Relaxed);
    let result = catch_unwind(AssertUnwindSafe(run));
    UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    result.unwrap_or_else(|_| Err(panicked()))
}

/// Whether a panic of now becomes an error, so that a program's panic hook need not print it.
pub fn panics_become_errors() -> bool {
    UNDER_WAY.load(Ordering::Relaxed) > 0
}
