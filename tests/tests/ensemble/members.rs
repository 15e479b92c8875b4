//! Members are the runs of their seeds, whatever kills them.

use std::{
    fs,
    path::Path,
    process::Stdio,
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use peft_core::contract::rng;
use rand::Rng;
use serde_json::json;

use super::{parsed, rows, stdout, train};
use crate::support::{ADAPTER_FILES, copy_model, peft, refused, root, succeed, tiny_model};

#[test]
fn members_are_the_runs_of_their_seeds() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--ensemble=3", "--seed=5", "--out=many"];
    let table = stdout(&mut train(dir.path(), &flags));
    let names: Vec<&str> =
        table.lines().map(|line| line.split("  ").next().unwrap().trim()).collect();
    assert_eq!(
        names,
        [
            "adapter",
            "seed=5",
            "seed=6",
            "seed=7",
            "mean of members",
            "best member",
            "vote: majority",
            "vote: mean"
        ]
    );
    for seed in ["5", "6", "7"] {
        let alone = format!("alone-{seed}");
        succeed(&mut train(dir.path(), &["--seed", seed, "--out", &alone]));
        for file in ADAPTER_FILES.iter().chain(&["evaluations.jsonl"]) {
            let read = |folder: &str| fs::read(dir.path().join(folder).join(file)).unwrap();
            assert!(read(&format!("many/seed={seed}")) == read(&alone), "{seed}: {file}");
        }
    }
    let result = || fs::read_to_string(dir.path().join("many/result.json")).unwrap();
    let before = result();
    let found = parsed(&before);
    assert_eq!(found["ending"], "finished");
    let members = found["members"].as_array().unwrap();
    let accuracy: Vec<f64> =
        members.iter().map(|member| member["metrics"]["accuracy"].as_f64().unwrap()).collect();
    assert!(
        (found["mean"]["accuracy"].as_f64().unwrap() - accuracy.iter().sum::<f64>() / 3.0).abs()
            < 1e-12
    );
    assert_eq!(found["best"]["accuracy"].as_f64(), accuracy.iter().copied().reduce(f64::max));
    // Each is what `peft eval` and the run itself say of it.
    for (member, alone) in members.iter().zip(["alone-5", "alone-6", "alone-7"]) {
        let mut eval = peft(dir.path());
        eval.args([
            "eval",
            "--json",
            "--adapter",
            alone,
            "--data",
            &rows("bert-prompt"),
            "--model",
        ]);
        let alone = parsed(&stdout(eval.arg(root().join(tiny_model("bert")))));
        for (name, value) in member["metrics"].as_object().unwrap() {
            assert_eq!(Some(value), alone.get(name), "{name}");
        }
    }
    // Nothing is left to do, and the same is said again; --json has the same numbers.
    assert_eq!(stdout(peft(dir.path()).args(["train", "--resume", "--out=many"])), table);
    assert_eq!(result(), before);
    let json =
        parsed(&stdout(peft(dir.path()).args(["train", "--resume", "--json", "--out=many"])));
    assert_eq!((&json["members"], &json["votes"]), (&found["members"], &found["votes"]));
    // Whoever wants more of them makes more of them.
    let more = stdout(peft(dir.path()).args(["train", "--resume", "--ensemble=4", "--out=many"]));
    assert!(more.contains("\nseed=8 ") && more.contains("\nseed=5 "), "{more}");
    let fewer = refused(peft(dir.path()).args(["train", "--resume", "--ensemble=2", "--out=many"]));
    assert!(fewer.1.contains("--resume drops none"), "{}", fewer.1);
    // Nor do members of other rows join.
    let path = dir.path().join("many/seed=7/result.json");
    let text = fs::read_to_string(&path).unwrap();
    let sum = parsed(&text)["valid_sha256"].as_str().unwrap().to_string();
    fs::write(&path, text.replace(&sum, "another")).unwrap();
    let other = refused(peft(dir.path()).args(["train", "--resume", "--ensemble=5", "--out=many"]));
    assert!(
        other.1.contains("seed=7: was made with other training or validation rows"),
        "{}",
        other.1
    );
    assert!(!dir.path().join("many/seed=9").exists());
    fs::write(&path, text).unwrap();
    // Runs side by side.
    let compared = stdout(peft(dir.path()).args(["compare", "many", "--no-times"]));
    assert!(compared.contains("±"), "{compared}");
    // What votes on the validation rows votes on others.
    let mut eval = peft(dir.path());
    eval.args(["eval", "--json", "--vote=majority", "--data", &rows("bert-prompt"), "--model"]);
    eval.arg(root().join(tiny_model("bert")));
    eval.args(["5", "6", "7"].map(|seed| format!("--adapter=many/seed={seed}")));
    let voted = parsed(&stdout(&mut eval));
    assert_eq!(voted["members"], found["members"]);
    assert_eq!(voted["votes"]["majority"], found["votes"]["majority"]);
}

#[test]
#[cfg(unix)]
fn an_ensemble_that_was_killed_ends_like_one_that_was_not() {
    let dir = tempfile::tempdir().unwrap();
    let expected = stdout(&mut train(dir.path(), &["--ensemble=3", "--out=whole"]));
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed of the random moments {seed}");
    let mut moments = rng::stream(seed, 0, "tests/ensemble");
    let next = |dir: &Path| match dir.join("killed/ensemble.toml").exists() {
        true => {
            let mut command = peft(dir);
            command.args(["train", "--resume", "--out=killed"]);
            command
        }
        false => train(dir, &["--ensemble=3", "--out=killed"]),
    };
    for _ in 0..6 {
        let mut command = next(dir.path());
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(moments.random_range(20..500)));
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert_eq!(stdout(&mut next(dir.path())), expected);
    for seed in 0..3 {
        for file in ["adapter_model.safetensors", "evaluations.jsonl"] {
            let read = |out: &str| {
                fs::read(dir.path().join(out).join(format!("seed={seed}")).join(file)).unwrap()
            };
            assert!(read("whole") == read("killed"), "{seed}: {file}");
        }
    }
    let result = |out: &str| fs::read_to_string(dir.path().join(out).join("result.json")).unwrap();
    assert_eq!(result("killed"), result("whole"));
}

/// The settings of an ensemble without their sum: those of an earlier version had none; others were cut off, perhaps at the
/// end of a setting.
#[test]
fn settings_of_an_ensemble_that_were_cut_off_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let table = stdout(&mut train(dir.path(), &["--ensemble=2", "--out=many"]));
    let path = dir.path().join("many/ensemble.toml");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let resume = || {
        let mut command = peft(dir.path());
        command.args(["train", "--resume", "--out=many"]);
        command
    };
    let without_sum = &lines[..lines.len() - 1];
    fs::write(&path, without_sum.join("\n") + "\n").unwrap();
    let (code, said) = refused(&mut resume());
    assert_eq!(code, Some(1), "{said}");
    for part in ["ensemble.toml: lacks its last line", "remove its second line", "another --out"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // As it says, and as an earlier version wrote it.
    let earlier = [&without_sum[..1], &without_sum[2..]].concat();
    fs::write(&path, earlier.join("\n") + "\n").unwrap();
    let output = succeed(&mut resume());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), table);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("cut off") && !said.contains("changed"), "{said}");
    // What was changed on purpose is told.
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("steps = 12", "steps = 12 ")).unwrap();
    let said = String::from_utf8(succeed(&mut resume()).stderr).unwrap();
    assert!(said.contains("ensemble.toml was changed after peft wrote it"), "{said}");
}

/// Rows that got another class: members of both kinds could not vote, so that none of the second kind is made.
#[test]
fn members_with_other_classes_are_told_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("train.jsonl");
    let text = fs::read_to_string(rows("bert-prefix")).unwrap();
    fs::write(&path, &text).unwrap();
    let mut first = peft(dir.path());
    first.args(["train", "--model"]).arg(root().join(tiny_model("bert")));
    first.args(["--method=ptv2", "--num-virtual-tokens=3", "--task=seq-cls", "--batch-size=4"]);
    first.args(["--steps=4", "--train=train.jsonl", "--train-rows=6", "--valid"]);
    succeed(first.arg(rows("bert-prompt")).args(["--ensemble=2", "--out=many"]));
    let resume = || {
        let mut command = peft(dir.path());
        command.args(["train", "--resume", "--ensemble=3", "--out=many"]);
        command
    };
    fs::write(&path, format!("{text}{}\n", json!({"input_ids": [2, 5, 6], "label": 3}))).unwrap();
    let (code, said) = refused(&mut resume());
    assert_eq!(code, Some(1), "{said}");
    let says = "many/seed=0: has the classes 0, 1, 2, and the rows of --train have 0, 1, 2, 3 now";
    assert!(said.contains(says) && said.contains("remove the folder"), "{said}");
    assert!(!dir.path().join("many/seed=2").exists());
    // What is said can be done.
    for seed in 0..2 {
        fs::remove_dir_all(dir.path().join(format!("many/seed={seed}"))).unwrap();
    }
    let table = stdout(&mut resume());
    assert!(table.contains("\nseed=2 "), "{table}");
}

/// Changes the lowest bit of every number of a model.
fn change_all(model: &Path) {
    let path = model.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (start..bytes.len()).step_by(4).for_each(|at| bytes[at] ^= 1);
    fs::write(path, bytes).unwrap();
}

/// Members on one base and rows, which are not there any more where the ensemble goes on, whether members are left or not.
#[test]
fn members_vote_on_the_base_and_the_rows_that_they_were_made_with() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    copy_model("bert", &at("model"));
    fs::copy(rows("bert-prefix"), at("train.jsonl")).unwrap();
    fs::copy(rows("bert-prompt"), at("valid.jsonl")).unwrap();
    let mut first = peft(dir.path());
    first.args(["train", "--model=model", "--method=ptv2", "--num-virtual-tokens=3"]);
    first.args(["--task=seq-cls", "--batch-size=4", "--steps=4", "--train=train.jsonl"]);
    let table = stdout(first.args(["--valid=valid.jsonl", "--ensemble=2", "--out=many"]));
    let result = fs::read(at("many/result.json")).unwrap();
    let resume = |count: &str| {
        let mut command = peft(dir.path());
        command.args(["train", "--resume", "--out=many", "--ensemble", count]);
        command
    };
    let all_refused = |says: &str| {
        for count in ["2", "3"] {
            let (code, said) = refused(&mut resume(count));
            assert!(code == Some(1) && said.contains(says), "{count} {says}: {said}");
            assert!(said.contains("another --out"), "{count}: {said}");
            assert_eq!(fs::read(at("many/result.json")).unwrap(), result, "{count} {says}");
            assert!(!at("many/seed=2").exists(), "{count} {says}");
        }
    };
    let weights = at("model/model.safetensors");
    let whole = fs::read(&weights).unwrap();
    change_all(&at("model"));
    all_refused("seed=0: was trained on another base model than ");
    fs::write(&weights, whole).unwrap();
    let config = at("model/config.json");
    let text = fs::read_to_string(&config).unwrap();
    let mut other = parsed(&text);
    other["layer_norm_eps"] = json!(0.125);
    fs::write(&config, other.to_string()).unwrap();
    all_refused("of its config differ: layer_norm_eps");
    fs::write(&config, text).unwrap();
    for name in ["train.jsonl", "valid.jsonl"] {
        let text = fs::read_to_string(at(name)).unwrap();
        let last = text.trim_end().lines().last().unwrap();
        fs::write(at(name), format!("{text}{last}\n")).unwrap();
        all_refused("seed=0: was made with other training or validation rows");
        fs::write(at(name), text).unwrap();
    }
    // As they were, nothing is wrong.
    assert_eq!(stdout(&mut resume("2")), table);
    // Nor where they are elsewhere, and flags say where.
    fs::create_dir(at("away")).unwrap();
    for name in ["model", "train.jsonl", "valid.jsonl"] {
        fs::rename(at(name), at("away").join(name)).unwrap();
    }
    let (code, said) = refused(&mut resume("2"));
    let says = "not all that many/ensemble.toml names is there from here: give where it is now, with --model, --train and --valid";
    assert!(code == Some(1) && said.contains(says), "{said}");
    let moved = |valid: &str| {
        let mut command = resume("2");
        command.args(["--model=away/model", "--train=away/train.jsonl", "--valid", valid]);
        command
    };
    let (code, said) = refused(&mut moved("away/train.jsonl"));
    assert!(code == Some(1) && said.contains("and what was there was another"), "{said}");
    assert_eq!(stdout(&mut moved("away/valid.jsonl")), table);
}

/// What is told of validation rows as they are encoded is told once.
#[test]
fn validation_rows_are_encoded_once() {
    let dir = tempfile::tempdir().unwrap();
    let valid = fs::read_to_string(rows("bert-prompt")).unwrap();
    let unlabelled = "{\"input_ids\": [1, 2, 3]}";
    fs::write(dir.path().join("valid.jsonl"), format!("{}\n{unlabelled}\n", valid.trim_end()))
        .unwrap();
    let mut first = peft(dir.path());
    first.args(["train", "--method=ptv2", "--num-virtual-tokens=3", "--task=seq-cls", "--steps=2"]);
    first.args([
        "--batch-size=4",
        "--train",
        &rows("bert-prefix"),
        "--valid=valid.jsonl",
        "--model",
    ]);
    first.arg(root().join(tiny_model("bert")));
    first.args(["--skip-unlabelled", "--ensemble=2", "--out=many"]);
    let mut again = peft(dir.path());
    again.args(["train", "--resume", "--out=many"]);
    let outputs = [&mut first, &mut again].map(succeed);
    for output in &outputs {
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(said.matches("rows have no label and are left out").count(), 1, "{said}");
    }
    assert_eq!(outputs[0].stdout, outputs[1].stdout);
}

#[test]
fn members_that_diverge_make_no_ensemble() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = refused(&mut train(dir.path(), &["--ensemble=2", "--lr=1e38", "--out=out"]));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("seed=0 diverged") && said.contains("--clip-norm"), "{said}");
    assert!(!dir.path().join("out/result.json").exists());
}

#[test]
fn what_makes_no_ensemble_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let base = |task: &str, flags: &[&str]| {
        let mut command = peft(dir.path());
        command.args(["train", "--model=nowhere", "--method=prompt", "--train=a", "--out=out"]);
        command.args(["--task", task]).args(flags);
        refused(&mut command)
    };
    for (task, flags, says) in [
        ("seq-cls", &["--ensemble=1", "--valid=b"][..], "--ensemble: found 1, expected 2 to"),
        ("seq-cls", &["--ensemble=2"], "--ensemble: needs validation rows"),
        (
            "seq-cls",
            &["--ensemble=2", "--valid-split=0.1"],
            "--valid-split: not used with --ensemble",
        ),
        ("seq-cls", &["--ensemble=2", "--valid=-"], "--valid: found -, standard input"),
        (
            "seq-cls",
            &["--ensemble=2", "--valid=b", "--metrics-file=m.jsonl"],
            "--metrics-file: not used with --ensemble",
        ),
        (
            "seq-cls",
            &["--ensemble=2", "--valid=b", "--overwrite"],
            "--overwrite: not used for an ensemble",
        ),
        ("qa", &["--ensemble=2", "--valid=b"], "--ensemble: not used by qa"),
        ("causal-lm", &["--ensemble=2", "--valid=b"], "have no majority and no mean"),
    ] {
        let (code, said) = base(task, flags);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(says), "{flags:?}: {said}");
        assert!(!dir.path().join("out").exists(), "{flags:?}");
    }
    // Numbers to predict are seen once the model is loaded.
    let rows = dir.path().join("numbers.jsonl");
    fs::write(
        &rows,
        "{\"input_ids\": [2, 5, 6], \"label\": 0.5}\n{\"input_ids\": [2, 7], \"label\": 1.5}\n",
    )
    .unwrap();
    let mut numbers = peft(dir.path());
    numbers.args(["train", "--model"]).arg(root().join(tiny_model("bert")));
    numbers.args(["--method=head", "--task=seq-cls", "--problem-type=regression", "--ensemble=2"]);
    numbers.args(["--train=numbers.jsonl", "--valid=numbers.jsonl", "--out=out"]);
    let (code, said) = refused(&mut numbers);
    assert!(code == Some(2) && said.contains("not used by regression"), "{said}");
    // A folder has one run, or several.
    succeed(&mut train(dir.path(), &["--out=one"]));
    let (_, said) = refused(&mut train(dir.path(), &["--ensemble=2", "--out=one"]));
    assert!(said.contains("holds a run already"), "{said}");
    let (_, said) =
        refused(peft(dir.path()).args(["train", "--resume", "--ensemble=2", "--out=one"]));
    assert!(said.contains("one holds a run of one adapter"), "{said}");
    succeed(&mut train(dir.path(), &["--ensemble=2", "--out=two"]));
    for flags in [&["--out=two"][..], &["--ensemble=2", "--out=two"]] {
        let (_, said) = refused(&mut train(dir.path(), flags));
        assert!(said.contains("holds an ensemble already; use --resume"), "{said}");
    }
    let (_, said) = refused(&mut train(dir.path(), &["--overwrite", "--out=two"]));
    assert!(said.contains("--overwrite: not used for an ensemble"), "{said}");
    let (code, said) =
        refused(peft(dir.path()).args(["train", "--resume", "--seed=7", "--out=two"]));
    assert!(
        code == Some(2) && said.contains("--seed: found 7, but the adapters in two begin with"),
        "{said}"
    );
    let (code, said) =
        refused(peft(dir.path()).args(["train", "--resume", "--lr=0.5", "--out=two"]));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("two/seed=0: ")
            && said.contains("lr is 0.03, not 0.5")
            && said.contains("give another --out"),
        "{said}"
    );
}
