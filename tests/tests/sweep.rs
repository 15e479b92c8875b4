//! `peft sweep`: many runs from one file, killed and continued, in parts, several at a time.
#![cfg(unix)]

mod halving;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use peft_core::contract::rng;
use rand::Rng;
use serde_json::Value;

use crate::support::{copy_model, peft, root, succeed, tiny_model};

/// Settings of all runs: a tiny model, few rows.
fn settings() -> String {
    let at = |path: &str| root().join(path).display().to_string();
    let rows = |name: &str| at(&format!("tests/vectors/training/{name}/rows.jsonl"));
    format!(
        "model = {:?}\ntask = \"seq-cls\"\ntrain = {:?}\nvalid = {:?}\nsteps = 12\nbatch_size = 4\neval_every = 3\n",
        at(&tiny_model("bert")),
        rows("bert-prefix"),
        rows("bert-prompt")
    )
}

const RUNS: &str = "[[runs]]\nmethod = \"prompt\"\nnum_virtual_tokens = [2, 4]\n[[runs]]\nmethod = \"ptv2\"\n\
                    num_virtual_tokens = 3\n[grid]\nseed = [1, 2]\n";

fn sweep(dir: &Path, out: &str, flags: &[&str]) -> Command {
    let mut command = peft(dir);
    command.args(["sweep", "sweep.toml", "--out", out]).args(flags);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A folder with a file of a sweep.
fn folder(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sweep.toml"), text).unwrap();
    dir
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The runs in a folder that have ended, with what they have left.
fn ended(out: &Path) -> BTreeMap<String, (SystemTime, String)> {
    let Ok(entries) = fs::read_dir(out) else { return BTreeMap::new() };
    let run = |folder: &Path| {
        let file = folder.join("result.json");
        let text = fs::read_to_string(&file).ok()?;
        let result: Value = serde_json::from_str(&text).unwrap();
        (result["ending"] != "begun")
            .then(|| (fs::metadata(&file).unwrap().modified().unwrap(), text))
    };
    let named = |folder: &Path| folder.file_name().unwrap().to_str().unwrap().to_string();
    let folders = entries.map(|entry| entry.unwrap().path());
    folders.filter_map(|folder| Some((named(&folder), run(&folder)?))).collect()
}

/// Runs a sweep that is killed so often at random moments and then left alone; gives its table.
fn killed(dir: &Path, out: &str, flags: &[&str], kills: usize) -> String {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed of the random moments {seed}");
    let mut moments = rng::stream(seed, 0, "tests/sweep");
    for _ in 0..kills {
        let before = ended(&dir.join(out));
        let mut process = sweep(dir, out, flags).spawn().unwrap();
        sleep(Duration::from_millis(moments.random_range(20..500)));
        process.kill().unwrap();
        process.wait().unwrap();
        let after = ended(&dir.join(out));
        // Nothing that had ended was touched.
        assert!(
            before.iter().all(|(name, run)| after.get(name) == Some(run)),
            "{before:?} {after:?}"
        );
    }
    stdout(&succeed(&mut sweep(dir, out, flags)))
}

#[test]
fn a_sweep_that_was_killed_ends_like_one_that_was_not() {
    let dir = folder(&(settings() + RUNS));
    let expected = stdout(&succeed(&mut sweep(dir.path(), "whole", &[])));
    assert_eq!(expected.lines().count(), 1 + 3 + 1 + 2, "{expected}");
    assert_eq!(killed(dir.path(), "killed", &[], 6), expected);
    assert_eq!(killed(dir.path(), "both", &["--jobs", "2"], 4), expected);
    for out in ["whole", "killed", "both"] {
        assert_eq!(ended(&dir.path().join(out)).len(), 6);
    }
    let same = |file: &str| {
        let read = |out: &str| {
            fs::read(dir.path().join(out).join("method=ptv2,p=3,seed=2").join(file)).unwrap()
        };
        assert!(read("whole") == read("killed") && read("whole") == read("both"), "{file}");
    };
    ["adapter_model.safetensors", "evaluations.jsonl"].into_iter().for_each(same);
    // Once more, nothing is left to do.
    let again = succeed(&mut sweep(dir.path(), "whole", &[]));
    assert_eq!(stdout(&again), expected);
    assert!(!stderr(&again).contains("runs in whole"), "{}", stderr(&again));
    // The runs are those of `peft train`, and `peft compare` knows their times.
    let run = dir.path().join("whole/method=prompt,p=2,seed=1");
    let mut alone = peft(dir.path());
    alone.args(["train", "--config"]).arg(run.join("run.toml")).args(["--out", "alone"]);
    succeed(&mut alone);
    let read = |folder: &Path| fs::read(folder.join("adapter_model.safetensors")).unwrap();
    assert!(read(&run) == read(&dir.path().join("alone")));
    let mut compare = peft(dir.path());
    let table = stdout(&succeed(compare.args(["compare", "whole"])));
    assert!(table.contains("seconds"), "{table}");
    let without = stdout(&succeed(peft(dir.path()).args(["compare", "whole", "--no-times"])));
    assert_eq!(without, expected);
}

#[test]
fn parts_on_several_machines_make_one_sweep() {
    let dir = folder(&(settings() + RUNS));
    let whole = stdout(&succeed(&mut sweep(dir.path(), "whole", &[])));
    let first = succeed(&mut sweep(dir.path(), "parts", &["--shard", "1/2"]));
    assert!(stderr(&first).contains("3 runs of this shard in parts\n"), "{}", stderr(&first));
    let dry = stdout(&succeed(&mut sweep(dir.path(), "parts", &["--dry-run"])));
    assert!(
        dry.contains("method=prompt,p=2,seed=2  to be made")
            && dry.ends_with("6 runs, 3 of them ended\n"),
        "{dry}"
    );
    assert_eq!(stdout(&succeed(&mut sweep(dir.path(), "parts", &["--shard", "2/2"]))), whole);
    let dry = succeed(&mut sweep(dir.path(), "nowhere", &["--dry-run", "--json"]));
    let dry: Value = serde_json::from_str(&stdout(&dry)).unwrap();
    assert_eq!(dry["runs"].as_array().unwrap().len(), 6);
    assert_eq!(dry["runs"][0]["settings"]["num_virtual_tokens"], 2);
    assert!(!dir.path().join("nowhere").exists());
    // More parts than runs: one without any is no failure.
    for out in ["parts", "begun"] {
        let none = succeed(&mut sweep(dir.path(), out, &["--shard", "7/7"]));
        let says =
            "note: part 7/7 of this sweep has no runs: there are 6 of them, fewer than parts\n";
        assert_eq!((stderr(&none).as_str(), stdout(&none).as_str()), (says, ""));
    }
    assert!(!dir.path().join("begun").exists());
    let dry = stdout(&succeed(&mut sweep(dir.path(), "parts", &["--shard", "7/7", "--dry-run"])));
    assert!(dry.ends_with("\n0 runs, 0 of them ended\n"), "{dry}");
}

#[test]
fn a_changed_file_is_noticed() {
    let dir = folder(&(settings() + "[grid]\nmethod = [\"head\"]\nseed = [1, 2]"));
    succeed(&mut sweep(dir.path(), "out", &[]));
    let write = |text: &str| fs::write(dir.path().join("sweep.toml"), text).unwrap();
    // More of them are no change.
    write(&(settings() + "[grid]\nmethod = [\"head\"]\nseed = [1, 2, 3]"));
    let before = ended(&dir.path().join("out"));
    let more = succeed(&mut sweep(dir.path(), "out", &["--csv"]));
    assert!(stderr(&more).contains("3 runs in out, 2 of them ended already"), "{}", stderr(&more));
    assert_eq!(
        stdout(&more).lines().nth(1).unwrap().split(',').nth(2),
        Some("3"),
        "{}",
        stdout(&more)
    );
    let after = ended(&dir.path().join("out"));
    assert!(after.len() == 3 && before.iter().all(|(name, run)| after.get(name) == Some(run)));
    write(&(settings() + "lr = 0.5\n[grid]\nmethod = [\"head\"]\nseed = [1, 2]"));
    let refused = sweep(dir.path(), "out", &[]).output().unwrap();
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("out/method=head,seed=1: lr is 0.01, not 0.5")
            && said.contains("give another --out"),
        "{said}"
    );
    assert_eq!(ended(&dir.path().join("out")), after);
}

#[test]
fn one_run_that_fails_leaves_the_others() {
    let dir = folder(&(settings() + "[grid]\nmethod = [\"prompt\"]\nlr = [0.1, 1e38]"));
    let made = succeed(&mut sweep(dir.path(), "out", &[]));
    assert!(
        stderr(&made).contains("method=prompt,lr=1e+38  diverged: the loss became"),
        "{}",
        stderr(&made)
    );
    assert!(
        stderr(&made).contains("lr=1e+38 is left out: its loss was no number any more"),
        "{}",
        stderr(&made)
    );
    let again = succeed(&mut sweep(dir.path(), "out", &[]));
    assert_eq!(stdout(&again), stdout(&made));
    // Rows that are not there fail one run, not the other, which is made.
    let dir = folder(&(settings() + "method = \"head\"\n[grid]\ntrain_rows = [8, 100000]"));
    let failed = sweep(dir.path(), "out", &[]).output().unwrap();
    let said = stderr(&failed);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(
        said.contains("train_rows=100000: --train-rows: found 100000, expected 1 to"),
        "{said}"
    );
    assert!(stdout(&failed).contains("accuracy"), "{}", stdout(&failed));
}

#[test]
fn fewer_rows_are_drawn_by_the_seed() {
    let dir =
        folder(&(settings() + "method = \"head\"\n[grid]\ntrain_rows = [4, 8]\nseed = [1, 2]\n"));
    let table = stdout(&succeed(&mut sweep(dir.path(), "out", &["--json"])));
    let table: Value = serde_json::from_str(&table).unwrap();
    let systems = table["systems"].as_array().unwrap();
    let rows: Vec<u64> =
        systems.iter().map(|one| one["settings"]["train_rows"].as_u64().unwrap()).collect();
    assert!(rows == [4, 8] || rows == [8, 4], "{rows:?}");
    let result =
        fs::read_to_string(dir.path().join("out/train_rows=8,seed=1/result.json")).unwrap();
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["train_rows"], 8);
}

#[test]
fn what_is_wrong_is_said_before_anything_is_made() {
    let good = settings() + "method = \"head\"\n";
    for (text, flags, code, says) in [
        (good.clone(), &["--jobs", "0"][..], 2, "--jobs: found 0, expected 1 to"),
        (good.clone(), &["--shard", "3/2"], 2, "2/3"),
        (
            good.clone() + "[halving]\nat = [0.5]",
            &["--shard", "1/2"],
            2,
            "--shard: not used with [halving]",
        ),
        (good.clone() + "lrr = 1", &[], 2, "`lrr` is no setting; did you mean `lr`?"),
        (good.clone() + "[grid]\nmethod = \"head\"", &[], 2, "expected a list of values"),
        (good.clone() + "[grid]\nbatch_size = [0]", &[], 2, "batch_size=0: "),
        (good.replace("bert", "nobody"), &[], 1, "nobody"),
        (String::new(), &[], 2, "run: `model` is missing"),
    ] {
        let dir = folder(&text);
        let refused = sweep(dir.path(), "out", flags).output().unwrap();
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(code), "{text}: {said}");
        assert!(said.contains(says), "{text}: {said}");
        assert!(refused.stdout.is_empty() && ended(&dir.path().join("out")).is_empty(), "{text}");
    }
    let dir = folder(&good);
    let mut none = peft(dir.path());
    let refused = none.args(["sweep", "sweep.toml"]).output().unwrap();
    assert!(stderr(&refused).contains("--out is required"), "{}", stderr(&refused));
    let mut missing = peft(dir.path());
    let refused = missing.args(["sweep", "swept.toml", "--out", "out"]).output().unwrap();
    assert!(stderr(&refused).contains("did you mean sweep.toml?"), "{}", stderr(&refused));
}

/// A recipe and a task complete the settings of a run of a sweep, as they do those of `peft train`.
#[test]
fn runs_may_name_recipes() {
    let dir = folder(
        &(settings()
            + "method = \"ptv2\"\nnum_virtual_tokens = 3\n[grid]\nrecipe = [\"liu2022-superglue\"]\nseed = [1, 2]\n"),
    );
    succeed(&mut sweep(dir.path(), "out", &[]));
    let runs = ended(&dir.path().join("out"));
    assert_eq!(runs.len(), 2, "{runs:?}");
    for name in runs.keys() {
        let run = fs::read_to_string(dir.path().join("out").join(name).join("run.toml")).unwrap();
        assert!(
            run.contains("recipe = \"liu2022-superglue\"") && run.contains("lr = 0.007"),
            "{run}"
        );
        assert!(run.contains("steps = 12") && !run.contains("epochs"), "{run}");
    }
}

#[test]
fn a_signal_stops_it_in_order() {
    let dir = folder(&(settings().replace("steps = 12", "steps = 100000") + RUNS));
    let mut process = sweep(dir.path(), "out", &[]).spawn().unwrap();
    let metrics = dir.path().join("out/method=prompt,p=2,seed=1/metrics.jsonl");
    let has_begun = || fs::metadata(&metrics).is_ok_and(|file| file.len() > 0);
    for _ in 0..3000 {
        if has_begun() {
            break;
        }
        sleep(Duration::from_millis(10));
    }
    assert!(has_begun());
    succeed(Command::new("kill").arg("-INT").arg(process.id().to_string()));
    let status = process.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    let dry = stdout(&succeed(&mut sweep(dir.path(), "out", &["--dry-run"])));
    assert!(dry.contains("method=prompt,p=2,seed=1  goes on after step "), "{dry}");
}

#[test]
fn a_pattern_may_be_written_otherwise() {
    let with = |pattern: &str| {
        let rows = settings();
        let given = rows.lines().filter(|line| !line.starts_with("train"));
        given.collect::<Vec<_>>().join("\n")
            + &format!("\nmethod = \"head\"\ntrain = {pattern:?}\n")
    };
    let dir = folder(&with("./row*.jsonl"));
    let rows = root().join("tests/vectors/training/bert-prefix/rows.jsonl");
    fs::copy(rows, dir.path().join("rows.jsonl")).unwrap();
    let first = stdout(&succeed(&mut sweep(dir.path(), "out", &[])));
    assert_eq!(stdout(&succeed(&mut sweep(dir.path(), "out", &[]))), first);
}

#[test]
fn the_train_loss_is_that_of_a_run_that_was_not_killed() {
    let rows = settings();
    let unscored = rows.lines().filter(|line| !line.starts_with("valid"));
    let text = unscored.collect::<Vec<_>>().join("\n").replace("eval_every", "checkpoint_every")
        + "\n[grid]\nmethod = [\"prompt\", \"head\"]\nseed = [1, 2]\n";
    let dir = folder(&text);
    let whole = stdout(&succeed(&mut sweep(dir.path(), "whole", &["--csv"])));
    assert_eq!(killed(dir.path(), "killed", &["--csv"], 5), whole);
}

#[test]
fn rows_that_were_changed_are_told() {
    let text = |seeds: &str| {
        let rows = settings();
        let given = rows.lines().filter(|line| !line.starts_with("train"));
        given.collect::<Vec<_>>().join("\n")
            + "\nmethod = \"head\"\ntrain = \"rows.jsonl\"\n[grid]\nseed = "
            + seeds
    };
    let dir = folder(&text("[1, 2]"));
    let from = root().join("tests/vectors/training/bert-prefix/rows.jsonl");
    let rows = fs::read_to_string(from).unwrap();
    fs::write(dir.path().join("rows.jsonl"), &rows).unwrap();
    let says = "the files of the training rows were changed between ";
    let first = stderr(&succeed(&mut sweep(dir.path(), "out", &[])));
    assert!(!first.contains(says), "{first}");
    // One row twice.
    let again = rows.lines().next().unwrap();
    fs::write(dir.path().join("rows.jsonl"), format!("{}\n{again}\n", rows.trim_end())).unwrap();
    fs::write(dir.path().join("sweep.toml"), text("[1, 2, 3]")).unwrap();
    let more = stderr(&succeed(&mut sweep(dir.path(), "out", &[])));
    assert!(more.contains(says), "{more}");
}

/// Runs that had ended, on rows and a base model that are not there any more.
#[test]
fn runs_of_what_was_changed_since_are_named() {
    let dir = folder("");
    let at = |name: &str| dir.path().join(name);
    let rows = |name: &str| root().join(format!("tests/vectors/training/{name}/rows.jsonl"));
    copy_model("bert", &at("model"));
    fs::copy(rows("bert-prefix"), at("train.jsonl")).unwrap();
    fs::copy(rows("bert-prompt"), at("valid.jsonl")).unwrap();
    fs::write(
        at("sweep.toml"),
        "model = \"model\"\ntask = \"seq-cls\"\ntrain = \"train.jsonl\"\nvalid = \"valid.jsonl\"\nsteps = 4\n\
         batch_size = 4\nmethod = \"ptv2\"\nnum_virtual_tokens = 2\ntrain_rows = 6\n[grid]\nseed = [1, 2]\n",
    )
    .unwrap();
    let whole = stdout(&succeed(&mut sweep(dir.path(), "out", &[])));
    let again = || {
        let output = succeed(&mut sweep(dir.path(), "out", &[]));
        assert_eq!(stdout(&output), whole);
        stderr(&output)
    };
    let said = again();
    assert!(!said.contains("ended with other"), "{said}");
    for (name, says) in [("train.jsonl", "training rows"), ("valid.jsonl", "validation rows")] {
        let text = fs::read_to_string(at(name)).unwrap();
        let changed: String = text.lines().map(|line| change(line) + "\n").collect();
        fs::write(at(name), changed).unwrap();
        let said = again();
        let says = format!("note: seed=1, seed=2 ended with other {says} than there are now");
        assert!(said.contains(&says) && said.contains("made anew"), "{said}");
        fs::write(at(name), text).unwrap();
    }
    let config = fs::read_to_string(at("model/config.json")).unwrap();
    let mut other: Value = serde_json::from_str(&config).unwrap();
    other["layer_norm_eps"] = 0.125.into();
    fs::write(at("model/config.json"), other.to_string()).unwrap();
    let said = again();
    assert!(said.contains("ended with other weights or config of the base model"), "{said}");
    // What is not there is not compared, and the table stands.
    fs::remove_file(at("model/model.safetensors")).unwrap();
    let said = again();
    assert!(said.contains("are those of now is not known"), "{said}");
}

/// As from another machine: the settings of the runs name the base model and the rows by paths that are not there.
#[test]
fn runs_that_name_the_same_files_by_other_paths_are_known() {
    let dir = folder("");
    let at = |name: &str| dir.path().join(name);
    let rows = |name: &str| root().join(format!("tests/vectors/training/{name}/rows.jsonl"));
    let write = |place: &str| {
        let path = |name: &str| at(place).join(name);
        let text = format!(
            "model = {:?}\ntask = \"seq-cls\"\ntrain = {:?}\nvalid = {:?}\nsteps = 4\nbatch_size = 4\n\
             method = \"head\"\n[grid]\nseed = [1, 2]\n",
            path("bert"),
            path("train.jsonl"),
            path("valid.jsonl")
        );
        fs::write(at("sweep.toml"), text).unwrap();
    };
    fs::create_dir(at("there")).unwrap();
    copy_model("bert", &at("there/bert"));
    fs::copy(rows("bert-prefix"), at("there/train.jsonl")).unwrap();
    fs::copy(rows("bert-prompt"), at("there/valid.jsonl")).unwrap();
    write("there");
    succeed(&mut sweep(dir.path(), "out", &["--shard", "1/2"]));
    let before = ended(&at("out"));
    assert_eq!(before.len(), 1);
    fs::rename(at("there"), at("here")).unwrap();
    write("here");
    let dry = succeed(&mut sweep(dir.path(), "out", &["--dry-run"]));
    let says = "note: seed=1 ended with the base model or rows at other paths";
    assert!(stderr(&dry).contains(says), "{}", stderr(&dry));
    assert!(stdout(&dry).ends_with("2 runs, 1 of them ended\n"), "{}", stdout(&dry));
    let table = stdout(&succeed(&mut sweep(dir.path(), "out", &[])));
    let after = ended(&at("out"));
    assert_eq!((after.len(), after.get("seed=1")), (2, before.get("seed=1")));
    assert_eq!(table, stdout(&succeed(&mut sweep(dir.path(), "whole", &[]))));
    // Other settings beside the paths, other rows, and a model that is not there.
    let refused = |says: &str| {
        let refused = sweep(dir.path(), "out", &[]).output().unwrap();
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(
            said.contains("out/seed=1: ") && said.contains("model is ") && said.contains(says),
            "{said}"
        );
        assert!(said.contains("give another --out"), "{said}");
        assert_eq!(ended(&at("out")), after);
    };
    let text = fs::read_to_string(at("sweep.toml")).unwrap();
    fs::write(at("sweep.toml"), format!("lr = 0.5\n{text}")).unwrap();
    refused("lr is 0.01, not 0.5");
    write("here");
    let train = fs::read_to_string(at("here/train.jsonl")).unwrap();
    let changed: String = train.lines().map(|line| change(line) + "\n").collect();
    fs::write(at("here/train.jsonl"), changed).unwrap();
    refused("and what was there was another");
    fs::write(at("here/train.jsonl"), train).unwrap();
    fs::remove_file(at("here/bert/model.safetensors")).unwrap();
    refused("and whether they are the same is not known: ");
}

/// A row with another token in it.
fn change(line: &str) -> String {
    let mut row: Value = serde_json::from_str(line).unwrap();
    let ids = row["input_ids"].as_array_mut().unwrap();
    let last = ids.last_mut().unwrap();
    *last = (last.as_u64().unwrap() ^ 1).into();
    row.to_string()
}
