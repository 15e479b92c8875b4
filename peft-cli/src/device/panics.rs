//! Panics of a backend as errors: Burn reports what a GPU refuses by panicking, often on a thread of its own.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::memory_texts;

/// How many pieces of work are under way whose panics become errors. Not a number of the thread: backends have their own.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// What was said by panics that became errors, or are to become one.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Runs what may panic in a backend. What it was changing may not be used after that.
///
/// # Errors
///
/// What the first panic said, on whatever thread it came up, in one line.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    UNDER_WAY.fetch_add(1, Ordering::Relaxed);
    let before = said().len();
    let result = catch_unwind(AssertUnwindSafe(work));
    UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    result.map_err(|payload| {
        // That of the backend's thread comes first, and knows more.
        let first = said().get(before).cloned();
        in_one_line(&first.unwrap_or_else(|| text_of(payload.as_ref())))
    })
}

/// Takes note of a panic, for a program's panic hook; whether it need not be printed.
pub fn heard(panicked: &PanicHookInfo<'_>) -> bool {
    let text = text_of(panicked.payload());
    let is_quiet = UNDER_WAY.load(Ordering::Relaxed) > 0 || memory_texts::is_told_by(&text);
    if is_quiet {
        said().push(text);
    }
    is_quiet
}

/// The last panic of which `tells` is true, in one line.
pub fn last(tells: impl Fn(&str) -> bool) -> Option<String> {
    said().iter().rfind(|text| tells(text)).map(|text| in_one_line(text))
}

fn said() -> std::sync::MutexGuard<'static, Vec<String>> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a panic says.
pub(super) fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_string())
}

/// The lines of a text but for empty ones, without a stack trace.
pub(super) fn in_one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Backtrace"));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(caught(|| 7), Ok(7));
        // Without the program's hook it is the payload that tells.
        let refused = caught(|| -> u8 { panic!("no {}\n  here\nBacktrace\n  0: x", "adapter") });
        assert_eq!(refused, Err("no adapter here".to_string()));
        let without = caught(|| -> u8 { std::panic::panic_any(3u8) });
        assert_eq!(without, Err("a panic without a message".to_string()));
    }
}
