//! Panics that become errors.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// How many calls are under way whose panics become errors. Not a number of the thread: libraries have threads of their own.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// Runs what may panic, and gives the panic back. What it was changing may not be used after that; what it only read may.
///
/// # Errors
///
/// What the panic carries.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> thread::Result<T> {
    UNDER_WAY.fetch_add(1, Ordering::Relaxed);
    let result = catch_unwind(AssertUnwindSafe(run));
    UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    result
}

/// The message of a panic.
#[cfg(feature = "train")]
pub(crate) fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it panicked".into())
}

/// Runs a piece of a library, which ends in a panic where it meets what its own checks should have refused. As for
/// [`caught`].
///
/// # Errors
///
/// Those of the library, and `panicked` for a panic.
#[cfg(feature = "text")]
pub(crate) fn guarded<T, E>(
    run: impl FnOnce() -> Result<T, E>,
    panicked: impl FnOnce() -> E,
) -> Result<T, E> {
    caught(run).unwrap_or_else(|_| Err(panicked()))
}

/// Whether a panic of now becomes an error, so that a program's panic hook need not print it.
pub fn panics_become_errors() -> bool {
    UNDER_WAY.load(Ordering::Relaxed) > 0
}
