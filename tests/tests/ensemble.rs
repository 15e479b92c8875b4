//! `peft train --ensemble` and `peft eval --vote`: members are the runs of their seeds, whatever kills them, and votes are
//! those that are counted here once more.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use peft_core::contract::rng;
use peft_tests::shared;
use rand::Rng;
use serde_json::{Value, json};

use crate::support::{
    ADAPTER_FILES, parse_lines, peft, read_lines, refused, root, session, succeed, tiny_model,
};

/// The rows of a tiny model.
fn rows(name: &str) -> String {
    root().join(format!("tests/vectors/training/{name}/rows.jsonl")).display().to_string()
}

/// A command that trains a tiny BERT on rows with one of three classes.
fn train(dir: &Path, flags: &[&str]) -> Command {
    let mut command = peft(dir);
    command.args(["train", "--model"]).arg(root().join(tiny_model("bert")));
    command.args(["--method=ptv2", "--num-virtual-tokens=3", "--task=seq-cls", "--batch-size=4"]);
    command.args(["--steps=12", "--eval-every=3", "--train", &rows("bert-prefix")]);
    command.args(["--valid", &rows("bert-prompt")]).args(flags);
    command
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(succeed(command).stdout).unwrap()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The command that is told scores in the numbers of the run.
#[test]
fn the_next_command_has_the_numbers_of_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--ensemble=2", "--out=many", "--base-weights=int8"];
    let output = succeed(&mut train(dir.path(), &flags));
    let said = String::from_utf8(output.stderr).unwrap();
    let next = said.lines().find(|line| line.starts_with("next: ")).unwrap();
    let says = " --adapter many/seed=1 --base-weights int8 --vote majority --data ROWS.jsonl";
    assert!(next.starts_with("next: peft eval --model ") && next.ends_with(says), "{next}");
    // Without them it is told, once for all that differ in the same.
    let mut eval = peft(dir.path());
    eval.args(["eval", "--vote=majority", "--data", &rows("bert-prompt"), "--model"]);
    eval.arg(root().join(tiny_model("bert")));
    eval.args(["--adapter=many/seed=0", "--adapter=many/seed=1"]);
    let said = String::from_utf8(succeed(&mut eval).stderr).unwrap();
    let says =
        "many/seed=0 and many/seed=1 were trained with --base-weights int8, and are used with";
    assert!(said.contains(says) && said.matches("trained with").count() == 1, "{said}");
}

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

#[test]
fn members_that_diverge_make_no_ensemble() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = refused(&mut train(dir.path(), &["--ensemble=2", "--lr=1e38", "--out=out"]));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("seed=0 diverged") && said.contains("--clip-norm"), "{said}");
    assert!(!dir.path().join("out/result.json").exists());
}

/// Softmax of logits.
fn softmax(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let each: Vec<f64> = logits.iter().map(|logit| f64::from(logit - most).exp()).collect();
    each.iter().map(|value| value / each.iter().sum::<f64>()).collect()
}

/// The place of the largest, the first of them.
fn largest(values: &[f64]) -> usize {
    (0..values.len()).reduce(|a, b| if values[b] > values[a] { b } else { a }).unwrap()
}

/// Both votes on the probabilities of some members, by the rule of docs/ENSEMBLES.md: votes are counted, ties go to the
/// larger mean, and then to the first.
fn votes(members: &[Vec<f64>]) -> [usize; 2] {
    let classes = members[0].len();
    let mean: Vec<f64> =
        (0..classes).map(|class| members.iter().map(|p| p[class]).sum::<f64>()).collect();
    let count = |class: usize| members.iter().filter(|p| largest(p) == class).count();
    let most = (0..classes).map(count).max().unwrap();
    let tied = (0..classes).filter(|class| count(*class) == most);
    let majority = tied.reduce(|a, b| if mean[b] > mean[a] { b } else { a }).unwrap();
    [majority, largest(&mean)]
}

/// The votes of three adapters on rows of a class and on rows of tags, against logits that are voted on here.
#[test]
fn votes_are_those_of_the_members_probabilities() {
    for (model, data, task) in
        [("bert", "bert-prefix", "seq-cls"), ("bert-tok", "bert-tok-prefix", "token-cls")]
    {
        let dir = tempfile::tempdir().unwrap();
        let path = root().join(tiny_model(model));
        for seed in ["1", "2", "3"] {
            let mut train = peft(dir.path());
            train.args([
                "train",
                "--method=ptv2",
                "--num-virtual-tokens=2",
                "--steps=4",
                "--task",
                task,
            ]);
            train.args([
                "--seed",
                seed,
                "--batch-size=2",
                "--lr=0.03",
                "--train",
                &rows(data),
                "--model",
            ]);
            succeed(train.arg(&path).args(["--out", seed]));
        }
        let all = read_lines(Path::new(&rows(data)));
        // Of each row with targets the places, and the right classes there.
        let right: Vec<Vec<(usize, usize)>> = all
            .iter()
            .map(|row| match row["labels"].as_array() {
                Some(tags) => tags
                    .iter()
                    .enumerate()
                    .filter_map(|(at, tag)| Some((at, usize::try_from(tag.as_i64()?).ok()?)))
                    .collect(),
                None => vec![(0, row["label"].as_u64().unwrap() as usize)],
            })
            .collect();
        let examples: Vec<_> = all
            .iter()
            .map(|row| {
                let ids = crate::support::token_ids(&row["input_ids"]);
                peft_core::data::Example::new(ids, peft_core::data::Target::None, 1)
            })
            .collect();
        // [member][row][place][class]
        let members: Vec<Vec<Vec<Vec<f64>>>> = ["1", "2", "3"]
            .iter()
            .map(|seed| {
                let session = session(&path, Some(&dir.path().join(seed)));
                let logits = session.predictor().unwrap().logits(&examples).unwrap();
                let of_row = |data: &burn::tensor::TensorData| {
                    let width = *data.shape().as_slice().last().unwrap();
                    let values: Vec<f32> = data.iter().collect();
                    values.chunks(width).map(softmax).collect()
                };
                logits.iter().map(of_row).collect()
            })
            .collect();
        let mut counts = [0.0; 2];
        let (mut of_members, mut total) = ([0.0; 3], 0.0);
        let mut differ = 0;
        for (row, places) in right.iter().enumerate() {
            for (place, class) in places {
                let p: Vec<Vec<f64>> =
                    members.iter().map(|rows| rows[row][*place].clone()).collect();
                let chosen = votes(&p);
                differ += usize::from(p.iter().any(|one| largest(one) != chosen[0]));
                for (count, found) in counts.iter_mut().zip(chosen) {
                    *count += f64::from(u8::from(found == *class));
                }
                for (count, one) in of_members.iter_mut().zip(&p) {
                    *count += f64::from(u8::from(largest(one) == *class));
                }
                total += 1.0;
            }
        }
        assert!(differ > 0, "{model}: the members agree everywhere, so that nothing is tested");
        for (vote, count) in ["majority", "mean"].iter().zip(counts) {
            let eval = |flags: &[&str]| {
                let mut eval = peft(dir.path());
                eval.args(["eval", "--vote", vote, "--data", &rows(data), "--model"]).arg(&path);
                stdout(eval.args(["--adapter=1", "--adapter=b=2", "--adapter=3"]).args(flags))
            };
            let found = parsed(&eval(&["--json", "--report"]));
            let near = |value: &Value, expected: f64| {
                assert!(
                    (value.as_f64().unwrap() - expected / total).abs() < 1e-9,
                    "{model} {vote}: {found}"
                );
            };
            near(&found["votes"][vote]["accuracy"], count);
            for (member, own) in found["members"].as_array().unwrap().iter().zip(of_members) {
                near(&member["metrics"]["accuracy"], own);
            }
            assert_eq!(found["members"][1]["name"], "b");
            assert!(found["report"].is_object());
            assert!(found["votes"].as_object().unwrap().len() == 1, "{found}");
            let table = eval(&["--batch-size=3", "--padding=left"]);
            assert!(table.contains(&format!("\nvote: {vote} ")), "{table}");
        }
    }
}

#[test]
fn what_cannot_vote_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    for seed in ["1", "2"] {
        succeed(&mut train(dir.path(), &["--seed", seed, "--out", seed]));
    }
    succeed(&mut train(dir.path(), &["--labels=a,b,c,d", "--out=other"]));
    let eval = |flags: &[&str]| {
        let mut eval = peft(dir.path());
        eval.args(["eval", "--data", &rows("bert-prompt"), "--model"]);
        refused(eval.arg(root().join(tiny_model("bert"))).args(flags))
    };
    let both = ["--adapter=1", "--adapter=2"];
    for (flags, says) in [
        (&[][..], "--adapter: found 2 of them: give --vote majority or --vote mean"),
        (
            &["--vote=majority", "--adapter=other"],
            "have different classes, so that they cannot vote",
        ),
        (&["--vote=majority", "--max-new-tokens=3"], "generates nothing"),
        (&["--vote=majority", "--rank-classes"], "--rank-classes: not used by seq-cls"),
        (&["--vote=most"], "found `most`, expected majority or mean"),
    ] {
        let (code, said) = eval(&[&both, flags].concat());
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(says), "{flags:?}: {said}");
    }
    let (code, said) = eval(&["--vote=majority"]);
    assert!(code == Some(2) && said.contains("--vote: needs adapters"), "{said}");
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

/// Adapters of a language model vote with the classes that they rank, and with those that they write.
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

#[test]
fn language_models_vote_on_classes() {
    let (Some(model), Some(data)) = (shared("models/stories260k"), shared("data/fewglue/COPA"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let lines = fs::read_to_string(data.join("val.jsonl")).unwrap();
    let few: Vec<&str> = lines.lines().take(30).collect();
    fs::write(dir.path().join("valid.jsonl"), few.join("\n") + "\n").unwrap();
    let flags = [
        "train",
        "--task-file=superglue-copa",
        "--task=causal-lm",
        "--method=prompt",
        "--init=vocab",
    ];
    let mut train = peft(dir.path());
    train.args(flags).args([
        "--steps=6",
        "--lr=0.3",
        "--batch-size=4",
        "--num-virtual-tokens=4",
        "--model",
    ]);
    train.arg(&model).arg("--train").arg(data.join("train.jsonl"));
    let table =
        stdout(train.args(["--valid=valid.jsonl", "--ensemble=3", "--seed=1", "--out=many"]));
    assert!(table.lines().next().unwrap().contains("accuracy"), "{table}");
    let result = parsed(&fs::read_to_string(dir.path().join("many/result.json")).unwrap());
    let seeds = ["1", "2", "3"];
    let eval = |flags: &[&str]| {
        let mut eval = peft(dir.path());
        eval.args(["eval", "--data=valid.jsonl", "--model"]).arg(&model).args(flags);
        eval
    };
    let all: Vec<String> = seeds.iter().map(|seed| format!("--adapter=many/seed={seed}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    // What each finds by itself, voted on here.
    let each: Vec<Vec<Value>> = all
        .iter()
        .map(|adapter| {
            succeed(&mut eval(&[adapter, "--rank-classes", "--predictions=one.jsonl"]));
            read_lines(&dir.path().join("one.jsonl"))
        })
        .collect();
    let names = ["choice1", "choice2"];
    let mut right = [0.0; 2];
    for row in 0..few.len() {
        let of = |member: &Vec<Value>| -> Vec<f64> {
            names.map(|name| member[row]["log_likelihoods"][name].as_f64().unwrap()).to_vec()
        };
        let sums: Vec<Vec<f64>> = each.iter().map(of).collect();
        for (count, class) in right.iter_mut().zip(votes(&sums)) {
            *count += f64::from(u8::from(each[0][row]["reference"] == names[class]));
        }
    }
    for (vote, right) in ["majority", "mean"].iter().zip(right) {
        let flags = ["--rank-classes", "--json", "--vote", vote, "--predictions=voted.jsonl"];
        let found = parsed(&stdout(&mut eval(&[&all[..], &flags].concat())));
        assert_eq!(
            found["votes"][vote]["accuracy"].as_f64(),
            Some(right / few.len() as f64),
            "{found}"
        );
        assert_eq!(found["votes"][vote], result["votes"][vote]);
        assert_eq!(found["members"], result["members"].clone());
        let rows = read_lines(&dir.path().join("voted.jsonl"));
        let hits = rows.iter().filter(|row| row["label"] == row["reference"]).count();
        assert_eq!(hits as f64, right);
        for (row, line) in rows.iter().enumerate() {
            let own: Vec<&Value> = each.iter().map(|member| &member[row]["label"]).collect();
            assert_eq!(line["votes"], json!(own));
        }
    }
    // Written answers are matched to classes; those that are none have no vote.
    let flags = ["--max-new-tokens=6", "--json", "--vote=majority", "--predictions=voted.jsonl"];
    let found = parsed(&stdout(&mut eval(&[&all[..], &flags].concat())));
    let rows = read_lines(&dir.path().join("voted.jsonl"));
    let invalid = rows.iter().filter(|row| row["label"].is_null()).count() as f64;
    assert_eq!(found["votes"]["majority"]["invalid"].as_f64(), Some(invalid / rows.len() as f64));
    for row in &rows {
        let own: Vec<&str> =
            row["votes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let count = |name: &str| own.iter().filter(|other| **other == name).count();
        let best = own.iter().rev().max_by_key(|name| count(name));
        assert_eq!(row["label"].as_str(), best.copied(), "{row}");
    }
    for (flags, says) in [
        (&["--vote=majority"][..], "give either of them"),
        (
            &["--vote=mean", "--max-new-tokens=4"],
            "no probabilities to average: give --vote majority, or --rank-classes",
        ),
        (&["--vote=majority", "--max-new-tokens=4", "--metric=bleu"], "--metric: scores texts"),
    ] {
        let (code, said) = refused(&mut eval(&[&all[..], flags].concat()));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(says), "{said}");
    }
    // Without classes there is nothing to vote on.
    for seed in ["1", "2"] {
        let mut train = peft(dir.path());
        train.args([
            "train",
            "--task=causal-lm",
            "--method=prompt",
            "--steps=1",
            "--seed",
            seed,
            "--model",
        ]);
        train.arg(&model).args(["--source-template={premise}", "--target-template={choice1}"]);
        succeed(train.args(["--train=valid.jsonl", "--out", seed]));
    }
    let (code, said) = refused(&mut eval(&[
        "--adapter=1",
        "--adapter=2",
        "--vote=majority",
        "--max-new-tokens=4",
    ]));
    assert!(code == Some(2) && said.contains("have no majority and no mean"), "{said}");
    for flags in [&[][..], &["--rank-classes"]] {
        let mut predict = peft(dir.path());
        predict.args(["predict", "--vote=majority", "--adapter=1", "--adapter=2"]).args(flags);
        predict.args(["--input=valid.jsonl", "--model"]);
        let (code, said) = refused(predict.arg(&model));
        let says = "--vote: not used by causal-lm: the adapters of a language model vote in `peft eval --vote`";
        assert!(code == Some(2) && said.contains(says), "{said}");
    }
}

/// `peft predict --vote` and `peft eval --vote` choose the same.
#[test]
fn predictions_and_scores_are_of_the_same_vote() {
    let dir = tempfile::tempdir().unwrap();
    for seed in ["1", "2", "3"] {
        succeed(&mut train(dir.path(), &["--seed", seed, "--out", seed]));
    }
    let model = root().join(tiny_model("bert"));
    let all = ["--adapter=1", "--adapter=2", "--adapter=3"];
    for vote in ["majority", "mean"] {
        let mut predict = peft(dir.path());
        predict.args(["predict", "--input", &rows("bert-prompt"), "--vote", vote, "--model"]);
        let lines = parse_lines(&stdout(predict.arg(&model).args(all)));
        let mut eval = peft(dir.path());
        eval.args(["eval", "--json", "--data", &rows("bert-prompt"), "--vote", vote, "--model"]);
        let found = parsed(&stdout(eval.arg(&model).args(all)));
        let text = |value: &Value| value.to_string().trim_matches('"').to_string();
        let right = |line: &&Value| text(&line["label"]) == text(&line["input"]["label"]);
        let right = lines.iter().filter(right).count() as f64;
        assert_eq!(found["votes"][vote]["accuracy"].as_f64(), Some(right / lines.len() as f64));
    }
}
