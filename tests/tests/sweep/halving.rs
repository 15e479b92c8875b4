//! `[halving]`: runs that are behind the others are given up.

use std::{fs, path::Path, time::SystemTime};

use serde_json::Value;

use super::{ended, folder, killed, settings, stderr, stdout, sweep};
use crate::support::succeed;

/// How many runs have ended so.
fn count(out: &Path, ending: &str) -> usize {
    let wanted = format!("\"ending\": \"{ending}\"");
    ended(out).values().filter(|(_, text)| text.contains(&wanted)).count()
}

#[test]
fn runs_that_are_behind_are_given_up() {
    let text = settings()
        + "method = \"prompt\"\n[search]\ncount = 6\nlr = { log_uniform = [1e-6, 0.1] }\n";
    let dir = folder(&(text + "[halving]\nat = [0.25, 0.5]\nkeep = 0.5\n"));
    let whole = succeed(&mut sweep(dir.path(), "whole", &[]));
    let results = ended(&dir.path().join("whole"));
    let of = |ending: &str| {
        let is =
            |text: &&(SystemTime, String)| text.1.contains(&format!("\"ending\": \"{ending}\""));
        results.values().filter(is).count()
    };
    assert_eq!((results.len(), of("halted"), of("finished")), (6, 4, 2), "{results:?}");
    let halted = |(_, text): &(SystemTime, String)| {
        serde_json::from_str::<Value>(text).unwrap()["last_step"].clone()
    };
    let mut steps: Vec<u64> =
        results.values().filter_map(|result| halted(result).as_u64()).collect();
    steps.sort_unstable();
    assert_eq!(steps, [3, 3, 3, 6, 12, 12]);
    assert!(
        stderr(&whole).contains("its sweep gave it up after step 3 of 12"),
        "{}",
        stderr(&whole)
    );
    assert_eq!(killed(dir.path(), "killed", &[], 5), stdout(&whole));
    let endings = |out: &str| -> Vec<(String, Value)> {
        let read = |(name, (_, text)): (String, (SystemTime, String))| {
            (name, serde_json::from_str::<Value>(&text).unwrap()["ending"].clone())
        };
        ended(&dir.path().join(out)).into_iter().map(read).collect()
    };
    assert_eq!(endings("whole"), endings("killed"));
}

#[test]
fn runs_that_are_added_later_may_take_others_up_again() {
    let text = |rates: &str| {
        settings()
            + "method = \"prompt\"\n[halving]\nat = [0.25]\n[grid]\nlr = "
            + &format!("[{rates}]\n")
    };
    let dir = folder(&text("0.1, 0.03, 0.01, 0.003"));
    let out = dir.path().join("out");
    succeed(&mut sweep(dir.path(), "out", &[]));
    assert_eq!((count(&out, "finished"), count(&out, "halted")), (2, 2));
    fs::write(
        dir.path().join("sweep.toml"),
        text("0.1, 0.03, 0.01, 0.003, 1e-7, 1e-8, 1e-9, 1e-10"),
    )
    .unwrap();
    succeed(&mut sweep(dir.path(), "out", &[]));
    // Four of eight go on, whichever they are; those of the first time have ended already.
    let (finished, halted) = (count(&out, "finished"), count(&out, "halted"));
    assert!(finished >= 4 && finished + halted == 8, "{finished} {halted}");
    let again = ended(&out);
    succeed(&mut sweep(dir.path(), "out", &[]));
    assert_eq!(ended(&out), again);
}

#[test]
fn a_run_that_fails_does_not_keep_others_from_being_judged() {
    let text = settings()
        + "method = \"head\"\n[halving]\nat = [0.5]\n[grid]\ntrain_rows = [8, 100000]\nlr = [0.1, 0.01]\n";
    let dir = folder(&text);
    let made = sweep(dir.path(), "out", &[]).output().unwrap();
    let said = stderr(&made);
    assert_eq!(made.status.code(), Some(1), "{said}");
    assert!(said.contains("2 runs failed; the first, "), "{said}");
    let out = dir.path().join("out");
    assert_eq!((count(&out, "finished"), count(&out, "halted")), (1, 1), "{said}");
    assert!(stdout(&made).contains("accuracy"), "{}", stdout(&made));
}

#[test]
fn halving_before_the_first_evaluation_is_refused_before_a_step() {
    let text = settings().replace("eval_every = 3", "eval_every = 9")
        + "method = \"head\"\n[halving]\nat = [0.5]\n";
    let dir = folder(&text);
    let refused = sweep(dir.path(), "out", &[]).output().unwrap();
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("after step 6, and the first evaluation comes after step 9"), "{said}");
    assert!(!dir.path().join("out/run/run.toml").exists());
    // The way out that it names is one.
    fs::write(dir.path().join("sweep.toml"), text.replace("eval_every = 9", "eval_every = 6"))
        .unwrap();
    succeed(&mut sweep(dir.path(), "out", &[]));
}
