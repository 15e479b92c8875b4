//! What one rendering may make: a template can double a text in each of its steps.

use std::cell::Cell;

use minijinja::{Error, ErrorKind, Value};

/// Bytes that one rendering may write, in all its steps together; a text that is longer could not be written.
pub(super) const MOST_BYTES: usize = 16_000_000;
/// Bytes of all texts and lists that one rendering makes.
const MOST_MADE: usize = 256_000_000;
/// Comparisons of two values: two lists that hold one list many times take more than they have elements.
const MOST_COMPARED: usize = 10_000_000;
/// Containers in containers at most. JSON from files has less than 128.
pub(super) const MAX_DEPTH: usize = 256;
/// What an element of a list takes.
const ELEMENT: usize = size_of::<Value>();

/// Why a template is refused that writes too much.
pub(super) const TOO_LONG: &str = "it writes more than 16 MB";
const TOO_MUCH: &str = "it makes texts of more than 256 MB";
const COMPARES_TOO_MUCH: &str = "it compares values more than 10000000 times";

thread_local! {
    /// What this thread's rendering may still write.
    static TO_WRITE: Cell<usize> = const { Cell::new(0) };
    /// What it may still make.
    static TO_MAKE: Cell<usize> = const { Cell::new(0) };
    /// How often it may still compare two values.
    static TO_COMPARE: Cell<usize> = const { Cell::new(0) };
    /// The limit that it exceeded.
    static EXCEEDED: Cell<Option<&'static str>> = const { Cell::new(None) };
    /// What it printed of Python's own that is no text of a template.
    static UNPRINTABLE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Begins a rendering.
pub(super) fn begin() {
    TO_WRITE.set(MOST_BYTES);
    TO_MAKE.set(MOST_MADE);
    TO_COMPARE.set(MOST_COMPARED);
    EXCEEDED.set(None);
    UNPRINTABLE.set(None);
}

/// Takes bytes from what this thread's rendering may write.
pub(super) fn write(bytes: usize) -> Result<(), Error> {
    take(&TO_WRITE, bytes, TOO_LONG)
}

/// Takes a text's bytes from what it may make. Called before the text is made.
pub(super) fn text(bytes: usize) -> Result<(), Error> {
    match bytes > MOST_BYTES {
        true => Err(refused(TOO_LONG)),
        false => take(&TO_MAKE, bytes, TOO_MUCH),
    }
}

/// Takes a list's elements from what it may make.
pub(super) fn list(elements: usize) -> Result<(), Error> {
    take(&TO_MAKE, elements.saturating_mul(ELEMENT), TOO_MUCH)
}

/// Takes one of the comparisons that it may make.
pub(super) fn compared() -> Result<(), Error> {
    take(&TO_COMPARE, 1, COMPARES_TOO_MUCH)
}

fn take(
    left: &'static std::thread::LocalKey<Cell<usize>>,
    count: usize,
    why: &'static str,
) -> Result<(), Error> {
    let rest = left.get().checked_sub(count);
    left.set(rest.unwrap_or(0));
    rest.map(drop).ok_or_else(|| refused(why))
}

fn refused(why: &'static str) -> Error {
    EXCEEDED.set(Some(why));
    Error::new(ErrorKind::InvalidOperation, why.to_owned())
}

/// The limit that was exceeded, if any was: also where the error of it was lost.
pub(super) fn exceeded() -> Option<&'static str> {
    EXCEEDED.get()
}

/// Notes that something was printed of which Python prints an address, or what is not followed here.
pub(super) fn printed(what: &'static str) {
    UNPRINTABLE.set(Some(what));
}

/// What was printed so, if anything.
pub(super) fn unprintable() -> Option<&'static str> {
    UNPRINTABLE.get()
}
