//! A run that is killed or interrupted and then resumed ends like one that was never stopped.
#![cfg(unix)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use peft_core::{Adapter, adapter::codec::sha256, contract::rng, train::checkpoint};
use rand::Rng;
use serde_json::Value;

use crate::support::{ADAPTER_FILES, peft, read_lines, root, succeed, tiny_model};

/// A run to disturb.
struct Case {
    model: &'static str,
    rows: &'static str,
    valid: &'static str,
    flags: &'static [&'static str],
}

const STEPS: usize = 40;

/// Each method, optimizer and schedule once; validation and checkpoints fall on different steps.
const CASES: [Case; 6] = [
    Case {
        model: "gpt2",
        rows: "gpt2-prompt",
        valid: "gpt2-prefix",
        flags: &[
            "--method=prompt",
            "--task=causal-lm",
            "--num-virtual-tokens=4",
            "--optimizer=adafactor",
            "--schedule=constant",
        ],
    },
    Case {
        model: "llama",
        rows: "llama-prefix",
        valid: "llama-prefix",
        flags: &[
            "--method=prefix",
            "--task=causal-lm",
            "--num-virtual-tokens=3",
            "--prefix-hidden-size=8",
            "--prefix-dropout=0.2",
            "--schedule=cosine",
            "--warmup-steps=5",
            "--lr=0.01",
        ],
    },
    Case {
        model: "bert",
        rows: "bert-prefix",
        valid: "bert-prompt",
        flags: &[
            "--method=ptv2",
            "--task=seq-cls",
            "--num-virtual-tokens=4",
            "--prefix-dropout=0.1",
            "--accumulation=2",
            "--clip-norm=0.5",
            "--weight-decay=0.01",
            "--lr=0.02",
        ],
    },
    Case {
        model: "bert",
        rows: "bert-prefix",
        valid: "bert-prompt",
        // A learning rate so high that scores fall again: the best step is not the last one.
        flags: &["--method=head", "--task=seq-cls", "--best-metric=loss", "--lr=0.6"],
    },
    Case {
        model: "llama",
        rows: "llama-prefix",
        valid: "llama-prefix",
        flags: &[
            "--packing",
            "--method=ptv2",
            "--task=causal-lm",
            "--num-virtual-tokens=3",
            "--max-length=20",
        ],
    },
    Case {
        model: "gpt2",
        rows: "gpt2-prompt",
        valid: "gpt2-prefix",
        flags: &[
            "--reparameterization=lstm",
            "--method=prompt",
            "--task=causal-lm",
            "--num-virtual-tokens=4",
            "--encoder-hidden-size=6",
            "--encoder-dropout=0.2",
            "--lr=0.01",
        ],
    },
];

impl Case {
    fn rows(&self, name: &str) -> String {
        format!("tests/vectors/training/{name}/rows.jsonl")
    }

    /// The command that starts the run.
    fn start(&self, out: &Path, steps: usize, checkpoint_every: usize) -> Command {
        let mut command = peft(&root());
        command.args(["train", "--model", &tiny_model(self.model)]);
        command.args(["--train", &self.rows(self.rows), "--valid", &self.rows(self.valid)]);
        command.args(["--steps", &steps.to_string(), "--batch-size=4", "--eval-every=6"]);
        command.args(["--checkpoint-every", &checkpoint_every.to_string(), "--seed=7"]);
        command.args(self.flags).arg("--out").arg(out);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// The command that resumes a run, or starts it if it was killed before it wrote anything.
fn go_on(case: &Case, out: &Path, steps: usize, checkpoint_every: usize) -> Command {
    if !out.join("run.toml").exists() {
        return case.start(out, steps, checkpoint_every);
    }
    let mut command = peft(&root());
    command.args(["train", "--resume", "--out"]).arg(out);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Random moments, different in each test run; the seed is printed when a test fails.
fn moments(what: &str) -> impl Rng {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("{what}: seed of the random moments {seed}");
    rng::stream(seed, 0, what)
}

/// How many steps the run has written a line for.
fn steps_made(out: &Path) -> usize {
    fs::read_to_string(out.join("metrics.jsonl")).map_or(0, |text| text.lines().count())
}

/// Waits until the run has made more than `steps` steps; false if it ended before.
fn wait_for_step(child: &mut Child, out: &Path, steps: usize) -> bool {
    let start = Instant::now();
    while steps_made(out) <= steps {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no step {steps} in a minute");
        sleep(Duration::from_micros(300));
    }
    true
}

/// SIGKILL.
fn kill(mut child: Child) -> Output {
    child.kill().unwrap();
    child.wait_with_output().unwrap()
}

fn assert_same_adapter(found: &Path, expected: &Path) {
    for name in ADAPTER_FILES {
        let read = |dir: &Path| fs::read(dir.join(name)).unwrap();
        assert!(read(found) == read(expected), "{name} differs from that of the undisturbed run");
    }
}

/// Step, loss and learning rate of each line that a run wrote.
fn lines(out: &Path) -> Vec<(u64, f64, f64)> {
    read_lines(&out.join("metrics.jsonl"))
        .into_iter()
        .map(|line| {
            let number = |key: &str| line[key].as_f64().unwrap();
            (line["step"].as_u64().unwrap(), number("loss"), number("lr"))
        })
        .collect()
}

fn killed_and_resumed(case: &Case) {
    let dir = tempfile::tempdir().unwrap();
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    succeed(&mut case.start(&whole, STEPS, 4));
    let mut random = moments(case.flags[0]);
    let mut kills = Vec::new();
    for _ in 0..4 {
        let made = steps_made(&broken);
        let at = made + random.random_range(0..=(STEPS - made) / 2);
        let mut child = go_on(case, &broken, STEPS, 4).spawn().unwrap();
        if !wait_for_step(&mut child, &broken, at) {
            break;
        }
        sleep(Duration::from_micros(random.random_range(0..8000)));
        let output = kill(child);
        if output.status.success() {
            break;
        }
        kills.push(steps_made(&broken));
    }
    println!("{}: killed after {kills:?} of {STEPS} steps", case.flags[0]);
    assert!(!kills.is_empty());
    succeed(&mut go_on(case, &broken, STEPS, 4));
    assert_same_adapter(&broken, &whole);
    assert_eq!(lines(&broken), lines(&whole));
    assert_eq!(lines(&broken).len(), STEPS);
}

#[test]
fn a_killed_prompt_is_resumed_bit_for_bit() {
    killed_and_resumed(&CASES[0]);
}

#[test]
fn a_killed_prefix_with_its_mlp_is_resumed_bit_for_bit() {
    killed_and_resumed(&CASES[1]);
}

#[test]
fn a_killed_p_tuning_v2_with_its_head_is_resumed_bit_for_bit() {
    killed_and_resumed(&CASES[2]);
}

#[test]
fn a_killed_head_alone_is_resumed_bit_for_bit() {
    killed_and_resumed(&CASES[3]);
}

#[test]
fn a_killed_prompt_with_its_lstm_is_resumed_bit_for_bit() {
    killed_and_resumed(&CASES[5]);
}

#[test]
fn a_killed_packed_run_is_resumed_bit_for_bit() {
    killed_and_resumed(&CASES[4]);
}

/// Ctrl-C, and `kill`: the state is saved, the message says how to resume, and resuming gives the same bytes.
#[test]
fn an_interrupted_run_is_saved_and_says_how_to_resume() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    succeed(&mut CASES[1].start(&whole, 150, 1000));
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        interrupted_and_resumed(&dir.path().join(signal), &whole, (signal, code));
    }
}

fn interrupted_and_resumed(broken: &Path, whole: &Path, (signal, code): (&str, i32)) {
    let (case, steps) = (&CASES[1], 150);
    // Neither is a setting of the run: the command that goes on gives them again.
    let flags = ["--threads=2", "--devices=cpu,cpu", "--log-every=7"];
    let mut child = case.start(broken, steps, 1000).args(flags).spawn().unwrap();
    assert!(wait_for_step(&mut child, broken, 4));
    let signal =
        Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status();
    assert!(signal.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{:?}", output.status);
    let message = String::from_utf8(output.stderr).unwrap();
    let flags = "--threads 2 --devices cpu,cpu --log-every 7";
    let how = format!("peft train --out {} --resume {flags}\n", broken.display());
    assert!(message.contains("stopping after this step; a second signal ends it at once\n"));
    assert!(message.contains("\ninterrupted after step"), "{message}");
    assert!(message.contains(&how), "{message}");
    assert!(!Adapter::exists(broken), "an unfinished run is no adapter yet");
    let saved = folders(broken);
    assert_eq!(saved.len(), 1, "{saved:?}");
    let step = checkpoint::load(&saved[0]).unwrap().counters.step;
    assert!((4..steps).contains(&step), "{step}");
    assert_eq!(step, steps_made(broken));
    assert!(message.contains(&format!("after step {step} of {steps}")), "{message}");

    succeed(&mut go_on(case, broken, steps, 1000));
    assert_same_adapter(broken, whole);
    assert_eq!(lines(broken), lines(whole));
}

/// The checkpoints of a run under their final names, whether complete or not.
fn folders(out: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(out.join("checkpoints")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.')).collect()
}

/// Whether a folder holds an adapter; if it loads, it must be complete.
fn is_whole(folder: &Path) -> bool {
    if !Adapter::exists(folder) {
        return false;
    }
    let text = fs::read_to_string(folder.join("burn_peft.json")).unwrap();
    let own: Value = serde_json::from_str(&text).expect("a file is written at once");
    match Adapter::load(folder) {
        Ok(adapter) => {
            let bytes = fs::read(folder.join("adapter_model.safetensors")).unwrap();
            assert_eq!(own["tensors_sha256"], sha256(&bytes));
            assert!(adapter.tensors.values().all(|t| t.iter::<f32>().all(f32::is_finite)));
            true
        }
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains(folder.to_str().unwrap()), "{message}");
            false
        }
    }
}

/// With a checkpoint after each step, most of the time goes into saving, so that is where kills land.
#[test]
fn a_kill_during_a_save_leaves_nothing_that_loads_wrongly() {
    let case = &CASES[2];
    let steps = 24;
    let dir = tempfile::tempdir().unwrap();
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    succeed(&mut case.start(&whole, steps, 1));
    let mut random = moments("kills during saves");
    let (mut kills, mut refused, mut newest) = (0, 0, 0);
    for _ in 0..60 {
        let mut child = go_on(case, &broken, steps, 1).spawn().unwrap();
        // The line of a step is written before its checkpoint.
        if !wait_for_step(&mut child, &broken, steps_made(&broken)) {
            break;
        }
        sleep(Duration::from_micros(random.random_range(0..12_000)));
        if kill(child).status.success() {
            break;
        }
        kills += 1;
        is_whole(&broken);
        let mut whole_steps = Vec::new();
        for folder in folders(&broken) {
            let adapter = is_whole(&folder);
            refused += usize::from(!adapter);
            if let Ok(stored) = checkpoint::load(&folder) {
                assert!(adapter);
                let step = stored.counters.step;
                assert!(folder.ends_with(format!("step-{step:06}")));
                whole_steps.push(step);
            }
        }
        // A later kill does not lose what was saved.
        let best = whole_steps.into_iter().max().unwrap_or(0);
        assert!(best >= newest, "the newest whole checkpoint went from {newest} to {best}");
        newest = best;
    }
    println!("{kills} kills, the last one after checkpoint {newest}; {refused} folders refused");
    assert!(kills > 4);
    succeed(&mut go_on(case, &broken, steps, 1));
    assert!(is_whole(&broken));
    assert_same_adapter(&broken, &whole);
}

/// `--overwrite` with settings that cannot start a run deletes nothing; with valid ones the run starts afresh.
#[test]
fn overwriting_waits_until_the_new_run_can_start() {
    let case = &CASES[0];
    let dir = tempfile::tempdir().unwrap();
    let (once, twice) = (dir.path().join("once"), dir.path().join("twice"));
    succeed(&mut case.start(&once, 5, 2));
    succeed(&mut case.start(&twice, 9, 2));
    let refused = case.start(&twice, 5, 2).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--overwrite"));
    let failed = case.start(&twice, 5, 2).args(["--overwrite", "--max-length=0"]).output().unwrap();
    assert!(!failed.status.success());
    assert!(is_whole(&twice) && lines(&twice).len() == 9 && !folders(&twice).is_empty());
    succeed(case.start(&twice, 5, 2).arg("--overwrite"));
    assert_same_adapter(&twice, &once);
    assert_eq!(lines(&twice), lines(&once));
}
