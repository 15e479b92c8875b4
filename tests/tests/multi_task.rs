//! `peft train --tasks`: several tasks on one set of virtual tokens, each with a head of its own.
#![cfg(unix)]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use peft_core::contract::rng;
use rand::Rng;
use serde_json::{Value, json};

use crate::support::{ADAPTER_FILES, peft, read_lines, read_tensors, root, succeed, tiny_model};

const MODEL: &str = "bert";

/// Rows of token ids with a class, and rows with a tag for each token.
fn write_rows(dir: &Path) {
    let ids = |row: usize| (0..4 + row % 5).map(move |place| 5 + (row * 7 + place * 3) % 20);
    let write = |name: &str, rows: std::ops::Range<usize>, of: &dyn Fn(usize) -> Value| {
        let lines: String = rows.map(|row| format!("{}\n", of(row))).collect();
        fs::write(dir.join(name), lines).unwrap();
    };
    let classes = |row: usize| {
        let ids: Vec<usize> = ids(row).collect();
        json!({ "label": ids[1] % 3, "input_ids": ids })
    };
    let tags = |row: usize| {
        let ids: Vec<usize> = ids(row).collect();
        json!({ "labels": ids.iter().map(|id| id % 2).collect::<Vec<_>>(), "input_ids": ids })
    };
    write("classes.jsonl", 0..20, &classes);
    write("classes-valid.jsonl", 20..29, &classes);
    write("tags.jsonl", 0..33, &tags);
    write("tags-valid.jsonl", 33..40, &tags);
}

const TAGS: &str = "[[tasks]]\nname = \"tags\"\ntask = \"token-cls\"\ntrain = \"tags.jsonl\"\nvalid = \"tags-valid.jsonl\"\n";
const CLASSES: &str = "[[tasks]]\nname = \"classes\"\ntask = \"seq-cls\"\ntrain = \"classes.jsonl\"\n\
                       valid = \"classes-valid.jsonl\"\nweight = 0.5\n";

/// A folder with rows and a file of tasks.
fn folder(tasks: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_rows(dir.path());
    fs::write(dir.path().join("tasks.toml"), tasks).unwrap();
    dir
}

/// A run in `dir`, without the flags that say on what. `flags` take the place of others of the same name.
fn run(dir: &Path, out: &str, flags: &[&str]) -> Command {
    const USUAL: [&str; 7] = [
        "--method=ptv2",
        "--num-virtual-tokens=4",
        "--batch-size=4",
        "--seed=7",
        "--steps=24",
        "--eval-every=6",
        "--checkpoint-every=4",
    ];
    let name = |flag: &str| flag.split('=').next().unwrap().to_string();
    let given: Vec<String> = flags.iter().map(|flag| name(flag)).collect();
    let mut command = peft(dir);
    command.arg("train").arg("--model").arg(root().join(tiny_model(MODEL)));
    command.args(USUAL.iter().filter(|flag| !given.contains(&name(flag)))).args(["--out", out]);
    command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn joint(dir: &Path, out: &str, flags: &[&str]) -> Command {
    let mut command = run(dir, out, flags);
    command.args(["--tasks", "tasks.toml"]);
    command
}

fn message(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn result(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("result.json")).unwrap()).unwrap()
}

/// What `peft eval --json` prints.
fn scores(dir: &Path, adapter: &str, data: &str) -> Value {
    let mut command = peft(dir);
    command.arg("eval").arg("--model").arg(root().join(tiny_model(MODEL)));
    command.args(["--adapter", adapter, "--data", data, "--json"]);
    serde_json::from_slice(&succeed(&mut command).stdout).unwrap()
}

#[test]
fn on_one_task_the_adapter_is_that_of_an_ordinary_run() {
    let dir = folder(TAGS);
    for method in ["ptv2", "prefix", "prompt"] {
        let method = format!("--method={method}");
        let flags = [method.as_str(), "--accumulation=2", "--clip-norm=0.5", "--overwrite"];
        succeed(&mut joint(dir.path(), "joint", &flags));
        let rows = ["--task=token-cls", "--train=tags.jsonl", "--valid=tags-valid.jsonl"];
        succeed(run(dir.path(), "alone", &flags).args(rows));
        let read = |out: &str, file: &str| fs::read(dir.path().join(out).join(file)).unwrap();
        for file in &ADAPTER_FILES[1..] {
            assert!(read("joint/tasks/tags", file) == read("alone", file), "{method}: {file}");
        }
        let losses = |out: &str| -> Vec<Value> {
            let lines = read_lines(&dir.path().join(out).join("metrics.jsonl"));
            lines.iter().map(|line| line["loss"].clone()).collect()
        };
        assert_eq!(losses("joint"), losses("alone"));
        let loss = |out: &str| result(&dir.path().join(out))["train_sha256"].clone();
        assert_eq!(loss("joint"), loss("alone"));
    }
}

#[test]
fn each_task_has_an_adapter_with_the_scores_of_the_run() {
    let dir = folder(&format!("{TAGS}{CLASSES}"));
    let output = succeed(&mut joint(dir.path(), "out", &["--json"]));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = message(&output);
    for line in
        ["task     tags: token-cls", "task     classes: seq-cls, weight 0.5", "best by mean"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    let out = dir.path().join("out");
    let result = result(&out);
    assert_eq!((&result["best_metric"], &result["train_rows"]), (&json!("mean"), &json!(53)));
    let mut judged = 0.0;
    for (task, name, score) in [(0, "tags", "accuracy"), (1, "classes", "accuracy")] {
        let of = &result["tasks"][task];
        assert_eq!((&of["name"], &of["adapter"]), (&json!(name), &json!(format!("tasks/{name}"))));
        let found =
            scores(dir.path(), &format!("out/tasks/{name}"), &format!("{name}-valid.jsonl"));
        assert_eq!(of["scores"][score], found[score], "{name}");
        let loss = |of: &Value| of["loss"].as_f64().unwrap();
        assert!((loss(&of["scores"]) - loss(&found)).abs() < 1e-6, "{name}");
        assert_eq!(printed["metrics"][format!("{name}.{score}")], found[score]);
        judged += found[score].as_f64().unwrap() / 2.0;
    }
    assert!((printed["metrics"]["mean"].as_f64().unwrap() - judged).abs() < 1e-9);
    // One set of virtual tokens, stored once more without a head.
    let shared = read_tensors(&out.join("adapter_model.safetensors"));
    assert_eq!(shared.len(), 1);
    let of_tasks = ["tags", "classes"].map(|name| {
        let tensors = read_tensors(&out.join("tasks").join(name).join("adapter_model.safetensors"));
        assert!(shared.iter().all(|(key, data)| tensors[key] == *data), "{name}");
        tensors.values().map(|data| data.num_elements()).sum::<usize>()
    });
    let own = shared.values().map(|data| data.num_elements()).sum::<usize>();
    assert_eq!(result["stored_parameters"], json!(of_tasks.iter().sum::<usize>() - own));
    // A step has the losses of its tasks, and their weighted sum.
    let step = &read_lines(&out.join("metrics.jsonl"))[3];
    let of = |name: &str| step["tasks"][name].as_f64().unwrap();
    assert!((step["loss"].as_f64().unwrap() - of("tags") - 0.5 * of("classes")).abs() < 1e-6);
    // The page shows no rows of one task as those of the run.
    assert!(!out.join("validation.json").exists());
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("in tasks/NAME of this folder (tags, classes)"), "{page}");
    for part in ["The tasks, each with an adapter of its own", "Settings of the task classes alone"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("&quot;name&quot;"), "{page}");
    // The shared part alone answers nothing, and says what does.
    let mut command = peft(dir.path());
    command.arg("eval").arg("--model").arg(root().join(tiny_model(MODEL)));
    let output = command.args(["--adapter", "out", "--data", "tags-valid.jsonl"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = message(&output);
    assert!(
        said.contains("out: holds what the tasks tags, classes share")
            && said.contains("tasks/tags"),
        "{said}"
    );
}

/// The second stage: one task alone, from what several have learnt.
#[test]
fn another_run_starts_from_what_tasks_share() {
    let dir = folder(&format!("{TAGS}{CLASSES}"));
    succeed(&mut joint(dir.path(), "out", &[]));
    let rows = ["--task=token-cls", "--train=tags.jsonl", "--valid=tags-valid.jsonl"];
    let of_step = |out: &str, line: usize| {
        read_lines(&dir.path().join(out).join("metrics.jsonl"))[line].clone()
    };
    for (start, out) in [("out/tasks/tags", "own"), ("out", "shared")] {
        let mut command = peft(dir.path());
        command.arg("train").arg("--model").arg(root().join(tiny_model(MODEL)));
        command.args(["--method=ptv2", "--batch-size=33", "--steps=4", "--lr=0.001"]);
        succeed(command.args(rows).args(["--init-adapter", start, "--out", out]));
    }
    // With the head of the task it begins where the joint run ended; what tasks share has none, so that the base model's own begins.
    let own = scores(dir.path(), "out/tasks/tags", "tags.jsonl")["loss"].as_f64().unwrap();
    assert!((of_step("own", 0)["loss"].as_f64().unwrap() - own).abs() < 1e-5);
    let of_base = of_step("shared", 0)["loss"].as_f64().unwrap();
    assert!((of_base - own).abs() > 1e-3, "{of_base}, {own}");
    // Tasks start from it together, too, also from an adapter that has the head of one.
    for start in ["out", "own"] {
        let mut command = peft(dir.path());
        command.arg("train").arg("--model").arg(root().join(tiny_model(MODEL)));
        command.args(["--method=ptv2", "--steps=1", "--lr=0.001", "--overwrite", "--out=again"]);
        succeed(command.args(["--tasks", "tasks.toml", "--init-adapter", start]));
        let tokens = |out: &str| {
            let tensors = read_tensors(&dir.path().join(out).join("adapter_model.safetensors"));
            tensors["prompt_embeddings"].iter::<f32>().collect::<Vec<_>>()
        };
        let (before, after) = (tokens(start), tokens("again"));
        let most = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(most > 0.0 && most < 0.01, "{most}");
    }
}

/// Every file of a folder but those that hold times, with its bytes.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let files = ADAPTER_FILES.iter().flat_map(|file| {
        ["", "tasks/tags/", "tasks/classes/"].map(|place| format!("{place}{file}"))
    });
    let files = files.chain(["evaluations.jsonl".to_string()]);
    files.map(|name| (name.clone(), fs::read(dir.join(&name)).unwrap())).collect()
}

#[test]
fn a_run_that_was_killed_ends_like_one_that_was_not() {
    let dir = folder(&format!("{TAGS}{CLASSES}"));
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed of the random moments {seed}");
    let mut moments = rng::stream(seed, 0, "tests/multi_task");
    for (mixing, flags) in [
        ("all", &["--accumulation=2"][..]),
        ("turns", &["--method=prompt"][..]),
        ("drawn", &["--task-temperature=2", "--method=prefix", "--prefix-hidden-size=8"][..]),
    ] {
        let mut flags = flags.to_vec();
        let mixing = format!("--task-mixing={mixing}");
        flags.extend([mixing.as_str(), "--steps=60"]);
        succeed(&mut joint(dir.path(), "whole", &[&flags[..], &["--overwrite"]].concat()));
        let out = dir.path().join("killed");
        fs::remove_dir_all(&out).unwrap_or_default();
        let go_on = || match out.join("run.toml").exists() {
            false => joint(dir.path(), "killed", &flags),
            true => {
                // From another folder: what it reads is found from the run's own.
                let mut command = peft(&root());
                command.args(["train", "--resume", "--out"]).arg(&out);
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                command
            }
        };
        for _ in 0..5 {
            let mut process = go_on().spawn().unwrap();
            sleep(Duration::from_millis(moments.random_range(10..250)));
            process.kill().unwrap();
            process.wait().unwrap();
        }
        succeed(&mut go_on());
        for ((name, expected), (_, found)) in
            contents(&dir.path().join("whole")).iter().zip(contents(&out))
        {
            assert!(*expected == found, "{mixing}: {name}");
        }
        // Its settings make it again, with the tasks among them.
        let mut again = peft(&root());
        again.args(["train", "--overwrite", "--config"]).arg(out.join("run.toml"));
        succeed(again.arg("--out").arg(dir.path().join("again")));
        assert!(contents(&dir.path().join("again")) == contents(&out), "{mixing}");
    }
}

/// Tasks of different lengths, whose checkpoints are those of the run.
#[test]
fn adapters_of_tasks_remember_the_checkpoints_of_the_run() {
    let dir = folder(&format!("{TAGS}{CLASSES}"));
    let mut first = peft(dir.path());
    first.arg("train").arg("--model").arg(root().join(tiny_model(MODEL)));
    first.args(["--tasks=tasks.toml", "--method=ptv2", "--num-virtual-tokens=4", "--batch-size=4"]);
    succeed(first.args(["--steps=8", "--eval-every=6", "--out=first"]));
    let (first, again) = (dir.path().join("first"), dir.path().join("again"));
    let mut command = peft(dir.path());
    succeed(command.args(["train", "--config", "first/run.toml", "--out=again"]));
    assert!(contents(&first) == contents(&again));
    for name in ["tags", "classes"] {
        let own = fs::read(first.join(format!("tasks/{name}/burn_peft.json"))).unwrap();
        let own: Value = serde_json::from_slice(&own).unwrap();
        assert_eq!(own["recipe"]["checkpoint_every"], 6, "{name}");
    }
}

#[test]
fn tasks_of_an_earlier_run_do_not_stay() {
    let dir = folder(&format!("{TAGS}{CLASSES}"));
    succeed(&mut joint(dir.path(), "out", &["--steps=2"]));
    fs::create_dir(dir.path().join("out/tasks/mine")).unwrap();
    fs::write(dir.path().join("tasks.toml"), TAGS).unwrap();
    succeed(&mut joint(dir.path(), "out", &["--steps=2", "--overwrite"]));
    let names = || {
        let entries = fs::read_dir(dir.path().join("out/tasks")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["mine", "tags"]);
    let rows = ["--task=token-cls", "--train=tags.jsonl"];
    let mut alone = peft(dir.path());
    alone.arg("train").arg("--model").arg(root().join(tiny_model(MODEL)));
    alone.args(["--method=ptv2", "--steps=2", "--overwrite", "--out=out"]).args(rows);
    succeed(&mut alone);
    assert_eq!(names(), ["mine"]);
    // Another run in there is nobody's leftover.
    let mut inner = peft(dir.path());
    inner.arg("train").arg("--model").arg(root().join(tiny_model(MODEL)));
    inner.args(["--method=ptv2", "--steps=2", "--overwrite", "--out=out/tasks/mine"]).args(rows);
    succeed(&mut inner);
    succeed(&mut joint(dir.path(), "out", &["--steps=2", "--overwrite"]));
    assert_eq!(names(), ["mine", "tags"]);
    assert!(dir.path().join("out/tasks/mine/adapter_model.safetensors").exists());
}

#[test]
fn what_is_wrong_is_told_with_its_task() {
    let both = format!("{TAGS}{CLASSES}");
    let rows = |text: &str| text.replace("train = \"classes.jsonl\"", "train = \"empty.jsonl\"");
    let cases: [(&str, &[&str], &str, i32); 12] = [
        (&both.replace("\"classes\"", "\"Tags\""), &[], "two tasks are called so", 2),
        (&both.replace("classes.jsonl", "clases.jsonl"), &[], "clases.jsonl", 1),
        (&rows(&both), &[], "empty.jsonl", 1),
        (&both.replace("weight = 0.5", "weight = -1"), &[], "`weight = -1` of the task classes", 2),
        (&both.replace("weight", "wieght"), &[], "did you mean `weight`?", 2),
        (&both.replace("weight", "lr"), &[], "of the task classes: all tasks share one", 2),
        (&both, &["--method=head"], "--method: head: has no virtual tokens", 2),
        (&both, &["--best-metric=others"], "expected mean, loss, or a task", 2),
        (&both, &["--task-temperature=2"], "--task-temperature: used by --task-mixing drawn", 2),
        (&both.replace("seq-cls", "causal-lm"), &[], "task classes: ", 2),
        (&format!("lr = 0.1\n{both}"), &[], "give the file as --config", 2),
        ("lr = 0.1\n", &[], "holds no task", 2),
    ];
    for (tasks, flags, says, code) in cases {
        let dir = folder(tasks);
        fs::write(dir.path().join("empty.jsonl"), "").unwrap();
        let output = joint(dir.path(), "out", flags).output().unwrap();
        let said = message(&output);
        assert!(said.contains(says), "{says}: {said}");
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(!dir.path().join("out/run.toml").exists(), "{said}");
    }
    let dir = folder(&both);
    for (flags, says) in
        [(&["--train=tags.jsonl"][..], "--train"), (&["--labels=a,b"][..], "--labels")]
    {
        let output = joint(dir.path(), "out", flags).output().unwrap();
        assert_eq!((output.status.code(), message(&output).contains(says)), (Some(2), true));
    }
    let alone = ["--task=token-cls", "--train=tags.jsonl", "--task-mixing=all"];
    let mut command = peft(dir.path());
    command.arg("train").arg("--model").arg(root().join(tiny_model(MODEL)));
    let output = command.args(["--method=ptv2", "--out=out"]).args(alone).output().unwrap();
    assert!(message(&output).contains("--task-mixing: needs --tasks"), "{}", message(&output));
    fs::write(dir.path().join("sweep.toml"), format!("model = \"m\"\nmethod = \"ptv2\"\n{both}"))
        .unwrap();
    let output = peft(dir.path()).args(["sweep", "sweep.toml", "--out=s"]).output().unwrap();
    assert!(message(&output).contains("each run of a sweep has one task"), "{}", message(&output));
}
