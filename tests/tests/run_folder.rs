//! What is written stays whole: one process in a run's folder, kills while one run replaces another, damaged files,
//! outputs beside links.
#![cfg(unix)]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use peft_core::contract::rng;
use rand::Rng;

use crate::support::{ADAPTER_FILES, peft, read_lines, root, succeed, tiny_model};

/// A run of a prompt in `out`.
fn train(out: &Path, steps: usize, flags: &[&str]) -> Command {
    let mut command = peft(&root());
    command.args(["train", "--model", &tiny_model("gpt2"), "--method=prompt", "--task=causal-lm"]);
    command.args(["--train", "tests/vectors/training/gpt2-prompt/rows.jsonl", "--batch-size=2"]);
    command.args(["--num-virtual-tokens=2", "--checkpoint-every=2", "--steps", &steps.to_string()]);
    command.args(flags).arg("--out").arg(out).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The command that continues a run.
fn resume(out: &Path) -> Command {
    let mut command = peft(&root());
    command.args(["train", "--resume", "--out"]).arg(out);
    command
}

fn message(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The names in a folder that begin with a dot.
fn hidden(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).filter(|name| name.starts_with('.')).collect()
}

#[test]
fn one_process_at_a_time_writes_in_a_run_folder() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut first = train(&out, 1_000_000, &["--seed=1"]).spawn().unwrap();
    let start = Instant::now();
    while !out.join("checkpoints/step-000002").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint in a minute");
        sleep(Duration::from_millis(2));
    }
    let adapter = root().join("tests/vectors/logits/gpt2/prefix");
    let mut convert = peft(&root());
    convert.args(["convert", "--force", "--from"]).arg(adapter).arg("--to").arg(&out);
    for mut other in [
        train(&out, 3, &["--seed=2"]),
        train(&out, 3, &["--seed=2", "--overwrite"]),
        resume(&out),
        convert,
    ] {
        let output = other.output().unwrap();
        let message = message(&output);
        assert_eq!(output.status.code(), Some(1), "{other:?}: {message}");
        let says = format!("error: {} is in use by process {}", out.display(), first.id());
        assert!(message.starts_with(&says), "{message}");
    }
    let settings = fs::read_to_string(out.join("run.toml")).unwrap();
    assert!(settings.contains("seed = 1"), "{settings}");
    // The lock ends with the process, however that ends.
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(resume(&out).args(["--steps", "3"]).output().unwrap().status.code(), Some(1));
    succeed(&mut train(&out, 3, &["--seed=2", "--overwrite"]));
    assert_eq!(hidden(&out), [""; 0]);
    assert_eq!(hidden(&out.join("checkpoints")), [""; 0]);
}

#[test]
fn runs_with_folders_of_their_own_do_not_share_a_metrics_file() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = dir.path().join("metrics.jsonl");
    let flags = ["--overwrite", "--metrics-file", metrics.to_str().unwrap()];
    let mut first = train(&dir.path().join("one"), 1_000_000, &flags).spawn().unwrap();
    let start = Instant::now();
    while fs::metadata(&metrics).map_or(0, |found| found.len()) == 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "no step in a minute");
        sleep(Duration::from_millis(2));
    }
    let output = train(&dir.path().join("two"), 2, &flags).output().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    let message = message(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    let says = format!("error: {} is in use by another process", metrics.display());
    assert!(message.starts_with(&says), "{message}");
    assert!(!dir.path().join("two").exists());
}

/// `--output`: a name put there beforehand is not followed, one that the user gives is; who may read a file stays.
#[test]
fn an_output_goes_where_it_is_meant_to() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("victim"), "precious").unwrap();
    for name in [".out.jsonl.tmp", ".out.jsonl.new", ".peft-0123456789abcdef.tmp"] {
        symlink("victim", at(name)).unwrap();
    }
    fs::write(at("private"), "old").unwrap();
    fs::set_permissions(at("private"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("private", at("link")).unwrap();
    let rows = root().join("tests/vectors/training/gpt2-prompt/rows.jsonl");
    let long = "n".repeat(255);
    let generate = |output: &str| {
        let mut command = peft(dir.path());
        command.arg("generate").arg("--model").arg(root().join(tiny_model("gpt2")));
        command.arg("--input").arg(&rows).args(["--max-new-tokens=2", "--output", output]);
        succeed(&mut command);
        fs::read_to_string(at(output)).unwrap()
    };
    let expected = generate("out.jsonl");
    assert!(expected.lines().count() > 1);
    assert_eq!(generate("link"), expected);
    assert_eq!(generate(&long), expected);
    assert_eq!(fs::read_to_string(at("victim")).unwrap(), "precious");
    assert!(
        at("link").is_symlink() && !at("private").is_symlink() && !at("out.jsonl").is_symlink()
    );
    assert_eq!(fs::read_to_string(at("private")).unwrap(), expected);
    assert_eq!(fs::metadata(at("private")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(hidden(dir.path()).len(), 3);
}

/// The files of an adapter.
fn adapter(out: &Path) -> [Vec<u8>; 3] {
    ADAPTER_FILES.map(|name| fs::read(out.join(name)).unwrap())
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Replaces text in a file.
fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_damaged_line_of_metrics_does_not_block_a_resume() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    succeed(&mut train(&out, 6, &[]));
    let (whole, metrics) = (adapter(&out), out.join("metrics.jsonl"));
    let mut bytes = fs::read(&metrics).unwrap();
    bytes[20] = 0xff;
    fs::write(&metrics, &bytes).unwrap();
    let said = message(&succeed(&mut resume(&out)));
    let says = format!("note: {}: no step in line 1, which moved", metrics.display());
    assert!(said.contains(&says) && said.contains("metrics.jsonl.damaged"), "{said}");
    assert_eq!(adapter(&out), whole);
    assert_eq!(read_lines(&metrics).len(), 5);
    fs::write(&metrics, &bytes).unwrap();
    succeed(&mut train(&out, 6, &["--overwrite"]));
    assert_eq!(adapter(&out), whole);
    assert_eq!(read_lines(&metrics).len(), 6);
}

/// A log that stdout leads to may hold lines of its own, which stay.
#[test]
#[cfg(target_os = "linux")]
fn metrics_on_stdout_leave_the_lines_of_a_log() {
    let dir = tempfile::tempdir().unwrap();
    for (index, name) in ["/dev/stdout", "/proc/self/fd/1"].into_iter().enumerate() {
        let log = dir.path().join(format!("log{index}"));
        fs::write(&log, "a line\n").unwrap();
        let mut command =
            train(&dir.path().join(format!("out{index}")), 2, &["--metrics-file", name]);
        command.stdout(fs::OpenOptions::new().append(true).open(&log).unwrap());
        succeed(&mut command);
        let text = fs::read_to_string(&log).unwrap();
        assert!(text.starts_with("a line\n{\"step\":1,"), "{text}");
        // As a shell opens it for `>`: what is printed comes behind the metrics.
        let mut command = train(&dir.path().join("new"), 2, &["--metrics-file", name]);
        command.stdout(fs::File::create(&log).unwrap());
        succeed(&mut command);
        let text = fs::read_to_string(&log).unwrap();
        let starts: Vec<_> = text.lines().map(|line| line.get(..10).unwrap_or_default()).collect();
        assert_eq!(starts[..2], ["{\"step\":1,", "{\"step\":2,"], "{text}");
        assert!(text.lines().nth(2).unwrap().starts_with("prompt: "), "{text}");
        fs::remove_dir_all(dir.path().join("new")).unwrap();
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}

/// `--overwrite`, killed at any moment and resumed.
#[test]
fn a_kill_while_one_run_replaces_another_leaves_one_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let flags = ["--valid", "tests/vectors/training/gpt2-prefix/rows.jsonl"];
    let (old, new) = ([&flags[..], &["--seed=1"]].concat(), [&flags[..], &["--seed=2"]].concat());
    succeed(&mut train(&at("old"), 4, &old));
    let start = Instant::now();
    succeed(&mut train(&at("new"), 4, &new));
    let length = start.elapsed().as_micros() as u64;
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed of the random moments {seed}");
    let mut random = rng::stream(seed, 0, "kills while overwriting");
    let (mut kills, mut kept) = (0, 0);
    let out = at("out");
    for _ in 0..12 {
        copy(&at("old"), &out);
        edit(&out.join("run.toml"), at("old").to_str().unwrap(), out.to_str().unwrap());
        let mut child = train(&out, 4, &[&new[..], &["--overwrite"]].concat()).spawn().unwrap();
        sleep(Duration::from_micros(random.random_range(0..length)));
        child.kill().unwrap();
        kills += usize::from(!child.wait().unwrap().success());
        succeed(&mut resume(&out));
        let is_old = fs::read_to_string(out.join("run.toml")).unwrap().contains("seed = 1");
        kept += usize::from(is_old);
        assert_eq!(adapter(&out), adapter(&at(if is_old { "old" } else { "new" })));
        assert_eq!(hidden(&out), [""; 0]);
        assert_eq!(hidden(&out.join("checkpoints")), [""; 0]);
        assert_eq!(read_lines(&out.join("metrics.jsonl")).len(), 4);
        fs::remove_dir_all(&out).unwrap();
    }
    println!("{kills} kills, the old run stayed {kept} times");
    assert!(kills > 0);

    // Killed once the new run counts, before anything of the old one has moved.
    copy(&at("old"), &out);
    fs::copy(at("new/run.toml"), out.join(".peft.next.toml")).unwrap();
    edit(&out.join(".peft.next.toml"), at("new").to_str().unwrap(), out.to_str().unwrap());
    let refused = train(&out, 4, &new).output().unwrap();
    assert!(message(&refused).contains("holds a run already"));
    let said = message(&succeed(&mut resume(&out)));
    assert!(said.contains("takes the place of the old one"), "{said}");
    assert_eq!(adapter(&out), adapter(&at("new")));

    // With the metrics elsewhere.
    let (out, metrics) = (at("other"), at("ext.jsonl"));
    succeed(&mut train(&out, 4, &["--metrics-file", metrics.to_str().unwrap()]));
    let whole = adapter(&out);
    fs::copy(out.join("run.toml"), out.join(".peft.next.toml")).unwrap();
    let said = message(&succeed(&mut resume(&out)));
    assert!(said.contains("takes the place of the old one"), "{said}");
    assert_eq!((adapter(&out), read_lines(&metrics).len()), (whole, 4));
}

#[test]
fn what_is_read_back_is_summed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let flags = ["--valid", "tests/vectors/training/gpt2-prefix/rows.jsonl", "--lr=0.05"];
    succeed(&mut train(&at("whole"), 8, &flags));
    let out = at("out");
    // A counter of a checkpoint: an earlier one is taken.
    copy(&at("whole"), &out);
    for name in ADAPTER_FILES {
        fs::remove_file(out.join(name)).unwrap();
    }
    edit(&out.join("checkpoints/step-000008/state.json"), "\"step\": 8", "\"step\": 7");
    // The settings: edited on purpose, perhaps.
    edit(&out.join("run.toml"), at("whole").to_str().unwrap(), out.to_str().unwrap());
    let said = message(&succeed(&mut resume(&out)));
    assert!(said.contains("step-000008 is damaged and was skipped"), "{said}");
    assert!(said.contains("run.toml was changed after peft wrote it"), "{said}");
    assert_eq!(adapter(&out), adapter(&at("whole")));
    let said = message(&succeed(&mut resume(&out)));
    assert!(!said.contains("damaged") && !said.contains("changed"), "{said}");
    // All of them: what is damaged is said.
    for step in ["step-000006", "step-000008"] {
        edit(&out.join("checkpoints").join(step).join("SHA256SUMS"), "state", "State");
    }
    let said = message(&resume(&out).output().unwrap());
    assert!(said.contains("holds no complete checkpoint"), "{said}");
    assert!(said.contains("step-000006 is damaged") && said.contains("step-000008 is damaged"));

    // The config of an adapter: what it computes with counts, where its base model lies does not.
    let inspect = || {
        let mut command = peft(&root());
        command.arg("inspect").arg(&out);
        message(&succeed(&mut command))
    };
    edit(&out.join("adapter_config.json"), &tiny_model("gpt2"), "elsewhere");
    assert_eq!(inspect(), "");
    let own = out.join("burn_peft.json");
    edit(&own, "\"lr\": 0.05", "\"lr\": 0.5");
    let says = format!("note: {} was changed after it was saved", own.display());
    assert!(inspect().starts_with(&says), "{}", inspect());
}

/// A file of settings under another name: from the working folder, or from its own where its first line says so.
#[test]
fn paths_of_a_config_start_where_its_first_line_says() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("sub")).unwrap();
    copy(&root().join(tiny_model("gpt2")), &at("sub/tiny"));
    let rows = root().join("tests/vectors/training/gpt2-prompt/rows.jsonl");
    fs::copy(rows, at("sub/rows.jsonl")).unwrap();
    let settings = |before: &str| {
        format!(
            "model = \"{before}tiny\"\ntrain = \"{before}rows.jsonl\"\nmethod = \"prompt\"\n\
            task = \"causal-lm\"\nnum_virtual_tokens = 2\nsteps = 1\n"
        )
    };
    let train = |text: &str, out: &str| {
        fs::write(at("sub/my.toml"), text).unwrap();
        let mut command = peft(dir.path());
        command.env("HF_HUB_OFFLINE", "1");
        command.args(["train", "--config", "sub/my.toml", "--no-report", "--out", out]);
        command.output().unwrap()
    };
    let whole = train(&settings("sub/"), "a");
    assert!(whole.status.success() && !message(&whole).contains("my.toml"), "{}", message(&whole));
    let first = "# Relative paths start from the folder of this file.\n";
    let marked = train(&(first.to_string() + &settings("./")), "b");
    assert!(marked.status.success(), "{}", message(&marked));
    assert_eq!(adapter(&at("b"))[2], adapter(&at("a"))[2]);
    // Meant so, perhaps: it is told how to say it.
    let unmarked = train(&settings("./"), "c");
    assert_eq!(unmarked.status.code(), Some(1), "{}", message(&unmarked));
    let says =
        "note: sub/my.toml: ./tiny is in the folder of this file, and not in the working folder";
    assert!(message(&unmarked).contains(says), "{}", message(&unmarked));
    assert!(message(&unmarked).contains(first.trim_end()), "{}", message(&unmarked));
    // A sweep has the same rule, in its tables too.
    let sweep = |text: &str, out: &str| {
        fs::write(at("sub/my.toml"), text).unwrap();
        let mut command = peft(dir.path());
        command.env("HF_HUB_OFFLINE", "1").args(["sweep", "sub/my.toml", "--out", out]);
        command.output().unwrap()
    };
    let text = settings("./") + "[grid]\ntrain = [\"./rows.jsonl\"]\n";
    let marked = sweep(&(first.to_string() + &text), "d");
    assert!(marked.status.success(), "{}", message(&marked));
    let mut runs = fs::read_dir(at("d")).unwrap().map(|entry| entry.unwrap().path());
    let run = runs.find(|path| path.is_dir()).unwrap();
    assert_eq!(adapter(&run)[2], adapter(&at("a"))[2]);
    let unmarked = sweep(&text, "e");
    assert_eq!(unmarked.status.code(), Some(1), "{}", message(&unmarked));
    assert!(message(&unmarked).contains(says), "{}", message(&unmarked));
}

/// The settings of a run, of an ensemble or of an evaluation that were copied by half: whole lines are settings, too.
#[test]
fn settings_that_were_cut_off_start_no_other_run() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    succeed(&mut train(&at("whole"), 2, &["--lr=0.25"]));
    let model = tiny_model("gpt2");
    let mut eval = peft(&root());
    eval.args(["eval", "--model", &model, "--adapter"]).arg(at("whole"));
    eval.args(["--data", "tests/vectors/training/gpt2-prompt/rows.jsonl", "--out"]);
    succeed(eval.arg(at("scores")));
    let again = |config: &Path| {
        let mut command = peft(&root());
        command.args(["train", "--no-report", "--config"]).arg(config);
        command.arg("--out").arg(at("again")).output().unwrap()
    };
    for folder in ["whole", "scores"] {
        let text = fs::read_to_string(at(folder).join("run.toml")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let cut = |count: usize| lines[..count].join("\n") + "\n";
        let config = at("copy.toml");
        for count in 1..lines.len() {
            fs::write(&config, cut(count)).unwrap();
            let output = again(&config);
            let said = message(&output);
            assert_eq!(output.status.code(), Some(2), "{folder}, {count} lines: {said}");
            assert!(said.contains("copy.toml: lacks its last line"), "{count} lines: {said}");
            assert!(said.contains("get the whole file"), "{said}");
        }
        assert!(!at("again").exists());
        // Behind which setting it was cut.
        let last = lines.len() - 2;
        let name = lines[last].split(" = ").next().unwrap();
        let says = format!("behind line {}, `{name}`", last + 1);
        assert!(message(&again(&config)).contains(&says), "{}", message(&again(&config)));
        let sweep = peft(&root()).arg("sweep").arg(&config).args(["--out", "none"]).output();
        let said = message(&sweep.unwrap());
        assert!(said.contains("it was cut off behind line"), "{said}");
    }
    // The way out that is told.
    let text = fs::read_to_string(at("whole/run.toml")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let lines = &lines[..lines.len() - 1];
    let kept: Vec<&str> = [&lines[..1], &lines[2..]].concat();
    fs::write(at("whole/mine.toml"), kept.join("\n")).unwrap();
    let output = again(&at("whole/mine.toml"));
    assert!(output.status.success(), "{}", message(&output));
    assert_eq!(adapter(&at("again"))[2], adapter(&at("whole"))[2]);
    // Beside other runs it is told.
    fs::write(at("whole/run.toml"), lines.join("\n")).unwrap();
    let compared = succeed(peft(dir.path()).args(["compare", "whole"]));
    let said = String::from_utf8(compared.stdout.clone()).unwrap() + &message(&compared);
    assert!(said.contains("whole/run.toml: its end is cut off"), "{said}");
}

/// A run goes on with all of its settings, or not at all.
#[test]
fn a_run_whose_settings_were_cut_off_does_not_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    succeed(&mut train(&out, 2, &["--lr=0.25"]));
    let file = out.join("run.toml");
    let text = fs::read_to_string(&file).unwrap();
    let before = adapter(&out);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.len() - 1;
    assert!(lines[last].starts_with("# "), "{text}");
    for count in 1..=last {
        fs::write(&file, lines[..count].join("\n") + "\n").unwrap();
        let output = resume(&out).output().unwrap();
        let said = message(&output);
        assert_eq!(output.status.code(), Some(1), "{count} lines: {said}");
        assert!(
            said.contains("run.toml: lacks its last line")
                || said.contains("run.toml: was cut off"),
            "{said}"
        );
        assert!(said.contains("--init-adapter "), "{said}");
    }
    // Within a number, which is another one then.
    let cut = text.find("lr = 0.25").unwrap() + "lr = 0.2".len();
    fs::write(&file, &text[..cut]).unwrap();
    assert_eq!(resume(&out).output().unwrap().status.code(), Some(1));
    assert_eq!(adapter(&out), before);
    // The ways out that are told, and a cut behind all settings.
    let sum = text.find(lines[last]).unwrap();
    let own = [&lines[..1], &lines[2..last]].concat().join("\n") + "\n";
    let begun = [4, lines[last].len() / 2].map(|end| text[..sum + end].to_string());
    for whole in begun.into_iter().chain([text.clone(), own]) {
        fs::write(&file, whole).unwrap();
        succeed(&mut resume(&out));
        assert_eq!(adapter(&out), before);
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

/// Files that a crash left empty, or cut off: what is refused can be put right as the message says.
#[test]
fn files_that_were_cut_off_have_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, out) = (dir.path().join("whole"), dir.path().join("out"));
    succeed(&mut train(&whole, 4, &[]));
    let compare = || {
        let mut command = peft(dir.path());
        command.args(["compare", "out"]);
        command
    };
    let inspect = || {
        let mut command = peft(dir.path());
        command.args(["inspect", "out"]);
        command
    };
    let refused = |mut command: Command, says: &[&str]| {
        let output = command.output().unwrap();
        let said = message(&output);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        for part in says {
            assert!(said.contains(part), "{part}: {said}");
        }
    };
    for half in [false, true] {
        let cut = |name: &str| {
            if out.exists() {
                fs::remove_dir_all(&out).unwrap();
            }
            copy(&whole, &out);
            let path = out.join(name);
            let bytes = fs::read(&path).unwrap();
            // Settings in the middle of one: whole lines are settings, too.
            let middle = bytes.len() / 2;
            let in_line =
                || 3 + bytes[..middle].windows(3).rposition(|part| part == b"= \"").unwrap();
            let end = if name == "run.toml" { in_line() } else { middle };
            fs::write(&path, if half { &bytes[..end] } else { &[] }).unwrap();
        };
        cut("result.json");
        for command in [compare(), resume(&out)] {
            refused(command, &["out/result.json: not the result of a run", "; remove this file"]);
        }
        fs::remove_file(out.join("result.json")).unwrap();
        succeed(&mut compare());
        succeed(&mut resume(&out));
        assert_eq!(adapter(&out), adapter(&whole));

        cut("run.toml");
        let way_out = "put the file back as it was, or start another run";
        refused(resume(&out), &["out/run.toml: ", way_out, "--init-adapter ", "step-000004"]);
        let newest = out.join("checkpoints/step-000004");
        let mut again = peft(&root());
        again.args(["train", "--overwrite", "--model", &tiny_model("gpt2"), "--method=prompt"]);
        again.args(["--train", "tests/vectors/training/gpt2-prompt/rows.jsonl", "--steps=1"]);
        again.arg("--task=causal-lm").arg("--init-adapter").arg(newest);
        succeed(again.arg("--out").arg(dir.path().join("again")));

        cut("adapter_model.safetensors");
        let says =
            ["out/adapter_model.safetensors: ", "`peft train --resume --out ", "step-000004"];
        for command in [compare(), inspect()] {
            refused(command, &says);
        }
        succeed(&mut resume(&out));
        assert_eq!(adapter(&out), adapter(&whole));

        // Its lines are counted, and none is needed to go on.
        cut("metrics.jsonl");
        succeed(&mut compare());
        succeed(&mut resume(&out));
        assert_eq!(adapter(&out), adapter(&whole));
    }
    // Settings alone, without what was learnt: they are given once more.
    fs::remove_dir_all(&out).unwrap();
    fs::create_dir(&out).unwrap();
    fs::write(out.join("run.toml"), "").unwrap();
    refused(
        resume(&out),
        &["was cut off: it holds no --model, --method", "--overwrite to start it anew"],
    );
    succeed(train(&out, 4, &[]).arg("--overwrite"));
    assert_eq!(adapter(&out), adapter(&whole));
}

/// `run.toml` has relative paths: from another folder, after a move, and as earlier versions wrote them.
#[test]
fn a_run_goes_on_wherever_it_is_resumed_from() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("place");
    fs::create_dir_all(place.join("models")).unwrap();
    fs::create_dir_all(place.join("sub")).unwrap();
    copy(&root().join(tiny_model("gpt2")), &place.join("models/tiny"));
    fs::copy(
        root().join("tests/vectors/training/gpt2-prompt/rows.jsonl"),
        place.join("rows.jsonl"),
    )
    .unwrap();
    let line = "train --model models/tiny/ --method prompt --task causal-lm --train rows.jsonl --out run \
                --metrics-file sub/m.jsonl --num-virtual-tokens 2 --steps 4 --checkpoint-every 2";
    succeed(peft(&place).args(line.split_whitespace()));
    let whole = adapter(&place.join("run"));
    let settings = place.join("run/run.toml");
    let text = fs::read_to_string(&settings).unwrap();
    assert!(text.contains("model = \"../models/tiny\"") && text.contains("out = \".\""), "{text}");
    let again = |from: &Path, out: &str| {
        for name in ADAPTER_FILES {
            fs::remove_file(from.join(out).join(name)).unwrap();
        }
        // No network: nothing is a name on the Hub.
        let mut command = peft(from);
        command.env("HF_HUB_OFFLINE", "1").args(["train", "--resume", "--out", out]);
        succeed(&mut command);
        adapter(&from.join(out))
    };
    assert_eq!(again(&place, "run"), whole);
    assert_eq!(fs::read_to_string(&settings).unwrap(), text);
    // The config names the base model as it lies from here; the tensors are the same.
    assert_eq!(again(&place.join("sub"), "../run")[2], whole[2]);
    assert_eq!(fs::read_to_string(&settings).unwrap(), text);
    let moved = dir.path().join("moved");
    fs::rename(&place, &moved).unwrap();
    assert_eq!(again(dir.path(), "moved/run")[2], whole[2]);
    assert_eq!(read_lines(&moved.join("sub/m.jsonl")).len(), 4);
    assert!(!place.exists());
    // An earlier version: as the flags were, and without the line that says where paths start from.
    let old = text.lines().skip(1).collect::<Vec<_>>().join("\n");
    let old = old.replace("\"../", "\"").replace("out = \".\"", "out = \"run\"");
    fs::write(moved.join("run/run.toml"), old).unwrap();
    assert_eq!(again(&moved.join("sub"), "../run")[2], whole[2]);
    // Moved without its model: not a name on the Hub, and the path that was tried.
    fs::rename(moved.join("models"), moved.join("other")).unwrap();
    let output = peft(&moved).args(["train", "--resume", "--out", "run"]).output().unwrap();
    let said = message(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("./models/tiny/config.json: No such file"), "{said}");
    let mut command = peft(&moved);
    succeed(command.args(["train", "--resume", "--out", "run", "--model", "other/tiny"]));
}
