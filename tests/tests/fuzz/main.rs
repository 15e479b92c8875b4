//! Damaged files: every reader of foreign files must give their content or an error, must never end the program, and
//! must never take more memory than the size of the file warrants.
//!
//! Inputs are valid files, damaged in ways that depend only on their number: see [`mutate`]. There are 20,000 of them,
//! or as many as `PEFT_FUZZ_INPUTS` says; a million take minutes. A test binary of its own, because its allocator
//! counts.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod counter;
mod mutate;
mod readers;
mod rows;

use std::{
    any::Any,
    env, fs,
    panic::{self, AssertUnwindSafe},
    time::{Duration, Instant},
};

use rand::Rng;
use readers::Reader;

/// How many bytes a reader may take per byte of the file, on top of its allowance. JSON is the worst: two bytes of it
/// become a value of 32 bytes, in a list that doubles as it grows.
const BYTES_PER_BYTE: usize = 64;

#[derive(Default)]
struct Tally {
    accepted: usize,
    refused: usize,
    /// The peak memory, and the length of the input that took it.
    peak: (usize, usize),
    slowest: Duration,
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}

/// The `index`-th input of a reader.
fn input(reader: &Reader, number: usize, index: usize) -> Vec<u8> {
    let mut rng = mutate::generator(number, index);
    let seed =
        |rng: &mut _| -> &[u8] { &reader.seeds[Rng::random_range(rng, 0..reader.seeds.len())] };
    let mut bytes = seed(&mut rng).to_vec();
    let other = seed(&mut rng);
    mutate::mutate(&mut bytes, other, &mut rng);
    if bytes.len() > 16 && rng.random_bool(0.7) {
        (reader.repair)(&mut bytes);
    }
    bytes
}

/// Reads `count` damaged files; an error names the first that was not read as it should be.
fn fuzz(reader: &Reader, number: usize, count: usize) -> Result<Tally, String> {
    let dir = tempfile::tempdir().unwrap();
    for (from, name) in &reader.beside {
        fs::copy(from, dir.path().join(name)).unwrap();
    }
    let valid = reader.seeds.iter().filter(|seed| (reader.read)(dir.path(), seed).is_ok()).count();
    assert!(valid > 0, "{}: no seed is valid", reader.name);

    let mut tally = Tally::default();
    for index in 0..count {
        let bytes = input(reader, number, index);
        let start = Instant::now();
        let (result, [peak, _]) = counter::memory_of(|| {
            panic::catch_unwind(AssertUnwindSafe(|| (reader.read)(dir.path(), &bytes).is_ok()))
        });
        tally.slowest = tally.slowest.max(start.elapsed());
        let show = || format!("{}, input {index}: {}", reader.name, bytes.escape_ascii());
        match result {
            Ok(true) => tally.accepted += 1,
            Ok(false) => tally.refused += 1,
            Err(panic) => {
                return Err(format!("{}\npanicked: {}", show(), message(panic.as_ref())));
            }
        }
        let limit = reader.allowance + BYTES_PER_BYTE * bytes.len();
        if peak > limit {
            return Err(format!("{}\ntook {peak} bytes", show()));
        }
        tally.peak = tally.peak.max((peak, bytes.len()));
    }
    Ok(tally)
}

#[test]
fn damaged_files_give_errors_within_bounded_memory() {
    let count: usize = env::var("PEFT_FUZZ_INPUTS").map_or(20_000, |text| text.parse().unwrap());
    let readers = readers::readers();
    let each = count.div_ceil(readers.len());
    println!(
        "reader                         inputs accepted  refused seconds  slowest most memory of bytes"
    );
    let mut total = Tally::default();
    let begun = Instant::now();
    for (number, reader) in readers.iter().enumerate() {
        let begun = Instant::now();
        // Readers turn panics of a library into errors: silence them.
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| {}));
        let tally = fuzz(reader, number, each);
        panic::set_hook(hook);
        let tally = tally.unwrap_or_else(|failure| panic!("{failure}"));
        let Tally { accepted, refused, peak: (peak, length), slowest } = tally;
        let (seconds, slowest_ms) = (begun.elapsed().as_secs_f64(), slowest.as_secs_f64() * 1e3);
        println!(
            "{:<28} {each:>8} {accepted:>8} {refused:>8} {seconds:>7.1} {slowest_ms:>5.1} ms {peak:>11} {length:>8}",
            reader.name
        );
        total.accepted += accepted;
        total.refused += refused;
    }
    let (accepted, refused) = (total.accepted, total.refused);
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} inputs, {accepted} accepted, {refused} refused, {seconds:.1} s",
        accepted + refused
    );
    assert!(accepted > 0 && refused > accepted / 10);
}
