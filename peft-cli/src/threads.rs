//! The threads that compute on the CPU.

use std::{cell::Cell, env, error::Error as _, num::NonZero, sync::OnceLock, thread};

use peft_core::{Error, Result};
use rayon::ThreadPoolBuilder;

/// What tells how many there are, where no flag does.
pub const VARIABLE: &str = "RAYON_NUM_THREADS";

const FLAG: &str = "--threads";

/// More threads than this are a typing error.
const MOST: usize = 4096;

/// The number of `--threads`, where it was given.
static ASKED: OnceLock<usize> = OnceLock::new();

/// Whether they have been started.
static STARTED: OnceLock<()> = OnceLock::new();

/// Remembers the number of `--threads`, or of `RAYON_NUM_THREADS`.
///
/// # Errors
///
/// [`Error::Setting`] if there cannot be so many threads.
pub fn ask_for(flag: Option<usize>) -> Result<()> {
    if let Some(count) = flag {
        // The command line is read once.
        let _ = ASKED.set(count);
    }
    match (flag, of_variable(env::var(VARIABLE).ok().as_deref())) {
        (Some(count), _) => limited(FLAG, count),
        (None, Some(count)) => limited(VARIABLE, count),
        (None, None) => Ok(()),
    }
}

/// The number of `--threads`, where it was given.
pub fn of_flag() -> Option<usize> {
    ASKED.get().copied()
}

/// How many there are or would be, as many as a flag or a variable says, else one for each core; starts none.
pub fn count() -> usize {
    asked_or(None).1
}

/// The number that is asked for, else `share`, else one for each core, with the setting that gives it.
fn asked_or(share: Option<usize>) -> (&'static str, usize) {
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    match (of_flag(), of_variable(env::var(VARIABLE).ok().as_deref())) {
        (Some(count), _) => (FLAG, count),
        (None, Some(count)) => (VARIABLE, count),
        (None, None) => (FLAG, share.unwrap_or_else(cores).min(MOST)),
    }
}

/// Starts them, as many as a flag or a variable says, else `share`, else one for each core. Does nothing where there are some.
///
/// # Errors
///
/// [`Error::Setting`] if the system does not let them start.
pub fn start(share: Option<usize>) -> Result<()> {
    if STARTED.set(()).is_err() {
        return Ok(());
    }
    let (setting, count) = asked_or(share);
    let started = Cell::new(0);
    let pool = ThreadPoolBuilder::new().num_threads(count).spawn_handler(|own| {
        thread::Builder::new().spawn(|| own.run())?;
        started.set(started.get() + 1);
        Ok(())
    });
    match pool.build_global() {
        // Something has computed before, on threads that rayon started.
        Err(error) if error.source().is_none() => Ok(()),
        result => {
            result.map_err(|error| Error::setting(setting, too_many(count, started.get(), &error)))
        }
    }
}

/// What is said where only some of `count` threads could be started.
fn too_many(count: usize, started: usize, why: &dyn std::fmt::Display) -> String {
    let fewer = match started {
        // There are no fewer than 1.
        0 | 1 => String::new(),
        some => format!("set {FLAG} or {VARIABLE} to fewer than {some}, or "),
    };
    format!(
        "only {started} of {count} computing threads could be started ({why}): {fewer}raise the limit of processes and \
         threads (`ulimit -u`; of a container, its limit of pids)"
    )
}

fn limited(setting: &str, count: usize) -> Result<()> {
    match count > MOST {
        true => Err(Error::setting(setting, format!("found {count}, expected at most {MOST}"))),
        false => Ok(()),
    }
}

/// The number that the variable gives, read as rayon reads it: what is no number, and 0, give none.
fn of_variable(text: Option<&str>) -> Option<usize> {
    text?.parse().ok().filter(|count| *count > 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_limited() {
        let read = |text| of_variable(Some(text));
        assert_eq!(
            (read("3"), read("0"), read("many"), of_variable(None)),
            (Some(3), None, None, None)
        );
        limited(FLAG, MOST).unwrap();
        let error = limited(VARIABLE, 100_000).unwrap_err().to_string();
        assert_eq!(error, "RAYON_NUM_THREADS: found 100000, expected at most 4096");
    }

    #[test]
    fn threads_that_cannot_be_started_are_told_with_the_way_out() {
        let some = too_many(8, 3, &"no more");
        assert!(
            some.starts_with(
                "only 3 of 8 computing threads could be started (no more): set --threads or RAYON_NUM_THREADS to fewer than 3, \
                 or raise"
            ),
            "{some}"
        );
        for (count, started) in [(1, 0), (8, 1)] {
            let few = too_many(count, started, &"no more");
            let said = format!("only {started} of {count} computing threads could be started");
            assert!(few.starts_with(&format!("{said} (no more): raise the limit")), "{few}");
        }
    }
}
