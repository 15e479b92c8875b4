//! The threads that compute on the CPU.

use std::{cell::Cell, env, error::Error as _, num::NonZero, sync::OnceLock, thread};

use peft_core::{Error, Result};
use rayon::ThreadPoolBuilder;

use crate::output;

/// What tells how many there are, where no flag does.
pub const VARIABLE: &str = "RAYON_NUM_THREADS";

const FLAG: &str = "--threads";

/// More threads than this are a typing error.
const MOST: usize = 4096;

/// The number of `--threads`, where it was given.
static ASKED: OnceLock<usize> = OnceLock::new();

/// Whether they have been started, or been found.
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

/// How many there are, once [`start`] was called; before, how many there would be, as many as a flag or a variable says,
/// else one for each core. Starts none.
pub fn count() -> usize {
    match STARTED.get() {
        Some(()) => rayon::current_num_threads(),
        None => asked().map_or_else(one_for_each_core, |(_, count)| count),
    }
}

/// The number that a flag or a variable asks for, with its name.
fn asked() -> Option<(&'static str, usize)> {
    let of_variable = || Some((VARIABLE, of_variable(env::var(VARIABLE).ok().as_deref())?));
    of_flag().map(|count| (FLAG, count)).or_else(of_variable)
}

fn one_for_each_core() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(MOST)
}

/// Starts them, as many as a flag or a variable says, else `share`, else one for each core, and returns how many there are.
/// Rayon has one such pool in a process: where something made it before, its threads are those that compute, and a note says
/// so if they are not as many as `share`.
///
/// # Errors
///
/// [`Error::Setting`] if the system does not let them start, or if threads that were started before are not as many as a flag
/// or a variable says.
pub fn start(share: Option<usize>) -> Result<usize> {
    let asked = asked();
    let share = share.map(|count| count.min(MOST));
    let (setting, count) = asked.unwrap_or_else(|| (FLAG, share.unwrap_or_else(one_for_each_core)));
    build(setting, count)?;
    // Calls after the first build none.
    let _ = STARTED.set(());
    let found = rayon::current_num_threads();
    if let Some(note) = compared(found, asked, share)? {
        output::note(note);
    }
    Ok(found)
}

/// What to note of `found` threads, which may have been started before, where another number is this process's share.
fn compared(
    found: usize,
    asked: Option<(&'static str, usize)>,
    share: Option<usize>,
) -> Result<Option<String>> {
    match (asked, share) {
        (Some((setting, count)), _) if count != found => {
            let way_out = match setting {
                FLAG => format!("set {VARIABLE}={count}, which is read by what starts them"),
                _ => format!("set it to {found}, or unset it"),
            };
            let found = format!("found {found} computing threads that were started before");
            Err(Error::setting(setting, format!("{found}, expected {count}: {way_out}")))
        }
        (None, Some(share)) if share != found => Ok(Some(format!(
            "note: {found} threads compute, which were started before, in place of {share}, this process's share of the cores"
        ))),
        _ => Ok(None),
    }
}

/// Makes the pool, unless there is one.
fn build(setting: &'static str, count: usize) -> Result<()> {
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
    fn threads_that_were_started_before_are_those_that_compute() {
        // Started here, unless another test has.
        let found = rayon::current_num_threads();
        build(FLAG, found + 1).unwrap();
        assert_eq!(rayon::current_num_threads(), found);
        assert_eq!(start(None).unwrap(), found);
        assert_eq!(start(Some(found + 1)).unwrap(), found);
        assert_eq!(count(), found);
    }

    #[test]
    fn other_threads_than_were_asked_for_are_told_with_the_way_out() {
        let of = |asked, share| compared(2, asked, share).map_err(|error| error.to_string());
        assert_eq!(
            of(Some((FLAG, 4)), None).unwrap_err(),
            "--threads: found 2 computing threads that were started before, expected 4: set RAYON_NUM_THREADS=4, which is \
             read by what starts them"
        );
        let error = of(Some((VARIABLE, 4)), Some(2)).unwrap_err();
        assert!(error.ends_with("expected 4: set it to 2, or unset it"), "{error}");
        let note = of(None, Some(4)).unwrap().unwrap();
        assert!(note.starts_with("note: 2 threads compute"), "{note}");
        for (asked, share) in [(None, None), (None, Some(2)), (Some((FLAG, 2)), Some(4))] {
            assert_eq!(of(asked, share), Ok(None));
        }
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
